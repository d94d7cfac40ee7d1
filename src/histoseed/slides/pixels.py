"""From whatever a file stores to 8-bit RGB: every conversion in one place, and the sentence that tells of it.

* More than 8 bits: the high 8 of the *used* bits. A 12-bit camera in a 16-bit file would else be black, so the used
  bits (8, 10, 12, 14 or 16) follow from the file's largest value; a whole slide has one answer, not one a tile.
* Fewer than 8 bits: stretched to 0..255.
* Grey: the value thrice. Palette: looked up. CMYK: (1 - C)(1 - K) and so on, without its colour profile.
* Alpha: laid over white, as glass is where nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelFormat", "over", "to_rgb8", "used_bits"]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the samples of a file are to be read.

    Args:
        colour: ``grey``, ``inverted grey`` (0 is white), ``rgb``, ``palette`` or ``cmyk``.
        bits: Bits of a sample that are in use, 1 to 16.
        alpha: ``none``, ``straight`` or ``premultiplied``: what the sample after the colours is.
        palette: (n, 3) uint8, for ``palette``.
    """

    colour: str
    bits: int = 8
    alpha: str = "none"
    palette: NDArray[np.uint8] | None = None

    @property
    def colours(self) -> int:
        """Samples a pixel that are colour."""
        return {"rgb": 3, "cmyk": 4}.get(self.colour, 1)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each conversion."""
        notes = []
        if self.bits > 8:
            notes.append(f"{self.bits}-bit values were reduced to 8 bits.")
        if self.bits < 8 and self.colour != "palette":
            notes.append(f"{self.bits}-bit values were stretched to 8 bits.")
        if "grey" in self.colour:
            notes.append("Grey was converted to RGB.")
        if self.colour == "palette":
            notes.append("Palette colours were converted to RGB.")
        if self.colour == "cmyk":
            notes.append("CMYK was converted to RGB without a colour profile.")
        if self.alpha != "none":
            notes.append("Transparent pixels were laid over white.")
        return tuple(notes)


def used_bits(largest: int, stored: int) -> int:
    """Bits in use, from the largest value seen and the bits a sample is stored in.

    >>> used_bits(65_535, 16), used_bits(4_000, 16), used_bits(255, 16), used_bits(3, 8)
    (16, 12, 8, 8)
    """
    if stored <= 8:
        return stored
    return min(stored, next(bits for bits in (8, 10, 12, 14, 16) if largest < 1 << bits))


def over(
    colour: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    *,
    background: tuple[int, int, int] = (255, 255, 255),
    premultiplied: bool = False,
) -> NDArray[np.uint8]:
    """Lay (H, W, 1 or 3) colours with (H, W) opacities over a background; grey ones over its red alone."""
    opacity = alpha[..., None].astype(np.uint32)
    front = colour * np.uint32(255) if premultiplied else colour * opacity
    behind = np.array(background[: colour.shape[-1]], np.uint32) * (255 - opacity)
    mixed: NDArray[np.uint8] = np.minimum((front + behind + 127) // 255, 255).astype(np.uint8)
    return mixed


def to_rgb8(samples: NDArray[Any], form: PixelFormat) -> NDArray[np.uint8]:
    """(H, W, S) samples as decoded, S >= ``form.colours``, to (H, W, 3) RGB."""
    if form.palette is not None:
        looked_up: NDArray[np.uint8] = form.palette[np.minimum(samples[..., 0], len(form.palette) - 1)]
        return looked_up
    values = _to_8_bits(samples, form.bits)
    colour = values[..., : form.colours]
    if form.colour == "inverted grey":
        colour = 255 - colour
    if form.colour == "cmyk":
        ink = 255 - colour.astype(np.uint16)
        colour = ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)
    if form.alpha != "none":
        colour = over(colour, values[..., form.colours], premultiplied=form.alpha == "premultiplied")
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _to_8_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    values = samples
    if bits > 8:
        values = samples >> (bits - 8)
    elif bits < 8:
        values = samples.astype(np.uint16) * 255 // ((1 << bits) - 1)
    narrow: NDArray[np.uint8] = np.minimum(values, 255).astype(np.uint8, copy=False)
    return narrow
