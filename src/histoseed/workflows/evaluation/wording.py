"""Numbers and counts as they are read in a report."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from histoseed.metrics import Interval, Rows

__all__ = ["bounds", "counted", "patch_pq", "percent", "signed_number"]

_DASH = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"


def bounds(interval: Interval | None, *, signed: bool = False) -> str:
    """The ends of an interval; a dash where there is none.

    >>> bounds(Interval(0.5, 0.41, 0.6, 12, 0.95))
    '0.410 to 0.600'
    """
    if interval is None or math.isnan(interval.low) or math.isnan(interval.high):
        return _DASH
    if signed:
        return f"{signed_number(interval.low)} to {signed_number(interval.high)}"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def signed_number(value: float) -> str:
    """A difference, three decimals with its sign; zero has none.

    >>> signed_number(0.25), signed_number(0.0)
    ('+0.250', '0.000')
    """
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "patch"), counted(2000, "patch"), counted(3, "centre")
    ('1 patch', '2,000 patches', '3 centres')
    """
    ending = "" if count == 1 else "es" if noun.endswith(("ch", "s")) else "s"
    return f"{count:,} {noun}{ending}"


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
