"""The mask prompts of "Rapid Cytomine" (University of Liege, 2025), for comparison: sizes in pixels of a fixed grid.

They are drawn on 256 x 256 cells of a window of 1024 x 1024 pixels, twice as wide as the object's longer side. What was
published gave the model zeros and ones; here it gets logits like every other mask prompt.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.prompting.simulate.lengths import WINDOW_DEZOOM, Length
from histoseed.prompting.simulate.truth import Box, checked_mask, tight_box

__all__ = ["CELLS", "JITTER", "NEGATIVES_APART", "NEGATIVES_GROW", "PUBLISHED_KINDS", "published_mask"]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

CELLS = 256
JITTER = Length(20, "w")
"""Of a side of the box."""
NEGATIVES_APART = Length(50, "w")
"""Half the elliptical kernel of 100 pixels that the object is dilated with."""
NEGATIVES_GROW = Length(60, "w")
"""Half the kernel of 120 pixels that the box is dilated with."""

_MORPHOLOGY = 40
_SCRIBBLE = 20
_LOOSENESS = 20
_NOISE = 20
_STROKES = 8


def published_mask(mask: Bools, kind: str, rng: np.random.Generator) -> tuple[Bools, Box]:
    """A mask prompt with the published kernels.

    Args:
        mask: (H, W) bool.
        kind: One of ``PUBLISHED_KINDS``: ``truth``; ``morphology``, dilated by an ellipse of 40 cells; ``scribble``,
            strokes from side to side at six of eight heights, dilated by an ellipse of 20; ``loose``, each point of the
            outline moved by -20 to +19 cells, the convex hull, dilated by 20 x 20.
        rng: Of the draw.

    Returns:
        (256, 256) bool, never empty, and the square that it covers, x0, y0, x1, y1 in pixels of the mask.

    Raises:
        InputError: an unknown kind, and see :func:`checked_mask`.
    """
    if kind not in _KINDS:
        raise InputError(f"No mask prompt {kind!r} was published.", fix=f"Use one of {', '.join(PUBLISHED_KINDS)}.")
    x0, y0, x1, y1 = tight_box(checked_mask(mask))
    side = WINDOW_DEZOOM * max(x1 - x0, y1 - y0)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    seen = _sampled(mask, left, top, side / CELLS)
    drawn = _KINDS[kind](seen, rng)
    return (drawn if drawn.any() else seen) > 0, (left, top, left + side, top + side)


def _sampled(mask: Bools, left: float, top: float, step: float) -> Bytes:
    """The mask at the centres of the cells; nothing beyond the array."""
    at = (np.arange(CELLS) + 0.5) * step
    rows, columns = (np.floor(at + start).astype(int) for start in (top, left))
    out = np.zeros((CELLS, CELLS), np.uint8)
    i, j = (np.flatnonzero((at >= 0) & (at < size)) for at, size in zip((rows, columns), mask.shape, strict=True))
    out[np.ix_(i, j)] = mask[np.ix_(rows[i], columns[j])]
    if not out.any():  # a thread between the centres
        y, x = np.argwhere(mask)[0]
        out[int((y + 0.5 - top) / step), int((x + 0.5 - left) / step)] = 1
    return out


def _truth(seen: Bytes, _: np.random.Generator) -> Bytes:
    return seen


def _morphology(seen: Bytes, _: np.random.Generator) -> Bytes:
    return _dilate(seen, _ellipse(_MORPHOLOGY))


def _scribble(seen: Bytes, _: np.random.Generator) -> Bytes:
    low, high = tight_box(seen > 0)[1::2]
    out = np.zeros_like(seen)
    starts = np.linspace(low + 0.05 * (high - low), high - 0.1, _STROKES).astype(int)
    ends = np.linspace(low + 0.1, high - 0.05, _STROKES).astype(int)
    for y, z in zip(starts[1:-1].tolist(), ends[1:-1].tolist(), strict=True):
        left, right = np.flatnonzero(seen[y]), np.flatnonzero(seen[z])
        if len(left) and len(right):  # a height between two parts of the object has no sides
            cv2.line(out, (int(left[0]), y), (int(right[-1]) + 1, z), 1, 1)
    return _dilate(out, _ellipse(_SCRIBBLE))


def _loose(seen: Bytes, rng: np.random.Generator) -> Bytes:
    out = np.zeros_like(seen)
    contours, _ = cv2.findContours(seen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        noisy = contour.astype(np.int32) + rng.integers(-_NOISE, _NOISE, contour.shape, dtype=np.int32)
        cv2.drawContours(out, [cv2.convexHull(noisy)], -1, 1, thickness=cv2.FILLED)
    return _dilate(out, np.ones((_LOOSENESS, _LOOSENESS), np.uint8))


def _ellipse(side: int) -> Bytes:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _dilate(seen: Bytes, kernel: Bytes) -> Bytes:
    return np.asarray(cv2.dilate(seen, kernel), np.uint8)


_KINDS: dict[str, Callable[[Bytes, np.random.Generator], Bytes]] = {
    "truth": _truth,
    "morphology": _morphology,
    "scribble": _scribble,
    "loose": _loose,
}
PUBLISHED_KINDS = tuple(_KINDS)
