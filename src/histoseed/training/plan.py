"""What one training run does: a frozen table, written to ``run.json`` and ``model.json``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from histoseed.errors import InputError
from histoseed.segmenters.methods import METHODS, MethodName
from histoseed.training.augment import Augmentation

__all__ = ["TrainingPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Settings of the loop.

    Args:
        steps: Optimiser steps.
        batch: Crops a step.
        crop: Side of a crop, pixels at the model's resolution.
        learning_rate: Peak of the schedule (linear warm-up, then a cosine to a hundredth).
        warmup: Steps of the warm-up.
        weight_decay: Of AdamW (Loshchilov & Hutter, 2019).
        clip: Largest norm of the gradient.
        ema: Decay of the moving average of the weights; the average is what is kept.
        method: "frozen" trains the decoder on stored features, "side-branch" a small network beside it, "full" the
            encoder as well, any other what :func:`histoseed.segmenters.prepare` says; the model must be prepared for
            it.
        views: Fixed augmented views of each patch whose features are stored ("frozen" and "side-branch" only).
        seed: Of every random choice.
        report_every: Steps between two measurements of panoptic quality.
        checkpoint_every: Steps between two checkpoints.
        balance: Weight of rare cells and tissues when crops are drawn, 0 to 1; see
            :func:`histoseed.training.picture_weights`. 0 draws every picture equally often.
        scale: Smallest and largest random zoom.
        augmentation: Change of look.
    """

    steps: int = 300
    batch: int = 8
    crop: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.99
    method: MethodName = "frozen"
    views: int = 8
    seed: int = 0
    report_every: int = 50
    checkpoint_every: int = 20
    balance: float = 0.0
    scale: tuple[float, float] = (0.8, 1.25)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "crop", "learning_rate", "views", "report_every", "checkpoint_every")
        for name in positive:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError("The value must be positive and finite.", where=name)
        if not 0 <= self.balance <= 1:
            raise InputError(f"A weight of {self.balance}.", where="--balance", fix="Give a number from 0 to 1.")
        if self.method not in METHODS:
            fix = f"Use one of {', '.join(METHODS)}."
            raise InputError(f"There is no method {self.method!r}.", where="--method", fix=fix)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        fall = 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, step / self.steps)))
        return self.learning_rate * rise * (0.01 + 0.99 * fall)
