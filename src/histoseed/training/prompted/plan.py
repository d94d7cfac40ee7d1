"""What one training of a promptable model does: a frozen table, written to ``run.json`` and ``model.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from histoseed.errors import InputError
from histoseed.prompting.methods import PROMPT_METHODS
from histoseed.prompting.simulate import Length
from histoseed.training.prompted.curriculum import CurriculumName, combinations_of
from histoseed.training.prompted.losses import LossName

__all__ = ["PromptedPlan", "Schedule", "WindowChoice"]

Schedule = Literal["cosine", "constant"]
WindowChoice = Literal["prompt", "object"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedPlan:
    """Settings of the loop.

    Args:
        method: ``frozen`` trains the head on stored embeddings, ``lora`` low-rank updates of the encoder as well,
            ``full`` everything.
        prompts: What the simulated user says; see :func:`histoseed.training.prompted.combinations_of`.
        jitter: Largest move of a side of a box, as text: ``1um``, ``4px``, ``20w``.
        curriculum: ``mixed``: all combinations from the start; ``growing``: those that say most first, all of them from
            the middle of the training on.
        loss: See :func:`histoseed.training.prompted.prompt_loss`.
        epochs: How often every object is shown.
        steps: Optimiser steps; instead of ``epochs`` where it is given.
        batch: Objects a batch.
        accumulate: Batches an optimiser step.
        together: Objects of one window that stay together in a batch, where windows are shared.
        learning_rate: Peak of the schedule.
        schedule: ``cosine``: down to a hundredth; ``constant``.
        warmup: Steps of the linear warm-up.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        windows: ``prompt`` shows those that service would choose for such prompts, around a box and a click that a user
            draws, see :func:`histoseed.training.prompted.subjects_of`; ``object`` always that of the exact box of the
            object, as published.
        smallest: Objects of fewer pixels are left out.
        seed: Of every random choice.
        checkpoint_every: Steps between two checkpoints.
    """

    method: str = "frozen"
    prompts: str = "all"
    jitter: str = "1um"
    curriculum: CurriculumName = "mixed"
    loss: LossName = "bce-iou"
    epochs: int = 10
    steps: int | None = None
    batch: int = 16
    accumulate: int = 1
    together: int = 8
    learning_rate: float = 1e-4
    schedule: Schedule = "cosine"
    warmup: int = 10
    weight_decay: float = 1e-4
    clip: float = 1.0
    windows: WindowChoice = "prompt"
    smallest: int = 10
    seed: int = 0
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        positive = ("epochs", "batch", "accumulate", "together", "learning_rate", "clip", "checkpoint_every")
        for name in (*positive, *(["steps"] if self.steps is not None else [])):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError("The value must be positive and finite.", where=name)
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InputError("The value must be finite and not below 0.", where="weight_decay")
        known = {
            "method": PROMPT_METHODS, "curriculum": get_args(CurriculumName), "loss": get_args(LossName),
            "schedule": get_args(Schedule), "windows": get_args(WindowChoice),
        }  # fmt: skip
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                fix = f"Use one of {', '.join(choices)}."
                raise InputError(f"There is no {name} {getattr(self, name)!r}.", where=f"--{name}", fix=fix)
        combinations_of(self.prompts)
        Length.parse(self.jitter)

    def step_size(self) -> int:
        """Objects an optimiser step."""
        return self.batch * self.accumulate

    def total_steps(self, objects: int) -> int:
        """Optimiser steps of a training on so many objects."""
        return self.steps or self.epochs * math.ceil(objects / self.step_size())

    def rate(self, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        if self.schedule == "constant":
            return self.learning_rate * rise
        fall = 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, step / total)))
        return self.learning_rate * rise * (0.01 + 0.99 * fall)
