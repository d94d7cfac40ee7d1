"""Prompts and outlines: all in one picture where they are seen there, else close-ups of some and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.geometry import Region
from histoseed.pictures import Picture, Strokes, contact_sheet, numbered_boxes, png_bytes
from histoseed.prompting import Prompt, Window
from histoseed.slides import Slide
from histoseed.workflows.prompting.asking import read_window

__all__ = ["marks_of", "overlay_png"]

_CANDIDATES = ("#00ff66", "#00d5ff", "#ff3df2")
"""Of the best candidate, the next ones, and what else there is: bright, as nuclei are dark."""
_COLORS = {
    "prompt": "#ffd92f",
    "outline": _CANDIDATES[0],
    "2nd candidate": _CANDIDATES[1],
    "3rd candidate": _CANDIDATES[2],
}
_NAMES = np.array(list(_COLORS)[1:], dtype=object)
_PER_LINE, _PER_OBJECT = 600, 12
"""Lines have one pixel for so many of the picture's side, and at most such a part of the typical object."""
_LONGEST, _LEAST = 2048, 512
"""Pixels of the longer side of a picture."""
_OVERVIEW = 1200
"""Pixels of the longer side of the picture that only says where the close-ups lie."""
_SEEN = 12
"""Pixels: where the typical object is smaller, its outline hides it."""
_CLOSE = 224
"""Pixels of a close-up's side."""
_AROUND = 2.5
"""Side of a close-up over that of its object."""
_EACH = 4
"""Close-ups of a kind."""


def marks_of(prompt: Prompt) -> Instances:
    """The box and the points of a prompt, to be drawn."""
    shapes = [shapely.Point(*p) for p in [*prompt.positive, *prompt.negative]]
    kinds = ["point"] * len(shapes)
    if prompt.box is not None:
        shapes.append(shapely.box(*prompt.box))
        kinds.append("box")
    return Instances.build(shapes, kind=kinds)


def overlay_png(
    slide: Slide,
    marks: Instances,
    outlines: Instances,
    rows: Sequence[Mapping[str, Any]],
    *,
    region: Region | None = None,
) -> bytes:
    """Prompts in yellow, outlines in green, further candidates in cyan and magenta.

    Args:
        slide: Where pixels come from.
        marks: What was pointed at; may be empty.
        outlines: What came back.
        rows: ``id``, ``status``, ``score`` and ``iou`` of each prompt; the ids are those of marks or outlines.
        region: What to show, level-0 pixels; None is everything that is drawn, with its surroundings.
    """
    place = region or _surroundings(slide, np.concatenate([marks.geometry, outlines.geometry]))
    longest = max(place.width, place.height)
    bounds = (outlines if len(outlines) else marks).bounds()
    typical = np.median((bounds[:, 2:] - bounds[:, :2]).max(1)) if len(bounds) else longest
    if len(rows) < 2 * _EACH or typical * min(1.0, _LONGEST / longest) >= _SEEN:
        least = _LEAST if len(rows) == 1 else _LONGEST
        return png_bytes(_drawn(slide, place, marks, outlines, longest=_LONGEST, least=least))
    shown = _choice(rows)
    areas = [_area_of(one.row, marks, outlines, slide) for one in shown]
    whole = _read(slide, place, longest=_OVERVIEW)
    scale = whole.shape[1] / place.width
    boxes = (np.array([[a.x, a.y, a.x + a.width, a.y + a.height] for a in areas]) - [place.x, place.y] * 2) * scale
    numbers = range(1, len(shown) + 1)
    close = contact_sheet(
        [_drawn(slide, area, marks, outlines, longest=_CLOSE, least=_CLOSE) for area in areas],
        [f"{number}  {one.kind}\n{_told(one.row)}" for number, one in zip(numbers, shown, strict=True)],
        side=_CLOSE,
        limit=len(shown),
        columns=min(len(shown), 2 * _EACH),
        legend=_legend(marks, outlines),
    )
    where = contact_sheet([numbered_boxes(whole, boxes, list(numbers))], side=_OVERVIEW)
    return png_bytes(_stacked(where, close))


def _ranks(outlines: Instances) -> npt.NDArray[np.int64]:
    """0 for the best candidate of a prompt. (N,) int64, at most the number of colours less one."""
    ranks = [int(measured.get("candidate", 0)) for measured in outlines.measurements]
    return np.clip(np.array(ranks, dtype=np.int64), 0, len(_NAMES) - 1)


def _legend(marks: Instances, outlines: Instances) -> dict[str, str]:
    shown = ["prompt"] * bool(len(marks)) + _NAMES[: 1 + max(_ranks(outlines), default=0)].tolist()
    return {name: _COLORS[name] for name in shown}


def _stacked(*pictures: Picture) -> Picture:
    """One below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    wide = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
    return np.concatenate(wide)


class _Shown(NamedTuple):
    """A prompt with a close-up, and why it has one."""

    kind: str
    row: Mapping[str, Any]


def _choice(rows: Sequence[Mapping[str, Any]]) -> list[_Shown]:
    """The least sure ones first, then what was not found, what changed most, what is usual, and the surest."""
    found = sorted((row for row in rows if row["status"] in {"outlined", "unchanged"}), key=lambda row: row["score"])
    empty = [row for row in rows if row["status"] == "empty"]
    changed = sorted((row for row in found if row["iou"] is not None), key=lambda row: row["iou"])
    middle = max(0, len(found) // 2 - _EACH // 2)
    kinds = {
        "least sure": found[:_EACH],
        "no object": empty[:_EACH],
        "changed most": changed[:_EACH],
        "usual": found[middle : middle + _EACH],
        "surest": found[-_EACH:],
    }
    shown: dict[str, _Shown] = {}
    for kind, some in kinds.items():
        for row in some:
            shown.setdefault(row["id"], _Shown(kind, row))
    return list(shown.values())


def _told(row: Mapping[str, Any]) -> str:
    score = f"{row['id'][:8]}, score {row['score']:.2f}"
    return score if row["iou"] is None else f"{score}, IoU {row['iou']:.2f}"


def _area_of(row: Mapping[str, Any], marks: Instances, outlines: Instances, slide: Slide) -> Region:
    """A square around one prompt and its outline."""
    shapes = [*marks.geometry[marks.id == row["id"]], *outlines.geometry[outlines.id == row["id"]]]
    x0, y0, x1, y1 = shapely.total_bounds(np.array(shapes, dtype=object)).tolist()
    side = max(32.0, _AROUND * max(x1 - x0, y1 - y0))
    width, height = min(round(side), slide.size[0]), min(round(side), slide.size[1])
    left, top = (x0 + x1 - width) / 2, (y0 + y1 - height) / 2
    return Region(
        round(min(max(left, 0), slide.size[0] - width)), round(min(max(top, 0), slide.size[1] - height)), width, height
    )


def _surroundings(slide: Slide, shapes: Any) -> Region:
    """A rectangle around everything, with half of its side on each side."""
    if not len(shapes):
        return Region(0, 0, *slide.size)
    x0, y0, x1, y1 = shapely.total_bounds(shapes).tolist()
    rim = 16 + 0.5 * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - rim)), max(0, int(y0 - rim))
    right, bottom = min(slide.size[0], int(x1 + rim) + 1), min(slide.size[1], int(y1 + rim) + 1)
    return Region(left, top, right - left, bottom - top)


def _read(slide: Slide, place: Region, *, longest: int) -> Picture:
    reduction = max(1.0, max(place.width, place.height) / longest)
    region = Region(place.x, place.y, place.width, place.height, mpp=slide.mpp and slide.mpp * reduction)
    plain = max(1, round(place.height / reduction)), max(1, round(place.width / reduction))
    return read_window(slide, Window(region, region.shape(slide.mpp) if slide.mpp else plain))


def _drawn(slide: Slide, place: Region, marks: Instances, outlines: Instances, *, longest: int, least: int) -> Picture:
    """A part of the slide with what lies there; a small one is enlarged."""
    zoom = max(1, least // int(max(place.width, place.height)))
    picture = _read(slide, place, longest=longest).repeat(zoom, 0).repeat(zoom, 1)
    shape = (picture.shape[0], picture.shape[1])
    scale = shape[1] / place.width
    thickness = _thickness(max(shape), outlines if len(outlines) else marks, scale)
    layers = {str(name): outlines.select(_ranks(outlines) == rank) for rank, name in enumerate(_NAMES)}
    for name, table in [*reversed(layers.items()), ("prompt", marks)]:  # the best candidate above the others
        strokes = Strokes(shape, offset=(place.x, place.y), scale=scale, colors=_COLORS, thickness=thickness)
        strokes.add(Instances.build(table.geometry, kind=table.kind, class_name=name, colors=_COLORS))
        picture = strokes.over(picture)
    return picture


def _thickness(side: int, objects: Instances, scale: float) -> int:
    """Pixels of a line: more in large pictures, but not so many that small objects vanish under them."""
    sides = np.ptp(objects.bounds().reshape(-1, 2, 2), axis=1).max(1) * scale
    typical = float(np.median(sides)) if len(sides) else 0.0
    return max(1, min(round(side / _PER_LINE), round((typical or side) / _PER_OBJECT)))
