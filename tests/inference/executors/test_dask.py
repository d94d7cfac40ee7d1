"""Dask: workers that are started here, and those of a running scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.executor_processes import Parent, alive, records, wait_for
from fixtures.executor_units import break_down, draw, environment, wait_first
from histoseed.errors import ClusterError, DependencyError, InputError, OutputError
from histoseed.inference.executors import DaskExecutor, SerialExecutor, Unit, remote
from histoseed.inference.executors.dask_executor import closing

# A busy disk, or a machine without any network, is no fault of ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Creating scratch directories"),
    pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address"),
]

LOCAL = "DaskExecutor(workers=1, tls=False)"


def draws(count: int) -> list[Unit]:
    return [Unit.of(draw, {"seed": seed}, key=f"draw-{seed}") for seed in range(count)]


@pytest.fixture(autouse=True)
def _installed(need: Callable[[str], None]) -> None:
    need("distributed")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_makes_the_same(tmp_path: Path, workers: int) -> None:
    units = [*draws(5), Unit.of(break_down, {"how": "raise"}, key="broken")]
    expected = SerialExecutor().run(units, tmp_path / "serial")
    outcomes = DaskExecutor(workers=workers, tls=False).run(units, tmp_path / "dask")
    assert [(o.unit.key, o.ok, o.result) for o in outcomes] == [(o.unit.key, o.ok, o.result) for o in expected]
    assert outcomes[-1].error is not None
    assert outcomes[-1].error.message == "the eighth patch is torn"
    for path in (tmp_path / "serial").glob("*.npy"):
        assert (tmp_path / "dask" / path.name).read_bytes() == path.read_bytes()


def test_a_killed_worker_costs_its_unit_only(tmp_path: Path) -> None:
    poison = Unit.of(break_down, {"how": "kill"}, key="poison")
    units = [draws(2)[0], Unit.of(wait_first, {"name": "hit"}, key="hit"), poison, draws(2)[1]]
    path = tmp_path / "hit.0.pid"

    def kill() -> None:
        wait_for(path.exists, "the unit to begin")
        os.kill(int(path.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = DaskExecutor(workers=2, tls=False).run(units, tmp_path)
    killer.join()
    assert [o.ok for o in outcomes] == [True, True, False, True]
    assert outcomes[1].result == 1  # it was begun once before
    assert outcomes[2].error is not None
    assert outcomes[2].error.type == "WorkerDied"
    assert json.loads((tmp_path / "units" / "poison.json").read_text())["status"] == "failed"
    assert sorted((tmp_path / "calls.txt").read_text().split()) == ["0", "1"]


class SlowToEnd:
    """A cluster of a busy machine."""

    shutdown_on_close = True

    def close(self) -> None:
        raise TimeoutError


def test_a_cluster_that_is_slow_to_end_costs_nothing() -> None:
    with closing(SlowToEnd()) as cluster:
        done = True
    assert done
    assert not cluster.shutdown_on_close  # Dask waits no second time when the interpreter ends
    with pytest.raises(ClusterError, match="lost"), closing(SlowToEnd()):
        raise ClusterError("The Dask scheduler is lost.", fix="Start again.")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_whose_parent_was_stopped_goes_on(
    tmp_path: Path, parent: Callable[[str], Parent], number: signal.Signals
) -> None:
    running = parent(LOCAL)
    worker = running.worker()
    printed = running.signal(number)
    assert ("KeyboardInterrupt" in printed) == (number == signal.SIGINT)
    wait_for(lambda: not alive(worker), "the worker to end with its parent", 30)
    assert records(tmp_path) == ["first.json"]
    units = [
        Unit.of(draw, {"seed": 1}, key="first"),
        Unit.of(wait_first, {"name": "second"}, key="second"),
        Unit.of(draw, {"seed": 3}, key="third"),
    ]
    outcomes = SerialExecutor().run(units, tmp_path)  # a run may go on with another executor
    assert [(o.ok, o.reused) for o in outcomes] == [(True, True), (True, False), (True, False)]


def test_workers_hold_the_key_of_the_run_and_work_side_by_side(tmp_path: Path, need: Callable[[str], None]) -> None:
    need("cryptography")
    arguments = {"names": ["OMP_NUM_THREADS"], "workers": 2}  # each waits for the other
    units = [Unit.of(environment, arguments, key=f"unit-{i}", needs={"GPU": 1}) for i in range(2)]
    before = dict(os.environ)
    outcomes = DaskExecutor(workers=2, threads=3, resources={"GPU": 1}).run(units, tmp_path)
    assert [o.result for o in outcomes] == [["3"], ["3"]]
    assert dict(os.environ) == before


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with one worker that offers a GPU, both processes of their own."""
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": path}
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli"]
    options = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = [
        [*dask[:-1], "distributed.cli.dask_scheduler", *options, "--port", "0", "--scheduler-file", str(file)],
        [*dask[:-1], "distributed.cli.dask_worker", *options, "--nthreads", "1", "--resources", "GPU=1",
         "--scheduler-file", str(file), "--local-directory", str(tmp_path), "--no-nanny"],
    ]  # fmt: skip
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    wait_for(file.exists, "the scheduler to listen")
    yield json.loads(file.read_text())["address"]
    for process in reversed(started):
        process.kill()
        process.wait()


def test_the_workers_of_a_running_scheduler(tmp_path: Path, scheduler: str) -> None:
    folder = tmp_path / "run"
    units = [Unit.of(draw, {"seed": seed}, key=f"draw-{seed}", needs={"GPU": 1}) for seed in range(2)]
    assert all(o.ok for o in DaskExecutor(address=scheduler).run(units, folder))
    more = Unit.of(draw, {"seed": 9}, key="draw-9", needs={"GPU": 2})
    with pytest.raises(ClusterError, match=r"offers GPU=2 has been there for 1\.5 seconds"):
        DaskExecutor(address=scheduler, patience=1.5).run([*units, more], folder)
    assert not (folder / "units" / "draw-9.json").exists()


def test_no_scheduler_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histoseed.inference.executors.dask_executor._CONNECT", 1.0)
    with pytest.raises(InputError, match="No Dask scheduler answers"):
        DaskExecutor(address="tcp://127.0.0.1:9").run(draws(1), tmp_path)
    with pytest.raises(InputError, match="No Dask scheduler answers"):
        DaskExecutor(address="carrier-pigeon://127.0.0.1:9").run(draws(1), tmp_path)


def test_a_worker_that_does_not_share_the_folder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PATIENCE", 0.0)
    token = remote.folder_token(tmp_path)
    assert remote.folder_token(tmp_path) == token
    unit = draws(1)[0]
    with pytest.raises(OutputError, match="does not see the folder"):
        remote.run_request(remote.request(unit, tmp_path / "elsewhere", token))
    with pytest.raises(OutputError, match="does not see the folder"):
        remote.run_request(remote.request(unit, tmp_path, "another run's"))
    assert remote.read_answer(unit, remote.run_request(remote.request(unit, tmp_path, token))).ok


def test_a_worker_of_another_version_says_so(tmp_path: Path) -> None:
    request = json.loads(remote.request(draws(1)[0], tmp_path, remote.folder_token(tmp_path)))
    with pytest.raises(DependencyError, match=r"the run is of 0\.0"):
        remote.run_request(json.dumps(request | {"histoseed": "0.0"}))


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(DependencyError, match=r"\.\[cluster\].*tls = false"):
        DaskExecutor(workers=1).run(draws(1), tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DependencyError, match=r"needs distributed.*\.\[cluster\]"):
        DaskExecutor(workers=1).run(draws(1), tmp_path)


def test_bad_options() -> None:
    with pytest.raises(InputError, match="positive"):
        DaskExecutor(workers=0)
    with pytest.raises(InputError, match="Leave out workers, memory"):
        DaskExecutor(address="tcp://node:8786", workers=2, memory=10**9)
