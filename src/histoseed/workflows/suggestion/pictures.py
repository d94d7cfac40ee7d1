"""What the proposed regions look like: where they lie, and each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histoseed.geometry import Region
from histoseed.pictures import Picture, contact_sheet, numbered_boxes, png_bytes
from histoseed.workflows.suggestion.choice import Suggestion
from histoseed.workflows.suggestion.places import Field

__all__ = ["overview_png", "regions_png"]

_OVERVIEW = 1600
_SIDE = 320
_SHOWN = 12
"""Slides or patches on the overview; more would be too small."""


def overview_png(fields: Sequence[Field], suggestions: Sequence[Suggestion]) -> bytes:
    """Every slide or patch with a proposal, small, with numbered boxes."""
    chosen = [field for field in fields if any(one.source == field.name for one in suggestions)]
    # One slide is shown large, several side by side.
    side = _OVERVIEW if len(chosen) == 1 else max(_SIDE, _OVERVIEW // min(4, len(chosen)))
    pictures, titles = [], []
    for field in chosen[:_SHOWN]:
        own = [one for one in suggestions if one.source == field.name]
        pictures.append(_marked(field, own, side))
        numbers = ", ".join(str(one.number) for one in own)
        titles.append(f"{_short(field.name)}\nregion{'s' if len(own) > 1 else ''} {numbers}")
    return png_bytes(contact_sheet(pictures, titles, side=side, limit=_SHOWN, total=len(chosen)))


def _marked(field: Field, own: Sequence[Suggestion], side: int) -> Picture:
    with field.open() as slide:
        width, height = slide.size
        scale = min(1.0, side / max(width, height))
        picture = slide.read(Region(0, 0, width, height, field.mpp / scale))
    boxes = np.array([[one.x, one.y, one.x + one.width, one.y + one.height] for one in own]) * scale
    return numbered_boxes(picture, boxes, [one.number for one in own])


def regions_png(fields: Sequence[Field], suggestions: Sequence[Suggestion]) -> bytes:
    """The regions themselves, with the reasons."""
    named = {field.name: field for field in fields}
    pictures = []
    for one in suggestions:
        field = named[one.source]
        with field.open() as slide:
            mpp = max(field.mpp, one.size_um / (2 * _SIDE))
            pictures.append(slide.read(Region(one.x, one.y, one.width, one.height, mpp)))
    titles = [f"Region {one.number}, {_short(one.source)}\n{one.reason}" for one in suggestions]
    return png_bytes(contact_sheet(pictures, titles, side=_SIDE, limit=max(1, len(titles))))


def _short(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]
