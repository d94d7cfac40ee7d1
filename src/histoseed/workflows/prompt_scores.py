"""``score_prompts``: simulated users ask a promptable model for annotated objects, and its outlines are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets import Dataset, Patch, read_dataset
from histoseed.errors import DatasetError, InputError
from histoseed.metrics import PUBLISHED_USABILITY, USABILITY, Interval, PromptAccumulator, Usability, usability
from histoseed.prompting import PromptableModel
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.prompting.answering import Answered, Asking, answer_patch, targets_of
from histoseed.workflows.prompting.conditions import AUTO, Condition
from histoseed.workflows.prompting.models import load_prompt_model
from histoseed.workflows.prompting.unprompted import answer_unprompted

__all__ = ["KEYS", "SHAPES", "ConditionScores", "PackedMask", "PromptScores", "objects_to_score", "score_prompts"]

Bools = npt.NDArray[np.bool_]

KEYS = ("dice", "iou", "precision", "recall")
"""Scores with an interval."""
SHAPES = ("compactness", "solidity", "smoothness", "components", "holes", "size_retention", "vertices")
"""Numbers of :class:`histoseed.metrics.Usability`."""


class PackedMask(NamedTuple):
    """An answer in little memory.

    Args:
        place: x, y of its upper left corner.
        shape: Rows and columns.
        bits: Of its pixels, row by row.
    """

    place: tuple[int, int]
    shape: tuple[int, int]
    bits: bytes

    def on(self, shape: tuple[int, int]) -> Bools:
        """The mask on a picture of this shape, (H, W) bool."""
        rows, columns = self.shape
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=rows * columns)
        out = np.zeros(shape, bool)
        x, y = self.place
        out[y : y + rows, x : x + columns] = flat.reshape(self.shape)
        return out


@dataclass(slots=True, eq=False)
class ConditionScores:
    """What came of one condition.

    Args:
        condition: How the model was asked.
        answers: Of the model.
        rules: Of simple rules on the same boxes, by name.
        objects: ``patch/label`` of each answer, in the order of ``answers.rows``.
        masks: The answers, in the same order.
        shapes: Usability before and after the clean-up, one pair an answer that is not empty.
        encode: Seconds of each window.
        decode: Seconds of each answer.
        sides: Pixels of the longer side of each window, as the model saw it.
    """

    condition: Condition
    answers: PromptAccumulator = field(default_factory=PromptAccumulator)
    rules: dict[str, PromptAccumulator] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)
    masks: list[PackedMask] = field(default_factory=list)
    shapes: list[tuple[Usability, Usability]] = field(default_factory=list)
    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)

    @property
    def keys(self) -> tuple[str, ...]:
        """Scores that this condition has: of the best candidate where several were asked for, of the given mask."""
        spec = self.condition.spec
        suffixes = ["", *(["_oracle"] if self.condition.several else []), *(["_input"] if spec and spec.mask else [])]
        return tuple(f"{key}{suffix}" for suffix in suffixes for key in KEYS)

    def intervals(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Every score with the bounds of its bootstrap over groups."""
        return self.answers.intervals(self.keys, n=resamples, seed=seed)

    def usability(self) -> dict[str, dict[str, tuple[float | None, float | None]]]:
        """Protocol of the definitions -> number -> its mean before and after the clean-up."""
        protocols = dict.fromkeys(before.protocol for before, _ in self.shapes)
        found: dict[str, dict[str, tuple[float | None, float | None]]] = {}
        for name in protocols:
            pairs = [pair for pair in self.shapes if pair[0].protocol == name]
            found[name] = {key: (_mean(pairs, 0, key), _mean(pairs, 1, key)) for key in SHAPES}
        return found


@dataclass(frozen=True, slots=True, eq=False)
class PromptScores:
    """Scores of one model under one or more conditions.

    Args:
        conditions: In the order in which they were given.
        facts: Model, data sets, numbers of objects and groups; JSON values.
    """

    conditions: tuple[ConditionScores, ...]
    facts: dict[str, Any]

    def __getitem__(self, number: int) -> ConditionScores:
        """What came of a condition."""
        return self.conditions[number]

    def as_json(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
        """JSON values: the facts, and of each condition scores with intervals, by set, by size, and of the rules."""
        rows = []
        for one in self.conditions:
            found = one.intervals(resamples=resamples, seed=seed)
            rows.append(
                {
                    "condition": one.condition.label,
                    "scores": {key: interval.as_dict() for key, interval in found.items()},
                    "by_set": {name: dict(scores) for name, scores in one.answers.by_set().items()},
                    "by_size": [
                        {"size": stratum.name, "scores": None if stratum.scores is None else dict(stratum.scores)}
                        for stratum in one.answers.by_size()
                    ],
                    "rules": {name: dict(rule.compute()) for name, rule in one.rules.items()},
                    "usability": one.usability(),
                }
            )
        return {**self.facts, "conditions": rows}


def score_prompts(
    dataset: Dataset | Path | str | Sequence[Dataset | Path | str],
    model: PromptableModel | Path | str = "bundled",
    *,
    conditions: Condition | Sequence[Condition],
    split: str | None = None,
    every: int = 1,
    max_objects: int | None = None,
    shared_windows: bool = True,
    rules: bool = True,
    shapes: bool = False,
    mpp: float | None = None,
    seed: int = 0,
    draw: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> PromptScores:
    """Point at annotated objects as people would, and score the outlines under the protocol ``rapid-cytomine``.

    Prompts depend on the seed and the object alone: the same boxes, moved farther with a greater jitter.

    Args:
        dataset: One or more data sets with outlines, in the common format.
        model: A promptable model, or what :func:`load_prompt_model` takes.
        conditions: How it is asked, and what is done to its answers.
        split: Only the patches of this split.
        every: Only every so many objects.
        max_objects: At most so many objects of each data set, drawn by the seed.
        shared_windows: Neighbouring objects share windows, as many prompts in one call do; else each is seen in its
            own, as a single one is.
        rules: Hold the ellipse in the box and Otsu's threshold in the box against the same boxes.
        shapes: Measure usability before and after the clean-up, with both definitions.
        mpp: Microns per pixel to assume where a patch states none.
        seed: Of the users, and of the choice of objects unless ``draw`` is given.
        draw: Seed of that choice.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: ``auto``, ``float32``, ``bfloat16``.
        progress: Told about every patch.

    Raises:
        InputError: no condition, numbers below 1.
        DatasetError: no outlined object.
        ModelError: no such model.
    """
    asked = (conditions,) if isinstance(conditions, Condition) else tuple(conditions)
    if not asked:
        raise InputError(
            "Nothing says how the model is asked.", where="conditions", fix="Give Condition(prompts='box')."
        )
    sets = [_read(one, split) for one in ([dataset] if isinstance(dataset, Dataset | Path | str) else dataset)]
    drawn = seed if draw is None else draw
    chosen = [objects_to_score(one, every=every, max_objects=max_objects, seed=drawn) for one in sets]
    answerer = load_prompt_model(model, device=device, dtype=dtype) if isinstance(model, Path | str) else model
    how = Asking(seed=seed, shared=shared_windows, raw=shapes, rules=rules)
    mark = answerer.fingerprint  # computed when first asked for, which must not count as time of the first window
    scores = tuple(ConditionScores(condition) for condition in asked)
    told = progress or Silent()
    told.start(sum(map(len, chosen)), "patches", "Asking for objects")
    count = 0
    for data, wanted in zip(sets, chosen, strict=True):
        for patch_id, labels in wanted.items():
            patch = data.patch(patch_id)
            for number, answered in _answers(data, patch, labels, answerer, asked, how, mpp):
                _add(scores[number], answered, data.name, _group(data, patch), patch.mpp or mpp)
            count += len(labels)
            told.advance(1, objects=float(count))
    told.done()
    groups = {group for one in scores for group in one.answers.rows.group.tolist()}
    facts = {
        "model": answerer.name, "fingerprint": mark, "datasets": [data.name for data in sets],
        "split": split, "objects": count, "groups": len(groups), "seed": seed, "shared_windows": shared_windows,
    }  # fmt: skip
    return PromptScores(scores, facts)


def objects_to_score(
    data: Dataset, *, every: int = 1, max_objects: int | None = None, seed: int = 0
) -> dict[str, list[int]]:
    """Patch -> labels of the objects that are asked for, in the order of the data set.

    Raises:
        InputError: numbers below 1, or one that leaves no object.
        DatasetError: no outlined object.
    """
    for name, value in (("every", every), ("max_objects", max_objects)):
        if value is not None and value < 1:
            raise InputError(f"{name} = {value} leaves no object.", where=name, fix="Give 1 or more.")
    table = data.instances.filter((pl.col("layer") == "nucleus") & pl.col("label").is_not_null())
    table = table.select("patch_id", "label").sort("patch_id", "label")
    if not len(table):
        raise DatasetError("No object is outlined.", where=data.path, fix="Give a data set with outlines.")
    if every > len(table):
        what = f"every = {every:,} leaves no object of {len(table):,}."
        raise InputError(what, where=data.path, fix="Give a smaller number.")
    table = table[every - 1 :: every]
    if max_objects is not None and len(table) > max_objects:
        drawn = np.random.default_rng([seed, 6]).choice(len(table), max_objects, replace=False)
        table = table[np.sort(drawn)]
    found: dict[str, list[int]] = {}
    for patch_id, label in table.rows():
        found.setdefault(patch_id, []).append(label)
    return {patch_id: found[patch_id] for patch_id in data.patch_ids if patch_id in found}


def _read(dataset: Dataset | Path | str, split: str | None) -> Dataset:
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    return data if split is None else data.select(split=split)


def _answers(  # noqa: PLR0917 - one caller
    data: Dataset,
    patch: Patch,
    labels: Sequence[int],
    model: PromptableModel,
    conditions: Sequence[Condition],
    how: Asking,
    mpp: float | None,
) -> Iterator[tuple[int, Answered]]:
    """Number of the condition and answer, for every object of a patch."""
    targets = targets_of(patch, labels)
    prompted = [k for k, condition in enumerate(conditions) if condition.prompts not in AUTO]
    for k, answered in answer_patch(patch, targets, model, [conditions[k] for k in prompted], how, mpp=mpp):
        yield prompted[k], answered
    for k, condition in enumerate(conditions):
        if condition.prompts in AUTO:
            for answered in answer_unprompted(data, patch, targets, model, condition, mpp=mpp):
                yield k, answered


def _add(scores: ConditionScores, answered: Answered, data_set: str, group: str, mpp: float | None) -> None:
    """One more answer."""
    seen = answered.seen
    where: dict[str, Any] = {"data_set": data_set, "group": group}
    seconds = None if seen is None else seen.decode
    scores.answers.update(answered.truth, answered.candidates, given=answered.given, seconds=seconds, **where)
    scores.objects.append(answered.target.id)
    first = answered.candidates[0] if answered.candidates else np.zeros_like(answered.truth)
    rows, columns = first.shape
    scores.masks.append(PackedMask(answered.place, (rows, columns), np.packbits(first).tobytes()))
    for name, mask in answered.rules.items():
        scores.rules.setdefault(name, PromptAccumulator()).update(answered.truth, [mask], **where)
    if seen is not None:
        scores.decode.append(seen.decode)
        if not scores.encode or scores.encode[-1] != seen.encode:  # answers about one window follow each other
            scores.encode.append(seen.encode)
            scores.sides.append(max(seen.window.shape))
    if answered.raw is not None and answered.raw.any():
        for protocol in (USABILITY, PUBLISHED_USABILITY):
            before = usability(answered.raw, reference=answered.raw, mpp=mpp, protocol=protocol)
            after = usability(answered.candidates[0], reference=answered.raw, mpp=mpp, protocol=protocol)
            scores.shapes.append((before, after))


def _group(data: Dataset, patch: Patch) -> str:
    """What is resampled as a whole; groups of two sets are two, whatever they are called."""
    return f"{data.name}: {patch.group or patch.patient or patch.slide or patch.patch_id}"


def _mean(pairs: Sequence[tuple[Usability, Usability]], side: int, key: str) -> float | None:
    values = np.array([getattr(pair[side], key) for pair in pairs], float)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
