"""Published tables as data: what others measured, on their data, with the source of every number."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from histoseed.toml_files import read_toml

__all__ = ["Published", "PublishedRow", "Source", "published_table", "published_tables", "sources"]

Number = float | int
_FOLDER = "published"
_SOURCES = "sources"


@dataclass(frozen=True, slots=True)
class Source:
    """Where numbers are from.

    Args:
        short: As it stands in tables.
        full: As it is cited.
    """

    short: str
    full: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One published row.

    Args:
        source: Name of a :class:`Source`.
        model: What was measured, as it is read.
        keys: What the row is about: name of a field of a result -> its value, as a result would name it.
        scores: Name -> value, or the two ends of a range.
        usability: Name -> before and after the clean-up, in the published definitions.
    """

    source: str
    model: str
    keys: dict[str, str]
    scores: dict[str, Number | list[Number]]
    usability: dict[str, list[Number]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """What was published of one experiment.

    Args:
        data: What it was measured on.
        by: The fields that its rows differ by.
        note: What a reader must know before comparing.
        rows: In the order of the file.
    """

    data: str
    by: tuple[str, ...]
    note: str
    rows: tuple[PublishedRow, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of its rows, each once."""
        known = sources()
        return tuple(known[name] for name in dict.fromkeys(row.source for row in self.rows))


def published_tables() -> tuple[str, ...]:
    """Names of the experiments of which something is at hand."""
    return tuple(sorted(set(_files()) - {_SOURCES}))


@functools.cache
def published_table(plan: str) -> Published | None:
    """What was published of the experiment of a plan; None where there is nothing.

    >>> table = published_table("fusions")
    >>> {row.keys["fusion"]: row.scores["dice"] for row in table.rows}["concat"]
    0.863
    """
    path = _files().get(plan)
    if path is None or plan == _SOURCES:
        return None
    table, lines = read_toml(path, "published table")
    rows = [lines.table("rows", i).build(PublishedRow, row, "[[rows]]") for i, row in enumerate(table.pop("rows", []))]
    head = lines.build(_Head, table, "published table")
    return Published(head.data, head.by, " ".join(head.note.split()), tuple(rows))


@functools.cache
def sources() -> Mapping[str, Source]:
    """All sources by name."""
    table, lines = read_toml(_files()[_SOURCES], "list of sources")
    return {name: lines.table(name).build(Source, entry, f"[{name}]") for name, entry in table.items()}


@dataclass(frozen=True, slots=True)
class _Head:
    data: str
    by: tuple[str, ...]
    note: str = ""


@functools.cache
def _files() -> Mapping[str, Path]:
    folder: Any = resources.files("histoseed.benchmarking.prompted").joinpath(_FOLDER)
    return {path.stem: path for path in Path(folder).glob("*.toml")}
