"""How many clicks an object takes: NoC@0.8 and NoC@0.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.simulate.clicks import Click, next_click, with_click
from histoseed.prompting.simulate.truth import checked_mask
from histoseed.prompting.windows import Window

__all__ = ["MOST_CLICKS", "THRESHOLDS", "ClickRun", "MeanClicks", "mean_clicks", "noc"]

Bools = npt.NDArray[np.bool_]

THRESHOLDS = (0.8, 0.9)
MOST_CLICKS = 20
"""After which a user gives up; an object that stays below the threshold counts with this number."""


@dataclass(frozen=True, slots=True)
class ClickRun:
    """One object, corrected click by click.

    Args:
        ious: IoU with the object after 0, 1, 2, ... clicks; without a prompt to start from the first is 0.
        clicks: In their order.
        most: The number that an IoU counts with which was never reached.
    """

    ious: tuple[float, ...]
    clicks: tuple[Click, ...]
    most: int = MOST_CLICKS

    def reached(self, threshold: float) -> bool:
        """Whether the IoU came to the threshold."""
        return max(self.ious) >= threshold

    def needed(self, threshold: float) -> int:
        """Clicks until the IoU was at least the threshold; ``most`` where it never was.

        >>> ClickRun((0.0, 0.7, 0.85), ()).needed(0.8), ClickRun((0.0, 0.7, 0.85), ()).needed(0.9)
        (2, 20)
        """
        return next((k for k, iou in enumerate(self.ious) if iou >= threshold), self.most)


class MeanClicks(NamedTuple):
    """Over objects: mean number of clicks, and how many objects never came to the threshold."""

    clicks: float
    failed: int


def noc(
    truth: Bools,
    predict: Callable[[Prompt], Bools],
    region: Region,
    *,
    start: Prompt | None = None,
    until: float = max(THRESHOLDS),
    most: int = MOST_CLICKS,
    rng: np.random.Generator | None = None,
) -> ClickRun:
    """Correct a model's answer for one object until it is good enough.

    The first click lies in the middle of the object. It ends at the IoU that is asked for, after the most clicks, or
    where no wrong pixel is left that was not clicked on.

    Args:
        truth: (H, W) bool, the object.
        predict: Answers a prompt in level-0 pixels with a mask of the shape of ``truth``, on the same pixels.
        region: The rectangle of the slide that the array covers.
        start: Said before the first click, such as a box; its answer is what the first click corrects.
        until: IoU at which it ends; thresholds up to it can be asked of the result.
        most: Clicks.
        rng: See :func:`next_click`.

    Raises:
        InputError: an empty object, or an answer that is not (H, W) bool like it.
    """
    window = Window(region, checked_mask(truth).shape)
    prompt, clicks = start or Prompt(), list[Click]()
    answer = np.zeros_like(truth) if start is None else _checked(predict(prompt), truth, 0)
    ious = [_iou(truth, answer)]
    while ious[-1] < until and len(clicks) < most:
        click = next_click(truth, answer, clicks, rng)
        if click is None:
            break
        clicks.append(click)
        prompt = with_click(prompt, click, window)
        answer = _checked(predict(prompt), truth, len(clicks))
        ious.append(_iou(truth, answer))
    return ClickRun(tuple(ious), tuple(clicks), most)


def mean_clicks(runs: Sequence[ClickRun], threshold: float) -> MeanClicks:
    """NoC at a threshold over objects; NaN without any.

    >>> mean_clicks([ClickRun((0.0, 0.9), ()), ClickRun((0.0, 0.5), ())], 0.8)
    MeanClicks(clicks=10.5, failed=1)
    """
    clicks = float(np.mean([run.needed(threshold) for run in runs])) if runs else float("nan")
    return MeanClicks(clicks, sum(not run.reached(threshold) for run in runs))


def _checked(answer: Bools, truth: Bools, clicks: int) -> Bools:
    if answer.shape != truth.shape or answer.dtype != np.bool_:
        what = f"The answer is {answer.dtype} of shape {answer.shape}, the object {truth.shape}."
        raise InputError(what, where=f"answer after {clicks} clicks", fix="Give (H, W) of bool on the object's pixels.")
    return answer


def _iou(truth: Bools, answer: Bools) -> float:
    return float(np.count_nonzero(truth & answer) / np.count_nonzero(truth | answer))
