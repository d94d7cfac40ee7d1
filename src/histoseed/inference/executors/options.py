"""From what the user wrote to an executor: a word on the command line, or a TOML file.

====================  ==================================================================
``serial``            one unit after another, in this process
``processes[:N]``     N processes of this machine
``dask[:N]``          N Dask workers of this machine; ``local`` is another word for it
``tcp://host:port``   the workers of a running Dask scheduler; ``tls://`` likewise
``slurm``             SLURM jobs, with the defaults of :class:`SlurmPool`
``FILE.toml``         any of them with all its options
====================  ==================================================================

A file names the executor and fills its arguments; pools of SLURM jobs are ``[[pools]]``::

    executor = "slurm"
    interface = "ib0"

    [[pools]]
    name = "network"
    jobs = 4
    queue = "gpu"
    gpus = 1
    memory = "32 GB"
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from histoseed.errors import InputError
from histoseed.inference.executors.dask_executor import DaskExecutor
from histoseed.inference.executors.processes import ProcessExecutor
from histoseed.inference.executors.running import Executor
from histoseed.inference.executors.serial import SerialExecutor
from histoseed.inference.executors.slurm import SlurmExecutor
from histoseed.inference.executors.slurm_jobs import SlurmPool, bytes_of
from histoseed.toml_files import read_toml

__all__ = ["make_executor", "read_executor"]

_KINDS: dict[str, type[SerialExecutor | ProcessExecutor | DaskExecutor | SlurmExecutor]] = {
    "serial": SerialExecutor,
    "processes": ProcessExecutor,
    "dask": DaskExecutor,
    "local": DaskExecutor,
    "slurm": SlurmExecutor,
}


def make_executor(text: str) -> Executor:
    """The executor that a word, an address or a file asks for; see the module.

    Raises:
        InputError: there is no such executor, or the file does not describe one.
    """
    if text.endswith(".toml"):
        return read_executor(Path(text))
    if "://" in text:
        return DaskExecutor(address=text)
    name, colon, count = text.partition(":")
    kind = _kind(name, f"--cluster {text}")
    if not colon:
        return kind()
    if kind not in (ProcessExecutor, DaskExecutor) or not count.isdecimal():
        fix = "Write processes:4 or dask:4, or describe it in a .toml file."
        raise InputError("The number of workers cannot be given in this way.", where=f"--cluster {text}", fix=fix)
    return kind(workers=int(count))


def read_executor(path: Path) -> Executor:
    """The executor that a TOML file describes.

    Raises:
        InputError: the file is absent or no TOML, or holds a wrong key or value; the message names the line.
    """
    table, lines = read_toml(path, "description of the cluster")
    name = table.pop("executor", None)
    kind = _kind(name, lines.at("executor"))
    if "pools" in table and kind is SlurmExecutor:
        pools = table["pools"]
        if not isinstance(pools, list) or not all(isinstance(pool, dict) for pool in pools):
            raise InputError("Pools stand under [[pools]], in double brackets.", where=lines.at("pools"))
        table["pools"] = [lines.table("pools", i).build(SlurmPool, pool, "[[pools]]") for i, pool in enumerate(pools)]
    if isinstance(size := table.get("memory"), str):
        try:
            table["memory"] = bytes_of(size)
        except InputError as error:
            raise InputError(error.what, where=f"{lines.at('memory')}: {error.where}", fix=error.fix) from error
    return lines.build(kind, table, f"the executor {name}")


def _kind(name: Any, where: str) -> type[SerialExecutor | ProcessExecutor | DaskExecutor | SlurmExecutor]:
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name]
    near = difflib.get_close_matches(str(name), _KINDS, n=2, cutoff=0.4) or list(_KINDS)
    fix = f"Use {' or '.join(near)}, the address of a Dask scheduler, or a .toml file."
    raise InputError(f"There is no executor {name!r}.", where=where, fix=fix)
