"""One unit after another, in this process: for tests, debuggers, and machines with little memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from histoseed.inference.executors.outcome import Outcome, execute
from histoseed.inference.executors.running import OnUnit, run_units
from histoseed.inference.executors.unit import Unit

__all__ = ["SerialExecutor"]


@dataclass(frozen=True, slots=True)
class SerialExecutor:
    """Runs units here. A unit that ends the process ends the run; its next start goes on after the last record."""

    def run(
        self,
        units: Sequence[Unit],
        folder: Path,
        on_unit: OnUnit | None = None,
        *,
        retry_failed: bool = False,
    ) -> list[Outcome]:
        """See :meth:`Executor.run`."""
        return run_units(units, folder, on_unit, retry_failed=retry_failed, work=_work)


def _work(units: Sequence[Unit], folder: Path) -> Generator[Outcome]:
    for unit in units:
        yield execute(unit, folder)
