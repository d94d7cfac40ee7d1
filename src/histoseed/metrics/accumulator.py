"""Fold pairs of label images into rows, merge rows, and ask them for scores and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval, Seed, bootstrap_intervals, paired_differences
from histoseed.metrics.classes import classes_of
from histoseed.metrics.contingency import Contingency, Ints, LabelImage, contingency
from histoseed.metrics.detection import DEFAULT_RADIUS_UM, Centres
from histoseed.metrics.protocols import get_protocol
from histoseed.metrics.rows import Rows, image_row
from histoseed.metrics.scores import Scores
from histoseed.metrics.scoring import check_classes, compute_scores

__all__ = ["Accumulator", "paired_intervals"]

_DEFAULT_KEYS = ("pq", "aji", "aji_plus", "dice", "f1_detection")


class Accumulator:
    """Scores of a set of images under one named protocol.

    It keeps one small row of statistics an image, so accumulators of parts of a set can be merged in any grouping
    and give the scores of one pass.

    Args:
        protocol: One of :data:`PROTOCOLS`.
        classes: Names of the classes 1..C; none for binary scores only.
        radius_um: Radius of the detection scores, micrometres.
        mpp: Microns per pixel of images for which ``update`` is told nothing else.
        hausdorff: Compute Hausdorff distances; false is faster.

    Raises:
        InputError: an unknown protocol, class names that cannot be keys, a radius that is not positive.

    >>> truth, predicted = np.array([[1, 1, 1, 0, 2]]), np.array([[0, 5, 5, 0, 0]])
    >>> scores = Accumulator(mpp=0.5).update(truth, predicted).compute()
    >>> scores.protocol, round(scores.number("pq"), 4), scores["n_instances"]
    ('histoseed', 0.4444, 2)
    """

    def __init__(
        self,
        protocol: str = "histoseed",
        *,
        classes: Sequence[str] = (),
        radius_um: float = DEFAULT_RADIUS_UM,
        mpp: float | None = None,
        hausdorff: bool = True,
    ) -> None:
        self.protocol = get_protocol(protocol)
        self.classes = check_classes(classes)
        if not radius_um > 0:
            raise InputError(f"The radius must be positive, not {radius_um}.", where="radius_um")
        self.radius_um = float(radius_um)
        self.mpp = mpp
        self.hausdorff = hausdorff
        self._parts: list[Rows] = []

    def update(
        self,
        truth: LabelImage,
        predicted: LabelImage,
        *,
        truth_classes: npt.ArrayLike | None = None,
        predicted_classes: npt.ArrayLike | None = None,
        ignore: npt.NDArray[Any] | None = None,
        points: npt.ArrayLike | None = None,
        point_classes: npt.ArrayLike | None = None,
        unlabelled: npt.NDArray[Any] | None = None,
        mpp: float | None = None,
        group: str = "",
        organ: str = "",
        patch_id: str = "",
    ) -> Accumulator:
        """Add one image.

        Args:
            truth: Label image (H, W), integers, 0 = background.
            predicted: Label image (H, W).
            truth_classes: Class id by label (largest label + 1,), 1..C as in ``classes``, 0 = unclassified.
            predicted_classes: Class id by label of the prediction.
            ignore: True where nothing counts, (H, W) bool.
            points: x, y of truth objects that have no outline, outside of ``ignore``, (M, 2): they count for detection.
            point_classes: Class id of each point (M,), 0 = unclassified.
            unlabelled: True where such objects may lie, (H, W) bool: nothing counts there but detection. Where it is
                given, objects are counted by their places.
            mpp: Microns per pixel; unknown leaves the image out of detection and distance scores, and counts it.
            group: Patient, slide or whatever is resampled as a whole; "" makes the image its own group.
            organ: Tissue, for the protocol ``pannuke``.
            patch_id: Name of the image; pairs two accumulators in :func:`paired_intervals`.

        Returns:
            This accumulator.

        Raises:
            InputError: images that cannot be compared, a label without a class entry, a class id without a name,
                objects without an outline under a prompted protocol.
        """
        if unlabelled is not None and self.protocol.prompted:
            fix = "Use a data set with outlines, or another protocol."
            raise InputError(f"The protocol {self.protocol.name} needs outlines.", where=patch_id or "truth", fix=fix)
        n_classes = len(self.classes)
        given = (truth_classes, predicted_classes) if n_classes else (None, None)
        whole = contingency(truth, predicted, ignore=ignore)
        table = whole
        if unlabelled is not None:
            table = contingency(truth, predicted, ignore=unlabelled if ignore is None else ignore | unlabelled)
        row = image_row(
            table,
            classes_of(table.truth, given[0], n_classes, side="truth"),
            classes_of(table.predicted, given[1], n_classes, side="prediction"),
            centres=_centres(whole, given, points, point_classes if n_classes else None, n_classes),
            unlabelled=unlabelled is not None,
            n_classes=n_classes,
            protocol=self.protocol,
            radius_um=self.radius_um,
            mpp=self.mpp if mpp is None else mpp,
            hausdorff=self.hausdorff,
            names=(patch_id, group, organ),
        )
        self._parts.append(row)
        return self

    def merge(self, other: Accumulator) -> Accumulator:
        """Add the images of another accumulator after the images of this one, and return this one.

        Raises:
            InputError: another protocol, other classes or another radius.
        """
        for name in ("protocol", "classes", "radius_um"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise InputError(f"Scores of another {name} cannot be merged.", where=f"{ours!r} and {theirs!r}")
        self._parts.extend(other._parts)
        return self

    @property
    def rows(self) -> Rows:
        """The statistics, one row an image in the order of the updates."""
        return Rows.concatenate(self._parts, len(self.classes))

    @property
    def last(self) -> Rows:
        """The statistics of the last update: one row, or none before the first."""
        return Rows.concatenate(self._parts[-1:], len(self.classes))

    def compute(self) -> Scores:
        """All scores of the protocol; None where one is undefined. ``docs/metrics.md`` lists the keys."""
        return self.scores_of(self.rows)

    def scores_of(self, rows: Rows) -> Scores:
        """Scores of a selection of rows, for instance of one patch, one patient or one resample."""
        return compute_scores(rows, self.protocol, self.classes, self.radius_um)

    def confusion(self, *, by: str = "iou") -> Ints:
        """Confusion table of the whole set, (C + 2, C + 2) int64: truth in rows, prediction in columns.

        Index 0 is unclassified, 1..C the classes, the last column missed, the last row false objects.

        Args:
            by: ``iou`` for the pairs with IoU > 0.5, ``centroid`` for those within the radius.
        """
        rows = self.rows
        tables = {"iou": rows.matched, "centroid": rows.detected}
        if by not in tables:
            raise InputError("Objects are paired by iou or by centroid.", where=by)
        return np.asarray(tables[by].sum(axis=0), dtype=np.int64)

    def intervals(
        self, keys: Sequence[str] = _DEFAULT_KEYS, *, n: int = 2000, seed: Seed = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Bootstrap intervals of scores over the groups of the updates.

        Raises:
            InputError: no images, or a key that is no number of the protocol.
        """
        rows = self.rows
        return bootstrap_intervals(rows, _numbers(self, keys), rows.group, n=n, seed=seed, level=level)


def _centres(
    table: Contingency,
    classes: tuple[npt.ArrayLike | None, npt.ArrayLike | None],
    points: npt.ArrayLike | None,
    point_classes: npt.ArrayLike | None,
    n_classes: int,
) -> Centres:
    """Objects of a contingency table, and objects of the truth that have no outline, as places."""
    places = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=np.float64).reshape(-1, 2)
    kinds = np.zeros(len(places), np.int64) if point_classes is None else np.asarray(point_classes, dtype=np.int64)
    outlined = classes_of(table.truth, classes[0], n_classes, side="truth")
    return Centres(
        np.concatenate([table.truth.centroid, places]),
        np.concatenate([outlined, kinds]),
        table.predicted.centroid,
        classes_of(table.predicted, classes[1], n_classes, side="prediction"),
    )


def paired_intervals(
    ours: Accumulator,
    against: Accumulator,
    keys: Sequence[str] = _DEFAULT_KEYS,
    *,
    n: int = 2000,
    seed: Seed = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Intervals of the differences ``ours - against`` of scores on the same images.

    Images are paired by ``patch_id``, whatever the order.

    Raises:
        InputError: other images, another protocol, other classes or another radius; a key that is no number.
    """
    for name in ("protocol", "classes", "radius_um"):
        if getattr(ours, name) != getattr(against, name):
            raise InputError(f"Scores of another {name} cannot be compared.", where="paired difference")
    rows, other = ours.rows, against.rows
    order, other_order = (np.argsort(side.patch_id.astype(str), kind="stable") for side in (rows, other))
    if rows.patch_id[order].tolist() != other.patch_id[other_order].tolist():
        what = "The two sides do not hold the same images."
        raise InputError(what, where="paired difference", fix="Score both on the same data set, with a patch_id each.")
    rows, other = rows[order], other[other_order]
    return paired_differences(rows, other, _numbers(ours, keys), rows.group, n=n, seed=seed, level=level)


def _numbers(accumulator: Accumulator, keys: Sequence[str]) -> Callable[[Rows], dict[str, float]]:
    def numbers(rows: Rows) -> dict[str, float]:
        scores = accumulator.scores_of(rows)
        return {key: scores.number(key) for key in keys}

    return numbers
