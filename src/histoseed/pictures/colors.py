"""Colours of objects, of outcomes and of plots.

Classes get theirs from :func:`~histoseed.annotations.palette`, which stands out on H&E. Lines on paper and what became
of objects have the hues of Okabe and Ito, "Color Universal Design" (2008), chosen to be told apart with every common
colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histoseed.annotations.class_colors import UNCLASSIFIED, palette, rgb
from histoseed.errors import InputError

__all__ = ["OUTCOMES", "UNCLASSIFIED", "Colors", "label_colors", "palette", "rgb"]

ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"

OUTCOMES: Mapping[str, str] = {
    "matched": GREEN,
    "missed": VERMILLION,
    "false": ORANGE,
    "boundary": BLUE,
    "inaccurate": BLUE,
    "merged": PURPLE,
    "merge": PURPLE,
    "split": SKY,
    "fragment": SKY,
}
"""What became of an object, or of a pixel, when a prediction is held against the truth.

*Boundary* pixels and *inaccurate* objects are the disagreement of two outlines; the last four are words of the truth's
and of the prediction's side for the same thing."""

Colors = str | Mapping[int, str] | npt.NDArray[np.uint8] | None
"""Colour of each object: one "#rrggbb" for all, label -> "#rrggbb", or a table (n, 3) uint8 indexed by label.
Labels that a mapping or table does not reach, and all labels for None, are drawn as :data:`UNCLASSIFIED`."""


def mixed(color: str, other: str, share: float) -> str:
    """``color`` with a ``share`` (0 to 1) of ``other`` mixed in."""
    parts = (round(a * (1 - share) + b * share) for a, b in zip(rgb(color), rgb(other), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*parts)


def contrast(color: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio" and "relative luminance")."""
    low, high = sorted((_luminance(color), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def label_colors(
    class_ids: npt.ArrayLike, classes: Sequence[str], colors: Mapping[str, str] | None = None
) -> npt.NDArray[np.uint8]:
    """The colour of every label of a patch, from its class.

    Args:
        class_ids: (N + 1,) int, entry i for label i: k >= 1 means ``classes[k - 1]``, 0 unclassified. Entry 0 is
            background and is not looked at.
        classes: Class names.
        colors: Class name -> "#rrggbb"; names that are missing get theirs from :func:`palette`.

    Returns:
        (N + 1, 3) uint8, to be given to :func:`~histoseed.pictures.draw_outlines`.

    >>> label_colors([0, 1], ["tumor"], {"tumor": "#ff0000"})[1]
    array([255,   0,   0], dtype=uint8)

    Raises:
        InputError: an id without a name, or a colour in another notation.
    """
    ids = np.asarray(class_ids).astype(np.int64)
    if ids.ndim != 1 or (ids.size and (ids.min() < 0 or ids.max() > len(classes))):
        raise InputError(f"Class ids must be one row of 0 to {len(classes)}.", where="class_ids")
    by_name = palette(classes, colors)
    table = np.array([rgb(UNCLASSIFIED), *(rgb(by_name[name]) for name in classes)], dtype=np.uint8)
    return table[ids]


def colors_of(labels: npt.NDArray[np.integer], colors: Colors) -> npt.NDArray[np.uint8]:
    """Colour of each entry of ``labels`` (n,), as (n, 3) uint8."""
    if colors is None or isinstance(colors, str):
        one = rgb(UNCLASSIFIED if colors is None else colors)
        return np.broadcast_to(np.array(one, dtype=np.uint8), (len(labels), 3))
    if isinstance(colors, Mapping):
        values, at = np.unique(labels, return_inverse=True)
        table = np.array([rgb(colors.get(int(v), UNCLASSIFIED)) for v in values], dtype=np.uint8).reshape(-1, 3)
        return table[at]
    if colors.ndim != 2 or colors.shape[1] != 3 or colors.dtype != np.uint8:
        raise InputError(f"A colour table is (n, 3) uint8, not {colors.shape} {colors.dtype}.", where="colors")
    table = np.concatenate([colors, np.array([rgb(UNCLASSIFIED)], dtype=np.uint8)])
    return table[np.minimum(labels.astype(np.int64), len(colors))]
