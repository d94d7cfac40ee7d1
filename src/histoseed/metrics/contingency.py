"""One sparse contingency table of two label images: everything else in this room is read off it.

The images are first cut into runs (stretches of a row in which truth, prediction and ignore area stay the same).
A million pixels become some ten thousand runs, and areas, centroids and overlaps are sums over runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from histoseed.errors import InputError

__all__ = ["Contingency", "Ints", "LabelImage", "Objects", "contingency"]

LabelImage = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_IGNORED_SHARE = 0.5
"""An object with more than this share of its pixels in the ignore area is removed."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one side, numbered by where they first appear in raster order (so never by their label).

    Args:
        labels: The label each object had in its image. Shape (K,), int64.
        area: Pixels outside the ignore area. Shape (K,), int64.
        centroid: x, y in pixels; the middle of pixel (row 0, column 0) is (0.5, 0.5). Shape (K, 2), float64.
    """

    labels: Ints
    area: Ints
    centroid: Floats

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Contingency:
    """How many pixels each truth object shares with each predicted one; only pairs that do share some are kept.

    Args:
        truth: The T objects of the truth.
        predicted: The P objects of the prediction.
        pair_truth: Index into ``truth`` of each overlapping pair, ascending. Shape (K,), int64.
        pair_predicted: Index into ``predicted`` of each pair. Shape (K,), int64.
        intersection: Shared pixels of each pair. Shape (K,), int64.
        shape: Rows and columns of the images.
        runs: Start (flat pixel index), length, truth number and predicted number (1-based, 0 = background)
            of every run that is not background on both sides. Shape (4, R), int64.
    """

    truth: Objects
    predicted: Objects
    pair_truth: Ints
    pair_predicted: Ints
    intersection: Ints
    shape: tuple[int, int]
    runs: Ints

    @property
    def union(self) -> Ints:
        """Pixels of either object of each pair. Shape (K,), int64."""
        both = self.truth.area[self.pair_truth] + self.predicted.area[self.pair_predicted]
        return np.asarray(both - self.intersection, dtype=np.int64)

    @property
    def iou(self) -> Floats:
        """Intersection over union of each pair, in (0, 1]. Shape (K,), float64."""
        return np.asarray(self.intersection / self.union, dtype=np.float64)

    def images(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Both label images as they are scored: renumbered 1..T and 1..P, ignore area and ignored objects 0."""
        start, length, truth, predicted = self.runs
        offset = np.repeat(start - np.concatenate(([0], np.cumsum(length)[:-1])), length) if len(start) else start
        pixel = offset + np.arange(len(offset))
        drawn = np.zeros((2, self.shape[0] * self.shape[1]), dtype=np.int32)
        drawn[0, pixel] = np.repeat(truth, length)
        drawn[1, pixel] = np.repeat(predicted, length)
        return drawn[0].reshape(self.shape), drawn[1].reshape(self.shape)


def contingency(truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None) -> Contingency:
    """Fold two label images into their contingency table.

    The ignore area counts for nothing: objects of either side with more than half of their pixels in it are removed,
    of the others only the pixels outside count.

    Args:
        truth: Label image (H, W), integers, 0 = background. Labels may skip numbers; an object may be in parts.
        predicted: Label image (H, W) of the same shape.
        ignore: True where nothing counts, (H, W) bool; None ignores nothing.

    Raises:
        InputError: not two-dimensional integers, no pixels, negative labels, or different shapes.

    >>> truth = np.array([[1, 1, 0, 7], [1, 1, 0, 7]])
    >>> predicted = np.array([[0, 4, 4, 0], [0, 4, 4, 9]])
    >>> table = contingency(truth, predicted)
    >>> table.truth.labels, table.truth.area, table.truth.centroid.tolist()
    (array([1, 7]), array([4, 2]), [[1.0, 1.0], [3.5, 1.0]])
    >>> table.intersection, table.iou.round(3)
    (array([2, 1]), array([0.333, 0.5  ]))
    """
    _check(truth, predicted, ignore)
    width = truth.shape[1]
    start, length = _runs(truth, predicted, ignore)
    numbers = [_plain(image.reshape(-1)[start], name) for image, name in ((truth, "truth"), (predicted, "prediction"))]
    if ignore is not None:
        ignored = ignore.reshape(-1)[start].astype(bool)
        numbers = [_without_ignored(side, length, ignored) for side in numbers]
    kept = np.flatnonzero((numbers[0] != 0) | (numbers[1] != 0))
    start, length = start[kept], length[kept]
    true_labels, true_run = _renumber(numbers[0][kept])
    pred_labels, pred_run = _renumber(numbers[1][kept])
    row, column = np.divmod(start, width)
    middle = np.stack((column + length / 2, row + 0.5))
    both = (true_run > 0) & (pred_run > 0)
    pairs = sparse.coo_array(
        (length[both], (true_run[both] - 1, pred_run[both] - 1)), shape=(len(true_labels), len(pred_labels))
    ).tocsr()
    pairs.sum_duplicates()
    return Contingency(
        truth=_objects(true_labels, true_run, length, middle),
        predicted=_objects(pred_labels, pred_run, length, middle),
        pair_truth=np.repeat(np.arange(len(true_labels)), np.diff(pairs.indptr)),
        pair_predicted=pairs.indices.astype(np.int64),
        intersection=pairs.data.astype(np.int64),
        shape=(truth.shape[0], width),
        runs=np.stack((start, length, true_run, pred_run)),
    )


def _check(truth: LabelImage, predicted: LabelImage, ignore: npt.NDArray[Any] | None) -> None:
    for image, name in ((truth, "truth"), (predicted, "prediction")):
        if not isinstance(image, np.ndarray) or image.ndim != 2 or image.size == 0:
            shape = getattr(image, "shape", type(image).__name__)
            raise InputError(f"A label image has two dimensions and at least one pixel, not {shape}.", where=name)
        if not np.issubdtype(image.dtype, np.integer):
            fix = "Convert it: labels are whole numbers, 0 is background."
            raise InputError(f"A label image holds integers, not {image.dtype}.", where=name, fix=fix)
    if truth.shape != predicted.shape:
        raise InputError(f"The truth is {truth.shape} pixels and the prediction {predicted.shape}.", where="prediction")
    if ignore is not None and ignore.shape != truth.shape:
        raise InputError(f"The truth is {truth.shape} pixels and the ignore area {ignore.shape}.", where="ignore area")


def _runs(truth: LabelImage, predicted: LabelImage, ignore: npt.NDArray[Any] | None) -> tuple[Ints, Ints]:
    """Flat start and length of each run; a run never crosses the end of a row."""
    change = np.zeros(truth.size, dtype=bool)
    change[:: truth.shape[1]] = True
    for image in (truth, predicted, ignore):
        if image is not None:
            flat = np.ascontiguousarray(image).reshape(-1)
            change[1:] |= flat[1:] != flat[:-1]
    start = np.flatnonzero(change)
    return start, np.diff(start, append=truth.size)


def _plain(labels: LabelImage, name: str) -> Ints:
    if labels.min() < 0:
        raise InputError("A label is negative.", where=name, fix="0 is background, objects are positive.")
    if labels.max() > np.iinfo(np.int64).max:
        raise InputError("A label does not fit into 63 bits.", where=name)
    return labels.astype(np.int64)


def _renumber(labels: Ints) -> tuple[Ints, Ints]:
    """Labels in order of first appearance (K,), and each run's number in that order (R,), 0 = background."""
    if labels.size == 0:
        return labels, labels
    values: Ints | None = None
    codes = labels
    if labels.max() > 1_000_000 + 4 * labels.size:  # a table over such numbers would be mostly air
        values, codes = np.unique(labels, return_inverse=True)
        if values[0] != 0:
            values, codes = np.concatenate(([0], values)), codes + 1
    first = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last write, so the first run, stays
    present = np.flatnonzero(first[1:] >= 0) + 1
    order = present[np.argsort(first[present])]
    lookup = np.zeros(len(first), dtype=np.int64)
    lookup[order] = np.arange(1, len(order) + 1)
    return (order if values is None else values[order]), lookup[codes]


def _without_ignored(labels: Ints, length: Ints, ignored: npt.NDArray[np.bool_]) -> Ints:
    """Run labels with 0 in the ignore area and for objects that lie mostly in it."""
    order, number = _renumber(labels)
    area = np.bincount(number, weights=length, minlength=len(order) + 1)
    inside = np.bincount(number, weights=length * ignored, minlength=len(order) + 1)
    removed = inside > _IGNORED_SHARE * area
    return np.where(ignored | removed[number], 0, labels)


def _objects(labels: Ints, number: Ints, length: Ints, middle: Floats) -> Objects:
    area = np.bincount(number, weights=length, minlength=len(labels) + 1)[1:]
    sums = [np.bincount(number, weights=axis * length, minlength=len(labels) + 1)[1:] for axis in middle]
    return Objects(labels=labels, area=area.astype(np.int64), centroid=np.stack(sums, axis=1) / area[:, None])
