"""Scores of promptable models answer by answer: answers may overlap, have candidates, take time, and differ in size."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval, Seed, bootstrap_intervals
from histoseed.metrics.prompted import PromptedOverlap, mask_overlap
from histoseed.metrics.protocols import get_protocol
from histoseed.metrics.scores import Score, Scores

__all__ = ["SIZE_EDGES", "AnswerRows", "PromptAccumulator", "SizeStratum"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SIZE_EDGES = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0)
"""Edges of the strata of size: longer side of the object's box, level-0 pixels."""

_PROTOCOL = get_protocol("rapid-cytomine")
_CHOICE = (
    "iou, dice, precision, recall: the candidate that the model itself scores highest; *_oracle: the candidate with "
    "the best IoU, which takes the truth to know; *_input: the mask that was given as a prompt"
)
_NUMBERS = PromptedOverlap._fields
_UNKNOWN = PromptedOverlap(math.nan, math.nan, math.nan, math.nan)


class _Row(NamedTuple):
    """One answer; the columns of :class:`AnswerRows`."""

    data_set: str
    group: str
    size: float
    answer: PromptedOverlap
    oracle: PromptedOverlap
    given: PromptedOverlap
    seconds: float
    empty: bool


@dataclass(frozen=True, slots=True)
class AnswerRows:
    """Scores of N answers, one row an object.

    Args:
        data_set: Name of the set. (N,) object of str.
        group: Patient, slide or whatever is resampled as a whole. (N,) object of str.
        size: Longer side of the object's box, level-0 pixels. (N,) float64.
        answer: IoU, Dice, precision and recall of the first candidate. (N, 4) float64.
        oracle: The same of the candidate with the best IoU. (N, 4) float64.
        given: The same of the input mask; NaN where there was none. (N, 4) float64.
        seconds: Time of the answer; NaN where it was not measured. (N,) float64.
        empty: The answer had no pixel. (N,) bool.
    """

    data_set: npt.NDArray[np.object_]
    group: npt.NDArray[np.object_]
    size: Floats
    answer: Floats
    oracle: Floats
    given: Floats
    seconds: Floats
    empty: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.size)

    def __getitem__(self, index: npt.NDArray[Any]) -> AnswerRows:
        """The rows of an index array; rows may come more than once."""
        return AnswerRows(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


@dataclass(frozen=True, slots=True)
class SizeStratum:
    """Objects of one size.

    Args:
        low: Smallest longer side of the box, level-0 pixels, inclusive.
        high: Largest, exclusive; the greatest edge is inclusive.
        scores: Of its objects; None where there is none.
    """

    low: float
    high: float
    scores: Scores | None

    @property
    def name(self) -> str:
        """The range in words.

        >>> SizeStratum(1000.0, 2000.0, None).name
        '1,000 to 2,000 px'
        """
        if math.isinf(self.high):
            return f"above {self.low:,.0f} px"
        return f"{self.low:,.0f} to {self.high:,.0f} px" if self.low else f"below {self.high:,.0f} px"


class PromptAccumulator:
    """Scores of a promptable model under the protocol ``rapid-cytomine``: means over objects, an empty answer is 0.

    >>> truth, answer = np.zeros((2, 30, 30), dtype=bool)
    >>> truth[5:25, 5:25], answer[5:25, 5:15] = True, True
    >>> accumulator = PromptAccumulator().update(truth, [answer, truth], seconds=0.02)
    >>> scores = accumulator.compute()
    >>> scores["iou"], scores["iou_oracle"], scores["seconds"], scores["iou_input"]
    (0.5, 1.0, 0.02, None)
    >>> [stratum.name for stratum in accumulator.by_size() if stratum.scores]
    ['20 to 50 px']
    """

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def update(
        self,
        truth: Mask,
        candidates: Sequence[Mask],
        *,
        given: Mask | None = None,
        seconds: float | None = None,
        step: float = 1.0,
        data_set: str = "",
        group: str = "",
    ) -> PromptAccumulator:
        """Add one object, and return this accumulator.

        Args:
            truth: (h, w) bool, not empty.
            candidates: Masks of the same shape in the model's own order, best first. None at all is an empty answer.
            given: The mask that was the prompt, at the same place.
            seconds: Time of the answer.
            step: Level-0 pixels along a side of a pixel of the masks.
            data_set: Name of the set, for :meth:`by_set`.
            group: What is resampled as a whole; "" makes the object its own group.

        Raises:
            InputError: masks that are not boolean or differ in shape, an empty truth, a step that is not positive.
        """
        if not 0 < step < math.inf:
            raise InputError(f"The step must be positive, not {step}.", where="prompted scores")
        found = [mask_overlap(truth, mask) for mask in candidates or [np.zeros_like(truth)]]
        rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
        side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        self._rows.append(
            _Row(
                data_set=data_set,
                group=group,
                size=float(side * step),
                answer=found[0],
                oracle=max(found, key=lambda overlap: overlap.iou),
                given=_UNKNOWN if given is None else mask_overlap(truth, given),
                seconds=math.nan if seconds is None else float(seconds),
                empty=not candidates or not candidates[0].any(),
            )
        )
        return self

    def merge(self, other: PromptAccumulator) -> PromptAccumulator:
        """Add the objects of another accumulator after those of this one, and return this one."""
        self._rows.extend(other._rows)
        return self

    @property
    def rows(self) -> AnswerRows:
        """One row an object in the order of the updates."""
        rows = self._rows
        return AnswerRows(
            data_set=np.array([row.data_set for row in rows], dtype=object),
            group=np.array([row.group for row in rows], dtype=object),
            size=np.array([row.size for row in rows], dtype=np.float64),
            answer=_table([row.answer for row in rows]),
            oracle=_table([row.oracle for row in rows]),
            given=_table([row.given for row in rows]),
            seconds=np.array([row.seconds for row in rows], dtype=np.float64),
            empty=np.array([row.empty for row in rows], dtype=bool),
        )

    def compute(self) -> Scores:
        """Scores over all objects of all sets; None where one is undefined. ``docs/metrics.md`` lists the keys."""
        return _scores(self.rows)

    def of_set(self, name: str) -> PromptAccumulator:
        """The objects of one set."""
        part = PromptAccumulator()
        part._rows.extend(row for row in self._rows if row.data_set == name)
        return part

    def by_set(self) -> dict[str, Scores]:
        """Scores over the objects of each set, by name."""
        rows = self.rows
        return {name: _scores(rows[rows.data_set == name]) for name in sorted(set(rows.data_set.tolist()))}

    def by_size(self, edges: Sequence[float] = SIZE_EDGES) -> list[SizeStratum]:
        """Scores by size of the object. Every stratum is named, with or without objects.

        Args:
            edges: Ascending, level-0 pixels. Objects beyond the first and last edge get a stratum of their own.

        Raises:
            InputError: fewer than two edges, or edges that do not ascend.
        """
        if len(edges) < 2 or any(low >= high for low, high in itertools.pairwise(edges)):
            raise InputError("Strata need two or more edges that ascend.", where=f"edges {list(edges)}")
        rows = self.rows
        place = np.digitize(np.where(rows.size == edges[-1], edges[-2], rows.size), edges)
        strata = []
        for k, (low, high) in enumerate(itertools.pairwise([0.0, *edges, math.inf])):
            members = np.flatnonzero(place == k)
            if len(members) or 0 < k < len(edges):
                strata.append(SizeStratum(low, high, _scores(rows[members]) if len(members) else None))
        return strata

    def intervals(
        self, keys: Sequence[str] = ("iou", "dice"), *, n: int = 2000, seed: Seed = 0, level: float = 0.95
    ) -> dict[str, Interval]:
        """Bootstrap intervals of scores over the groups of the updates.

        Raises:
            InputError: no objects, or a key that is no number.
        """
        rows = self.rows

        def numbers(part: AnswerRows) -> dict[str, float]:
            scores = _scores(part)
            return {key: scores.number(key) for key in keys}

        return bootstrap_intervals(rows, numbers, rows.group, n=n, seed=seed, level=level)


def _table(overlaps: Sequence[PromptedOverlap]) -> Floats:
    return np.array(overlaps, dtype=np.float64).reshape(-1, len(_NUMBERS))


def _scores(rows: AnswerRows) -> Scores:
    prompted = ~np.isnan(rows.given[:, 0])
    timed = rows.seconds[~np.isnan(rows.seconds)]
    kinds = {"": rows.answer, "_oracle": rows.oracle, "_input": rows.given[prompted]}
    values: dict[str, Score] = {
        "protocol": _PROTOCOL.name,
        "averaging": _PROTOCOL.averaging,
        "choice": _CHOICE,
        "n_objects": len(rows),
        "n_empty_answers": int(rows.empty.sum()),
        "n_input": int(prompted.sum()),
        "n_timed": len(timed),
    }
    for suffix, table in kinds.items():
        means = table.mean(0).tolist() if len(table) else _UNKNOWN
        values.update({f"{name}{suffix}": mean for name, mean in zip(_NUMBERS, means, strict=True)})
    values["seconds"] = float(timed.mean()) if len(timed) else math.nan
    values["seconds_p50"] = float(np.median(timed)) if len(timed) else math.nan
    return Scores(values)
