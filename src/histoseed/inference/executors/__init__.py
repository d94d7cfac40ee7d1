"""Units of work on one machine or many: idempotent, recorded, resumed.

An executor runs functions that were marked by :func:`unit_function`, in this process, in local processes, on Dask or in
SLURM jobs, and leaves a record of each in the folder of the run::

    units = [Unit.of(train, {"patches": n, "seed": seed}) for n in (1, 2, 5) for seed in (0, 1)]
    outcomes = make_executor("processes:2").run(units, folder, on_unit=show)
"""

from histoseed.inference.executors.array import write_array
from histoseed.inference.executors.dask_executor import DaskExecutor
from histoseed.inference.executors.options import make_executor, read_executor
from histoseed.inference.executors.outcome import Outcome, UnitError
from histoseed.inference.executors.processes import ProcessExecutor
from histoseed.inference.executors.running import Executor, OnUnit
from histoseed.inference.executors.serial import SerialExecutor
from histoseed.inference.executors.slurm import SlurmExecutor
from histoseed.inference.executors.slurm_jobs import SlurmPool
from histoseed.inference.executors.unit import Unit, unit_function

__all__ = [
    "DaskExecutor",
    "Executor",
    "OnUnit",
    "Outcome",
    "ProcessExecutor",
    "SerialExecutor",
    "SlurmExecutor",
    "SlurmPool",
    "Unit",
    "UnitError",
    "make_executor",
    "read_executor",
    "unit_function",
    "write_array",
]
