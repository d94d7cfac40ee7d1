"""Iterative prompting: the next click falls into the largest error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from histoseed.errors import InputError
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.simulate.positive import deep_pixels
from histoseed.prompting.simulate.truth import depth_inside
from histoseed.prompting.windows import Window

__all__ = ["Click", "next_click", "with_click"]

Bools = npt.NDArray[np.bool_]

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Click:
    """One click of a correcting user.

    Args:
        x: Column of the mask's pixel.
        y: Row.
        positive: On a missed part of the object; else on something that is not the object.
    """

    x: int
    y: int
    positive: bool


def next_click(
    truth: Bools, prediction: Bools, previous: Sequence[Click] = (), rng: np.random.Generator | None = None
) -> Click | None:
    """Where a user corrects a mask: in the middle of the largest error.

    Errors are the 8-connected parts of what is missed and of what is too much. The largest by area is clicked on (of
    equal ones the missed, then the upper, then the left), where the distance to everything else is greatest. Pixels of
    earlier clicks count as everything else: none is clicked twice, and where a model ignores a click the next one falls
    elsewhere.

    Args:
        truth: (H, W) bool.
        prediction: (H, W) bool.
        previous: Clicks so far.
        rng: Draws a pixel of that part with probability ~ distance ** 4; None takes the deepest.

    Returns:
        The click; None where no pixel is wrong that was not clicked on.

    Raises:
        InputError: masks of different shape, or not bool.
    """
    if truth.shape != prediction.shape or truth.ndim != 2 or {truth.dtype, prediction.dtype} != {np.dtype(bool)}:
        what = f"The object is {truth.dtype} {truth.shape}, the answer {prediction.dtype} {prediction.shape}."
        raise InputError(what, where="next click", fix="Give two masks (H, W) of bool of the same shape.")
    free = np.ones(truth.shape, bool)
    for click in previous:
        free[click.y, click.x] = False
    missed, wrong = (_largest(error) for error in (truth & ~prediction & free, prediction & ~truth & free))
    positive = missed.size >= wrong.size
    part = missed if positive else wrong
    if not part.size:
        return None
    depth = depth_inside(part.mask)
    if rng is None:
        row, column = divmod(int(depth.argmax()), depth.shape[1])
    else:
        column, row = (int(v) for v in deep_pixels(depth, 1, rng)[0])
    return Click(part.x + column, part.y + row, positive)


def with_click(prompt: Prompt, click: Click, window: Window) -> Prompt:
    """The prompt with one click more.

    Args:
        prompt: So far; without anything where this is the first click. A positive click outside its box widens the box.
        click: In pixels of a mask.
        window: Where that mask lies.
    """
    at = window.to_level0(np.array([[click.x + 0.5, click.y + 0.5]]))
    if not click.positive:
        return replace(prompt, negative=np.concatenate([prompt.negative, at]))
    box = prompt.box
    if box is not None:
        (x, y), (x0, y0, x1, y1) = at[0].tolist(), box
        box = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    return replace(prompt, box=box, positive=np.concatenate([prompt.positive, at]))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A connected part of an error: its pixels within its tight box, the box's corner, and its area."""

    mask: Bools
    x: int
    y: int
    size: int


def _largest(error: Bools) -> _Part:
    labels, count = ndimage.label(error, _EIGHT)
    if not count:
        return _Part(error, 0, 0, 0)
    areas = np.bincount(labels.ravel())[1:]
    chosen = int(areas.argmax())
    rows, columns = ndimage.find_objects(labels)[chosen]
    return _Part(labels[rows, columns] == chosen + 1, columns.start, rows.start, int(areas[chosen]))
