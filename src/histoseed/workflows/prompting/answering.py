"""Every annotated object of a patch is asked for, and the answers are laid over the truth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from histoseed.datasets import Patch
from histoseed.geometry import Region
from histoseed.inference.arrays import ArraySlide
from histoseed.prompting import (
    Answer,
    Candidate,
    Embedding,
    MaskPrompt,
    Prompt,
    PromptableModel,
    Window,
    recirculated,
)
from histoseed.prompting.cleanup import clean_up, get_clean_up
from histoseed.prompting.masks import ObjectMask, mask_of
from histoseed.prompting.simulate import Length, ObjectSizes, prompt_generator, tight_box
from histoseed.workflows.prompting.asking import read_window, window_of
from histoseed.workflows.prompting.conditions import Condition, moved_mask
from histoseed.workflows.prompting.rules import ellipse_in_box, haematoxylin, otsu_in_box

__all__ = ["Answered", "Asking", "Seen", "Target", "answer_patch", "laid_over", "prompt_for", "targets_of"]

Bools = npt.NDArray[np.bool_]

_RIM = 16
"""Least pixels of background around an object that simulated users see; else half of its longer side."""


class Target(NamedTuple):
    """One annotated object.

    Args:
        id: ``patch/label``.
        label: In the label image.
        truth: Its pixels with background around them.
    """

    id: str
    label: int
    truth: ObjectMask


class Seen(NamedTuple):
    """How an answer came about.

    Args:
        window: In which the object was seen.
        encode: Seconds of embedding it, which other objects may share.
        decode: Seconds of the call over the prompts that it answered.
    """

    window: Window
    encode: float
    decode: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How objects are asked for; the same for all conditions.

    Args:
        seed: Of the simulated user.
        shared: Objects share windows, as many prompts in one call do; else each is seen in its own.
        raw: Keep the answers as they were before the clean-up.
        rules: Hold simple rules against the same boxes.
    """

    seed: int = 0
    shared: bool = True
    raw: bool = False
    rules: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answered:
    """The answer for one object, on the pixels of the smallest rectangle that holds it and the truth.

    Args:
        target: The object.
        prompt: What was asked; None in automatic mode.
        place: x, y of the upper left corner of the arrays, level-0 pixels.
        truth: (h, w) bool.
        candidates: (h, w) bool, as the model orders them, after the clean-up; none in automatic mode where nothing
            was found.
        raw: The first candidate before the clean-up, where that was asked for.
        given: The mask that was the prompt, if there was one.
        rules: Answers of simple rules.
        score: IoU that the model expects.
        seen: How it came about; None in automatic mode.
    """

    target: Target
    prompt: Prompt | None
    place: tuple[int, int]
    truth: Bools
    candidates: tuple[Bools, ...]
    raw: Bools | None = None
    given: Bools | None = None
    rules: Mapping[str, Bools] = field(default_factory=dict)
    score: float
    seen: Seen | None = None


def targets_of(patch: Patch, labels: Sequence[int]) -> list[Target]:
    """Objects of a patch with background around them; those that ignored areas cover are left out."""
    found = ndimage.find_objects(patch.labels)
    made = []
    for label in labels:
        where = found[label - 1] if label <= len(found) else None
        if where is None:
            continue
        rows, columns = where
        rim = max(_RIM, max(rows.stop - rows.start, columns.stop - columns.start) // 2 + 1)
        y, x = max(0, rows.start - rim), max(0, columns.start - rim)
        mask = patch.labels[y : rows.stop + rim, x : columns.stop + rim] == label
        counted = mask if patch.ignore is None else mask & ~patch.ignore[y : y + mask.shape[0], x : x + mask.shape[1]]
        if counted.any():
            made.append(Target(f"{patch.patch_id}/{label}", label, ObjectMask(mask, x, y)))
    return made


def answer_patch(
    patch: Patch,
    targets: Sequence[Target],
    model: PromptableModel,
    conditions: Sequence[Condition],
    how: Asking,
    *,
    mpp: float | None = None,
) -> Iterator[tuple[int, Answered]]:
    """Ask for every object under every condition with a simulated user.

    A window is embedded once for all objects and conditions that are seen in it. Prompts depend on the seed and the id
    of the object alone, so that conditions are paired.

    Args:
        patch: With its image.
        targets: Its objects, from :func:`targets_of`.
        model: Answers.
        conditions: None of them automatic.
        how: The same for all.
        mpp: Assumed where the patch states none.

    Yields:
        Number of the condition, and an answer; in the order of windows.

    Raises:
        UnknownMppError: a length in micrometres where no resolution is known.
    """
    scale = patch.mpp if patch.mpp is not None else mpp
    slide = ArraySlide(patch.image, mpp=scale, name=f"patch {patch.patch_id}")
    asked: dict[Window, dict[int, list[tuple[Target, Prompt]]]] = {}
    for number, condition in enumerate(conditions):
        for target in targets:
            prompt = prompt_for(target, condition, scale, slide.size, how.seed)
            window = window_of(prompt, slide, model, shared=how.shared)
            asked.setdefault(window, {}).setdefault(number, []).append((target, prompt))
    stain = haematoxylin(patch.image) if how.rules else None
    for window, by_condition in asked.items():
        pixels = read_window(slide, window)
        begin = time.perf_counter()
        embedding = model.embed(pixels, window)
        _wait_for(embedding)
        encode = time.perf_counter() - begin
        for number, given in by_condition.items():
            condition = conditions[number]
            begin = time.perf_counter()
            answers = model.predict(embedding, [prompt for _, prompt in given], several=condition.several)
            for _ in range(condition.recirculate):
                answers = recirculated(model, embedding, answers)
            seen = Seen(window, encode, (time.perf_counter() - begin) / len(given))
            for (target, _), answer in zip(given, answers, strict=True):
                finished = _finished(answer, condition, slide.size, scale)
                raw = mask_of(answer.candidates[0], slide.size) if how.raw else None
                rough = answer.prompt.mask
                yield number, laid_over(
                    target, finished, patch, prompt=answer.prompt, score=answer.candidates[0].score, seen=seen,
                    raw=raw, given=None if rough is None else _read(rough, slide.size),
                    rules={} if stain is None else _rules(answer.prompt, stain),
                )  # fmt: skip


def prompt_for(target: Target, condition: Condition, mpp: float | None, size: tuple[int, int], seed: int) -> Prompt:
    """What the user of a condition says about an object; always the same.

    Args:
        target: The object.
        condition: Not an automatic one.
        mpp: Microns per pixel, or None.
        size: Width and height of the picture.
        seed: Of the user.

    Raises:
        UnknownMppError: a length in micrometres where no resolution is known.
    """
    mask = target.truth.mask
    region = Region(target.truth.x, target.truth.y, mask.shape[1], mask.shape[0])
    rng = prompt_generator(seed, 0, target.id)
    prompt = condition.simulated().prompt(mask, region, mpp, rng, size=size, id=target.id)
    shift = Length.parse(condition.shift)
    if not shift.value:
        return prompt
    x0, y0, x1, y1 = tight_box(mask)
    sizes = ObjectSizes(diameter=2 * float(np.sqrt(mask.sum() / np.pi)), longest=max(x1 - x0, y1 - y0), mpp=mpp)
    return moved_mask(prompt, shift, sizes, prompt_generator(seed, 1, target.id))


def _wait_for(embedding: Embedding) -> None:
    """Until a GPU is done: it computes on while the program goes on, and the time would be told of the answers."""
    for tensor in embedding.tensors.values():
        tensor.reshape(-1)[:1].cpu()


def _finished(answer: Answer, condition: Condition, size: tuple[int, int], mpp: float | None) -> list[ObjectMask]:
    """The candidates on whole pixels, cleaned."""
    how = get_clean_up(condition.clean)
    found = [mask_of(candidate, size) for candidate in answer.candidates]
    if how.name == "none":
        return found
    return [one.with_mask(clean_up(one.mask, how, mpp=mpp and mpp * one.step).mask) for one in found]


def _read(given: MaskPrompt, size: tuple[int, int]) -> ObjectMask:
    """A mask prompt on whole pixels."""
    return mask_of(Candidate(given.logits, given.region, 1.0), size)


def _rules(prompt: Prompt, stain: npt.NDArray[np.float64]) -> dict[str, ObjectMask]:
    """What simple rules make of a box, where there is one."""
    if prompt.box is None:
        return {}
    size = (stain.shape[1], stain.shape[0])
    return {"ellipse": ellipse_in_box(prompt.box, size), "otsu": otsu_in_box(prompt.box, stain)}


def laid_over(
    target: Target,
    candidates: Sequence[ObjectMask],
    patch: Patch,
    *,
    prompt: Prompt | None = None,
    score: float = 0.0,
    seen: Seen | None = None,
    raw: ObjectMask | None = None,
    given: ObjectMask | None = None,
    rules: Mapping[str, ObjectMask] | None = None,
) -> Answered:
    """Masks on the pixels of the truth; ignored pixels do not count.

    Args:
        target: The object.
        candidates: Best first.
        patch: Where it is from.
        prompt: See :class:`Answered`, as the others.
        score: See there.
        seen: See there.
        raw: See there.
        given: See there.
        rules: See there.
    """
    size = (patch.image.shape[1], patch.image.shape[0])
    known = [one for one in (raw, given, *(rules or {}).values()) if one is not None]
    frame = _frame([target.truth, *candidates, *known], size)

    def placed(mask: ObjectMask) -> Bools:
        return _placed(mask, frame, patch)

    return Answered(
        target=target,
        prompt=prompt,
        place=frame[:2],
        truth=placed(target.truth),
        candidates=tuple(placed(mask) for mask in candidates),
        raw=None if raw is None else placed(raw),
        given=None if given is None else placed(given),
        rules={name: placed(mask) for name, mask in (rules or {}).items()},
        score=score,
        seen=seen,
    )


def _placed(mask: ObjectMask, frame: tuple[int, int, int, int], patch: Patch) -> Bools:
    """A mask on the level-0 pixels of a frame, which holds it."""
    x0, y0, x1, y1 = frame
    out = np.zeros((y1 - y0, x1 - x0), bool)
    cut = _cut(mask, (patch.image.shape[1], patch.image.shape[0]))
    if cut is not None:
        rows, columns = cut.mask.shape
        out[cut.y - y0 : cut.y - y0 + rows, cut.x - x0 : cut.x - x0 + columns] = cut.mask
    return out if patch.ignore is None else out & ~patch.ignore[y0:y1, x0:x1]


def _frame(masks: Sequence[ObjectMask], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the smallest rectangle around all that is True; the first mask is not empty."""
    cuts = [cut for mask in masks if (cut := _cut(mask, size)) is not None]
    return (
        min(cut.x for cut in cuts),
        min(cut.y for cut in cuts),
        max(cut.x + cut.mask.shape[1] for cut in cuts),
        max(cut.y + cut.mask.shape[0] for cut in cuts),
    )


def _cut(mask: ObjectMask, size: tuple[int, int]) -> ObjectMask | None:
    """A mask without its empty border, on level-0 pixels of the slide; None where it is empty."""
    if not mask.mask.any():
        return None
    x0, y0, x1, y1 = tight_box(mask.mask)
    part, step = mask.mask[y0:y1, x0:x1], mask.step
    x, y = mask.x + x0 * step, mask.y + y0 * step
    if step > 1:
        part = part.repeat(step, 0).repeat(step, 1)
    part = part[: size[1] - y, : size[0] - x]
    return replace(mask, mask=part, x=x, y=y, step=1) if part.any() else None
