"""What every kind of plan is read with: ready plans, tables of entries, and what can be wrong with a value."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from histoseed.errors import InputError
from histoseed.toml_files import Faults, TomlLines

__all__ = [
    "NAME",
    "Count",
    "Counts",
    "Names",
    "check_name",
    "counts",
    "find_plan",
    "is_table",
    "is_tables",
    "is_text",
    "one_of",
    "positive",
    "read_entries",
    "ready_plans",
    "refer",
    "refuse",
    "texts",
]

Count = int | Literal["all"]
Counts = tuple[Count, ...]
Names = tuple[str, ...]
Entry = TypeVar("Entry")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
"""What may be a name: also that of a file."""


def refuse(errors: Iterable[InputError]) -> None:
    """Raise all that is wrong with an entry."""
    faults = Faults()
    faults.add(errors)
    faults.tell()


def positive(entry: Any, *names: str) -> Iterator[InputError]:
    """Numbers that are not above 0; None is none."""
    for name in names:
        value = getattr(entry, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            yield InputError(f"{name} = {value!r} is not positive.", where=name, fix="Give a number above 0.")


def one_of(entry: Any, name: str, allowed: Iterable[str]) -> Iterator[InputError]:
    """A value, or a value of a list, that does not exist."""
    given = getattr(entry, name)
    choices = list(allowed)
    for value in (given,) if isinstance(given, str) else given:
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=2, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            fix = f"{hint}Allowed are: {', '.join(choices)}."
            yield InputError(f"{name} cannot be {value!r}.", where=name, fix=fix)


def counts(entry: Any, name: str, *, least: int) -> Iterator[InputError]:
    """Numbers of patches that are too small or named twice."""
    values = getattr(entry, name) or ()
    for value in values:
        if value != "all" and value < least:
            yield InputError(f"{name} holds {value}.", where=name, fix=f'Give numbers from {least} on, or "all".')
    if len(set(values)) < len(values):
        yield InputError(f"{name} holds a number twice.", where=name, fix="Name each number once.")


def check_name(name: str) -> Iterator[InputError]:
    """What cannot be the name of a file."""
    if not NAME.fullmatch(name):
        fix = 'Use letters, digits, ".", "_" and "-".'
        yield InputError(f"{name!r} is no name.", where="name", fix=fix)


def ready_plans() -> dict[str, Path]:
    """The plans that come with histoseed, by name; those in folders as ``folder/name``."""
    inside = Path(__file__).with_name("plans")
    folder = inside if inside.is_dir() else Path(__file__).parents[3] / "plans"  # a checkout
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.toml")}
    return dict(sorted(names.items()))


def find_plan(plan: Path | str) -> Path:
    """The file of a plan, or of the ready plan of that name.

    Raises:
        InputError: there is none; the nearest names are given.
    """
    path = Path(plan)
    if path.is_file():
        return path
    ready = ready_plans()
    name = str(plan).removesuffix(".toml").removeprefix("plans/")
    if name in ready:
        return ready[name]
    near = difflib.get_close_matches(name, ready, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    fix = f"{hint}Ready plans are {', '.join(ready)}; a file ends in .toml."
    raise InputError("There is no such file, and no ready plan of that name.", where=plan, fix=fix)


def read_entries(
    source: TomlLines, rows: Iterable[Mapping[str, Any]], name: str, kind: type[Entry], faults: Faults
) -> tuple[Entry, ...]:
    """The tables ``[[name]]``, without those that are wrong."""
    made = []
    for i, row in enumerate(rows):
        with faults.collect():
            made.append(source.table(name, i).build(kind, row, f"[[{name}]]"))
    return tuple(made)


def is_text(value: object) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def is_table(value: object) -> bool:
    """Whether it is a table."""
    return isinstance(value, dict)


def is_tables(value: object) -> bool:
    """Whether it is a list of tables."""
    return isinstance(value, list) and all(map(is_table, value))


def texts(row: Mapping[str, Any], key: str) -> list[str]:
    """The names that a key gives, one or a list; what is no text is refused elsewhere."""
    given = row.get(key, [])
    return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]


def refer(place: TomlLines, key: str, given: Iterable[str], known: list[str]) -> Iterator[InputError]:
    """Names that the plan does not have."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            fix = f"{f'Did you mean {near[0]}? ' if near else ''}There are: {', '.join(known) or 'none'}."
            yield InputError(f"The plan has no {name!r} for {key}.", where=place.at(key), fix=fix)
