"""Embeddings, spread and seed map -> instances, without a Python loop over objects.

Written from the description of InstanSeg (Goldsborough et al., 2024): every local maximum of the seed map claims the
pixels of a window around it, as a tiny network judges them by the difference of their embeddings; claims that overlap
by more than half of their union are one instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from histoseed.segmenters.instanseg.decoder import PixelWeights
from histoseed.segmenters.watershed import Floats, Labels, kept, largest_parts

__all__ = ["REACH", "UNIT", "InstansegProcessing", "claimed", "instanseg_labels"]

REACH = 40
"""A seed claims pixels up to this far along x and y: nuclei of 20 micrometres at 0.25 microns per pixel."""
UNIT = 4.0
"""Pixels of a distance of 1 between embeddings, as published (256 pixels are 64 units)."""
_SEEDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class InstansegProcessing:
    """Thresholds of the claims; they travel with the model in ``model.json``.

    Args:
        kind: Which representation they belong to.
        seed: Least value of the seed map at a seed.
        mask: Least probability of a claimed pixel.
        same: Two claims are one instance where they share more than this part of their union.
        peak_um: Seeds are the highest pixels within this distance, micrometres, along x and along y.
        min_area_um2: Smaller objects are dropped, square micrometres.
    """

    kind: Literal["instanseg"] = "instanseg"
    seed: float = 0.4
    mask: float = 0.5
    same: float = 0.5
    peak_um: float = 0.75
    min_area_um2: float = 7.0


@dataclass(frozen=True, slots=True)
class _Claims:
    """Pixels that seeds claim: all (k,) arrays, seed by seed."""

    seed: npt.NDArray[np.intp]
    pixel: npt.NDArray[np.intp]
    probability: Floats


def _peaks(seed: Floats, how: InstansegProcessing, mpp: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    size = 2 * max(1, round(how.peak_um / mpp)) + 1
    highest = cv2.dilate(np.ascontiguousarray(seed), np.ones((size, size), np.uint8))
    row, column = np.nonzero((seed >= how.seed) & (seed == highest))
    return row, column


def claimed(
    embedding: Floats, spread: Floats, row: npt.NDArray[np.intp], column: npt.NDArray[np.intp], pixels: PixelWeights
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Probability of every pixel in the window of every seed.

    Args:
        embedding: (2, H, W) where each pixel points, from the pixel itself.
        spread: (2, H, W).
        row: (S,) rows of the seeds.
        column: (S,) columns of the seeds.
        pixels: The classifier.

    Returns:
        Rows (S, w), columns (S, w) and probabilities (S, w, w); what lies outside the image has probability 0.
    """
    height, width = embedding.shape[1:]
    window = np.arange(-REACH, REACH + 1)
    y, x = row[:, None] + window, column[:, None] + window
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    ys, xs = np.clip(y, 0, height - 1)[:, :, None], np.clip(x, 0, width - 1)[:, None]
    features = np.concatenate([embedding, spread])[:, ys, xs]
    features[:2] -= embedding[:, row, column][:, :, None, None]
    features[0] += window.astype(np.float32) / UNIT
    features[1] += window.astype(np.float32)[:, None] / UNIT
    logit = pixels(np.moveaxis(features, 0, -1))
    probability = inside * expit(logit)
    return y, x, probability.astype(np.float32)


def _claims(
    embedding: Floats,
    spread: Floats,
    seeds: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    pixels: PixelWeights,
    least: float,
) -> _Claims:
    parts = []
    width = embedding.shape[2]
    for first in range(0, len(seeds[0]), _SEEDS_AT_ONCE):
        row, column = (along[first : first + _SEEDS_AT_ONCE] for along in seeds)
        y, x, probability = claimed(embedding, spread, row, column, pixels)
        seed, i, j = np.nonzero(probability >= least)
        parts.append((seed + first, y[seed, i] * width + x[seed, j], probability[seed, i, j]))
    if not parts:
        none = np.empty(0, np.intp)
        return _Claims(none, none, np.empty(0, np.float32))
    return _Claims(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _groups(claims: _Claims, count: int, pixels: int, same: float) -> npt.NDArray[np.intp]:
    """Number of the instance each seed belongs to. (count,), from 0."""
    ones = np.ones(len(claims.seed), np.float32)
    masks = sparse.csr_array((ones, (claims.seed, claims.pixel)), shape=(count, pixels))
    shared = (masks @ masks.T).tocoo()
    area = np.bincount(claims.seed, minlength=count)
    union = area[shared.row] + area[shared.col] - shared.data
    one = shared.data > same * union
    graph = sparse.coo_array((np.ones(one.sum()), (shared.row[one], shared.col[one])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.intp)


def instanseg_labels(  # noqa: PLR0917 - one caller
    embedding: Floats, spread: Floats, seed: Floats, pixels: PixelWeights, how: InstansegProcessing, mpp: float
) -> tuple[Labels, Floats]:
    """Label image of the nuclei and their scores.

    Args:
        embedding: (2, H, W) where each pixel points, see :class:`~histoseed.segmenters.instanseg.InstansegMaps`.
        spread: (2, H, W).
        seed: (H, W) in [0, 1].
        pixels: The classifier.
        how: Thresholds.
        mpp: Microns per pixel of the maps.

    Returns:
        (H, W) int32, 0 = background, labels 1..n without gaps; and (n,) float32, the seed map at the best seed.
    """
    row, column = _peaks(seed, how, mpp)
    claims = _claims(embedding, spread, (row, column), pixels, how.mask)
    group = _groups(claims, len(row), seed.size, how.same)
    count = int(group.max(initial=-1)) + 1
    best = np.zeros(count, np.float32)
    np.maximum.at(best, group, seed[row, column])
    # The surest claim of a pixel is painted last; of equals the first seed's.
    order = np.lexsort((-claims.seed, claims.probability))
    flat = np.zeros(seed.size, np.int32)
    flat[claims.pixel[order]] = group[claims.seed[order]] + 1
    labels = largest_parts(flat.reshape(seed.shape))
    number = kept(np.bincount(labels.ravel(), minlength=count + 1), how.min_area_um2 / mpp**2)
    return np.take(number, labels), best[number[1:] > 0]
