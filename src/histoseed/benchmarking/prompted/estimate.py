"""What the runs of promptable models that are left will cost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoseed.benchmarking.estimate import Estimate
from histoseed.benchmarking.expand import Expansion, Run
from histoseed.benchmarking.prompted.arms import PromptArm
from histoseed.inference.executors import Unit
from histoseed.inference.executors.outcome import read_outcome
from histoseed.wording import agreed, counted
from histoseed.workflows.progress import Progress

__all__ = ["estimate_prompts"]


def estimate_prompts(
    runs: Sequence[Run[PromptArm]],
    models: Sequence[Unit],
    made: Expansion[PromptArm],
    folder: Path | None,
    *,
    limit: float,
    progress: Progress,
) -> Estimate:
    """Seconds of the runs that are left: those of finished runs of the same model, by their number of answers.

    Args:
        runs: Those.
        models: Models that must be trained before; they are not in the sum.
        made: The whole plan.
        folder: Results.
        limit: Not used: nothing is measured.
        progress: Not used.
    """
    del limit, progress
    paid: dict[str, list[float]] = {}
    for run in made.runs:
        outcome = None if folder is None else read_outcome(folder, run.unit)
        if outcome is not None and outcome.ok:
            paid.setdefault(_kind(run), []).append(outcome.seconds / _answers(run))
    by_run = {
        run.unit.key: statistics.median(paid[_kind(run)]) * _answers(run) for run in runs if _kind(run) in paid
    }  # fmt: skip
    how = []
    if by_run:
        how.append(f"{counted(len(by_run), 'run')} from the times of finished runs of the same model.")
    if len(by_run) < len(runs):
        unknown = agreed("{count} {run is|runs are} not estimated", len(runs) - len(by_run))
        how.append(f"{unknown}: no run of the same model is finished.")
    if models:
        how.append(
            agreed("{count} {model that is|models that are} trained first {is|are} not in the sum.", len(models))
        )
    if not runs:
        how.append("Every run that can be made is done." if made.runs else "No run of the plan can be made.")
    return Estimate(round(sum(by_run.values()), 1), how, len(runs) - len(by_run), by_run)


def _kind(run: Run[PromptArm]) -> str:
    """Runs of one kind cost the same an answer."""
    arm = run.arm
    facts: list[Any] = [arm.model, arm.fusion, arm.histology, arm.tiles, run.unit.arguments["scoring"]["windows"]]
    return json.dumps(facts)


def _answers(run: Run[PromptArm]) -> int:
    """Objects times conditions."""
    return max(1, int(run.budget["asked"]) * len(run.unit.arguments["conditions"]))
