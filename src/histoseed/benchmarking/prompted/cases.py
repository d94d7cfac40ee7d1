"""Cases for the eye: which objects of a run are shown, and how one is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.instances import Instances
from histoseed.benchmarking.prompted.results import CaseKind
from histoseed.errors import InputError
from histoseed.geometry import label_to_polygons
from histoseed.metrics.answers import AnswerRows
from histoseed.pictures import Picture, draw_instances
from histoseed.pictures.lettering import LegendKey, blank
from histoseed.pictures.raster import checked_picture, resize
from histoseed.prompting import MaskPrompt, Prompt

__all__ = [
    "CASE_COLORS",
    "CASE_GAP",
    "CASE_PANELS",
    "CASE_SIDE",
    "CaseChoice",
    "case_keys",
    "choose_cases",
    "draw_case",
]

Mask = npt.NDArray[np.bool_]
_Shapes = list[tuple[str, shapely.Geometry]]
"""Shapes in pixels of the image, each with the name of its colour."""

CASE_PANELS = ("Image", "Truth", "Prompt", "Answer")
"""What stands side by side in a case; the answer is drawn over the truth."""
CASE_SIDE = 220
"""Pixels of a side of a panel."""
CASE_GAP = 8
"""Pixels between two panels."""
CASE_COLORS = {"truth": "#56b4e9", "prompt": "#f0e442", "not here": "#d55e00", "answer": "#e69f00"}
"""Okabe and Ito's, told apart with every common colour vision; points against are crosses as well."""

_AROUND = 1.6
"""Side of the picture over that of everything that is drawn."""
_LEAST = 24
"""Pixels of the image that are shown at least, so that a speck is seen in its surroundings."""
_LINE, _DISC = 2, 3.5
"""Thickness of outlines and radius of points, pixels of a panel."""
_CROSS = 5.0
"""Half the side of a cross, pixels of a panel."""
_DICE = 1
"""Column of the scores of an answer."""


class CaseChoice(NamedTuple):
    """An object to be shown: why, and its row."""

    kind: CaseKind
    row: int


def choose_cases(rows: AnswerRows, seed: int, *, random: int = 3, median: int = 2, worst: int = 3) -> list[CaseChoice]:
    """Objects to look at: some by chance, some around the median Dice, the worst. None comes twice.

    Random ones are drawn first, so that they say what can be expected, whatever else is shown.

    Args:
        rows: Scores of all answers.
        seed: Of the draw.
        random: How many by chance.
        median: How many nearest to the median.
        worst: How many of the lowest Dice.

    Returns:
        In that order; fewer where there are fewer objects.

    Raises:
        InputError: a negative seed or number.
    """
    if min(seed, random, median, worst) < 0:
        what = "The seed and the numbers of cases must not be negative."
        raise InputError(what, where=f"seed {seed}, {random} random, {median} median, {worst} worst")
    dice = rows.answer[:, _DICE]
    order = np.argsort(dice, kind="stable")
    # Of many objects with the median Dice the first are as good as any.
    middle = np.argsort(np.abs(dice - np.median(dice)), kind="stable") if len(dice) else order
    by_chance = np.random.default_rng(seed).permutation(len(dice))
    shown: list[CaseChoice] = []
    wanted: tuple[tuple[CaseKind, int, npt.NDArray[np.intp]], ...] = (
        ("random", random, by_chance), ("median", median, middle), ("worst", worst, order),
    )  # fmt: skip
    for kind, count, queue in wanted:
        taken = {case.row for case in shown}
        shown += [CaseChoice(kind, row) for row in queue.tolist() if row not in taken][:count]
    return shown


def draw_case(
    image: npt.ArrayLike,
    truth: Mask,
    answer: Mask,
    prompt: Prompt | None,
    *,
    origin: tuple[float, float] = (0.0, 0.0),
    step: float = 1.0,
    side: int = CASE_SIDE,
) -> Picture:
    """One object in four panels: the image, the truth, what the user said, the answer over the truth.

    The part of the image around all of them is shown; nothing is drawn beyond the image.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W) bool.
        answer: (H, W) bool; may be empty.
        prompt: In level-0 pixels; None where nobody said anything (automatic mode).
        origin: x, y of the image's upper left corner, level-0 pixels.
        step: Level-0 pixels along a side of a pixel of the image.
        side: Pixels of a side of a panel.

    Returns:
        (side, 4 * side + 3 * CASE_GAP, 3) uint8.

    Raises:
        InputError: not a picture, or masks of another shape or type.
    """
    picture = checked_picture(image)
    for name, mask in (("truth", truth), ("answer", answer)):
        if mask.shape != picture.shape[:2] or mask.dtype != bool:
            what = f"The {name} is {mask.dtype} of {mask.shape}, not bool of {picture.shape[:2]}."
            raise InputError(what, where="case")
    true, found = _polygon(truth), _polygon(answer)
    said = [] if prompt is None else _in_pixels(prompt, origin, step)
    # A point far outside must not make the object small.
    left, top, width = _crop([true, found, *(shape for name, shape in said if name == "prompt")], picture.shape)
    ground = resize(_padded(picture, left, top, width), side, side)
    scale = side / width
    marks = [(name, _cross(shape, _CROSS / scale) if name == "not here" else shape) for name, shape in said]
    panels: list[_Shapes] = [[], [("truth", true)], marks, [("truth", true), ("answer", found)]]
    out = blank(side, len(panels) * (side + CASE_GAP) - CASE_GAP)
    for i, shapes in enumerate(panels):
        start = i * (side + CASE_GAP)
        out[:, start : start + side] = _outlined(ground, shapes, (left, top), scale)
    return out


def case_keys() -> list[LegendKey]:
    """The legend of cases."""
    words = {
        "truth": "truth", "prompt": "prompt: box, points, rough mask", "not here": "point outside (cross)",
        "answer": "answer",
    }  # fmt: skip
    return [LegendKey(words[name], color) for name, color in CASE_COLORS.items()]


def _polygon(mask: Mask) -> shapely.Geometry:
    """The outline of a mask in its pixels; empty for an empty mask."""
    outlines = label_to_polygons(mask)[1]
    return outlines[0] if len(outlines) else shapely.Polygon()


def _in_pixels(prompt: Prompt, origin: tuple[float, float], step: float) -> _Shapes:
    """What a prompt says, named by its colour, in pixels of the image."""
    return [(name, shapely.transform(shape, lambda xy: (xy - origin) / step)) for name, shape in _said(prompt)]


def _said(prompt: Prompt) -> Iterator[tuple[str, shapely.Geometry]]:
    if prompt.mask is not None:
        yield "prompt", _rough(prompt.mask)
    if prompt.box is not None:
        yield "prompt", shapely.box(*prompt.box)
    yield from (("prompt", shapely.Point(point)) for point in prompt.positive)
    yield from (("not here", shapely.Point(point)) for point in prompt.negative)


def _rough(mask: MaskPrompt) -> shapely.Geometry:
    """The outline of a rough mask, level-0 pixels."""
    region, (rows, columns) = mask.region, mask.logits.shape
    cell = (region.width / columns, region.height / rows)
    return shapely.transform(_polygon(mask.logits > 0), lambda xy: xy * cell + (region.x, region.y))


def _cross(point: shapely.Geometry, radius: float) -> shapely.Geometry:
    (x, y), thin = shapely.get_coordinates(point)[0], radius / 8
    strokes = [[(x - radius, y - s * radius), (x + radius, y + s * radius)] for s in (1, -1)]
    return shapely.buffer(shapely.MultiLineString(strokes), thin, cap_style="flat")


def _crop(shapes: list[shapely.Geometry], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side of a square around all shapes; at most the longer side of the image."""
    known = np.array([one for one in shapes if not one.is_empty], dtype=object)
    x0, y0, x1, y1 = shapely.total_bounds(known) if len(known) else (0, 0, shape[1], shape[0])
    side = round(min(max(_AROUND * max(x1 - x0, y1 - y0), _LEAST), max(shape[:2])))
    left, top = (
        round(min(max((low + high - side) / 2, 0), max(0, limit - side)))
        for low, high, limit in ((x0, x1, shape[1]), (y0, y1, shape[0]))
    )
    return left, top, side


def _padded(picture: Picture, left: int, top: int, side: int) -> Picture:
    """A square of the picture; what lies beyond it is paper."""
    part = picture[top : top + side, left : left + side]
    out = blank(side, side)
    out[: part.shape[0], : part.shape[1]] = part
    return out


def _outlined(ground: Picture, shapes: _Shapes, offset: tuple[float, float], scale: float) -> Picture:
    """The picture with the outlines that exist, later ones on top."""
    for name, shape in shapes:
        if not shape.is_empty:
            kind = "point" if isinstance(shape, shapely.Point) else "polygon"
            one = Instances.build([shape], kind=kind, class_name=name, colors=CASE_COLORS)
            ground = draw_instances(ground, one, offset=offset, scale=scale, thickness=_LINE, radius=_DISC, casing=True)
    return ground
