"""Maps -> instances: marker-controlled watershed without a Python loop over objects.

Follows the published post-processing of "Mind the Gap" / CISCA with two changes:

- Edges come from the *sign* of the directional derivative: within a nucleus each distance map rises, at the border of
  two touching nuclei it falls from +1 to -1. No map is rescaled by its own minimum and maximum, so the result at a
  pixel does not depend on what else the tile shows.
- Sizes are given in micrometres and turned into pixels at the resolution at hand.

Flooding pixel by pixel is the slow part. It is spent only where it decides something: a component of the foreground
with one marker is that marker's, and of the other components only pixels without a marker, and the marker pixels beside
them, enter the queue. The result is that of a watershed of the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

__all__ = ["PostProcessing", "class_probabilities", "energy_of", "foreground_scores", "instance_labels"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


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


def _kept(area: npt.NDArray[np.integer], least: float) -> Labels:
    """New number of each label, 1..n in the old order; 0 for the background and for objects of fewer pixels."""
    keep = area >= least
    keep[0] = False
    number = np.zeros(len(area), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1, dtype=np.int32)
    return number


def _components(mask: Mask, *, connectivity: int) -> tuple[Labels, Labels]:
    """Label image of the components and their areas; entry 0 is what the mask leaves out."""
    _, labels, table, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(labels, dtype=np.int32), np.asarray(table[:, cv2.CC_STAT_AREA], dtype=np.int32)


def _fill_holes(mask: Mask, largest: float) -> Mask:
    holes, area = _components(~mask, connectivity=4)
    small = area < largest
    small[0] = False
    # What touches the border of the image may go on outside: it is no hole.
    small[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    return mask | np.take(small, holes) if small.any() else mask


def _flood(energy: Floats, markers: Labels, mask: Mask) -> Labels:
    """The watershed of ``-energy`` from the markers within the mask, 4-connected.

    A component of the mask without a marker becomes one object of its own.
    """
    parts, area = _components(mask, connectivity=4)
    at = np.flatnonzero(markers)
    label, part = markers.ravel()[at], parts.ravel()[at]
    owner = np.zeros(len(area), np.int32)
    owner[part] = label
    contested = np.zeros(len(area), bool)
    contested[part[owner[part] != label]] = True
    # Nuclei too faint or too small to reach the marker level: their whole component.
    faint = owner == 0
    faint[0] = False
    owner[faint] = markers.max(initial=0) + np.arange(1, faint.sum() + 1, dtype=np.int32)
    labels = np.take(owner, parts)
    if not contested.any():
        return labels
    disputed = np.take(contested, parts)
    open_ = disputed & (markers == 0)
    shore = cv2.dilate(open_.astype(np.uint8), _CROSS).astype(bool) & disputed & ~open_
    flooded = watershed(-energy, np.where(shore, markers, 0), mask=open_ | shore)  # type: ignore[no-untyped-call]
    return np.where(disputed, np.where(open_, flooded, markers), labels).astype(np.int32, copy=False)


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
    mask = _fill_holes(semantic[0] <= 1 - how.foreground, how.max_hole_um2 / pixel)
    energy = energy_of(semantic, distances, how, mpp)
    seeds, area = _components(mask & (energy >= how.marker), connectivity=8)
    markers = np.take(_kept(area, how.min_marker_um2 / pixel), seeds)
    labels = _flood(energy, markers, mask)
    return np.take(_kept(np.bincount(labels.ravel()), how.min_area_um2 / pixel), labels)


def _sums(labels: Labels, maps: Sequence[Floats]) -> npt.NDArray[np.float64]:
    """Sum of each map over the pixels of each object. (n, number of maps)."""
    flat = labels.ravel()
    count = int(flat.max(initial=0))
    at = np.flatnonzero(flat)
    label = flat[at]
    sums = [np.bincount(label, np.take(values.ravel(), at), minlength=count + 1)[1:] for values in maps]
    return np.stack(sums, 1)


def foreground_scores(labels: Labels, semantic: Floats) -> Floats:
    """Score of each instance: the mean of P(body) + P(boundary) over its pixels.

    Args:
        labels: (H, W) int32 label image with n objects.
        semantic: (3, H, W) float32 probabilities of background, body, boundary.

    Returns:
        (n,) float32 in [0, 1].
    """
    area = np.bincount(labels.ravel())[1:]
    score = 1 - _sums(labels, [semantic[0]])[:, 0] / np.maximum(area, 1)
    return np.asarray(np.clip(score, 0, 1), dtype=np.float32)


def class_probabilities(labels: Labels, classes: Floats) -> Floats:
    """Class of each instance by the sum of class probabilities over its pixels.

    Args:
        labels: (H, W) int32 label image with n objects.
        classes: (C, H, W) float32 probabilities; class 0 is "unclassified" and takes no part.

    Returns:
        (n, C - 1) float32, rows sum to 1.
    """
    sums = _sums(labels, list(classes[1:]))
    total = sums.sum(1, keepdims=True)
    return np.asarray(sums / np.maximum(total, 1e-12), dtype=np.float32)
