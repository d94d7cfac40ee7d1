"""Stain vectors of a picture after Macenko et al. (2009), "A method for normalizing histology slides"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histoseed.slides.stains_density import DENSITY, density

__all__ = ["MacenkoStain", "fit_macenko", "macenko_tables"]

_ANGLE_SHARE = 1.0
"""Percentile of the angles that are left out at either end (alpha of the paper)."""
_FULL = 99.0
"""Percentile of a stain's amount that counts as its full strength (of the authors' own program)."""
_LEAST_ANGLE = 5.0
"""Degrees. Where the two extremes are closer, the picture shows one stain, and the other direction is noise."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class MacenkoStain:
    """Look of a picture, or the one that pictures are to be given.

    Args:
        haematoxylin: Optical density of red, green and blue in one unit of the stain; of length 1.
        eosin: The same of the other stain.
        strengths: 99th percentile of the amount of either stain.

    Raises:
        ValueError: numbers that describe no two stains.
    """

    haematoxylin: Vector
    eosin: Vector
    strengths: tuple[float, float]
    method: Literal["macenko"] = "macenko"

    def __post_init__(self) -> None:
        numbers = np.array([*self.haematoxylin, *self.eosin, *self.strengths])
        if not np.isfinite(numbers).all() or min(self.strengths) <= 0:
            raise ValueError("stain vectors and strengths must be finite, and strengths above 0")
        if not np.allclose(np.linalg.norm([self.haematoxylin, self.eosin], axis=1), 1, atol=1e-3):
            raise ValueError("stain vectors must be of length 1")
        if np.linalg.norm(np.cross(self.haematoxylin, self.eosin)) < np.sin(np.radians(_LEAST_ANGLE / 2)):
            raise ValueError("the two stain vectors point the same way")


def fit_macenko(pixels: npt.NDArray[np.uint8]) -> MacenkoStain | str:
    """The two stains of tissue pixels.

    In the plane that holds most of the optical density (no mean is subtracted, as in the paper), the stains are the
    directions at the first and last percentile of the angle; the one that absorbs more red is haematoxylin.

    Args:
        pixels: Tissue, see :func:`~histoseed.slides.stains_density.is_tissue`. Shape (N, 3), uint8, N >= 2.

    Returns:
        The stains, or in words why there are none.
    """
    depth = density(pixels)
    plane = np.linalg.eigh(depth.T @ depth)[1][:, [2, 1]]
    plane[:, 0] *= np.sign(plane[:, 0].sum())  # the first direction points to where the pixels are
    along = depth @ plane
    angles = np.arctan2(along[:, 1], along[:, 0])
    low, high = np.percentile(angles, [_ANGLE_SHARE, 100 - _ANGLE_SHARE])
    if np.degrees(high - low) < _LEAST_ANGLE:
        return "it shows one stain only"
    ends = [plane @ np.array([np.cos(angle), np.sin(angle)]) for angle in (low, high)]
    haematoxylin, eosin = sorted(ends, key=lambda vector: -float(vector[0]))
    amounts = depth @ np.linalg.pinv(np.column_stack([haematoxylin, eosin])).T
    strengths = np.percentile(amounts, _FULL, axis=0)
    if min(haematoxylin[1], eosin[1]) <= 0 or strengths.min() <= 0:
        return "its colours are not those of haematoxylin and eosin"
    return MacenkoStain(_vector(haematoxylin), _vector(eosin), (float(strengths[0]), float(strengths[1])))


def _vector(values: npt.NDArray[np.float64]) -> Vector:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def macenko_tables(source: MacenkoStain, target: MacenkoStain) -> npt.NDArray[np.float64]:
    """What gives a picture of one look the other look.

    Amounts of both stains are scaled to the strengths of the target and shown in its vectors. What neither stain
    explains (the third direction) is kept, where the paper drops it: a picture that has the look already is unchanged.
    Optical density goes through a matrix, hence intensity is a product of powers, one a channel.

    Returns:
        (3, 3, 256): factor of intensity for each output channel, input channel and 8-bit value; the product over the
        input channels is the output as a share of white.
    """
    scale = np.diag([*np.divide(target.strengths, source.strengths), 1.0])
    matrix = _basis(target) @ scale @ np.linalg.inv(_basis(source))
    tables: npt.NDArray[np.float64] = np.exp(-matrix[..., None] * DENSITY)
    return tables


def _basis(stain: MacenkoStain) -> npt.NDArray[np.float64]:
    """Both stains and the direction across them, as columns."""
    across = np.cross(stain.haematoxylin, stain.eosin)
    return np.column_stack([stain.haematoxylin, stain.eosin, across / np.linalg.norm(across)])
