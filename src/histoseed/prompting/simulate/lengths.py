"""Lengths of simulated prompts: micrometres, level-0 pixels, parts of the object, or pixels of a 1024-pixel window."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from histoseed.errors import InputError, UnknownMppError

__all__ = ["WINDOW_DEZOOM", "WINDOW_SIDE", "Length", "ObjectSizes", "Unit"]

Unit = Literal["um", "px", "%", "w"]

WINDOW_SIDE = 1024
WINDOW_DEZOOM = 2.0
"""Published sizes are pixels of a square of 1024 x 1024 pixels, twice as wide as the object's longer side."""

_TEXT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(um|px|%|w)\s*")


@dataclass(frozen=True, slots=True)
class ObjectSizes:
    """What lengths refer to.

    Args:
        diameter: Of the disc that has the object's area, pixels of the mask.
        longest: Longer side of the tight box, pixels of the mask.
        step: Level-0 pixels that a pixel of the mask measures.
        mpp: Microns per level-0 pixel, or None.
    """

    diameter: float
    longest: float
    step: float = 1.0
    mpp: float | None = None


@dataclass(frozen=True, slots=True)
class Length:
    """A length and its unit.

    Args:
        value: Not negative.
        unit: ``um`` micrometres; ``px`` level-0 pixels; ``%`` of the diameter of the disc that has the object's area;
            ``w`` pixels of a window of 1024 pixels around the object, whose side is twice the object's longer side.

    Raises:
        InputError: a value that is negative or not finite, an unknown unit.
    """

    value: float
    unit: Unit = "um"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            fix = f"Use one of {', '.join(get_args(Unit))}."
            raise InputError(f"A length has no unit {self.unit!r}.", where=f"length {self.value}", fix=fix)
        if not math.isfinite(self.value) or self.value < 0:
            raise InputError("A length is a finite number, not below 0.", where=f"length {self}")

    @classmethod
    def parse(cls, text: str) -> Length:
        """A length as people write it.

        Raises:
            InputError: no number, or no unit.

        >>> Length.parse("1.5um"), Length.parse("20 w"), str(Length.parse("10%"))
        (Length(value=1.5, unit='um'), Length(value=20.0, unit='w'), '10%')
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            fix = "Write a number and um, px, % (of the object) or w (pixels of a 1024-pixel window), such as 1um."
            raise InputError(f"{text!r} is not a length.", fix=fix)
        unit: Unit = found[2]  # type: ignore[assignment]  # the pattern has no others
        return cls(float(found[1]), unit)

    def __str__(self) -> str:
        """The text that :meth:`parse` reads."""
        return f"{self.value:g}{self.unit}"

    def pixels(self, sizes: ObjectSizes) -> float:
        """The length in pixels of the mask.

        Raises:
            UnknownMppError: micrometres on a slide without a resolution.

        >>> Length(1, "um").pixels(ObjectSizes(diameter=30, longest=40, mpp=0.25))
        4.0
        >>> Length(20, "w").pixels(ObjectSizes(diameter=30, longest=512))
        20.0
        """
        if self.unit == "%":
            return self.value / 100 * sizes.diameter
        if self.unit == "w":
            return self.value * WINDOW_DEZOOM * sizes.longest / WINDOW_SIDE
        if self.unit == "px":
            return self.value / sizes.step
        if sizes.mpp is None:
            what = f"{self} cannot be drawn: the resolution of the slide is not known."
            raise UnknownMppError(what, fix="State the microns per pixel, or give the length in px or %.")
        return self.value / sizes.mpp / sizes.step
