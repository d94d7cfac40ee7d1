"""The learning curve of a data set so far, and what the next annotated region should bring."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from histoseed.datasets import CROP_UM, Dataset, annotated_crops, deal_patches
from histoseed.errors import DatasetError
from histoseed.files import write_json
from histoseed.metrics import Accumulator, Interval, expected_gain
from histoseed.metrics.power_law import LEAST_SIZES
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.models import model_folder
from histoseed.workflows.progress import Progress
from histoseed.workflows.suggestion.places import thin_out

__all__ = ["Curve", "Training", "measure_curve"]

_SIZES = (1, 2, 4, 8, 16)
_DRAWS = 3
_NOTHING = 1e-3
"""A law never falls, so that its gain is never below 0: less than this is as good as nothing."""
_TEST_PATCHES = 12
"""Patches that each model is scored on, at most; evaluating must not take longer than training."""


@dataclass(frozen=True, slots=True)
class Training:
    """How the models of the curve are trained; fields as the arguments of :func:`histoseed.adapt`."""

    start: str | Path | None
    encoder: str
    weights: str | Path | None
    mpp: float | None
    device: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Panoptic quality on patches that were kept apart, for more and more annotated crops of 64 um.

    Args:
        sizes: Annotated crops.
        scores: PQ of each size, draw and test group; NaN where undefined. (S, D, G)
        groups: The test groups.
        gain: What one crop more should bring beyond the largest size; None where that cannot be said.
        remark: What should be known about it.
    """

    sizes: tuple[int, ...]
    scores: npt.NDArray[np.float64]
    groups: tuple[str, ...]
    gain: Interval | None
    remark: str

    def draws(self) -> dict[int, list[float]]:
        """Size -> score of each draw, over the test groups."""
        means = np.nanmean(self.scores, axis=2)
        return {size: means[k].tolist() for k, size in enumerate(self.sizes)}

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "score": "pq",
            "sizes": list(self.sizes),
            "draws": {str(size): values for size, values in self.draws().items()},
            "test_groups": list(self.groups),
            "gain": None if self.gain is None else self.gain.as_dict(),
            "remark": self.remark,
        }


def measure_curve(data: Dataset, how: Training, work: Path, told: Progress) -> Curve:
    """Train on 1, 2, 4, 8 and 16 crops of one half of the groups, three draws each, and score on the other half.

    Args:
        data: The annotated patches; of a data set with a split, those of "train".
        how: How to train.
        work: A folder for what is done; what an interrupted run left there is not trained again.
        told: Told about every model.

    Raises:
        DatasetError: fewer than two independent groups, or nothing that can be trained on.
        HistoseedError: training failed.
    """
    part_of = deal_patches(data, {"train": 0.5, "test": 0.5}, seed=0)
    train, test = (data.subset([i for i, part in part_of.items() if part == name]) for name in ("train", "test"))
    names = [group or patch_id for patch_id, group in test.patches.select("patch_id", "group").iter_rows()]
    test = test.subset(thin_out(names, _TEST_PATCHES, seed=0))
    available = len(annotated_crops(train, CROP_UM, mpp=how.mpp, min_objects=5))
    sizes = tuple(size for size in _SIZES if size <= available)
    if not sizes:
        raise DatasetError("No crop of the training half has five objects.", where=data.path)
    units = [(size, draw) for size in sizes for draw in range(_DRAWS)]
    told.start(len(units), "models", f"Learning curve of {data.name}")
    halves = _Halves(train, test, how, work)
    found = {}
    for size, draw in units:
        found[size, draw] = halves.scored(size, draw)
        told.advance(1)
    told.done()
    groups = tuple(sorted({name for scores in found.values() for name in scores}))
    table = [[[found[size, draw].get(group, np.nan) for group in groups] for draw in range(_DRAWS)] for size in sizes]
    return _judged(sizes, np.array(table, dtype=np.float64), groups)


@dataclass(frozen=True, slots=True)
class _Halves:
    """Two halves of a data set, and how models are trained on the one."""

    train: Dataset
    test: Dataset
    how: Training
    work: Path

    def scored(self, size: int, draw: int) -> dict[str, float]:
        """PQ of each test group by a model that saw so many crops; kept in a file, the model is not."""
        done = self.work / f"curve-{size}-{draw}.json"
        if done.is_file():
            kept: dict[str, float] = json.loads(done.read_text("utf-8"))
            return kept
        folder, how = self.work / f"model-{size}-{draw}", self.how
        machine: dict[str, Any] = {"mpp": how.mpp, "device": how.device, "dtype": how.dtype}
        start: dict[str, Any] = (
            {"encoder": how.encoder, "weights": how.weights}
            if how.start is None
            else {"start": model_folder(how.start)}
        )
        model = adapt(self.train, out=folder, patches=size, seed=draw, overwrite=folder.exists(), **machine, **start)
        result = evaluate(self.test, model=model, resamples=1, classes=False, **machine)
        tally = cast("Accumulator", result.accumulator)  # of nuclei: the models find instances
        rows = tally.rows
        names = np.array([group or patch for group, patch in zip(rows.group, rows.patch_id, strict=True)], dtype=object)
        scores = {
            str(name): tally.scores_of(rows[np.flatnonzero(names == name)]).get("pq") for name in sorted(set(names))
        }
        defined = {name: float(value) for name, value in scores.items() if value is not None and np.isfinite(value)}
        write_json(done, defined)
        shutil.rmtree(folder)
        return defined


def _judged(sizes: Sequence[int], scores: npt.NDArray[np.float64], groups: tuple[str, ...]) -> Curve:
    """The curve with what can honestly be said about its next step."""
    known = [k for k in range(len(sizes)) if np.isfinite(scores[k]).any()]
    if len(known) < LEAST_SIZES:
        remark = f"Scores of {len(known)} sizes are too few for a law; at least {LEAST_SIZES} are needed."
        return Curve(tuple(sizes), scores, groups, None, remark)
    gain = expected_gain([sizes[k] for k in known], scores[known], sizes[known[-1]])
    if not np.isfinite(gain.low):
        remark = "One test group says nothing about how sure the gain is."
    elif gain.low < _NOTHING:
        remark = "The interval reaches 0: whether another region helps is not known."
    else:
        remark = f"From {len(groups)} test groups and {_DRAWS} draws of the training crops."
    return Curve(tuple(sizes), scores, groups, gain, remark)
