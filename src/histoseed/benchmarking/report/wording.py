"""Numbers as they stand in the tables of the report."""

from __future__ import annotations

import math

from histoseed.benchmarking.report.resampling import LEVEL, Estimate
from histoseed.wording import signed_number

__all__ = ["LEVEL_WORDS", "duration", "joined", "p_value", "signed", "with_interval"]

_DASH = "\N{EN DASH}"
_SPACE = "\N{NO-BREAK SPACE}"

LEVEL_WORDS = f"{100 * LEVEL:.0f}{_SPACE}%"
"""The coverage of the intervals, as it is written."""


def with_interval(found: Estimate | None, digits: int = 3) -> str | None:
    """A value and its interval; None where there is no value.

    Args:
        found: The value.
        digits: Decimals of the interval.

    >>> with_interval(Estimate(0.5, 0.41, 0.6)).split(), with_interval(Estimate(0.5))
    (['0.500', '[0.410,', '0.600]'], '0.500')
    """
    if found is None or not math.isfinite(found.value):
        return None
    if not math.isfinite(found.low):
        return f"{found.value:.3f}"
    return f"{found.value:.3f} [{found.low:.{digits}f},{_SPACE}{found.high:.{digits}f}]"


def signed(found: Estimate) -> str:
    """A difference and its interval, with signs.

    >>> signed(Estimate(0.02, -0.01, 0.05)).split()
    ['+0.020', '[-0.010,', '+0.050]']
    """
    value, low, high = (signed_number(number) for number in found)
    return f"{value} [{low},{_SPACE}{high}]" if math.isfinite(found.low) else value


def p_value(p: float) -> str:
    """A p value.

    >>> p_value(0.0312), p_value(1e-9).split()
    ('0.031', ['<', '0.001'])
    """
    if not math.isfinite(p):
        return _DASH
    return f"<{_SPACE}0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Seconds as they are said.

    >>> duration(42.0), duration(150.0), duration(7300.0)
    ('42 s', '2.5 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def joined(words: list[str]) -> str:
    """Words as an enumeration.

    >>> joined(["a", "b", "c"]), joined(["a"])
    ('a, b and c', 'a')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
