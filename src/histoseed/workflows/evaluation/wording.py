"""Numbers and counts as they are read in a report."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from histoseed.metrics import Interval, Rows
from histoseed.wording import signed_number

__all__ = ["bounds", "patch_pq", "percent"]

_DASH = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"


def bounds(interval: Interval | None, *, signed: bool = False) -> str:
    """The ends of an interval in one piece; a dash where there is none.

    >>> bounds(Interval(0.5, 0.41, 0.6, 12, 0.95)).split()
    ['0.410', 'to', '0.600']
    """
    if interval is None or math.isnan(interval.low) or math.isnan(interval.high):
        return _DASH
    ends = [signed_number(end) if signed else f"{end:.3f}" for end in (interval.low, interval.high)]
    return f"{_SPACE}to{_SPACE}".join(ends)


def percent(part: int, whole: int) -> str:
    """A share without decimals; a dash of nothing.

    >>> percent(1, 3).split(), percent(1, 1000).split(), percent(0, 7).split()
    (['33', '%'], ['<', '1', '%'], ['0', '%'])
    """
    if whole == 0:
        return _DASH
    share = 100 * part / whole
    return f"<{_SPACE}1{_SPACE}%" if 0 < share < 0.5 else f"{share:.0f}{_SPACE}%"


def patch_pq(rows: Rows) -> npt.NDArray[np.float64]:
    """Panoptic quality of each patch, NaN without any object. Shape (N,), float64."""
    n_true, n_pred = rows.matched[:, :-1].sum((1, 2)), rows.matched[:, :, :-1].sum((1, 2))
    weight = (n_true + n_pred) / 2
    quality: npt.NDArray[np.float64] = np.full(len(rows), np.nan)
    np.divide(rows.iou_sum, weight, out=quality, where=weight > 0)
    return quality
