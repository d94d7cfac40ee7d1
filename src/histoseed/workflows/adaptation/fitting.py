"""Train, average with the start, measure: what happens between the choice of a model and its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histoseed.encoders import EmbeddingCache
from histoseed.settings import read_settings
from histoseed.workflows.adaptation.parts import ADDING
from histoseed.workflows.progress import Progress
from histoseed.workflows.runs import Run

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import Segmenter
    from histoseed.training import History, Picture, TrainingPlan

__all__ = ["Fit", "fit"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training went.

    Args:
        history: See :data:`histoseed.training.History`.
        start_share: Weight of the start in the final average; None where there is nothing to be averaged with.
        key: Key of the score that the run was watched by.
        name: Its name: it says on which patches it was measured.
        score: Of the final weights; None where it is not defined.
        before: The same before the average with the start.
    """

    history: History
    start_share: float | None
    key: str
    name: str
    score: float | None
    before: float | None


def fit(
    model: Segmenter,
    first: Segmenter | None,
    pictures: Sequence[Picture],
    plan: TrainingPlan,
    run: Run,
    *,
    kept_apart: int,
    start_share: float | None,
    dtype: torch.dtype,
    told: Progress,
    title: str,
) -> Fit:
    """Train a model in place.

    Args:
        model: Prepared for the plan, on its device.
        first: The trained model that it starts from, if any.
        pictures: Annotated pictures; the first ``kept_apart`` of them are for validation.
        plan: Settings of the loop.
        run: Where the checkpoint lies.
        kept_apart: How many pictures do not train.
        start_share: See :func:`histoseed.training.keep_of_start`.
        dtype: Precision of the forward pass.
        told: Told about every step.
        title: What is being done, for the progress.
    """
    from histoseed.segmenters.methods import STORING
    from histoseed.training import keep_of_start, measured_quality, quality_of, train

    device = str(next(model.parameters()).device)
    first = first.to(device) if first is not None else None
    training, validation = pictures[kept_apart:], pictures[:kept_apart]
    quality = quality_of(model.card.task, pictures)
    limits = read_settings()
    stores = plan.method in STORING
    cache = EmbeddingCache(limits.cache_dir / "embeddings", limits.cache_bytes) if stores else None
    told.start(plan.steps, "steps", title)
    history = train(
        model,
        training,
        plan,
        validation=validation,
        checkpoint=run.path("checkpoint.safetensors"),
        cache=cache,
        dtype=dtype,
        start=first,
        on_step=_reporter(told, quality.key),
    )
    told.done()
    measured = [value for row in history if (value := row[quality.key]) is not None]
    before = (max(measured) if validation else measured[-1]) if measured else None
    kept = None
    if first is not None and plan.method not in ADDING:
        kept = keep_of_start(
            model, first, training, plan, share=start_share, validation=validation, dtype=dtype, cache=cache
        )
    score = measured_quality(model, validation or training, plan, dtype, quality=quality, cache=cache)
    name = f"validation {quality.name}" if validation else f"{quality.name} of the fit"
    return Fit(history, kept, quality.key, name, score, before)


def _reporter(told: Progress, key: str) -> Callable[[dict[str, float | None]], None]:
    """Turns rows of the history into progress; a score is told with the step at which it was measured."""
    last: dict[str, float] = {}
    done = 0

    def report(row: dict[str, float | None]) -> None:
        nonlocal done
        if (score := row[key]) is not None:
            last.clear()
            last[f"{key} at step {row['step']}:"] = score
        step = int(row["step"] or 0)  # the first one of a run that goes on is not 1
        told.advance(step - done, loss=row["loss"] or 0.0, **last)
        done = step

    return report
