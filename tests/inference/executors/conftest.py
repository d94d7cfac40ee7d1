"""What the tests of executors share: loopback connections, and parents that are killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.executor_processes import Parent


@pytest.fixture(autouse=True)
def _dask_talks(loopback: None) -> None:
    """Every test here may talk to processes of this machine."""


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
