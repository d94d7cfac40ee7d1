"""Usability of the answers before and after the clean-up, beside what was published."""

from __future__ import annotations

from collections.abc import Iterator

from histoseed.benchmarking.prompted.report.cells import published_rows, source_of
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import said
from histoseed.benchmarking.prompted.report.published import PublishedRow
from histoseed.benchmarking.prompted.results import Change
from histoseed.benchmarking.report.document import Table, Value
from histoseed.metrics.usability import PUBLISHED_USABILITY, USABILITY

__all__ = ["shape_tables"]

_SHAPE = ("compactness", "solidity", "smoothness", "components", "holes", "size_retention", "vertices")
_DEFINITIONS = {PUBLISHED_USABILITY: "the published definitions", USABILITY: "the definitions of histoseed"}
_ARROW = "\N{RIGHTWARDS ARROW}"


def shape_tables(found: Experiment) -> Iterator[Table]:
    """Shape before and after: in the published definitions, then in those of histoseed."""
    for protocol, words in _DEFINITIONS.items():
        theirs = [row for row in published_rows(found) if row.usability and protocol == PUBLISHED_USABILITY]
        ours = [one for one in found.results if one.usability.get(protocol)]
        told = [*(row.usability for row in theirs), *(one.usability[protocol] for one in ours)]
        digits = 3 if theirs else 2
        columns = [name for name in _SHAPE if any(name in one for one in told)]
        rows: list[list[Value]] = [[_name(row, found), *(_published(row, name) for name in columns)] for row in theirs]
        for one in ours:
            changes = one.usability[protocol]
            cells = (_cell(changes.get(name), digits) for name in columns)
            rows.append([found.label(one, whole=True), *cells])
        if rows:
            header = ["result", *(name.replace("_", " ") for name in columns)]
            caption = f"Shape before {_ARROW} after the clean-up, in {words}"
            yield Table(caption, header, rows, "l" + "r" * len(columns), folded=found.folds(rows))


def _name(row: PublishedRow, found: Experiment) -> str:
    """What was published, and by whom."""
    return ", ".join(filter(None, (row.model, *map(said, found.keys, found.key_of(row)), source_of(row))))


def _published(row: PublishedRow, name: str) -> str | None:
    pair = row.usability.get(name)
    return None if pair is None else _cell(Change(*map(float, pair)), digits=3)


def _cell(change: Change | None, digits: int) -> str | None:
    """Before and after; nothing where both are undefined."""
    if change is None or (change.before is None and change.after is None):
        return None
    ends = ("\N{EN DASH}" if end is None else f"{end:.{digits}f}" for end in (change.before, change.after))
    return f"\N{NO-BREAK SPACE}{_ARROW}\N{NO-BREAK SPACE}".join(ends)
