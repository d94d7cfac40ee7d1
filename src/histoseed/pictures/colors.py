"""One palette for outlines, plots and reports.

The hues are those of Okabe and Ito, "Color Universal Design" (2008), chosen to be told apart with every common
colour vision. Their yellow is kept for unclassified objects: it stands out on H&E as well as on brown and blue stains.
"""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["OUTCOMES", "UNCLASSIFIED", "Colors", "label_colors", "palette", "rgb"]

UNCLASSIFIED = "#f0e442"
"""Outline of an object without a class."""

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

_BASE = (ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE)

_CUSTOMARY = {
    "neoplastic": VERMILLION,
    "tumor": VERMILLION,
    "tumour": VERMILLION,
    "inflammatory": SKY,
    "lymphocyte": SKY,
    "immune": SKY,
    "connective": GREEN,
    "stromal": GREEN,
    "stroma": GREEN,
    "epithelial": ORANGE,
    "dead": PURPLE,
    "necrosis": PURPLE,
}
"""Classes that most data sets share keep one colour from report to report."""


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green, blue of a "#rrggbb".

    >>> rgb("#e69f00")
    (230, 159, 0)

    Raises:
        InputError: another notation.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise InputError(f"{color!r} is not a colour.", fix='Write it as "#rrggbb".')
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


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


def _candidates(count: int) -> list[str]:
    """At least ``count`` different colours: the hues, their light and dark shades, then evenly spread hues."""
    colors = [*_BASE, *(mixed(c, "#ffffff", 0.45) for c in _BASE), *(mixed(c, "#000000", 0.4) for c in _BASE)]
    step = 0
    while len(colors) < count:
        # The golden ratio spreads any number of hues evenly (Ankerl, 2009).
        hue, lightness = (0.1 + step * 0.618033988749895) % 1, 0.35 + 0.1 * (step % 5)
        color = "#{:02x}{:02x}{:02x}".format(*(round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.75)))
        if color not in colors and color != UNCLASSIFIED:
            colors.append(color)
        step += 1
    return colors


def palette(names: Sequence[str], fixed: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each class name, "#rrggbb", no two alike.

    The colour follows from the name and not from its place in the list, so that a class looks the same in every
    picture made from the same set of classes, and mostly also when a class is added.

    Args:
        names: Class names; a name given twice counts once.
        fixed: Colours that are already settled, for instance those of a data set; they are kept as they are.

    >>> palette(["neoplastic", "inflammatory"])
    {'neoplastic': '#d55e00', 'inflammatory': '#56b4e9'}
    """
    wanted = list(dict.fromkeys(names))
    chosen = {name: color.lower() for name, color in (fixed or {}).items() if name in set(wanted)}
    for color in chosen.values():
        rgb(color)
    used = set(chosen.values())
    open_names = sorted(set(wanted) - set(chosen), key=lambda name: (name.lower() not in _CUSTOMARY, name))
    candidates = _candidates(len(wanted) + len(used))
    for name in open_names:
        pool = candidates[: len(_BASE)] if set(candidates[: len(_BASE)]) - used else candidates
        start = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big") % len(pool)
        order = [_CUSTOMARY.get(name.lower(), pool[start]), *pool[start:], *pool[:start]]
        chosen[name] = next(color for color in order if color not in used)
        used.add(chosen[name])
    return {name: chosen[name] for name in wanted}


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
