"""Outlines without a click: every object of a window, asked for by a grid of points or by proposals of another model.

A grid is what the authors of SAM publish. On tissue it finds what stands out, at any scale. Where something else knows
roughly where objects are, say the centroids that a segmenter found, proposals cost less and find small objects, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting.interface import Answer, Candidate, Embedding, PromptableModel
from histoseed.prompting.prompt import Prompt

__all__ = [
    "Selection",
    "box_prompts",
    "extents",
    "find_objects",
    "grid_prompts",
    "point_prompts",
    "stability",
    "without_duplicates",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which answers are objects. The defaults are those of segment-anything.

    Args:
        min_score: Least IoU that the model expects.
        min_stability: Least :func:`stability`.
        offset: Logits by which the threshold is shifted for it.
        overlap: IoU of two boxes above which the object of the lower score is a duplicate.
        min_area: Least area, level-0 pixels.
        max_area: Greatest area; None sets no limit. A grid also finds regions that hold many objects.
        cut: Keep objects that touch a border beyond which the rest of them may lie: that of the window, or of the
            rectangle in which the model answers.
        at_once: Prompts asked at once. Only what was kept of them stays in memory.
    """

    min_score: float = 0.88
    min_stability: float = 0.95
    offset: float = 1.0
    overlap: float = 0.7
    min_area: float = 0.0
    max_area: float | None = None
    cut: bool = True
    at_once: int = 64

    def __post_init__(self) -> None:
        for name in ("min_score", "min_stability", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    "The value must lie between 0 and 1.", where=name, fix="0.9 keeps what is rather sure."
                )
        if self.at_once < 1 or self.offset < 0 or self.min_area < 0:
            raise InputError(
                "Neither areas nor the offset are negative, and a prompt at least is asked.", where="selection"
            )
        if self.max_area is not None and self.max_area <= self.min_area:
            what = f"No area lies between {self.min_area:g} and {self.max_area:g}."
            raise InputError(what, where="max_area", fix="Give a greater one.")


def grid_prompts(region: Region, per_side: int = 32) -> list[Prompt]:
    """Single points on a square grid, the middles of ``per_side`` x ``per_side`` cells; ids are their numbers.

    Raises:
        InputError: fewer than one a side.
    """
    if per_side < 1:
        raise InputError(f"A grid has no {per_side} points a side.", where="per_side", fix="Give 16 or 32.")
    along = (np.arange(per_side) + 0.5) / per_side
    x, y = np.meshgrid(region.x + along * region.width, region.y + along * region.height)
    return point_prompts(np.stack([x.ravel(), y.ravel()], 1))


def point_prompts(points: Floats, ids: Sequence[str] | None = None) -> list[Prompt]:
    """A prompt for each of (N, 2) points in level-0 pixels, such as centroids."""
    names = [str(number) for number in range(len(points))] if ids is None else ids
    places = np.asarray(points, float).reshape(-1, 2)
    return [Prompt(positive=place[None], id=name) for place, name in zip(places, names, strict=True)]


def box_prompts(boxes: Floats, ids: Sequence[str] | None = None) -> list[Prompt]:
    """A prompt for each of (N, 4) boxes x0, y0, x1, y1 in level-0 pixels."""
    names = [str(number) for number in range(len(boxes))] if ids is None else ids
    corners = np.asarray(boxes, float).reshape(-1, 4).tolist()
    return [Prompt(box=(x0, y0, x1, y1), id=name) for (x0, y0, x1, y1), name in zip(corners, names, strict=True)]


def find_objects(
    model: PromptableModel,
    embedding: Embedding,
    proposals: Sequence[Prompt] | None = None,
    *,
    selection: Selection | None = None,
    several: bool | None = None,
    size: tuple[int, int] | None = None,
) -> list[Answer]:
    """The objects of a window.

    Args:
        model: Any promptable model.
        embedding: Of the window, made by it.
        proposals: Prompts, one an object that may be there (:func:`point_prompts`, :func:`box_prompts`, or any
            others). None asks :func:`grid_prompts`.
        selection: What is kept; None is its defaults.
        several: A prompt may give several objects: a nucleus, and the gland that it is part of. None: those of the
            grid do, those of ``proposals`` give one at most.
        size: Width and height of the slide, level-0 pixels: nothing lies beyond, so that its border cuts nothing off.

    Returns:
        Answers with one candidate each, the surest first (ties by the order of the prompts). The logits of a candidate
        are cut to where they are above minus ``offset``, so that thousands of them fit in memory.

    Raises:
        ModelError: an embedding of another model.
        InputError: a proposal outside the window.
    """
    chosen = selection or Selection()
    asked = grid_prompts(embedding.window.region) if proposals is None else proposals
    kept: list[Answer] = []
    for start in range(0, len(asked), chosen.at_once):
        all_of_them = proposals is None if several is None else several
        answers = model.predict(embedding, asked[start : start + chosen.at_once], several=all_of_them)
        kept += _passing(answers, embedding.window.region, chosen, size)
    kept.sort(key=lambda answer: -answer.candidates[0].score)
    candidates = [answer.candidates[0] for answer in kept]
    scores = np.array([candidate.score for candidate in candidates])
    return [kept[number] for number in without_duplicates(extents(candidates), scores, chosen.overlap)]


def stability(candidates: Sequence[Candidate], offset: float = 1.0) -> Floats:
    """How little a mask depends on its threshold: area above ``+offset`` over area above ``-offset``.

    As in segment-anything; the area of what is above ``-offset`` nowhere is stable: 0 / 0 is 1 here.

    Args:
        candidates: Masks.
        offset: Logits.

    Returns:
        (N,) from 0 to 1.
    """
    out = np.ones(len(candidates))
    for numbers, logits in _stacks(candidates):
        sure = (logits > offset).sum((1, 2))
        any_ = (logits > -offset).sum((1, 2))
        out[numbers] = np.where(any_ > 0, sure / np.maximum(any_, 1), 1.0)
    return out


def extents(candidates: Sequence[Candidate]) -> Floats:
    """The box around each mask: (N, 4) x0, y0, x1, y1 in level-0 pixels, zeros where it is empty."""
    out = np.zeros((len(candidates), 4))
    for numbers, logits in _stacks(candidates):
        inside = logits > 0
        rows, columns = np.logical_or.reduce(inside, 2), np.logical_or.reduce(inside, 1)
        height, width = logits.shape[1:]
        x0, x1 = columns.argmax(1), width - columns[:, ::-1].argmax(1)
        y0, y1 = rows.argmax(1), height - rows[:, ::-1].argmax(1)
        areas = [candidates[number].region for number in numbers]
        left, top, wide, high = (np.array([getattr(a, key) for a in areas]) for key in ("x", "y", "width", "height"))
        boxes = [left + x0 * wide / width, top + y0 * high / height, left + x1 * wide / width, top + y1 * high / height]
        out[numbers] = np.where(rows.any(1)[:, None], np.stack(boxes, 1), 0)
    return out


def without_duplicates(boxes: Floats, scores: Floats, overlap: float = 0.7) -> list[int]:
    """Greedy suppression: which boxes stay, the highest score first.

    Args:
        boxes: (N, 4) x0, y0, x1, y1.
        scores: (N,).
        overlap: A box goes where its IoU with a better one that stays is above this.

    Returns:
        Numbers of the boxes that stay, by falling score; ties keep their order.
    """
    left = np.argsort(-scores, kind="stable")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    stays = []
    while len(left):
        best, left = left[0], left[1:]
        stays.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        union = areas[best] + areas[left] - shared
        left = left[shared <= overlap * union]
    return stays


def _passing(
    answers: Sequence[Answer], window: Region, chosen: Selection, size: tuple[int, int] | None
) -> list[Answer]:
    """Each candidate that passes, as an answer of its own, cut to where its mask is."""
    pairs = [(answer, candidate) for answer in answers for candidate in answer.candidates]
    pairs = [pair for pair in pairs if pair[1].score >= chosen.min_score]
    candidates = [candidate for _, candidate in pairs]
    areas = np.array([_area(candidate) for candidate in candidates])
    ok = (areas > 0) & (areas >= chosen.min_area) & (stability(candidates, chosen.offset) >= chosen.min_stability)
    if chosen.max_area is not None:
        ok &= areas <= chosen.max_area
    if not chosen.cut:
        ok &= _whole(candidates, window, size)
    return [
        Answer(answer.prompt, (_cut_out(candidate, chosen.offset),))
        for (answer, candidate), passes in zip(pairs, ok, strict=True)
        if passes
    ]


def _whole(candidates: Sequence[Candidate], window: Region, size: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Which masks end before the border of the window and of what the model answers about."""
    boxes = extents(candidates)
    seen = np.array([_corners(candidate.region) for candidate in candidates]).reshape(-1, 4)
    low, high = np.maximum(seen[:, :2], (window.x, window.y)), np.minimum(seen[:, 2:], _corners(window)[2:])
    if size is not None:
        low, high = np.where(low <= 0, -np.inf, low), np.where(high >= size, np.inf, high)
    return np.asarray((boxes[:, :2] > low).all(1) & (boxes[:, 2:] < high).all(1))


def _corners(region: Region) -> tuple[float, float, float, float]:
    return region.x, region.y, region.x + region.width, region.y + region.height


def _area(candidate: Candidate) -> float:
    """Level-0 pixels."""
    rows, columns = candidate.logits.shape
    cell = candidate.region.width / columns * candidate.region.height / rows
    return float((candidate.logits > 0).sum() * cell)


def _cut_out(candidate: Candidate, offset: float) -> Candidate:
    """A candidate without most of what lies outside; a rim of two cells stays, so that outlines are the same."""
    near = candidate.logits > -offset
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    height, width = near.shape
    y0, y1 = max(rows[0] - 2, 0), min(rows[-1] + 3, height)
    x0, x1 = max(columns[0] - 2, 0), min(columns[-1] + 3, width)
    region = candidate.region
    sx, sy = region.width / width, region.height / height
    part = Region(region.x + x0 * sx, region.y + y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy)
    return Candidate(candidate.logits[y0:y1, x0:x1].copy(), part, candidate.score)


def _stacks(candidates: Sequence[Candidate]) -> list[tuple[list[int], npt.NDArray[np.float32]]]:
    """Candidates of equal shape together: their numbers and (N, h, w) logits."""
    order = sorted(range(len(candidates)), key=lambda number: candidates[number].logits.shape)
    groups = (list(numbers) for _, numbers in groupby(order, key=lambda number: candidates[number].logits.shape))
    return [(numbers, np.stack([candidates[number].logits for number in numbers])) for numbers in groups]
