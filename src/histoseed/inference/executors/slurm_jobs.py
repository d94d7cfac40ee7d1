"""What a SLURM job of workers asks for, and the batch scripts made of it."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.errors import InputError
from histoseed.inference.executors.processes import thread_counts

__all__ = ["SlurmPool", "bytes_of"]

_WORD = re.compile(r"[^\s#'\"\\$`;&|<>()]+")
_WALLTIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")
_FACTORS = {
    "": 1,
    "k": 1000,
    "m": 1000**2,
    "g": 1000**3,
    "t": 1000**4,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def bytes_of(text: str) -> int:
    """The number of bytes of a size such as "8 GB" or "512 MiB".

    >>> bytes_of("1.5 GB"), bytes_of("2 GiB")
    (1500000000, 2147483648)

    Raises:
        InputError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text.casefold())
    if found is None or found[2] not in _FACTORS or float(found[1]) <= 0:
        raise InputError("This is no size of a memory.", where=repr(text), fix="Write it as '8 GB' or '512 MiB'.")
    return round(float(found[1]) * _FACTORS[found[2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmPool:
    """Jobs of one kind. Values pass into batch scripts, hence are checked to be plain words.

    Args:
        name: Of the jobs in the queue.
        jobs: How many.
        workers: Worker processes in each; one where it has GPUs.
        cores: Processor cores of each job, for all its workers together.
        memory: Memory of each job, as "16 GB".
        walltime: Longest time of each job, "HH:MM:SS" or "D-HH:MM:SS".
        queue: Partition; None: the cluster's own choice.
        account: Whom it is charged to; None: the user's own.
        gpus: GPUs of each job; its worker offers as much "GPU" to the ``needs`` of units, one without offers a "CPU".
        gpu_directive: How this cluster wants GPUs asked for; ``{gpus}`` is their number.
        directives: Further lines after ``#SBATCH``, as "--constraint=a100".
        prologue: Shell lines before the workers start, as "module load cuda".
        python: Interpreter on the nodes; None: the one that runs here.
        local_directory: Fast local disk of the nodes, where Dask spills to; None: its own choice.

    Raises:
        InputError: a value that cannot stand in a batch script.
    """

    name: str = "histoseed"
    jobs: int = 1
    workers: int = 1
    cores: int = 1
    memory: str = "8 GB"
    walltime: str = "04:00:00"
    queue: str | None = None
    account: str | None = None
    gpus: int = 0
    gpu_directive: str = "--gres=gpu:{gpus}"
    directives: Sequence[str] = ()
    prologue: Sequence[str] = ()
    python: str | None = None
    local_directory: str | None = None

    def __post_init__(self) -> None:
        bytes_of(self.memory)
        for name in ("name", "queue", "account"):
            value = getattr(self, name)
            if value is not None and not _WORD.fullmatch(value):
                raise InputError("This is no plain word.", where=f"{name} = {value!r}")
        if not _WALLTIME.fullmatch(self.walltime):
            raise InputError("This is no time.", where=f"walltime = {self.walltime!r}", fix="Write it as HH:MM:SS.")
        for line in (*self.directives, *self.prologue, self.gpu_directive):
            if "\n" in line or "\r" in line:
                raise InputError("A line must not hold a line break.", where=repr(line))
        if min(self.jobs, self.workers, self.cores) < 1 or self.gpus < 0:
            raise InputError("Jobs, workers and cores are at least 1, and GPUs 0.", where=f"pool {self.name!r}")
        if self.cores < self.workers:
            raise InputError(
                "There are more workers than cores.", where=f"pool {self.name!r}", fix="Ask for more cores."
            )
        if self.gpus and self.workers > 1:
            fix = "Ask for more jobs of one worker."
            raise InputError("Workers of one job do not share out its GPUs.", where=f"pool {self.name!r}", fix=fix)

    @property
    def offers(self) -> dict[str, float]:
        """Worker resources of each of its workers."""
        return {"GPU": float(self.gpus)} if self.gpus else {"CPU": 1.0}

    def _directives(self, log: Path) -> list[str]:
        """What the batch script asks for beside name, queue, account, cores, memory and time."""
        wanted = [self.gpu_directive.format(gpus=self.gpus)] if self.gpus else []
        return [*wanted, f"-o {shlex.quote(str(log))}", *self.directives]

    def _prologue(self) -> list[str]:
        counts = thread_counts(max(1, self.cores // self.workers), 1)
        return [*self.prologue, *(f"export {name}={value}" for name, value in counts.items())]

    def dask_options(self, folder: Path) -> dict[str, Any]:
        """Arguments of ``dask_jobqueue``'s SLURM job: workers of one thread each."""
        options = {
            "job_name": self.name,
            "cores": self.workers,
            "processes": self.workers,
            "memory": f"{bytes_of(self.memory)}B",
            "job_cpu": self.cores,
            "job_mem": f"{self._mebibytes}M",
            "walltime": self.walltime,
            "queue": self.queue,
            "account": self.account,
            "job_extra_directives": self._directives(folder / "logs" / f"{self.name}-%j.out"),
            "job_script_prologue": self._prologue(),
            "worker_extra_args": ["--resources", ",".join(f"{name}={n:g}" for name, n in self.offers.items())],
            "python": shlex.quote(self.python or sys.executable),
        }
        return options if self.local_directory is None else {**options, "local_directory": self.local_directory}

    @property
    def _mebibytes(self) -> int:
        return math.ceil(bytes_of(self.memory) / 2**20)

    def array_script(self, folder: Path, *, retry_failed: bool = False) -> str:
        """A batch script of an array of ``jobs`` tasks, each of which does its share of ``units.json`` of the folder.

        It needs neither Dask nor a process that stays on the login node.
        """
        named = {"-p": self.queue, "-A": self.account}
        header = [
            f"-J {self.name}",
            f"--array=0-{self.jobs - 1}",
            *(f"{flag} {value}" for flag, value in named.items() if value is not None),
            "-n 1",
            f"--cpus-per-task={self.cores}",
            f"--mem={self._mebibytes}M",
            f"-t {self.walltime}",
            "--requeue",
            *self._directives(folder / "logs" / f"{self.name}-%A_%a.out"),
        ]
        command = [
            self.python or sys.executable,
            *("-P", "-m", "histoseed.inference.executors", str(folder)),
            *("--shares", str(self.jobs), "--workers", str(self.workers)),
            *(["--retry-failed"] if retry_failed else []),
        ]
        return "\n".join(
            [
                "#!/usr/bin/env bash",
                *(f"#SBATCH {line}" for line in header),
                "",
                *self._prologue(),
                "exec " + shlex.join(command) + ' --share "$SLURM_ARRAY_TASK_ID"',
                "",
            ]
        )
