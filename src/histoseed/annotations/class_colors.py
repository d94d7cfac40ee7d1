"""Colours of classes, where nobody has chosen any.

The first six, with the yellow of unclassified objects, are as far apart as seven colours can be for readers with normal
vision, without red and without green at once, while none comes near the purples and pinks of haematoxylin and eosin
(CIEDE2000; the tests state the distances). The further ones follow in the order in which each is farthest from all
before it.
"""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence

from histoseed.errors import InputError

__all__ = ["UNCLASSIFIED", "class_color", "palette", "rgb"]

UNCLASSIFIED = "#f0e442"
"""Colour of an object without a class."""

BLUE, GREEN, ORANGE, SKY, MINT, RED = "#2579ff", "#047b4c", "#e49136", "#0dccff", "#43feb6", "#d12000"
OCHRE = "#aaaa77"

# Twenty colours are told apart by name in a picture; from then on neighbours come close, whatever one takes.
_TIERS: tuple[tuple[str, ...], ...] = (
    (BLUE, GREEN, ORANGE, SKY, MINT, RED),
    ("#115555", "#881122", OCHRE, "#0033ff", "#990055", "#00eeee", "#aadd77"),
    ("#2299cc", "#99ccaa", "#668844", "#44aa99", "#ff2255", "#8899ff", "#225533"),
    ("#cc6600", "#2266aa", "#008888", "#998866", "#995533", "#eebb44", "#5500bb", "#992200", "#dd00ff", "#aaaadd"),
    ("#cc0077", "#6677bb", "#88cccc", "#bbcc99", "#ffee99", "#aa22cc", "#99ffdd", "#884466", "#77bb55", "#663344"),
)

_CUSTOMARY = {
    "neoplastic": RED,
    "tumor": RED,
    "tumour": RED,
    "inflammatory": SKY,
    "lymphocyte": SKY,
    "immune": SKY,
    "connective": GREEN,
    "stromal": GREEN,
    "stroma": GREEN,
    "epithelial": ORANGE,
    "epithelium": ORANGE,
    "dead": OCHRE,
    "necrosis": OCHRE,
}
"""Classes that most data sets share keep one colour from picture to picture."""


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


def class_color(name: str) -> str:
    """A colour "#rrggbb" for a class that states none, always the same for the same name.

    Two names may get the same one: :func:`palette` tells all classes of a set apart.

    >>> class_color("lymphocyte") == class_color("lymphocyte") != class_color("tumour")
    True
    """
    pool: list[str] = [color for tier in _TIERS[:3] for color in tier]
    return _CUSTOMARY.get(name.lower(), pool[_number(name) % len(pool)])


def palette(names: Sequence[str], fixed: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each class name, "#rrggbb", no two alike.

    The colour follows from the name and not from its place in the list, so that a class looks the same in every
    picture made from the same set of classes, and mostly also when a class is added.

    Args:
        names: Class names; a name given twice counts once.
        fixed: Colours that are already settled, for instance those of a data set; they are kept as they are.

    >>> palette(["neoplastic", "inflammatory"])
    {'neoplastic': '#d12000', 'inflammatory': '#0dccff'}

    Raises:
        InputError: a colour of ``fixed`` in another notation.
    """
    wanted = list(dict.fromkeys(names))
    chosen = {name: color.lower() for name, color in (fixed or {}).items() if name in set(wanted)}
    used = {rgb(color) for color in (UNCLASSIFIED, *chosen.values())}
    for name in sorted(set(wanted) - set(chosen), key=lambda name: (name.lower() not in _CUSTOMARY, name)):
        chosen[name] = _free(name, used)
        used.add(rgb(chosen[name]))
    return {name: chosen[name] for name in wanted}


def _free(name: str, used: Collection[tuple[int, int, int]]) -> str:
    """The customary colour if it is free, else one of the first tier that has one, else any other."""
    usual, number = _CUSTOMARY.get(name.lower()), _number(name)
    for tier in _TIERS:
        start = number % len(tier)
        order: list[str] = [*([usual] if usual else []), *tier[start:], *tier[:start]]
        for color in order:
            if all(_apart(rgb(color), one) for one in used):
                return color
    step = 0
    while (color := _spread(step)) == UNCLASSIFIED or rgb(color) in used:
        step += 1
    return color


def _apart(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether nobody would take two colours for one: cheap, and right for colours that are nearly equal."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 30


def _spread(step: int) -> str:
    """The golden ratio spreads any number of hues evenly (Ankerl, 2009)."""
    hue, lightness = (0.1 + step * 0.618033988749895) % 1, 0.35 + 0.1 * (step % 5)
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.75)))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4], "big")
