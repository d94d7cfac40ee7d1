"""The section of a report that holds two subjects against each other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from histoseed.metrics import Interval
from histoseed.pictures import Report, paired_differences
from histoseed.wording import signed_number
from histoseed.workflows.evaluation.result import Comparison, Evaluation
from histoseed.workflows.evaluation.wording import bounds, patch_pq
from histoseed.workflows.evaluation.words import LOWER_IS_BETTER, SCORE_WORDS, class_score_name

__all__ = ["comparison_section"]


def comparison_section(page: Report, result: Evaluation, other: Comparison) -> None:
    """Differences of the scores, and of the PQ of every patch."""
    page.section("Comparison")
    page.text(
        f"Differences are {result.name} minus {other.name} on the same patches. Where the interval does not hold zero, "
        "the difference is more than the choice of patches explains."
    )
    names = {1: result.name, -1: other.name, 0: "undecided"}
    rows = [
        [
            SCORE_WORDS[key][0] if key in SCORE_WORDS else class_score_name(key),
            result.scores[key],
            other.scores[key],
            signed_number(found.value),
            bounds(found, signed=True),
            names[_winner(key, found)],
        ]
        for key, found in other.differences.items()
    ]
    header = ["score", result.name, other.name, "difference", result.interval_name, "in favour of"]
    page.table(header, rows, "lrrrll")
    values = _differences(result, other)
    if np.isfinite(values).any():
        caption = f"PQ of {result.name} minus PQ of {other.name}, a line a patch."
        interval = _interval_of_mean(result, other)
        page.plot(
            lambda theme: paired_differences(
                values, names=(other.name, result.name), interval=interval, level=result.level, theme=theme
            ),
            caption,
            f"{caption} Mean {np.nanmean(values):+.3f}.",
        )


def _winner(key: str, difference: Interval) -> int:
    """1 or -1 where the interval excludes zero, else 0; the sign says who is better."""
    if math.isnan(difference.low) or difference.low <= 0 <= difference.high:
        return 0
    sign = 1 if difference.value > 0 else -1
    return -sign if key in LOWER_IS_BETTER else sign


def _differences(result: Evaluation, other: Comparison) -> npt.NDArray[np.float64]:
    ours, theirs = result.accumulator.rows, other.accumulator.rows
    order, their_order = (np.argsort(rows.patch_id.astype(str), kind="stable") for rows in (ours, theirs))
    return patch_pq(ours)[order] - patch_pq(theirs)[their_order]


def _interval_of_mean(result: Evaluation, other: Comparison) -> tuple[float, float] | None:
    """The interval of the PQ difference where that is the plain mean over patches."""
    protocol, known = result.accumulator.protocol, other.differences.get("pq")
    if known is None or math.isnan(known.low):
        return None
    is_mean = protocol.average == "images" and protocol.empty == "both-empty-left-out"
    return (known.low, known.high) if is_mean else None
