"""What a user says about one object: a box, points for and against, a rough mask; in level-0 pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError, LimitError
from histoseed.geometry import Region

__all__ = ["MAX_POINTS", "MaskPrompt", "Prompt", "check_prompt"]

Floats = npt.NDArray[np.float64]

MAX_POINTS = 1000
"""Most points of one prompt."""


def _no_points() -> Floats:
    return np.empty((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """A rough mask.

    Args:
        logits: (h, w) float32: above 0 inside, below 0 outside; the size says how sure. Models take masks as logits;
            a mask of zeros and ones would say "unsure" and "rather inside".
        region: The rectangle of the slide that the array covers; beyond it nothing is inside.
    """

    logits: npt.NDArray[np.float32]
    region: Region


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prompt:
    """One object, as a user points at it.

    Args:
        box: x0, y0, x1, y1; None where there is none.
        positive: (P, 2) x, y of points inside the object.
        negative: (Q, 2) x, y of points outside it.
        mask: A rough mask.
        id: Name of the prompt, in messages and in the answer.
    """

    box: tuple[float, float, float, float] | None = None
    positive: Floats = field(default_factory=_no_points)
    negative: Floats = field(default_factory=_no_points)
    mask: MaskPrompt | None = None
    id: str = ""

    def extent(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of what the prompt says lies inside: the box, else positive points and positive logits.

        Raises:
            InputError: a prompt that says nothing about the inside.
        """
        if self.box is not None:
            return self.box
        corners = [*self.positive]
        if self.mask is not None:
            rows, columns = np.nonzero(self.mask.logits > 0)
            if len(rows):
                region, (height, width) = self.mask.region, self.mask.logits.shape
                sx, sy = region.width / width, region.height / height
                corners += [
                    np.array([region.x + columns.min() * sx, region.y + rows.min() * sy]),
                    np.array([region.x + (columns.max() + 1) * sx, region.y + (rows.max() + 1) * sy]),
                ]
        if not corners:
            raise _error(self, "A prompt needs a box, a positive point or a mask.", "Add one of them.")
        low, high = np.min(corners, 0), np.max(corners, 0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def check_prompt(prompt: Prompt, size: tuple[int, int], *, where: str | None = None) -> Prompt:
    """The prompt itself, if a model can answer it.

    Args:
        prompt: What the user said.
        size: Width and height of the slide, level-0 pixels.
        where: How messages name the prompt; None is its id.

    Raises:
        InputError: numbers that are not finite, a box that is reversed or without extent, a box or a positive point
            outside the slide, a positive point outside the box, a mask that is not two-dimensional, or nothing that
            says where the object is.
        LimitError: more than ``MAX_POINTS`` points.
    """
    where = where or _name(prompt)
    width, height = size
    points = len(prompt.positive) + len(prompt.negative)
    if points > MAX_POINTS:
        what = f"{points:,} points in one prompt; at most {MAX_POINTS:,} are taken."
        raise LimitError(what, where=where, fix="A handful of points says as much.")
    for kind, given in (("positive", prompt.positive), ("negative", prompt.negative)):
        if given.ndim != 2 or given.shape[1] != 2:
            raise InputError(f"The {kind} points have shape {given.shape}, not (P, 2).", where=where)
        if not np.isfinite(given).all():
            raise InputError(f"A {kind} point is not a finite number.", where=where, fix="Give x and y as numbers.")
    if prompt.mask is not None:
        _check_mask(prompt.mask, where)
    if prompt.box is not None:
        _check_box(prompt.box, size, where)
        x0, y0, x1, y1 = prompt.box
        inside = (prompt.positive >= (x0, y0)).all(1) & (prompt.positive <= (x1, y1)).all(1)
        if not inside.all():
            x, y = prompt.positive[~inside][0]
            what = f"The positive point ({x:g}, {y:g}) lies outside the box {_numbers(prompt.box)}."
            raise InputError(what, where=where, fix="Enlarge the box or drop the point.")
    inside = (prompt.positive >= 0).all(1) & (prompt.positive <= (width, height)).all(1)
    if not inside.all():
        x, y = prompt.positive[~inside][0]
        what = f"The point ({x:g}, {y:g}) lies outside the slide of {width} x {height} pixels."
        raise InputError(what, where=where, fix="Points are level-0 pixels, origin top-left.")
    prompt.extent()
    return prompt


def _check_box(box: Sequence[float], size: tuple[int, int], where: str) -> None:
    x0, y0, x1, y1 = box
    if not all(math.isfinite(v) for v in box):
        what = f"The box {_numbers(box)} holds a number that is not finite."
        raise InputError(what, where=where, fix="Give x0, y0, x1, y1 as numbers.")
    if x1 <= x0 or y1 <= y0:
        kind = "no extent" if x1 == x0 or y1 == y0 else "reversed corners"
        what = f"The box {_numbers(box)} has {kind}."
        raise InputError(what, where=where, fix="Give x0, y0, x1, y1 with x0 < x1 and y0 < y1.")
    if x1 <= 0 or y1 <= 0 or x0 >= size[0] or y0 >= size[1]:
        what = f"The box {_numbers(box)} lies outside the slide of {size[0]} x {size[1]} pixels."
        raise InputError(what, where=where, fix="Boxes are level-0 pixels, origin top-left.")


def _check_mask(mask: MaskPrompt, where: str) -> None:
    if mask.logits.ndim != 2 or 0 in mask.logits.shape:
        what = f"A mask prompt has shape {mask.logits.shape}, not (rows, columns)."
        raise InputError(what, where=where)
    if not np.isfinite(mask.logits).all():
        raise InputError("The mask prompt holds a number that is not finite.", where=where)


def _numbers(box: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in box) + ")"


def _name(prompt: Prompt) -> str:
    return f"prompt {prompt.id}" if prompt.id else "prompt"


def _error(prompt: Prompt, what: str, fix: str) -> InputError:
    return InputError(what, where=_name(prompt), fix=fix)
