"""What the tests of executors share: loopback connections, a real SLURM of one node, parents that are killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.executor_processes import Parent, queued, wait_for


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests on a real SLURM start system daemons, and run only where TEST_ON_SLURM is set."""
    if os.environ.get("TEST_ON_SLURM"):
        return
    chosen = [item for item in items if "slurm" in getattr(item, "fixturenames", ())]
    if chosen:
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item not in chosen]


TOOLS = Path(__file__).parents[4] / "shared" / "tools"


def missing(reason: str) -> None:
    """Skip; where everything must be at hand (CI), fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's processes talk through the loopback interface; a connection to another machine still fails."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        inet = self.family in (socket.AF_INET, socket.AF_INET6) and self.type != socket.SOCK_DGRAM  # those send nothing
        if inet and address[0] not in ("127.0.0.1", "::1"):  # type: ignore[index]
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def need() -> Callable[[str], None]:
    """A function that skips the test where a package of the extra ``cluster`` is not installed."""

    def check(module: str) -> None:
        if importlib.util.find_spec(module) is None:
            missing(f"{module} of the extra 'cluster' is not installed")

    return check


@pytest.fixture(scope="session")
def _slurm_daemons() -> Iterator[None]:
    script = TOOLS / "slurm_one_node.sh"
    if not script.is_file():
        missing("the folder ../shared/tools with slurm_one_node.sh does not stand beside this repository")
    running = subprocess.run(["pgrep", "-x", "slurmctld"], capture_output=True, check=False).returncode == 0
    started = subprocess.run(["bash", str(script), "start"], capture_output=True, text=True, timeout=250, check=False)
    if started.returncode:
        missing(f"the one-node SLURM does not start: {started.stderr[-500:]}")
    yield
    if not running:
        subprocess.run(["bash", str(script), "stop"], capture_output=True, timeout=60, check=True)


@pytest.fixture
def slurm(_slurm_daemons: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real SLURM of one node, whose jobs import what this process imports; no job is left behind."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    before = queued()
    yield
    left = queued() - before
    if left:
        subprocess.run(["scancel", *left], timeout=60, check=True)
    wait_for(lambda: not queued() & left, "the jobs of the test to leave the queue")


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[[str], Parent]]:
    """Starts a :class:`Parent` with an executor, given as an expression."""
    started: list[Parent] = []

    def start(executor: str) -> Parent:
        started.append(Parent(executor, tmp_path))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.signal(signal.SIGKILL)
