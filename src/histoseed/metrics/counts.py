"""Agreement of counts: the coefficient of determination R2 over images."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["ConstantCounts", "r2_counts"]

ConstantCounts = Literal["undefined", "as-sklearn"]


def r2_counts(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, constant: ConstantCounts = "undefined") -> float:
    """``1 - sum (truth - predicted)^2 / sum (truth - mean truth)^2``; negative when worse than the mean count.

    Args:
        truth: Number of objects in each image, (N,).
        predicted: Number of predicted objects in each image, (N,).
        constant: When all truth counts are equal the ratio is undefined (NaN); ``as-sklearn`` says 1 for a perfect
            and 0 for any other prediction instead, which CoNIC's scores inherit.

    Returns:
        A number up to 1; NaN for fewer than two images.

    Raises:
        InputError: arrays of different length.

    >>> r2_counts([1, 2, 3], [1, 2, 4]), r2_counts([2, 2], [2, 2]), r2_counts([2, 2], [2, 2], constant="as-sklearn")
    (0.5, nan, 1.0)
    """
    true, pred = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if true.ndim != 1 or true.shape != pred.shape:
        raise InputError(f"Counts of {true.shape} and {pred.shape} images cannot be compared.", where="r2_counts")
    if len(true) < 2:
        return math.nan
    residual = float(((true - pred) ** 2).sum())
    total = float(((true - true.mean()) ** 2).sum())
    if total > 0:
        return 1 - residual / total
    if constant == "undefined":
        return math.nan
    return 1.0 if residual == 0 else 0.0
