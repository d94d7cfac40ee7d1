"""The report as Markdown, with plots in files beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from histoseed._version import __version__
from histoseed.benchmarking.report.document import (
    Block,
    Document,
    Facts,
    Note,
    Numbers,
    Photo,
    Plot,
    Strong,
    Table,
    Text,
)

__all__ = ["render_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_RULES = {"l": ":---", "r": "---:", "c": ":---:"}
_DASH = "\N{EN DASH}"


def render_markdown(document: Document, date: str = "") -> str:
    """The report as GitHub's Markdown; plots are shown from ``NAME.png``, photographs from ``NAME.jpg``."""
    made = " · ".join(part for part in (f"histoseed {__version__}", date) if part)
    parts = [f"# {escaped(document.title)}", escaped(document.subtitle), escaped(made)]
    for section in document.sections:
        if section.blocks:
            parts += [f"## {escaped(section.title)}"] if section.title else []
            parts += [text for block in section.blocks for text in _written(block)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(value: object) -> str:
    r"""Text that Markdown shows as it is, in one line.

    >>> print(escaped("a|b *c*"))
    a\|b \*c\*
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).encode("utf-8", "replace").decode().split()))


def _written(block: Block) -> Iterator[str]:
    match block:
        case Text(text):
            yield escaped(text)
        case Note(text, kind):
            yield f"> **{kind.capitalize()}.** {escaped(text)}"
        case Numbers(values):
            yield "\n".join(
                f"- {escaped(name)}: **{_cell(value)}**{f' ({escaped(detail)})' if detail else ''}"
                for name, (value, detail) in values.items()
            )
        case Facts(values):
            yield "\n".join(f"- {escaped(name)}: {_cell(value)}" for name, value in values.items())
        case Plot(name, _, caption, alt) | Photo(name, _, caption, alt):
            yield f"![{escaped(alt)}]({name}.{'jpg' if isinstance(block, Photo) else 'png'})"
            yield f"*{escaped(caption)}*"
        case Table(caption, header, rows, align, _):
            yield f"**{escaped(caption)}**"
            lines = [[escaped(name) for name in header], [_RULES[letter] for letter in align]]
            lines += [[_cell(cell) for cell in row] for row in rows]
            yield "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, Strong):
        return f"**{_cell(value.value)}**"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return escaped(value)
