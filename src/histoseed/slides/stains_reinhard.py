"""Colour statistics of a picture after Reinhard et al. (2001), "Color transfer between images"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["ReinhardStain", "fit_reinhard", "reinhard_transfer", "transferred"]

_TO_CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
"""RGB -> responses of the cones of the eye (equation 4 of the paper)."""
_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])
"""Logarithms of the cones -> l (light), alpha (yellow to blue), beta (red to green); equation 6."""
_LEAST_SPREAD = 1e-3
"""A channel that varies less is flat: it has no spread to be brought to another."""

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ReinhardStain:
    """Look of a picture, or the one that pictures are to be given.

    Args:
        mean: Mean of l, alpha and beta over tissue (natural logarithms).
        spread: Their standard deviations.

    Raises:
        ValueError: numbers that describe no colours.
    """

    mean: Triple
    spread: Triple
    method: Literal["reinhard"] = "reinhard"

    def __post_init__(self) -> None:
        if not np.isfinite([*self.mean, *self.spread]).all() or min(self.spread) <= 0:
            raise ValueError("means and spreads must be finite, and spreads above 0")


def fit_reinhard(pixels: npt.NDArray[np.uint8]) -> ReinhardStain | str:
    """Statistics of tissue pixels.

    Args:
        pixels: Tissue. Shape (N, 3), uint8, N >= 2.

    Returns:
        The statistics, or in words why there are none.
    """
    share = (pixels.astype(np.float64) + 1) / 256
    values = np.log(share @ _TO_CONES.T) @ _TO_LAB.T
    mean, spread = values.mean(0), values.std(0)
    if spread.min() < _LEAST_SPREAD:
        return "its colour does not vary"
    return ReinhardStain(_triple(mean), _triple(spread))


def _triple(values: npt.NDArray[np.float64]) -> Triple:
    first, second, third = (float(v) for v in values)
    return first, second, third


def reinhard_transfer(source: ReinhardStain, target: ReinhardStain) -> npt.NDArray[np.float64]:
    """Matrix and shift (3, 4) on the logarithms of the cones that give a picture of one look the other look."""
    scale = np.diag(np.divide(target.spread, source.spread))
    inverse = np.linalg.inv(_TO_LAB)
    shift = inverse @ (target.mean - scale @ np.array(source.mean))
    return np.column_stack([inverse @ scale @ _TO_LAB, shift])


def transferred(image: npt.NDArray[np.uint8], transfer: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Red, green and blue after the transfer, as shares of white; each (H, W) float64, not cut off at 1.

    Channel by channel and element by element: a product of matrices may round differently in another tile.
    """
    share = [(image[..., k].astype(np.float64) + 1) / 256 for k in range(3)]
    cones = [np.log(_weighted(share, row)) for row in _TO_CONES]
    moved = [np.exp(_weighted(cones, row[:3]) + row[3]) for row in transfer]
    return [_weighted(moved, row) for row in np.linalg.inv(_TO_CONES)]


def _weighted(planes: list[npt.NDArray[np.float64]], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    first, second, third = (float(w) for w in weights)
    total: npt.NDArray[np.float64] = planes[0] * first + planes[1] * second + planes[2] * third
    return total
