"""One small row of sufficient statistics an image: sums of rows are scores, resampled rows are their uncertainty."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.geometry.regions import known_mpp
from histoseed.metrics.classes import class_confusion, class_iou_sums, confusion_of_pairs
from histoseed.metrics.contingency import Contingency, Ints
from histoseed.metrics.detection import Centres
from histoseed.metrics.matching import match_points
from histoseed.metrics.overlap import aji_plus_statistics, aji_statistics, dice_statistics
from histoseed.metrics.panoptic import panoptic_statistics
from histoseed.metrics.prompted import prompted_statistics
from histoseed.metrics.protocols import Protocol
from histoseed.metrics.shape import hausdorff95_of_pairs

__all__ = ["Rows", "image_row"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Statistics of N images with C classes, one column an argument.

    Args:
        patch_id: Name of the image, "" where none was given. (N,) object of str.
        group: Patient, slide or whatever is resampled as a whole. (N,) object of str.
        organ: Tissue of the image, for the protocol ``pannuke``. (N,) object of str.
        matched: Confusion table of the pairs with IoU > 0.5, see :func:`class_confusion`. (N, C + 2, C + 2) int64.
        detected: Confusion table of the pairs within the radius; zeros where ``measured`` is false. Same shape.
        unlabelled: The truth may have objects without an outline. They count as places, so that the number of objects
            is that of ``detected``; what is measured in pixels leaves their surroundings out. (N,) bool.
        measured: The microns per pixel are known, so ``detected`` and ``hausdorff_um`` are. (N,) bool.
        iou_sum: Sum of the IoU of the matched pairs. (N,) float64.
        class_iou_sum: The same of the pairs that agree on a class. (N, C) float64.
        dice: Numerator and denominator in pixels. (N, 2) int64.
        aji: Intersection and union in pixels. (N, 2) int64.
        aji_plus: Intersection and union in pixels. (N, 2) int64.
        hausdorff_um: Sum of the 95 % Hausdorff distances of the matched pairs, micrometres. (N,) float64.
        prompted: Sums over objects of :func:`prompted_statistics`; NaN unless the protocol is prompted. (N, 4) float64.
    """

    patch_id: npt.NDArray[np.object_]
    group: npt.NDArray[np.object_]
    organ: npt.NDArray[np.object_]
    matched: Ints
    detected: Ints
    unlabelled: npt.NDArray[np.bool_]
    measured: npt.NDArray[np.bool_]
    iou_sum: Floats
    class_iou_sum: Floats
    dice: Ints
    aji: Ints
    aji_plus: Ints
    hausdorff_um: Floats
    prompted: Floats

    def __len__(self) -> int:
        return len(self.matched)

    def __getitem__(self, index: npt.NDArray[Any]) -> Rows:
        """The rows of an index array; rows may come more than once."""
        return Rows(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Rows], n_classes: int = 0) -> Rows:
        """All rows of all parts in their order; no part gives an empty table of ``n_classes`` classes."""
        if not parts:
            return cls._empty(n_classes)
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def _empty(cls, n_classes: int) -> Rows:
        names = np.empty(0, dtype=object)
        table = np.zeros((0, n_classes + 2, n_classes + 2), dtype=np.int64)
        ratio = np.zeros((0, 2), dtype=np.int64)
        sums, flags = np.zeros(0), np.zeros(0, dtype=bool)
        return cls(
            *(names, names, names, table, table, flags, flags, sums, np.zeros((0, n_classes))),
            *(ratio, ratio, ratio, sums, np.zeros((0, 4))),
        )


def image_row(
    table: Contingency,
    truth_classes: Ints,
    predicted_classes: Ints,
    *,
    centres: Centres,
    unlabelled: bool,
    n_classes: int,
    protocol: Protocol,
    radius_um: float,
    mpp: float | None,
    hausdorff: bool,
    names: tuple[str, str, str],
) -> Rows:
    """Fold the contingency table of one image into one row.

    Args:
        table: Both label images.
        truth_classes: Class id 0..C of each truth object of the table.
        predicted_classes: Class id 0..C of each predicted object of the table.
        centres: Both sides as places, those of objects without an outline included.
        unlabelled: Whether there may be such objects.
        n_classes: C.
        protocol: Decides how centroids are paired and whether answers belong to prompts.
        radius_um: Radius of the detection scores, micrometres.
        mpp: Microns per pixel; None, or a value beyond belief, leaves detection and distances unknown.
        hausdorff: Compute the Hausdorff distances; they take longer than everything else together.
        names: Patch id, group and organ.
    """
    scale = known_mpp(mpp)
    ratios = (dice_statistics(table), aji_statistics(table), aji_plus_statistics(table))
    matched = class_confusion(table, truth_classes, predicted_classes, n_classes)
    detected = np.zeros_like(matched)
    distance = np.nan
    if scale is not None:
        pairs = match_points(centres.truth, centres.predicted, radius_um / scale, matching=protocol.matching)
        detected = confusion_of_pairs(pairs, centres.truth_classes, centres.predicted_classes, n_classes)
        if hausdorff:
            distance = float(hausdorff95_of_pairs(table, scale).sum())
    patch_id, group, organ = (np.array([name], dtype=object) for name in names)
    dice, aji, aji_plus = (np.array([[ratio.shared, ratio.total]]) for ratio in ratios)
    return Rows(
        patch_id=patch_id,
        group=group,
        organ=organ,
        matched=matched[None],
        detected=detected[None],
        unlabelled=np.array([unlabelled]),
        measured=np.array([scale is not None]),
        iou_sum=np.array([panoptic_statistics(table).iou_sum]),
        class_iou_sum=class_iou_sums(table, truth_classes, predicted_classes, n_classes)[None],
        dice=dice,
        aji=aji,
        aji_plus=aji_plus,
        hausdorff_um=np.array([distance]),
        prompted=prompted_statistics(table)[None] if protocol.prompted else np.full((1, 4), np.nan),
    )
