"""Rough masks as prompts: the kinds by name, their sizes, and the logits that models take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting.prompt import MaskPrompt
from histoseed.prompting.simulate.lasso import lassoed
from histoseed.prompting.simulate.lengths import Length, ObjectSizes
from histoseed.prompting.simulate.loose import loose_hull
from histoseed.prompting.simulate.morphology import dilated
from histoseed.prompting.simulate.polygon import clicked_polygon
from histoseed.prompting.simulate.scribble import scribbled
from histoseed.prompting.simulate.truth import checked_mask, depth_inside, tight_box

__all__ = ["ROUGH_KINDS", "SURE", "RoughStyle", "mask_prompt", "rough_mask"]

Bools = npt.NDArray[np.bool_]
ROUGH_KINDS = ("exact", "morphology", "scribble", "loose", "polygon", "lasso")

SURE = 8.0
"""Logit of what a user has drawn; a probability of 0.9997."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughStyle:
    """How somebody draws.

    Args:
        dilation: Radius by which "morphology" grows the object.
        thickness: Of the pen of "scribble".
        noise: Largest error of a point of the outline, of "loose" and "polygon".
        looseness: Radius by which "loose" grows the hull.
        vertices: Corners of "polygon".
        margin: Mean distance of "lasso" from the object.
        shake: Distance along a "lasso" over which the hand changes its course.

    Raises:
        InputError: fewer than three vertices.
    """

    dilation: Length = Length(15, "%")
    thickness: Length = Length(15, "%")
    noise: Length = Length(8, "%")
    looseness: Length = Length(5, "%")
    vertices: int = 12
    margin: Length = Length(8, "%")
    shake: Length = Length(30, "%")

    def __post_init__(self) -> None:
        if self.vertices < 3:
            raise InputError(f"A polygon of {self.vertices} corners has no inside.", fix="Use 3 or more.")


def rough_mask(
    mask: Bools,
    kind: str,
    sizes: ObjectSizes,
    rng: np.random.Generator,
    *,
    style: RoughStyle | None = None,
) -> Bools:
    """What somebody draws for an object; it shares a pixel with it at least.

    Args:
        mask: (H, W) bool.
        kind: One of ``ROUGH_KINDS``: ``exact``, the mask itself; ``morphology``, dilated; ``scribble``, a thick line
            along its middle; ``loose``, the hull of a noisy outline, dilated; ``polygon``, a few clicks on the outline;
            ``lasso``, a shaky line around it.
        sizes: What the lengths refer to.
        rng: Of the draw.
        style: The lengths.

    Returns:
        (H, W) bool.

    Raises:
        InputError: an unknown kind, and see :func:`checked_mask`.
        UnknownMppError: a length in micrometres where the resolution is not known.
    """
    if kind not in ROUGH_KINDS:
        raise InputError(f"There is no rough mask {kind!r}.", fix=f"Use one of {', '.join(ROUGH_KINDS)}.")
    checked_mask(mask)
    if kind == "exact":
        return mask.copy()
    how = style or RoughStyle()
    lengths = (how.dilation, how.thickness, how.noise, how.looseness, how.margin)
    by = 2 + int(np.ceil(2 * max(one.pixels(sizes) for one in lengths)))
    x0, y0, x1, y1 = tight_box(mask)
    cut = slice(max(y0 - by, 0), y1 + by), slice(max(x0 - by, 0), x1 + by)
    out = np.zeros_like(mask)
    out[cut] = _drawn(mask[cut], kind, how, sizes, rng)
    if not (out & mask).any():  # a speck between the corners of a polygon
        depth = depth_inside(mask[y0:y1, x0:x1])
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        out[y0 + row, x0 + column] = True
    return out


def _drawn(mask: Bools, kind: str, how: RoughStyle, sizes: ObjectSizes, rng: np.random.Generator) -> Bools:
    if kind == "morphology":
        return dilated(mask, how.dilation.pixels(sizes))
    if kind == "scribble":
        return scribbled(mask, how.thickness.pixels(sizes), rng)
    if kind == "loose":
        return loose_hull(mask, how.noise.pixels(sizes), how.looseness.pixels(sizes), rng)
    if kind == "polygon":
        return clicked_polygon(mask, how.vertices, how.noise.pixels(sizes), rng)
    return lassoed(mask, how.margin.pixels(sizes), how.shake.pixels(sizes), rng)


def mask_prompt(inside: Bools, region: Region, *, sure: float = SURE) -> MaskPrompt:
    """A drawn mask as logits: ``+sure`` inside and ``-sure`` outside, never zeros and ones.

    Args:
        inside: (h, w) bool.
        region: The rectangle of the slide that the array covers.
        sure: Above 0.

    Raises:
        InputError: ``sure`` is not above 0.

    >>> mask_prompt(np.array([[True, False]]), Region(0, 0, 2, 1)).logits.tolist()
    [[8.0, -8.0]]
    """
    if not (np.isfinite(sure) and sure > 0):
        raise InputError(f"A drawn mask cannot be sure to {sure}; the logit is above 0.", where="sure")
    return MaskPrompt(np.where(inside, sure, -sure).astype(np.float32), region)
