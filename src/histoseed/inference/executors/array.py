"""Units as a plain SLURM array, for clusters where no process may stay on the login node and nodes reach no scheduler.

``write_array`` leaves ``units.json`` and ``submit.sh`` in the folder; after ``sbatch submit.sh`` each task of the array
does its share with local processes. The verb that made them, run again, finds the records and does what is left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from histoseed.errors import InputError
from histoseed.files import explained, write_json, write_text
from histoseed.inference.executors.outcome import Outcome, read_outcome
from histoseed.inference.executors.processes import ProcessExecutor
from histoseed.inference.executors.slurm_jobs import SlurmPool
from histoseed.inference.executors.unit import Unit, check_units

__all__ = ["read_units", "run_share", "write_array"]


def write_array(units: Sequence[Unit], folder: Path, pool: SlurmPool, *, retry_failed: bool = False) -> Path:
    """Leave what an array of the pool's jobs needs in the folder.

    Args:
        units: The units; those that have an outcome already are left out.
        folder: Folder of the run, which all nodes share.
        pool: What each task of the array asks for.
        retry_failed: Run those again that failed before.

    Returns:
        The batch script, for ``sbatch``.

    Raises:
        OutputError: the folder cannot be written.
    """
    check_units(units)
    folder = Path(folder).absolute()
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder) from error
    known = {unit.key: read_outcome(folder, unit) for unit in units}
    left = [unit for unit in units if (old := known[unit.key]) is None or (retry_failed and not old.ok)]
    write_json(folder / "units.json", [unit.as_json() for unit in left])
    write_text(folder / "submit.sh", pool.array_script(folder, retry_failed=retry_failed))
    return folder / "submit.sh"


def read_units(folder: Path) -> list[Unit]:
    """The units of :func:`write_array`.

    Raises:
        InputError: there are none, or the file is damaged.
    """
    path = folder / "units.json"
    try:
        return [Unit.from_json(value) for value in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"The list of units cannot be read ({error}).", where=path) from error


def run_share(folder: Path, share: int, shares: int, *, workers: int = 1, retry_failed: bool = False) -> list[Outcome]:
    """Do every ``shares``-th unit of the folder's list, from number ``share`` on.

    Raises:
        InputError: there is no such share.
    """
    if not 0 <= share < shares:
        raise InputError(f"Shares are numbered from 0 to {shares - 1}.", where=f"share {share}")
    executor = ProcessExecutor(workers=workers)
    return executor.run(read_units(folder)[share::shares], folder, retry_failed=retry_failed)
