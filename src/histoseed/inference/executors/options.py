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
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from histoseed.errors import InputError
from histoseed.inference.executors.dask_executor import DaskExecutor
from histoseed.inference.executors.processes import ProcessExecutor
from histoseed.inference.executors.running import Executor
from histoseed.inference.executors.serial import SerialExecutor
from histoseed.inference.executors.slurm import SlurmExecutor
from histoseed.inference.executors.slurm_jobs import SlurmPool, bytes_of

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
    try:
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"The description of the cluster cannot be read ({error}).", where=path) from error
    source = _Source(path, text.splitlines())
    kind = _kind(table.pop("executor", None), source.at("executor"))
    if "pools" in table and kind is SlurmExecutor:
        pools = table["pools"]
        if not isinstance(pools, list) or not all(isinstance(pool, dict) for pool in pools):
            raise InputError("Pools stand under [[pools]], in double brackets.", where=source.at("pools"))
        table["pools"] = [source.below(i).build(SlurmPool, pool) for i, pool in enumerate(pools)]
    executor: Executor = source.build(kind, table)
    return executor


def _kind(name: Any, where: str) -> type[SerialExecutor | ProcessExecutor | DaskExecutor | SlurmExecutor]:
    if name in _KINDS:
        return _KINDS[name]
    near = difflib.get_close_matches(str(name), _KINDS, n=2, cutoff=0.4) or list(_KINDS)
    fix = f"Use {' or '.join(near)}, the address of a Dask scheduler, or a .toml file."
    raise InputError(f"There is no executor {name!r}.", where=where, fix=fix)


class _Source:
    """A TOML file, for messages that name the line; ``first`` is the line below which a key is looked for."""

    def __init__(self, path: Path, lines: list[str], first: int = 0) -> None:
        self._path = path
        self._lines = lines
        self._first = first

    def below(self, pool: int) -> _Source:
        """The part of the file that starts with a pool."""
        heads = [i for i, line in enumerate(self._lines) if re.match(r"\s*\[\[\s*pools\s*\]\]", line)]
        return _Source(self._path, self._lines, heads[pool] if pool < len(heads) else 0)

    def at(self, key: str) -> str:
        """Where a key stands."""
        for number, line in enumerate(self._lines[self._first :], self._first + 1):
            if re.match(rf"\s*(\[\[?\s*)?[\"']?{re.escape(key)}\b", line):
                return f"{self._path}, line {number}"
        return str(self._path)

    def build(self, kind: type[Any], table: Mapping[str, Any]) -> Any:
        """An object of a kind from the values of a table, each checked against its type."""
        hints, names = get_type_hints(kind), [field.name for field in fields(kind)]
        for key, value in table.items():
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
                fix = f"{f'Did you mean {near[0]}? ' if near else ''}Keys are: {', '.join(names) or 'none'}."
                raise InputError(f"There is no key {key!r}.", where=self.at(key), fix=fix)
            try:
                TypeAdapter(str if _is_size(kind, key, value) else hints[key]).validate_python(value, strict=True)
            except ValidationError as error:
                what = f"{key} = {value!r} is not valid ({error.errors()[0]['msg']})."
                raise InputError(what, where=self.at(key)) from error
        try:
            return kind(**{k: bytes_of(value) if _is_size(kind, k, value) else value for k, value in table.items()})
        except InputError as error:
            raise InputError(error.what, where=f"{self._path}: {error.where}", fix=error.fix) from error


def _is_size(kind: type[Any], key: str, value: Any) -> bool:
    """Whether a value is a text that stands for a number of bytes; pools keep theirs, for batch scripts."""
    return key == "memory" and kind is not SlurmPool and isinstance(value, str)
