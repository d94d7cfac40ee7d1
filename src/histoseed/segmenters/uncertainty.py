"""How unsure a model is of a picture, from its own maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.segmenters.card import ModelCard
from histoseed.segmenters.cellvit import CellVitMaps
from histoseed.segmenters.interface import DenseMaps
from histoseed.segmenters.kinds import instances_of
from histoseed.segmenters.semantic import AreaMaps
from histoseed.segmenters.skip import Maps

__all__ = ["entropy_of", "uncertainty_of"]


def entropy_of(probabilities: npt.NDArray[np.floating], axis: int = -1) -> npt.NDArray[np.float64]:
    """Entropy as a share of the largest that so many outcomes can have; ``axis`` is gone, 0 is sure, 1 a coin.

    >>> entropy_of(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    p = np.asarray(probabilities, np.float64)
    if p.shape[axis] < 2:
        return np.zeros(np.delete(p.shape, axis))
    terms = np.where(p > 0, -p * np.log(np.where(p > 0, p, 1.0)), 0.0)
    entropy: npt.NDArray[np.float64] = terms.sum(axis) / np.log(p.shape[axis])
    return entropy


def uncertainty_of(maps: DenseMaps, tissue: npt.NDArray[np.bool_], card: ModelCard) -> float:
    """Mean uncertainty of one picture.

    Where the maps are probabilities of each pixel, the mean entropy over the pixels of tissue. The maps of StarDist and
    InstanSeg rise towards the middle of a nucleus, unsure or not: there it is the mean entropy over the scores of the
    objects that are found. Where nuclei have several classes, the mean of that and of the mean entropy over their
    class probabilities.

    Args:
        maps: Of one picture, see :meth:`DenseMaps.image`.
        tissue: (H, W) bool: what counts, and how much of the maps belongs to the picture.
        card: The model's card.

    Returns:
        From 0 to 1; 0 where there is no tissue, and nothing to be unsure of.
    """
    if not tissue.any():
        return 0.0
    height, width = tissue.shape
    if isinstance(maps, AreaMaps):
        first = int(not card.decoder.background) if card.decoder.kind == "semantic" else 0
        seen = maps.probabilities[first:, :height, :width]
        return _mean_entropy(np.moveaxis(seen / seen.sum(0).clip(1e-12), 0, -1)[tissue])
    pixels = _pixels(maps, height, width)
    parts = [] if pixels is None else [_mean_entropy(pixels[tissue])]
    several = len(card.classes) > 1
    if pixels is None or several:
        found = instances_of(maps, (height, width), card, card.mpp)
        if pixels is None:
            parts.append(_mean_entropy(np.stack([found.score, 1 - found.score], -1)))
        if several and found.classes is not None and len(found.classes):
            parts.append(_mean_entropy(found.classes))
    return float(np.mean(parts))


def _pixels(maps: DenseMaps, height: int, width: int) -> npt.NDArray[np.floating] | None:
    """Probabilities of each pixel (H, W, K), where a kind has such."""
    if isinstance(maps, Maps):
        return np.moveaxis(maps.semantic[:, :height, :width], 0, -1)
    if isinstance(maps, CellVitMaps):
        nucleus = maps.nucleus[:height, :width]
        return np.stack([nucleus, 1 - nucleus], -1)
    return None


def _mean_entropy(rows: npt.NDArray[np.floating] | Sequence[float]) -> float:
    """Mean entropy of rows of probabilities; 0 of none."""
    return float(entropy_of(np.asarray(rows)).mean()) if len(rows) else 0.0
