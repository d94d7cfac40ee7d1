"""What came of a condition, as the row that the report reads."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoseed._version import __version__
from histoseed.benchmarking.prompted.arms import PromptArm
from histoseed.benchmarking.prompted.results import (
    Case,
    Change,
    Epoch,
    PromptResult,
    Score,
    ScoredModel,
    SetScores,
    Stratum,
    Timing,
)
from histoseed.metrics import AnswerRows, PromptAccumulator, Scores
from histoseed.workflows.prompt_scores import KEYS, ConditionScores, PromptScores

if TYPE_CHECKING:
    from histoseed.prompting import PromptableModel

__all__ = ["RunFacts", "result_of"]

_TOLD = ("jitter", "curriculum", "epochs", "steps", "batch", "accumulate", "learning_rate", "weight_decay")
"""Settings of a training that a result names."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunFacts:
    """What all conditions of a run share.

    Args:
        arm: What is compared.
        model: That answered.
        trained: Its folder, where it was trained.
        seed: Of users and training.
        resamples: Of the intervals.
        device: On which it answered.
        seconds: Of the whole run.
        windows: ``shared`` or ``own``.
    """

    arm: PromptArm
    model: PromptableModel
    trained: Path | None
    seed: int
    resamples: int
    device: str
    seconds: float
    windows: str


def result_of(one: ConditionScores, found: PromptScores, run: RunFacts, cases: Sequence[Case]) -> PromptResult:
    """The row of a condition; plan and preset are left to whoever asks."""
    rows = one.answers.rows
    names = [str(name) for name in found.facts["datasets"]]
    intervals = one.intervals(resamples=run.resamples, seed=run.seed)
    scores = {key: Score.of(interval) for key, interval in intervals.items()}
    return PromptResult(
        plan="",
        preset="",
        model=_scored_model(run),
        condition=one.condition,
        train_sets=run.arm.train,
        test_sets=tuple(names),
        seed=run.seed,
        objects=len(rows),
        groups=_groups(rows),
        scores=scores,
        by_set={name: _of_set(one, name, run) for name in names},
        by_size=tuple(
            Stratum(
                low=stratum.low, high=None if np.isinf(stratum.high) else stratum.high,
                objects=0 if stratum.scores is None else int(stratum.scores.number("n_objects")),
                scores={} if stratum.scores is None else _plain(stratum.scores, one.keys),
            )
            for stratum in one.answers.by_size()
        ),
        baselines={
            name: {key: Score.of(interval) for key, interval in _intervals(rule, KEYS, run).items()}
            for name, rule in one.rules.items()
        },
        usability={
            protocol: {name: Change(*pair) for name, pair in numbers.items()}
            for protocol, numbers in one.usability().items()
        },
        timing=_timing(one, run),
        history=() if run.trained is None else _history(run.trained),
        cases=tuple(cases),
        facts=_facts(run),
    )  # fmt: skip


def _of_set(one: ConditionScores, name: str, run: RunFacts) -> SetScores:
    """Scores on one data set."""
    part = one.answers.of_set(name)
    return SetScores(
        objects=len(part.rows), groups=_groups(part.rows),
        scores={key: Score.of(interval) for key, interval in _intervals(part, one.keys, run).items()},
    )  # fmt: skip


def _intervals(scored: PromptAccumulator, keys: Sequence[str], run: RunFacts) -> Mapping[str, Any]:
    return scored.intervals(keys, n=run.resamples, seed=run.seed)


def _plain(scores: Scores, keys: Sequence[str]) -> dict[str, Score]:
    """Scores without an interval; strata are too small for one."""
    return {key: Score(scores.number(key)) for key in keys}


def _groups(rows: AnswerRows) -> int:
    return len(set(rows.group.tolist()))


def _scored_model(run: RunFacts) -> ScoredModel:
    arm = run.arm
    trained, everything = _parameters(run.model, arm.method)
    plan = {} if run.trained is None else _manifest(run.trained)["settings"]["plan"]
    told = {"patches": arm.patches, **{name: plan[name] for name in _TOLD if name in plan}} if plan else {}
    return ScoredModel(
        name=arm.model, weights=arm.weights, method=arm.method, prompts=plan.get("prompts"), loss=plan.get("loss"),
        training=told, fusion=arm.fusion, histology=arm.histology, tiles=arm.tiles,
        random_weights=arm.random_weights, parameters=everything, trained_parameters=trained,
    )  # fmt: skip


def _manifest(folder: Path) -> dict[str, Any]:
    """What ``run.json`` of a model says."""
    return dict(json.loads((folder / "run.json").read_text("utf-8")))


def _parameters(model: PromptableModel, method: str | None) -> tuple[int | None, int | None]:
    """How many numbers were trained, and how many there are."""
    from histoseed.prompting.trainable import TrainablePromptable  # noqa: PLC0415

    if not isinstance(model, TrainablePromptable):
        return None, None
    parts = model.parts()
    head, encoder = (sum(p.numel() for p in half.parameters()) for half in (parts.head, parts.encoder))
    added = sum(p.numel() for name, p in parts.encoder.named_parameters() if name.endswith(("lora_a", "lora_b")))
    trained = {None: 0, "frozen": head, "lora": head + added, "full": head + encoder}
    return trained[method], head + encoder


def _timing(one: ConditionScores, run: RunFacts) -> Timing | None:
    import torch  # noqa: PLC0415

    if not one.decode:
        return None
    return Timing(
        encode=float(np.median(one.encode)), decode=float(np.median(one.decode)), windows=len(one.encode),
        prompts=len(one.decode), side=int(np.median(one.sides)), device=run.device, threads=torch.get_num_threads(),
    )  # fmt: skip


def _history(folder: Path) -> tuple[Epoch, ...]:
    """Mean losses of each epoch, from ``history.json`` of a model."""
    rows = json.loads((folder / "history.json").read_text("utf-8"))
    epochs: dict[float, list[Mapping[str, Any]]] = {}
    for row in rows:
        epochs.setdefault(float(row["epoch"]), []).append(row)
    made = []
    for number, some in epochs.items():
        losses = [row["loss"] for row in some if row["loss"] is not None]
        measured = [row["validation_loss"] for row in some if row["validation_loss"] is not None]
        made.append(Epoch(number, float(np.mean(losses)) if losses else None, measured[-1] if measured else None))
    return tuple(made)


def _facts(run: RunFacts) -> dict[str, str | int | float | bool | None]:
    import torch  # noqa: PLC0415

    facts: dict[str, str | int | float | bool | None] = {
        "histoseed": __version__, "python": platform.python_version(), "torch": torch.__version__,
        "system": platform.system(), "processors": os.cpu_count(), "device": run.device, "seconds": run.seconds,
        "windows": run.windows, "model_fingerprint": run.model.fingerprint, "patches": run.arm.patches,
    }  # fmt: skip
    if run.trained is not None:
        made = _manifest(run.trained)["results"]
        facts |= {"training_seconds": made["seconds"], "training_steps": made["steps"]}
        facts |= {f"{part}_objects": count for part, count in made["objects"].items()}
    return facts
