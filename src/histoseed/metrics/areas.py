"""Scores of areas: two class images, pixel by pixel, folded into one small confusion table an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval, Seed, bootstrap_intervals, paired_differences
from histoseed.metrics.scores import Scores

__all__ = ["AREAS", "AreaAccumulator", "AreaRows", "area_confusion", "area_dice", "paired_area_intervals"]

AREAS = "histoseed-areas"
"""The protocol of these scores. Background is no class: it is in no mean, and counts as an error of the others."""

_AVERAGING = (
    "dice_<class> and iou_<class>: mean over the images in whose truth or prediction the class occurs; *_pooled: from "
    "the pixels of all images together; dice, iou, dice_pooled, iou_pooled: mean over the classes, without background"
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AreaRows:
    """Pixels of N images with C classes.

    Args:
        patch_id: Name of the image, "" where none was given. (N,) object of str.
        group: Patient, slide or whatever is resampled as a whole. (N,) object of str.
        pixels: Confusion tables: truth in rows, prediction in columns, 0 = background. (N, C + 1, C + 1) int64.
    """

    patch_id: npt.NDArray[np.object_]
    group: npt.NDArray[np.object_]
    pixels: Ints

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: npt.NDArray[Any]) -> AreaRows:
        """The rows of an index array; rows may come more than once."""
        return AreaRows(self.patch_id[index], self.group[index], self.pixels[index])


class AreaAccumulator:
    """Scores of a set of class images under the protocol :data:`AREAS`.

    Args:
        classes: Names of the classes 1..C, at least one.

    Raises:
        InputError: no class, a name twice, or one that cannot be part of a key.

    >>> truth, predicted = np.array([[1, 1, 1, 0]]), np.array([[0, 1, 1, 1]])
    >>> scores = AreaAccumulator(["tumour"]).update(truth, predicted).compute()
    >>> round(scores.number("dice_tumour"), 4), scores["iou_tumour"]  # 2 * 2 / (3 + 3), 2 / 4
    (0.6667, 0.5)
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = _checked(classes)
        self._names: list[tuple[str, str]] = []
        self._pixels: list[Ints] = []

    def update(
        self,
        truth: npt.NDArray[np.integer],
        predicted: npt.NDArray[np.integer],
        *,
        ignore: npt.NDArray[np.bool_] | None = None,
        group: str = "",
        patch_id: str = "",
    ) -> AreaAccumulator:
        """Add one image, and return this accumulator.

        Args:
            truth: Class of each pixel, 0 = background, 1..C. (H, W) integers.
            predicted: The same of the prediction.
            ignore: True where nothing is known, (H, W) bool.
            group: What is resampled as a whole; "" makes the image its own group.
            patch_id: Name of the image; pairs two accumulators in :func:`paired_area_intervals`.

        Raises:
            InputError: images of different shape, or a number that is no class.
        """
        self._pixels.append(area_confusion(truth, predicted, len(self.classes), ignore=ignore))
        self._names.append((patch_id, group))
        return self

    @property
    def rows(self) -> AreaRows:
        """The statistics, one row an image in the order of the updates."""
        count, side = len(self._names), len(self.classes) + 1
        names = np.array([*self._names, ("", "")], dtype=object)[:count]
        pixels = np.stack(self._pixels) if count else np.zeros((0, side, side), np.int64)
        return AreaRows(names[:, 0], names[:, 1], pixels)

    def compute(self) -> Scores:
        """All scores; None where one is undefined. ``docs/metrics.md`` lists the keys."""
        rows = self.rows
        truth = rows.pixels.sum((0, 2))
        return Scores(
            {
                "protocol": AREAS,
                "averaging": _AVERAGING,
                **area_numbers(rows, self.classes),
                **{f"pixels_{name}": int(truth[k]) for k, name in enumerate(self.classes, start=1)},
                "pixels": int(truth.sum()),
                "n_patches": len(rows),
                "n_without_truth": int((rows.pixels.sum((1, 2)) == 0).sum()),
            }
        )

    def confusion(self) -> Ints:
        """Confusion table of the whole set, pixels: truth in rows, prediction in columns, 0 = background."""
        return np.asarray(self.rows.pixels.sum(0), dtype=np.int64)

    def intervals(self, *, n: int = 2000, seed: Seed = 0, level: float = 0.95) -> dict[str, Interval]:
        """Bootstrap intervals of every Dice, IoU and accuracy that is defined, over the groups of the updates.

        Raises:
            InputError: no images.
        """
        rows = self.rows
        found = bootstrap_intervals(
            rows, lambda part: area_numbers(part, self.classes), rows.group, n=n, seed=seed, level=level
        )
        return {key: interval for key, interval in found.items() if not np.isnan(interval.value)}


def paired_area_intervals(
    ours: AreaAccumulator, against: AreaAccumulator, *, n: int = 2000, seed: Seed = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Intervals of the differences ``ours - against`` on the same images, paired by ``patch_id``.

    Raises:
        InputError: other images or other classes.
    """
    if ours.classes != against.classes:
        raise InputError("Scores of other classes cannot be compared.", where="paired difference")
    rows, other = ours.rows, against.rows
    order, other_order = (np.argsort(side.patch_id.astype(str), kind="stable") for side in (rows, other))
    if rows.patch_id[order].tolist() != other.patch_id[other_order].tolist():
        fix = "Score both on the same data set, with a patch_id each."
        raise InputError("The two sides do not hold the same images.", where="paired difference", fix=fix)
    rows, other = rows[order], other[other_order]
    found = paired_differences(
        rows, other, lambda part: area_numbers(part, ours.classes), rows.group, n=n, seed=seed, level=level
    )
    return {key: interval for key, interval in found.items() if not np.isnan(interval.value)}


def area_confusion(
    truth: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    classes: int,
    *,
    ignore: npt.NDArray[np.bool_] | None = None,
) -> Ints:
    """Pixels of each class of the truth (rows) that are predicted as each class (columns). (C + 1, C + 1) int64.

    Args:
        truth: Class of each pixel, 0 = background. (H, W) integers.
        predicted: The same of the prediction.
        classes: C.
        ignore: True where nothing counts, (H, W) bool.

    Raises:
        InputError: images of different shape, or a number that is no class.

    >>> area_confusion(np.array([[0, 1, 1]]), np.array([[0, 0, 1]]), 1).tolist()
    [[1, 0], [1, 1]]
    """
    shapes = {truth.shape, predicted.shape} | (set() if ignore is None else {ignore.shape})
    if len(shapes) > 1:
        raise InputError(f"Class images of different shapes cannot be compared: {sorted(shapes)}.", where="areas")
    counted = np.ones(truth.shape, dtype=bool) if ignore is None else ~ignore
    sides = [image[counted].astype(np.int64) for image in (truth, predicted)]
    for name, values in zip(("truth", "prediction"), sides, strict=True):
        if values.size and not 0 <= values.min() <= values.max() <= classes:
            wrong = values.min() if values.min() < 0 else values.max()
            what = f"The {name} holds the class {wrong}; there are {classes}."
            raise InputError(what, where="areas")
    side = classes + 1
    table: Ints = np.bincount(sides[0] * side + sides[1], minlength=side * side).reshape(side, side).astype(np.int64)
    return table


def area_dice(pixels: Ints) -> float:
    """Mean Dice over the classes that occur in a confusion table, without background; NaN where none does.

    >>> area_dice(np.array([[1, 0], [1, 1]]))  # 2 * 1 / (2 + 1)
    0.6666666666666666
    """
    return _mean(_of_classes(pixels)[0])


def area_numbers(rows: AreaRows, classes: Sequence[str]) -> dict[str, float]:
    """Every score of a selection of rows; NaN where undefined."""
    dice, iou = _of_classes(rows.pixels)
    pooled = rows.pixels.sum(0)
    dice_pooled, iou_pooled = _of_classes(pooled)
    by_class = {
        "dice": [_mean(column) for column in dice.T],
        "iou": [_mean(column) for column in iou.T],
        "dice_pooled": dice_pooled.tolist(),
        "iou_pooled": iou_pooled.tolist(),
    }
    total = int(pooled.sum())
    return {
        **{kind: _mean(np.array(values)) for kind, values in by_class.items()},
        "accuracy": float(np.trace(pooled)) / total if total else float("nan"),
        **{f"{kind}_{name}": values[k] for kind, values in by_class.items() for k, name in enumerate(classes)},
    }


def _of_classes(pixels: Ints) -> tuple[Floats, Floats]:
    """Dice and IoU of the classes 1..C of confusion tables (..., C + 1, C + 1); NaN where neither side has it."""
    hit = np.diagonal(pixels, axis1=-2, axis2=-1)[..., 1:]
    both = (pixels.sum(-1) + pixels.sum(-2))[..., 1:]
    dice, iou = (np.full(hit.shape, np.nan) for _ in range(2))
    np.divide(2 * hit, both, out=dice, where=both > 0)
    np.divide(hit, both - hit, out=iou, where=both > 0)
    return dice, iou


def _mean(values: Floats) -> float:
    """Mean of what is defined; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(classes)
    if not names:
        raise InputError("Scores of areas need at least one class.", where="classes")
    if len(set(names)) < len(names):
        raise InputError("Two classes have the same name.", where=next(n for n in names if names.count(n) > 1))
    for name in names:
        if not name or name == "pooled" or name.startswith("pooled_"):
            what = "A class of this name would take the key of another score."
            raise InputError(what, where=repr(name), fix="Rename the class.")
    return names
