"""Training a promptable model, top to bottom: draw prompts, ask, one step of AdamW, measure at the end of an epoch.

The model stays in evaluation mode and every prompt of every object in every epoch has a generator of its own, so that
nothing depends on what else is in a batch: ``batch 2, accumulate 4`` takes the steps of ``batch 8``, in the memory of
one window at a time. For the same reason a run that was interrupted ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from histoseed.encoders import EmbeddingCache
from histoseed.errors import InputError
from histoseed.prompting import Prompt, Window
from histoseed.prompting.methods import trained_tensors
from histoseed.prompting.sam.questions import batches, is_ambiguous
from histoseed.prompting.simulate import Length, PromptSpec, SimulatedUser, prompt_generator
from histoseed.prompting.trainable import TrainablePromptable
from histoseed.training.checkpoints import read_checkpoint, write_checkpoint
from histoseed.training.interrupts import Interrupts, run_steps
from histoseed.training.prompted.curriculum import combinations_of, draw_combination
from histoseed.training.prompted.losses import prompt_loss
from histoseed.training.prompted.plan import PromptedPlan
from histoseed.training.prompted.store import MEMORY, WindowStore
from histoseed.training.prompted.subjects import Subject

__all__ = ["PromptedHistory", "train_prompted"]

PromptedHistory = list[dict[str, float | None]]
"""One row a step: step, epoch, loss, its parts, dice, learning_rate; at the end of an epoch, with objects kept apart,
validation_loss and validation_dice, else None."""

_STREAM = 6
"""Keeps the order of objects apart from other draws of the same seed."""
_AT_ONCE = 64
"""Most prompts in one call."""
_MEASURED_AT_ONCE = 256
Shown = tuple[Subject, Prompt]


def train_prompted(
    model: TrainablePromptable,
    subjects: Sequence[Subject],
    plan: PromptedPlan,
    *,
    validation: Sequence[Subject] = (),
    checkpoint: Path | None = None,
    cache: EmbeddingCache | None = None,
    memory: int = MEMORY,
    on_step: Callable[[dict[str, float | None]], None] | None = None,
) -> PromptedHistory:
    """Train a promptable model in place.

    Args:
        model: Prepared by :func:`histoseed.prompting.methods.prepare_promptable` for the plan's method.
        subjects: Annotated objects.
        plan: Settings.
        validation: Objects kept apart, asked with the same prompts after every epoch. With them the weights of the
            lowest validation loss are kept, without them those of the last step.
        checkpoint: File to resume from, if it is there, and to write: regularly, and at a :class:`KeyboardInterrupt`.
        cache: Where embeddings are kept between runs, if the encoder does not train.
        memory: Most bytes of embeddings that are kept in memory.
        on_step: Called with each row of the history.

    Returns:
        The history of all steps, those before an interruption included.

    Raises:
        InputError: no object, or a checkpoint of another run.
    """
    if not subjects:
        raise InputError("There is nothing to train on: no outlined object was given.")
    live = plan.method != "frozen"
    store, lesson = WindowStore(model, live=live, cache=cache, memory=memory), _Lesson(plan, len(subjects))
    interrupts = Interrupts()
    state = _State(trained_tensors(model), plan, len(subjects), checkpoint, interrupts)

    def take_step(step: int) -> None:
        for group in state.optimizer.param_groups:
            group["lr"] = plan.rate(step, lesson.total)
        shown = lesson.shown(subjects, step)
        state.optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            facts = _asked(model, store, shown, plan, backward=True)
        nn.utils.clip_grad_norm_(state.trained.values(), plan.clip)
        row: dict[str, float | None] = {"step": step + 1, "epoch": lesson.epoch(step) + 1, **facts}
        row |= {"learning_rate": plan.rate(step, lesson.total), "validation_loss": None, "validation_dice": None}
        state.take(step, row, ends=lesson.ends_epoch(step))

    def look_back() -> None:
        row = state.history[-1]
        if state.unmeasured and validation:
            facts = _measured(model, store, lesson.examined(validation), plan)
            row |= {"validation_loss": facts["loss"], "validation_dice": facts["dice"]}
            state.keep_best(facts["loss"])
        state.unmeasured = False
        if on_step is not None:
            on_step(row)
        if state.step == lesson.total or state.step % plan.checkpoint_every == 0:
            state.save()

    run_steps(state, lesson.total, interrupts, take_step=take_step, look_back=look_back)
    state.finish()
    return state.history


class _Lesson:
    """Which object is shown when, and with which prompt: nothing but the plan and the object's id decides."""

    def __init__(self, plan: PromptedPlan, objects: int) -> None:
        self.plan, self.objects = plan, objects
        self.total = plan.total_steps(objects)
        self.steps = -(-objects // plan.step_size())
        self.combinations = combinations_of(plan.prompts)
        self.users = {spec: SimulatedUser(spec, Length.parse(plan.jitter)) for spec in self.combinations}
        self._order: tuple[int, list[int]] = (-1, [])

    def epoch(self, step: int) -> int:
        return step // self.steps

    def ends_epoch(self, step: int) -> bool:
        return (step + 1) % self.steps == 0 or step + 1 == self.total

    def shown(self, subjects: Sequence[Subject], step: int) -> list[Shown]:
        """The objects of a step and what the user says about each, this time."""
        epoch, size = self.epoch(step), self.plan.step_size()
        if self._order[0] != epoch:
            self._order = (
                epoch,
                _order(subjects, self.plan.together, np.random.default_rng([self.plan.seed, _STREAM, epoch])),
            )
        first = step % self.steps * size
        share = step / max(self.total - 1, 1)
        return [self._prompted(subjects[i], epoch, share) for i in self._order[1][first : first + size]]

    def examined(self, subjects: Sequence[Subject]) -> Iterator[Shown]:
        """Objects kept apart, each with the same prompt every time; all combinations in turns."""
        for number, subject in enumerate(subjects):
            spec = self.combinations[number % len(self.combinations)]
            yield subject, self._says(subject, spec, prompt_generator(self.plan.seed, 0, f"kept/{subject.id}"))

    def _prompted(self, subject: Subject, epoch: int, share: float) -> Shown:
        rng = prompt_generator(self.plan.seed, epoch, subject.id)
        spec = draw_combination(self.combinations, self.plan.curriculum, share, rng)
        return subject, self._says(subject, spec, rng)

    def _says(self, subject: Subject, spec: PromptSpec, rng: np.random.Generator) -> Prompt:
        picture = subject.picture
        user = self.users[spec]
        return user.prompt(subject.mask, subject.region, picture.mpp, rng, size=picture.size, id=subject.id)


def _order(subjects: Sequence[Subject], together: int, rng: np.random.Generator) -> list[int]:
    """A random order in which a few objects of one window stay neighbours: its embedding is read once for them."""
    windows: dict[tuple[str, Window], list[int]] = {}
    for number in rng.permutation(len(subjects)).tolist():
        subject = subjects[number]
        windows.setdefault((subject.picture.name, subject.window), []).append(number)
    chunks = [group[i : i + together] for group in windows.values() for i in range(0, len(group), together)]
    return [number for i in rng.permutation(len(chunks)).tolist() for number in chunks[i]]


def _asked(
    model: TrainablePromptable, store: WindowStore, shown: Sequence[Shown], plan: PromptedPlan, *, backward: bool
) -> dict[str, float]:
    """Mean loss, its parts and Dice over objects; gradients are added up window by window."""
    windows: dict[tuple[str, Window], list[Shown]] = {}
    for subject, prompt in shown:
        windows.setdefault((subject.picture.name, subject.window_of(prompt)), []).append((subject, prompt))
    sums: dict[str, float] = {"loss": 0.0}
    for (name, window), group in windows.items():
        tensors = store.tensors(name, window, group[0][0].picture.read)
        loss = torch.zeros((), device=store.device)
        for numbers in _calls([prompt for _, prompt in group], mixed=model.mixes_prompts):
            chosen = [group[i] for i in numbers]
            several = is_ambiguous(chosen[0][1])
            answer = model.ask(tensors, window, [prompt for _, prompt in chosen], several=several)
            shape = (answer.logits.shape[-2], answer.logits.shape[-1])
            pairs = [s.target(region, shape) for (s, _), region in zip(chosen, answer.regions, strict=True)]
            target, counts = (torch.from_numpy(np.stack(part)).to(store.device) for part in zip(*pairs, strict=True))
            cost = prompt_loss(plan.loss, answer.logits, answer.scores, target, counts)
            loss = loss + cost.total.sum()
            for key, values in {**cost.parts, "dice": cost.dice}.items():
                sums[key] = sums.get(key, 0.0) + float(values.sum())
        sums["loss"] += float(loss.detach())
        if backward:
            (loss / len(shown)).backward()  # type: ignore[no-untyped-call]
    return {key: value / len(shown) for key, value in sums.items()}


@torch.no_grad()
def _measured(
    model: TrainablePromptable, store: WindowStore, shown: Iterator[Shown], plan: PromptedPlan
) -> dict[str, float]:
    """As :func:`_asked`, for any number of objects: some hundred prompts are held at a time."""
    sums, total = {"loss": 0.0, "dice": 0.0}, 0
    while part := list(islice(shown, _MEASURED_AT_ONCE)):
        facts = _asked(model, store, part, plan, backward=False)
        sums = {key: value + facts[key] * len(part) for key, value in sums.items()}
        total += len(part)
    return {key: value / total for key, value in sums.items()}


def _calls(prompts: Sequence[Prompt], *, mixed: bool) -> Iterator[list[int]]:
    """Which prompts of a window are asked in one call: single clicks apart, which have several candidates."""
    if not mixed:
        yield from batches(prompts, _AT_ONCE)
        return
    for ambiguous in (False, True):
        numbers = [i for i, prompt in enumerate(prompts) if is_ambiguous(prompt) == ambiguous]
        yield from (numbers[i : i + _AT_ONCE] for i in range(0, len(numbers), _AT_ONCE))


class _State:
    """What changes from step to step: weights, the best of them, the optimiser, the history."""

    def __init__(
        self,
        trained: dict[str, nn.Parameter],
        plan: PromptedPlan,
        objects: int,
        checkpoint: Path | None,
        interrupts: Interrupts,
    ) -> None:
        self.trained, self.path, self.interrupts = trained, checkpoint, interrupts
        self.optimizer = torch.optim.AdamW(trained.values(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
        facts = {"plan": asdict(plan), "objects": objects, "trained": sorted(trained)}
        self.identity = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.best: dict[str, torch.Tensor] = {}
        self.best_loss = float("inf")
        self.step = 0
        self.unmeasured = False
        self.history: PromptedHistory = []
        if checkpoint is not None and checkpoint.is_file():
            self._load(checkpoint)

    def take(self, step: int, row: dict[str, float | None], *, ends: bool) -> None:
        """Follow the gradients; all that a checkpoint holds changes at once."""
        with self.interrupts.held():
            self.optimizer.step()
            self.history.append(row)
            self.step, self.unmeasured = step + 1, ends

    def keep_best(self, loss: float) -> None:
        if loss < self.best_loss:
            self.best = {k: v.detach().clone() for k, v in self.trained.items()}
            self.best_loss = loss  # only now: an interruption before it measures again

    @torch.no_grad()
    def finish(self) -> None:
        for name, value in self.best.items():
            self.trained[name].copy_(value)

    def save(self) -> None:
        if self.path is None or not self.step:
            return
        best = None if self.best_loss == float("inf") else self.best_loss
        facts = {"plan": self.identity, "step": self.step, "best": best, "history": self.history}
        facts["unmeasured"] = self.unmeasured
        write_checkpoint(self.path, {"model": self.trained, "best": self.best}, self.optimizer, facts)

    @torch.no_grad()
    def _load(self, path: Path) -> None:
        tensors, facts = read_checkpoint(path, self.identity, self.optimizer)
        for name, value in tensors["model"].items():
            self.trained[name].copy_(value)
        self.best = {k: v.to(self.trained[k].device) for k, v in tensors.get("best", {}).items()}
        self.best_loss = float("inf") if facts["best"] is None else facts["best"]
        self.step, self.history, self.unmeasured = facts["step"], facts["history"], facts["unmeasured"]
