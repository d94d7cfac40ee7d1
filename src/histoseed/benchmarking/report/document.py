"""The report as content: sections of texts, notes, tables and pictures. HTML and Markdown are two ways to write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from histoseed.pictures import Strong, Themed

__all__ = ["Block", "Document", "Facts", "Note", "Numbers", "Photo", "Plot", "Section", "Strong", "Table", "Text"]

Value = object
"""What stands in a cell: text, a number, None where there is nothing, or a :class:`Strong` value."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that must not be overlooked; ``kind`` is ``note`` or ``warning``."""

    text: str
    kind: str = "note"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The few numbers that matter most, each with a detail that may be empty."""

    values: Mapping[str, tuple[Value, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one a line."""

    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its first column names the rows.

    Args:
        caption: A line above it.
        header: Names of the columns.
        rows: Cells.
        align: A letter a column: l, r or c.
        folded: On the page, only the caption is seen until the reader opens it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Value]]
    align: str
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Args:
        name: Of its file, without suffix.
        draw: Gives PNG bytes in both themes.
        caption: A line below it.
        alt: What it shows, for those who cannot see it.
    """

    name: str
    draw: Callable[[], Themed]
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of tissue, the same in both themes.

    Args:
        name: Of its file, without suffix.
        draw: Gives JPEG bytes.
        caption: A line below it.
        alt: What it shows, for those who cannot see it.
    """

    name: str
    draw: Callable[[], bytes]
    caption: str
    alt: str


Block = Text | Note | Numbers | Facts | Table | Plot | Photo


@dataclass(frozen=True, slots=True)
class Section:
    """A section; an empty title is what comes before the first one."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report.

    Args:
        title: Headline.
        subtitle: What it is about, in a sentence.
        sections: In order; those without blocks are not written.
        sortable: Whether readers may sort the tables.
    """

    title: str
    subtitle: str
    sections: Sequence[Section] = field(default_factory=tuple)
    sortable: bool = True
