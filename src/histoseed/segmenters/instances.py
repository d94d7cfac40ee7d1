"""Maps -> instances: marker-controlled watershed without a Python loop over objects.

Follows the published post-processing of "Mind the Gap" / CISCA with two changes:

- Edges come from the *sign* of the directional derivative: within a nucleus each distance map rises, at the border of
  two touching nuclei it falls from +1 to -1. No map is rescaled by its own minimum and maximum, so the result at a
  pixel does not depend on what else the tile shows.
- Sizes are given in micrometres and turned into pixels at the resolution at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.segmenters.watershed import Floats, Labels, components, fill_holes, flood, kept

__all__ = [
    "PostProcessing",
    "class_probabilities",
    "energy_of",
    "foreground_scores",
    "instance_labels",
    "mean_over",
    "sums_over",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostProcessing:
    """Thresholds of the watershed; they travel with the model in ``model.json``.

    Args:
        foreground: Least P(body) + P(boundary) of a nucleus pixel.
        marker: Least energy of a marker pixel, in [0, 1].
        edge_gain: How strongly a falling distance map counts as an edge.
        boundary_gain: How strongly P(boundary) lowers the energy.
        smooth_um: Standard deviation of the Gaussian on the energy, micrometres; 0 leaves it as it is.
        min_area_um2: Smaller objects are dropped, square micrometres.
        min_marker_um2: Smaller markers are dropped, square micrometres.
        max_hole_um2: Smaller holes are filled, square micrometres.
    """

    foreground: float = 0.5
    marker: float = 0.5
    edge_gain: float = 4.0
    boundary_gain: float = 1.0
    smooth_um: float = 0.25
    min_area_um2: float = 7.0
    min_marker_um2: float = 0.5
    max_hole_um2: float = 6.0


def _falling(distances: Floats) -> Floats:
    """How fast the steepest of the four maps falls along its own direction, per pixel; 0 where all rise. (H, W)."""
    x, y, rising, falling = (np.ascontiguousarray(d) for d in distances)
    steepest: Floats = np.zeros(x.shape, np.float32)
    # Normalised 3 x 3 Sobel kernels (smoothing 1 2 1 across the direction); the diagonal ones step by sqrt(2) pixels.
    straight = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32) / 8
    diagonal = np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], np.float32) / 8 / np.float32(np.sqrt(2))
    kernels = (straight, straight.T, diagonal, np.flipud(diagonal))
    for distance, kernel in zip((x, y, rising, falling), kernels, strict=True):
        slope = cv2.filter2D(distance, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
        np.minimum(steepest, slope, out=steepest)
    return -steepest


def energy_of(semantic: Floats, distances: Floats, how: PostProcessing, mpp: float) -> Floats:
    """Height of the landscape that the watershed floods: 1 in the middle of a nucleus, 0 at its border.

    Args:
        semantic: (3, H, W) probabilities of background, body, boundary.
        distances: (4, H, W) directional maps in [-1, 1].
        how: Thresholds.
        mpp: Microns per pixel of the maps.

    Returns:
        (H, W) float32 in [0, 1].
    """
    farthest = np.abs(distances[0])
    for distance in distances[1:]:
        np.maximum(farthest, np.abs(distance), out=farthest)
    energy: Floats = np.asarray(1 - farthest, dtype=np.float32)
    energy *= 1 - np.clip(how.edge_gain * _falling(distances), 0, 1)
    energy *= 1 - np.clip(how.boundary_gain * semantic[2], 0, 1)
    if how.smooth_um > 0:
        return np.asarray(cv2.GaussianBlur(energy, (0, 0), how.smooth_um / mpp), dtype=np.float32)
    return energy


def instance_labels(semantic: Floats, distances: Floats, how: PostProcessing, mpp: float) -> Labels:
    """Label image of the nuclei.

    Args:
        semantic: (3, H, W) float32 probabilities of background, body, boundary.
        distances: (4, H, W) float32 directional maps in [-1, 1].
        how: Thresholds.
        mpp: Microns per pixel of the maps.

    Returns:
        (H, W) int32, 0 = background, labels 1..n without gaps.
    """
    pixel = mpp * mpp
    mask = fill_holes(semantic[0] <= 1 - how.foreground, how.max_hole_um2 / pixel)
    energy = energy_of(semantic, distances, how, mpp)
    seeds, area = components(mask & (energy >= how.marker), connectivity=8)
    markers = np.take(kept(area, how.min_marker_um2 / pixel), seeds)
    labels = flood(energy, markers, mask)
    return np.take(kept(np.bincount(labels.ravel()), how.min_area_um2 / pixel), labels)


def sums_over(labels: Labels, maps: Sequence[Floats]) -> npt.NDArray[np.float64]:
    """Sum of each map over the pixels of each object. (n, number of maps)."""
    flat = labels.ravel()
    count = int(flat.max(initial=0))
    at = np.flatnonzero(flat)
    label = flat[at]
    sums = [np.bincount(label, np.take(values.ravel(), at), minlength=count + 1)[1:] for values in maps]
    return np.stack(sums, 1)


def mean_over(labels: Labels, probability: Floats) -> Floats:
    """Mean of a probability map (H, W) over the pixels of each of n objects. (n,) float32 in [0, 1]."""
    area = np.bincount(labels.ravel())[1:]
    mean = sums_over(labels, [probability])[:, 0] / np.maximum(area, 1)
    return np.asarray(np.clip(mean, 0, 1), dtype=np.float32)


def foreground_scores(labels: Labels, semantic: Floats) -> Floats:
    """Score of each instance: the mean of P(body) + P(boundary) over its pixels.

    Args:
        labels: (H, W) int32 label image with n objects.
        semantic: (3, H, W) float32 probabilities of background, body, boundary.

    Returns:
        (n,) float32 in [0, 1].
    """
    area = np.bincount(labels.ravel())[1:]
    score = 1 - sums_over(labels, [semantic[0]])[:, 0] / np.maximum(area, 1)
    return np.asarray(np.clip(score, 0, 1), dtype=np.float32)


def class_probabilities(labels: Labels, classes: Floats) -> Floats:
    """Class of each instance by the sum of class probabilities over its pixels.

    Args:
        labels: (H, W) int32 label image with n objects.
        classes: (C, H, W) float32 probabilities; class 0 is "unclassified" and takes no part.

    Returns:
        (n, C - 1) float32, rows sum to 1.
    """
    sums = sums_over(labels, list(classes[1:]))
    total = sums.sum(1, keepdims=True)
    return np.asarray(sums / np.maximum(total, 1e-12), dtype=np.float32)
