"""The tables of ``docs/encoders.md``, made from the cards.

``python -m histoseed.encoders.table docs/encoders.md`` writes them anew between their marks; a test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from histoseed.encoders.cards import EncoderCard, Group
from histoseed.encoders.registry import list_encoders

__all__ = ["GROUPS", "markdown_table", "write_tables"]

GROUPS: tuple[Group, ...] = get_args(Group)
"""Every group, in the order of the page."""

_COLUMNS = ("name", "parameters", "maps: channels @ stride", "mpp", "licence", "commercial", "weights")
_GATES = {"none": "free", "click": "accept the licence", "manual": "ask the owners", "unavailable": "not released"}


def markdown_table(group: Group) -> str:
    """The cards of a group as a Markdown table.

    >>> print(markdown_table("histoseed").splitlines()[2][:55])
    | `bundled` | 3.6 M | 32-64-160-256 @ 2, 4, 8, 16 | 0.2
    """
    rows = [_row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    rows += [_row(_cells(card)) for card in list_encoders(group=group)]
    return "\n".join(rows)


def write_tables(page: Path) -> None:
    """Put the tables between ``<!-- table GROUP -->`` and ``<!-- end -->``."""
    text = page.read_text(encoding="utf-8")
    for group in GROUPS:
        head, mark, rest = text.partition(f"<!-- table {group} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        if mark and end:
            text = f"{head}{mark}\n{markdown_table(group)}\n\n{end}{tail}"
    page.write_text(text, encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(card: EncoderCard) -> list[str]:
    return [
        f"`{card.name}`",
        "" if card.params is None else f"{card.params / 1e6:.1f} M",
        _maps(card),
        "" if card.mpp is None else f"{card.mpp:g}",
        card.licence or "not stated",
        card.commercial,
        _weights(card),
    ]


def _maps(card: EncoderCard) -> str:
    if card.family == "none":
        return f"none: {card.reason}"
    dims, strides = card.dims or (), card.strides or ()
    if len(set(strides)) == 1:
        return f"{len(dims)} x {dims[0]} @ {strides[0]}"
    return f"{'-'.join(map(str, dims))} @ {', '.join(map(str, strides))}"


def _weights(card: EncoderCard) -> str:
    if card.family == "bundled":
        return "with histoseed"
    if card.gated == "unavailable" or card.family == "none":
        return _GATES[card.gated]
    place = "hub" if card.hub_id else "file"
    return f"{place}, {_GATES[card.gated]}"


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]))
