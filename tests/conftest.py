"""What every test may rely on: no network, the shared folder of real data where it exists."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

pytest_plugins = ["fixtures.clusters"]

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real images with annotations that may stand beside the repository."""
    if not SHARED.is_dir():
        reason = "the folder ../shared/data with real images does not stand beside this repository"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that opens a connection to another machine fails."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything is at hand (CI), a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == 0:
        for report in skipped:
            reporter.write_line(f"SKIPPED in CI: {report.nodeid}")
        session.exitstatus = 1
