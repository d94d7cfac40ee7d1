"""The training loop, top to bottom: draw a batch, one step of AdamW, average the weights, measure, keep a checkpoint.

Every random choice of step ``i`` comes from a generator seeded with ``(seed, i)``. A run that is interrupted therefore
needs its tensors and its step number, nothing else, to end with the weights of an uninterrupted one. Ctrl-C writes the
checkpoint of the last whole step; a machine that dies loses what came after the last regular one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.encoders import EmbeddingCache
from histoseed.errors import InputError
from histoseed.segmenters import Segmenter
from histoseed.segmenters.methods import STORING, with_branch
from histoseed.training.augment import augment
from histoseed.training.balance import draw_index, picture_weights
from histoseed.training.checkpoints import read_checkpoint, write_checkpoint
from histoseed.training.crops import Crop, Picture, draw_crop
from histoseed.training.interrupts import Interrupts, run_steps
from histoseed.training.measuring import Gauge
from histoseed.training.plan import TrainingPlan
from histoseed.training.quality import quality_of
from histoseed.training.teaching import Batch, Teaching
from histoseed.training.views import FeatureStore

__all__ = ["History", "train"]

History = list[dict[str, float | None]]
"""One row a step: step, loss, its parts, learning rate, and where it was measured ``pq`` (of a semantic model ``dice``,
without outlines ``f1_detection``)."""


def train(
    model: Segmenter,
    pictures: Sequence[Picture],
    plan: TrainingPlan,
    *,
    validation: Sequence[Picture] = (),
    checkpoint: Path | None = None,
    cache: EmbeddingCache | None = None,
    dtype: torch.dtype = torch.float32,
    start: Segmenter | None = None,
    on_step: Callable[[dict[str, float | None]], None] | None = None,
) -> History:
    """Train a segmenter in place on annotated pictures.

    Args:
        model: Encoder and decoder; it ends with the averaged weights, in evaluation mode.
        pictures: Annotated crops; one is enough.
        plan: Settings.
        validation: Pictures kept apart. With them the averaged weights of the best measurement are kept, without them
            those of the last step, and the quality is measured on the training pictures.
        checkpoint: File to resume from, if it is there, and to write: regularly, and at a :class:`KeyboardInterrupt`.
        cache: Where features of an encoder that does not train are kept between runs.
        dtype: Precision of the forward pass; the weights stay float32.
        start: The trained model that training starts from, on the same device. Where points and boxes say nothing, what
            it knew is kept; for outlines it is not looked at.
        on_step: Called with each row of the history.

    Returns:
        The history of all steps, those before an interruption included.

    Raises:
        InputError: no picture, a model that is not prepared for the plan's method, or a checkpoint of another run.
    """
    if not pictures:
        raise InputError("There is nothing to train on: no annotated patch was given.")
    device = next(model.parameters()).device
    _check_prepared(model, plan)
    _ = model.encoder.freeze() if plan.method == "frozen" else model.encoder.unfreeze()
    weights = picture_weights(pictures, len(model.card.classes), plan.balance)
    stores = plan.method in STORING
    store = FeatureStore(model, pictures, plan, cache=cache, weights=weights) if stores else None
    teaching = Teaching(model, pictures, start)
    quality = quality_of(model.card.task, [*pictures, *validation])
    gauge = Gauge(model, validation or pictures, plan, dtype, quality=quality, cache=cache)
    interrupts = Interrupts()
    state = _State(model, plan, checkpoint, interrupts)
    precision = nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)

    look_back = partial(_look_back, state, gauge, quality.key, on_step, keep_best=bool(validation))

    def take_step(step: int) -> None:
        rng = np.random.default_rng([plan.seed, step])
        model.train()
        for group in state.optimizer.param_groups:
            group["lr"] = plan.rate(step)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**62)))
            images, crops, stored = store.batch(rng) if store else (*_draw_batch(pictures, plan, rng, weights), None)
            given = images.to(device, memory_format=torch.channels_last)
            stored = None if stored is None else [f.to(device) for f in stored]
            with precision:
                features = model.encoder(given) if stored is None else with_branch(model.encoder, given, stored)
                maps, before = model.decode(given, features), teaching.known_before(given, stored)
        loss, parts = teaching.loss(Batch(given, crops, features, maps), before, int(rng.integers(2**62)))
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.trained, plan.clip)
        row: dict[str, float | None] = {"step": step + 1, "loss": float(loss.detach()), **parts}
        row |= {"learning_rate": plan.rate(step), quality.key: None}
        state.take(step, row)

    run_steps(state, plan.steps, interrupts, take_step=take_step, look_back=look_back)
    state.finish()
    model.eval()
    return state.history


def _look_back(
    state: _State,
    gauge: Gauge,
    key: str,
    on_step: Callable[[dict[str, float | None]], None] | None,
    *,
    keep_best: bool,
) -> None:
    """Measure the step that was taken, tell it, keep a checkpoint."""
    row, plan = state.history[-1], state.plan
    if state.unmeasured:
        with state.averaged():
            row[key] = gauge.score()
        if keep_best:
            state.keep_best(row[key])
        state.unmeasured = False
    if on_step is not None:
        on_step(row)
    if state.step == plan.steps or state.step % plan.checkpoint_every == 0:
        state.save()


def _check_prepared(model: Segmenter, plan: TrainingPlan) -> None:
    """A method that adds to the encoder has been there already, or everything would be trained instead."""
    given = "frozen" if model.card.method is None else model.card.method.name
    plain = {"frozen", "full"}
    if given != plan.method and not {given, plan.method} <= plain:
        what = f"The model is prepared for {given}, the plan trains {plan.method}."
        raise InputError(what, where="method", fix="Prepare the encoder with histoseed.segmenters.prepare.")


def _draw_batch(
    pictures: Sequence[Picture],
    plan: TrainingPlan,
    rng: np.random.Generator,
    weights: npt.NDArray[np.float64] | None,
) -> tuple[torch.Tensor, list[Crop]]:
    crops = [
        draw_crop(pictures[draw_index(rng, len(pictures), weights)], plan.crop, rng, scale=plan.scale)
        for _ in range(plan.batch)
    ]
    images = torch.from_numpy(np.stack([c.image for c in crops])).permute(0, 3, 1, 2).float() / 255
    return augment(images, plan.augmentation, rng), crops


class _State:
    """What changes from step to step: weights, their average, the optimiser, the history."""

    def __init__(self, model: Segmenter, plan: TrainingPlan, checkpoint: Path | None, interrupts: Interrupts) -> None:
        self.model, self.plan, self.path, self.interrupts = model, plan, checkpoint, interrupts
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=plan.learning_rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98)
        )
        self.tracked = {
            k: v
            for k, v in model.state_dict(keep_vars=True).items()
            if not k.startswith("encoder.")
            or (plan.method != "frozen" and (v.requires_grad or not isinstance(v, nn.Parameter)))
        }
        self.mean = {k: v.detach().clone() for k, v in self.tracked.items()}
        self.best: dict[str, torch.Tensor] = {}
        self.best_score = -1.0
        self.step = 0
        self.unmeasured = False
        self.history: History = []
        if checkpoint is not None and checkpoint.is_file():
            self._load(checkpoint)
        self.buffers = self._buffers()

    def take(self, step: int, row: dict[str, float | None]) -> None:
        """Follow the gradients; all that a checkpoint holds changes at once."""
        with self.interrupts.held():
            self.optimizer.step()
            self.average(step)
            self.history.append(row)
            self.buffers = self._buffers()
            self.step = step + 1
            self.unmeasured = self.step == self.plan.steps or self.step % self.plan.report_every == 0

    def _buffers(self) -> dict[str, torch.Tensor]:
        """What a forward pass changes, such as statistics of batch normalisation."""
        return {k: v.detach().clone() for k, v in self.tracked.items() if not isinstance(v, nn.Parameter)}

    @torch.no_grad()
    def average(self, step: int) -> None:
        """Exponential moving average, with a short memory in the first steps."""
        decay = min(self.plan.ema, (1 + step) / (10 + step))
        for key, value in self.tracked.items():
            if value.dtype.is_floating_point:
                self.mean[key].lerp_(value.detach(), 1 - decay)
            else:
                self.mean[key].copy_(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the model has the averaged weights."""
        swapped = False
        try:
            with self.interrupts.held():
                self._swap()
                swapped = True
            yield
        finally:
            if swapped:
                with self.interrupts.held():
                    self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for key, value in self.tracked.items():
            kept = value.detach().clone()
            value.data.copy_(self.mean[key])
            self.mean[key].copy_(kept)

    def keep_best(self, score: float | None) -> None:
        if score is not None and score > self.best_score:
            self.best = {k: v.clone() for k, v in self.mean.items()}
            self.best_score = score  # only now: an interruption before it measures again

    @torch.no_grad()
    def finish(self) -> None:
        for key, value in (self.best or self.mean).items():
            self.tracked[key].data.copy_(value)

    def _identity(self) -> str:
        return sha256(json.dumps(asdict(self.plan), sort_keys=True).encode()).hexdigest()

    def save(self) -> None:
        """Write the checkpoint: the file is the new one or the old one, whatever happens."""
        if self.path is None or not self.step:
            return
        # The step that was interrupted may have changed buffers already, and will do so again.
        model = {k: self.buffers.get(k, v) for k, v in self.tracked.items()}
        facts = {"step": self.step, "best": self.best_score, "plan": self._identity(), "history": self.history}
        facts["unmeasured"] = self.unmeasured
        tensors = {"model": model, "mean": self.mean, "best": self.best}
        write_checkpoint(self.path, tensors, self.optimizer, facts)

    def _load(self, path: Path) -> None:
        tensors, facts = read_checkpoint(path, self._identity(), self.optimizer)
        for name, value in tensors.pop("model").items():
            self.tracked[name].data.copy_(value)
        for kind, named in tensors.items():
            getattr(self, kind).update({name: value.to(self.tracked[name].device) for name, value in named.items()})
        self.step, self.best_score, self.history = facts["step"], facts["best"], facts["history"]
        self.unmeasured = facts.get("unmeasured", False)
