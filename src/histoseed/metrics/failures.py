"""Where a segmentation fails: what happened to every truth object and what every predicted object is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry.regions import known_mpp
from histoseed.metrics.contingency import Contingency, Ints, LabelImage, Objects, contingency
from histoseed.metrics.panoptic import matched_pairs

__all__ = ["PREDICTED_OUTCOMES", "TRUTH_OUTCOMES", "Failures", "SizeBin", "failures"]

Names = npt.NDArray[np.object_]

TRUTH_OUTCOMES = ("matched", "merged", "split", "inaccurate", "missed")
"""What can happen to a truth object, first that fits."""

PREDICTED_OUTCOMES = ("matched", "merge", "fragment", "inaccurate", "false")
"""What a predicted object can be, first that fits."""

_BIN_EDGES = {"um": (4.0, 6.0, 8.0, 12.0), "px": (16.0, 24.0, 32.0, 48.0)}
"""Inner edges of the size bins; those in pixels are the same at 0.25 microns per pixel."""


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Counts of the objects of one size.

    Args:
        low: Smallest equivalent diameter of the bin, inclusive.
        high: Largest, exclusive; infinite in the last bin.
        truth: Number of truth objects by outcome, every outcome named.
        predicted: Number of predicted objects by outcome, every outcome named.
    """

    low: float
    high: float
    truth: dict[str, int]
    predicted: dict[str, int]


@dataclass(frozen=True, slots=True)
class Failures:
    """Outcome and size of every object of one image (or of several, see :meth:`concatenate`).

    Args:
        truth_labels: Labels of the T truth objects. (T,) int64.
        truth_outcome: One of :data:`TRUTH_OUTCOMES`. (T,) object of str.
        truth_diameter: Diameter of the disc of equal area, in ``unit``. (T,) float64.
        predicted_labels: Labels of the P predicted objects. (P,) int64.
        predicted_outcome: One of :data:`PREDICTED_OUTCOMES`. (P,) object of str.
        predicted_diameter: Equivalent diameter in ``unit``. (P,) float64.
        unit: "um" where the resolution is known, else "px".
    """

    truth_labels: Ints
    truth_outcome: Names
    truth_diameter: npt.NDArray[np.float64]
    predicted_labels: Ints
    predicted_outcome: Names
    predicted_diameter: npt.NDArray[np.float64]
    unit: str

    def counts(self) -> dict[str, dict[str, int]]:
        """Objects by outcome: ``{"truth": {...}, "predicted": {...}}``, every outcome named."""
        return {
            "truth": _count(self.truth_outcome, TRUTH_OUTCOMES),
            "predicted": _count(self.predicted_outcome, PREDICTED_OUTCOMES),
        }

    def by_size(self, edges: Sequence[float] | None = None) -> list[SizeBin]:
        """Objects by outcome in bins of equivalent diameter.

        Args:
            edges: Ascending inner edges in ``unit``; by default 4, 6, 8, 12 um, or 16, 24, 32, 48 pixels.

        Raises:
            InputError: edges that do not ascend.
        """
        inner = list(_BIN_EDGES[self.unit] if edges is None else edges)
        if any(low >= high for low, high in itertools.pairwise(inner)):
            raise InputError("The edges of size bins must ascend.", where=f"edges {inner}")
        truth_bin, predicted_bin = (np.digitize(d, inner) for d in (self.truth_diameter, self.predicted_diameter))
        bounds = [0.0, *inner, math.inf]
        return [
            SizeBin(
                low=bounds[k],
                high=bounds[k + 1],
                truth=_count(self.truth_outcome[truth_bin == k], TRUTH_OUTCOMES),
                predicted=_count(self.predicted_outcome[predicted_bin == k], PREDICTED_OUTCOMES),
            )
            for k in range(len(inner) + 1)
        ]

    @classmethod
    def concatenate(cls, parts: Sequence[Failures]) -> Failures:
        """All objects of several images; they must share a unit.

        Raises:
            InputError: nothing to put together, or images with and without a known resolution.
        """
        units = {part.unit for part in parts}
        if len(units) != 1:
            fix = "Call failures() without mpp for all of them."
            raise InputError(f"Sizes in {sorted(units)} cannot be put together.", where="Failures", fix=fix)
        return cls(
            truth_labels=np.concatenate([part.truth_labels for part in parts]),
            truth_outcome=np.concatenate([part.truth_outcome for part in parts]),
            truth_diameter=np.concatenate([part.truth_diameter for part in parts]),
            predicted_labels=np.concatenate([part.predicted_labels for part in parts]),
            predicted_outcome=np.concatenate([part.predicted_outcome for part in parts]),
            predicted_diameter=np.concatenate([part.predicted_diameter for part in parts]),
            unit=units.pop(),
        )


def failures(
    truth: LabelImage,
    predicted: LabelImage,
    *,
    mpp: float | None = None,
    ignore: npt.NDArray[Any] | None = None,
) -> Failures:
    """Name what happened to every object.

    A truth object is *matched* with a prediction of IoU > 0.5; else *merged* when most of it lies in a prediction
    that holds most of two or more truth objects; else *split* when two or more predictions lie mostly in it; else
    *inaccurate* when one prediction lies mostly in it or it lies mostly in one; else *missed*. A prediction is
    *matched*; else a *merge* when it holds most of two or more truth objects; else a *fragment* when it lies mostly
    in a split one; else *inaccurate* likewise; else *false*. "Most" is more than half of the pixels.

    Args:
        truth: Label image (H, W), integers, 0 = background.
        predicted: Label image (H, W).
        mpp: Microns per pixel, for sizes in micrometres; unknown gives pixels.
        ignore: True where nothing counts, (H, W) bool.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> truth = np.array([[1, 1, 1, 0, 2, 2, 3, 3, 0, 4, 0]])
    >>> predicted = np.array([[1, 1, 1, 0, 2, 2, 2, 2, 0, 0, 3]])
    >>> found = failures(truth, predicted)
    >>> found.truth_outcome.tolist(), found.predicted_outcome.tolist()
    (['matched', 'merged', 'merged', 'missed'], ['matched', 'merge', 'false'])
    """
    table = contingency(truth, predicted, ignore=ignore)
    scale = known_mpp(mpp)
    truth_outcome, predicted_outcome = _outcomes(table)
    return Failures(
        truth_labels=table.truth.labels,
        truth_outcome=truth_outcome,
        truth_diameter=_diameter(table.truth, scale),
        predicted_labels=table.predicted.labels,
        predicted_outcome=predicted_outcome,
        predicted_diameter=_diameter(table.predicted, scale),
        unit="px" if scale is None else "um",
    )


def _outcomes(table: Contingency) -> tuple[Names, Names]:
    n_true, n_pred = len(table.truth), len(table.predicted)
    true, pred = table.pair_truth, table.pair_predicted
    truth_in = 2 * table.intersection > table.truth.area[true]  # the pair's prediction holds most of the truth object
    pred_in = 2 * table.intersection > table.predicted.area[pred]
    pairs = matched_pairs(table)
    merges = np.bincount(pred[truth_in], minlength=n_pred) >= 2
    split = np.bincount(true[pred_in], minlength=n_true) >= 2
    close = truth_in | pred_in
    truth_tests = (true[pairs], true[truth_in & merges[pred]], np.flatnonzero(split), true[close])
    pred_tests = (pred[pairs], np.flatnonzero(merges), pred[pred_in & split[true]], pred[close])
    return _first_that_fits(n_true, truth_tests, TRUTH_OUTCOMES), _first_that_fits(
        n_pred, pred_tests, PREDICTED_OUTCOMES
    )


def _first_that_fits(n: int, tests: Sequence[Ints], names: Sequence[str]) -> Names:
    outcome = np.full(n, names[-1], dtype=object)
    for members, name in reversed(list(zip(tests, names, strict=False))):
        outcome[members] = name
    return outcome


def _diameter(objects: Objects, mpp: float | None) -> npt.NDArray[np.float64]:
    return np.asarray(2 * np.sqrt(objects.area / np.pi) * (1.0 if mpp is None else mpp), dtype=np.float64)


def _count(outcome: Names, names: Sequence[str]) -> dict[str, int]:
    return {name: int((outcome == name).sum()) for name in names}
