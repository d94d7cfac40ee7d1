"""A unit of work: a function named by its import path and arguments that are JSON.

Units cross processes, machines and days as text, hence no closures and no pickle. A function that may be run by a unit
is marked as such, so that a unit file cannot name any other function of the machine::

    @unit_function
    def train(folder: Path, *, patches: int, seed: int) -> dict[str, float]: ...

    Unit.of(train, {"patches": 2, "seed": 0})

It is called with the folder of the run first, so that arguments need not hold paths of one machine. It must be
idempotent: a worker that dies in it costs this unit only, because another worker does it again from its start.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from histoseed.errors import InputError

__all__ = ["Unit", "check_units", "resolve", "unit_function"]

_MARK = "__histoseed_unit__"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")

Function = TypeVar("Function", bound=Callable[..., Any])


def unit_function(function: Function) -> Function:
    """Mark a function of a module as one that units may run.

    It takes the folder of the run and the arguments by name, and returns a JSON value (no NaN).
    """
    setattr(function, _MARK, True)
    return function


@dataclass(frozen=True, slots=True)
class Unit:
    """What is done by one worker in one go, seconds to minutes of it.

    Args:
        key: Name within its run and of its record: letters, digits, ".", "_", "-".
        function: Where the function is, "package.module:name".
        arguments: JSON values by name.
        needs: Worker resources that it takes while it runs, as ``{"GPU": 1}``; serial and local processes ignore it.

    Raises:
        InputError: a key that is no file name, a path that is none, arguments that are no JSON.
    """

    key: str
    function: str
    arguments: Mapping[str, Any]
    needs: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InputError("The key of a unit must be a plain file name.", where=repr(self.key))
        if not _PATH.fullmatch(self.function):
            what = "A unit's function stands as 'package.module:name'."
            raise InputError(what, where=f"unit {self.key!r}: {self.function!r}")
        object.__setattr__(self, "arguments", _plain(self.arguments, f"unit {self.key!r}"))

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        needs: Mapping[str, float] | None = None,
    ) -> Self:
        """The unit that calls a marked function; the key is made of its :attr:`id` where none is given.

        Raises:
            InputError: the function is not marked, or no other process can import it.
        """
        path = f"{function.__module__}:{function.__qualname__}"
        if function.__module__ == "__main__" or not _PATH.fullmatch(path):
            fix = "Define it at the top of a module that can be imported."
            raise InputError("No other process can import this function.", where=path, fix=fix)
        if not hasattr(function, _MARK):
            raise InputError("The function is not marked for units.", where=path, fix="Decorate it by @unit_function.")
        plain = _plain(arguments, path)
        return cls(key or _digest(path, plain)[:20], path, plain, needs or {})

    @property
    def id(self) -> str:
        """SHA-256 of the function's path and the arguments: equal for equal work, whatever its key."""
        return _digest(self.function, self.arguments)

    def as_json(self) -> dict[str, Any]:
        """Its fields, for :meth:`from_json`."""
        return {
            "key": self.key,
            "function": self.function,
            "arguments": dict(self.arguments),
            "needs": dict(self.needs),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The unit of :meth:`as_json`."""
        return cls(value["key"], value["function"], value["arguments"], value.get("needs", {}))


def _plain(arguments: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments as JSON gives them back."""
    try:
        return dict(json.loads(json.dumps(dict(arguments), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise InputError(f"The arguments are no JSON: {error}.", where=where) from error


def _digest(function: str, arguments: Mapping[str, Any]) -> str:
    content = {"function": function, "arguments": dict(arguments)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check_units(units: Sequence[Unit]) -> None:
    """Refuse units of which two would leave one record, also where file names know no case.

    Raises:
        InputError: two units have one key.
    """
    counts = Counter(unit.key.casefold() for unit in units)
    twice = next((unit.key for unit in units if counts[unit.key.casefold()] > 1), None)
    if twice is not None:
        raise InputError("Two units have the same key.", where=f"unit {twice!r}")


def resolve(function: str) -> Callable[..., Any]:
    """The function of an import path.

    Raises:
        InputError: there is none, or it is not marked by :func:`unit_function`.
    """
    module, _, name = function.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        fix = "Install the same packages on all workers."
        raise InputError(f"This worker cannot import the function ({error}).", where=function, fix=fix) from error
    if not hasattr(found, _MARK):
        raise InputError("The function is not marked for units.", where=function, fix="Decorate it by @unit_function.")
    return found  # type: ignore[no-any-return]
