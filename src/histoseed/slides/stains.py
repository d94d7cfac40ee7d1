"""Stain normalisation: pictures of any laboratory are given the look of a reference.

Two published methods, each fitted once a picture and then applied pixel by pixel, so that the result does not depend on
tiles. White stays white; what is no H&E (glass, ink, another stain) is left as it is, and a remark says so.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> def tissue(haematoxylin, eosin):
...     amounts = rng.uniform(0, 1.5, (64, 64, 2)) * (rng.random((64, 64, 1)) < [0.5, 0.8])
...     return (256 * np.exp(-amounts @ [haematoxylin, eosin]) - 1).clip(0, 255).astype(np.uint8)
>>> ours, theirs = tissue([0.65, 0.70, 0.29], [0.07, 0.99, 0.11]), tissue([0.55, 0.75, 0.37], [0.20, 0.90, 0.39])
>>> reference = reference_of("macenko", [fit_stain("macenko", ours.reshape(-1, 3))])
>>> look = fit_stain("macenko", theirs.reshape(-1, 3))
>>> changed = recolouring(look, reference).apply(theirs)
>>> again = fit_stain("macenko", changed.reshape(-1, 3))
>>> bool(np.allclose(again.haematoxylin, reference.haematoxylin, atol=0.01))
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histoseed.slides.stains_density import DENSITY, GLASS, is_tissue
from histoseed.slides.stains_macenko import MacenkoStain, fit_macenko, macenko_tables
from histoseed.slides.stains_reinhard import ReinhardStain, fit_reinhard, reinhard_transfer, transferred

__all__ = ["NoStain", "Recolouring", "Stain", "StainMethod", "fit_stain", "recolouring", "reference_of"]

Stain = MacenkoStain | ReinhardStain
"""The look of a picture as one method describes it."""

StainMethod = Literal["macenko", "reinhard"]

_LEAST_PIXELS = 200
_LEAST_SHARE = 0.01
_FARTHEST = 5.0
"""Where amounts or spreads would have to grow or shrink more than this, the picture is of another kind."""


@dataclass(frozen=True, slots=True)
class NoStain:
    """A picture that cannot be fitted.

    Args:
        reason: What is the matter with it, a part of a sentence.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Recolouring:
    """Gives pixels another look. Whatever part of a picture it is applied to, a pixel becomes the same.

    Args:
        method: The method; None changes nothing.
        numbers: Tables (3, 3, 256) for ``macenko``, matrix and shift (3, 4) for ``reinhard``.
        remark: Why nothing is changed, else None.
    """

    method: StainMethod | None
    numbers: npt.NDArray[np.float64]
    remark: str | None = None

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The picture in its new look.

        Args:
            image: RGB. Shape (H, W, 3), uint8.

        Returns:
            The same shape, uint8; the very same array where nothing is changed.
        """
        if self.method is None:
            return image
        planes = transferred(image, self.numbers) if self.method == "reinhard" else _looked_up(image, self.numbers)
        out = np.empty_like(image)
        # Reinhard's transfer moves white too: it is faded out towards glass.
        weight = _weight(image) if self.method == "reinhard" else 1.0
        for k, plane in enumerate(planes):
            value = plane * 256 - 1
            out[..., k] = np.rint(np.clip(value, 0, 255) * weight + image[..., k] * (1 - weight))
        return out


def _looked_up(image: npt.NDArray[np.uint8], tables: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    red, green, blue = (image[..., k] for k in range(3))
    return [of[0][red] * of[1][green] * of[2][blue] for of in tables]


def _weight(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    depth = DENSITY / (3 * GLASS)
    share: npt.NDArray[np.float64] = np.minimum(depth[image[..., 0]] + depth[image[..., 1]] + depth[image[..., 2]], 1)
    return share * share


def fit_stain(method: StainMethod, pixels: npt.NDArray[np.uint8]) -> Stain | NoStain:
    """The look of a picture.

    Args:
        method: ``macenko`` or ``reinhard``.
        pixels: RGB, in any order; what is no tissue is left out here. Shape (N, 3), uint8.
    """
    tissue = pixels[is_tissue(pixels)]
    if len(tissue) < max(_LEAST_PIXELS, _LEAST_SHARE * len(pixels)):
        return NoStain("it has hardly any tissue in haematoxylin and eosin")
    found = fit_macenko(tissue) if method == "macenko" else fit_reinhard(tissue)
    return NoStain(found) if isinstance(found, str) else found


def recolouring(look: Stain | NoStain, reference: Stain) -> Recolouring:
    """What gives pictures of one look that of the reference.

    Args:
        look: The look of the picture; where there is none, nothing is changed.
        reference: The look it is to have, of the same method.
    """
    if isinstance(look, NoStain):
        return _unchanged(look.reason)
    if isinstance(look, MacenkoStain) and isinstance(reference, MacenkoStain):
        ratio = np.divide(reference.strengths, look.strengths)
        numbers = macenko_tables(look, reference)
    elif isinstance(look, ReinhardStain) and isinstance(reference, ReinhardStain):
        ratio = np.divide(reference.spread, look.spread)
        numbers = reinhard_transfer(look, reference)
    else:
        raise TypeError(f"a look of {look.method} for a reference of {reference.method}")
    if max(ratio.max(), 1 / ratio.min()) > _FARTHEST:
        return _unchanged("its colours are too far from the reference")
    return Recolouring(reference.method, numbers)


def _unchanged(reason: str) -> Recolouring:
    return Recolouring(None, np.zeros(0), f"The stain was not normalised: {reason}.")


def reference_of(method: StainMethod, looks: Sequence[Stain | NoStain]) -> Stain | None:
    """A reference for pictures that were fitted: number by number the median, so that an odd picture hardly counts.

    Args:
        method: The method that fitted them.
        looks: One a picture.

    Returns:
        The reference, None where no picture could be fitted.
    """
    if method == "macenko":
        stains = [look for look in looks if isinstance(look, MacenkoStain)]
        if not stains:
            return None
        haematoxylin, eosin = (
            _unit(np.median([getattr(stain, name) for stain in stains], axis=0)) for name in ("haematoxylin", "eosin")
        )
        strengths = np.median([stain.strengths for stain in stains], axis=0)
        return MacenkoStain(haematoxylin, eosin, (float(strengths[0]), float(strengths[1])))
    found = [look for look in looks if isinstance(look, ReinhardStain)]
    if not found:
        return None
    mean, spread = (np.median([getattr(look, name) for look in found], axis=0) for name in ("mean", "spread"))
    return ReinhardStain(_triple(mean), _triple(spread))


def _unit(vector: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return _triple(vector / np.linalg.norm(vector))


def _triple(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in values)
    return first, second, third
