"""What all executors have in common: known outcomes are found, the rest is run, the order of units is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

from histoseed.errors import OutputError
from histoseed.files import explained
from histoseed.inference.executors.outcome import Outcome, read_outcome
from histoseed.inference.executors.unit import Unit, check_units

__all__ = ["Executor", "OnUnit", "Work", "run_units"]

OnUnit = Callable[[Outcome], None]
"""Receives each outcome as soon as it is known, in the caller's thread. What it raises stops the run."""

Work = Callable[[Sequence[Unit], Path], Generator[Outcome]]
"""Runs units and yields their outcomes in any order; closing it stops what still runs."""


class Executor(Protocol):
    """Runs units somewhere.

    - Every unit leaves ``units/<key>.json`` in the folder, written last and as a whole: its result or its error, the
      seconds, the machine. A unit with such a record is not run again, whatever was stopped or killed in between.
    - A unit that fails stops no other. Its record says why; it is run again when ``retry_failed`` asks for it.
    - A worker that dies costs the unit it was at: another worker does it again, ``attempts`` times at most.
    - Outcomes stand in the order of the units, whatever the number of workers and the order of completion.
    - Ctrl-C, and whatever ``on_unit`` raises, stops the workers and goes on to the caller; records stay.
    """

    def run(
        self,
        units: Sequence[Unit],
        folder: Path,
        on_unit: OnUnit | None = None,
        *,
        retry_failed: bool = False,
    ) -> list[Outcome]:
        """Run all units that have no outcome in the folder yet.

        Args:
            units: The units; no two have one key.
            folder: Folder of the run; all workers see it under this path.
            on_unit: See :data:`OnUnit`; outcomes that were there before come first.
            retry_failed: Run those again that failed in an earlier run.

        Raises:
            InputError: two units have one key, or the cluster cannot be used as asked.
            OutputError: the folder cannot be written, or holds records of other work.
            DependencyError: a package is missing, or no worker process can be started.
            ClusterError: the workers are lost.
        """


def run_units(
    units: Sequence[Unit], folder: Path, on_unit: OnUnit | None, *, retry_failed: bool, work: Work
) -> list[Outcome]:
    """The body of :meth:`Executor.run`; ``work`` runs what is left."""
    check_units(units)
    folder = Path(folder).absolute()  # not resolved: what a link leads to may have another name on other machines
    try:
        (folder / "units").mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError("A file of that name is in the way.", where=folder, fix="Choose another folder.") from error
    except OSError as error:
        raise explained(error, folder) from error
    tell = on_unit or _nobody
    outcomes: dict[str, Outcome] = {}
    left: list[Unit] = []
    for unit in units:
        known = read_outcome(folder, unit)
        if known is None or (retry_failed and not known.ok):
            left.append(unit)
        else:
            outcomes[unit.key] = known
    for known in outcomes.values():
        tell(known)
    if left:
        with contextlib.closing(work(left, folder)) as made:
            for outcome in made:
                outcomes[outcome.unit.key] = outcome
                tell(outcome)
    return [outcomes[unit.key] for unit in units]


def _nobody(outcome: Outcome) -> None:
    """Nobody watches."""
