"""Prompts as tensors: what SAM's prompt encoders take, one kind of prompt a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from histoseed.errors import InputError
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.sam.frame import Frame

__all__ = ["Questions", "batches", "is_ambiguous", "questions_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Prompts of one kind: all with or all without a box and a mask, all with equally many points.

    Args:
        points: (B, 1, P, 2) float32 x, y in the network's square, less the half pixel that the prompt encoders add;
            None without points.
        labels: (B, 1, P) int64, 1 for points inside, 0 outside.
        boxes: (B, 1, 4) float32 x0, y0, x1, y1, shifted like the points.
        masks: (B, 1, cells, cells) float32 logits.
    """

    points: torch.Tensor | None
    labels: torch.Tensor | None
    boxes: torch.Tensor | None
    masks: torch.Tensor | None

    def __len__(self) -> int:
        present = next(t for t in (self.points, self.boxes, self.masks) if t is not None)
        return len(present)

    def to(self, device: torch.device) -> Questions:
        """The same elsewhere."""
        return Questions(*(
            None if tensor is None else tensor.to(device)
            for tensor in (self.points, self.labels, self.boxes, self.masks)
        ))  # fmt: skip


def is_ambiguous(prompt: Prompt) -> bool:
    """Whether a prompt is a single click, which may mean a part as well as the whole."""
    return prompt.box is None and prompt.mask is None and len(prompt.positive) + len(prompt.negative) == 1


def batches(prompts: Sequence[Prompt], at_once: int) -> Iterator[list[int]]:
    """Which prompts are answered together: of one kind, and at most ``at_once``.

    SAM has no way to leave out a token. Tokens that only fill up ("not a point", or the zero tokens of transformers)
    are attended to like any other, and change the masks of the prompts that they were added to. Prompts with differing
    numbers of points are therefore never in one batch, and no answer depends on what else is asked.
    """
    kinds: dict[tuple[int, bool, bool, bool], list[int]] = {}
    for number, prompt in enumerate(prompts):
        kind = (
            len(prompt.positive) + len(prompt.negative), prompt.box is not None, prompt.mask is not None,
            is_ambiguous(prompt),
        )  # fmt: skip
        kinds.setdefault(kind, []).append(number)
    for numbers in kinds.values():
        for start in range(0, len(numbers), at_once):
            yield numbers[start : start + at_once]


def questions_of(prompts: Sequence[Prompt], frame: Frame) -> Questions:
    """Prompts of one kind as tensors.

    Raises:
        InputError: a prompt that says nothing about the inside, that lies outside the window, or whose mask does.
    """
    for prompt in prompts:
        _check_place(prompt, frame)
    points = labels = boxes = masks = None
    first = prompts[0]
    if len(first.positive) + len(first.negative):
        places = np.stack([np.concatenate([prompt.positive, prompt.negative]) for prompt in prompts])
        points = _shifted(frame.to_square(places))[:, None]
        signs = [[1] * len(prompt.positive) + [0] * len(prompt.negative) for prompt in prompts]
        labels = torch.tensor(signs)[:, None]
    if first.box is not None:
        corners = np.array([prompt.box for prompt in prompts], float).reshape(-1, 2, 2)
        boxes = _shifted(frame.to_square(corners)).reshape(-1, 1, 4)
    if first.mask is not None:
        logits = np.stack([frame.mask_logits(prompt.mask) for prompt in prompts if prompt.mask is not None])
        masks = torch.from_numpy(logits)[:, None]
    return Questions(points, labels, boxes, masks)


def _shifted(places: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> torch.Tensor:
    return torch.from_numpy((places - 0.5).astype(np.float32))


def _check_place(prompt: Prompt, frame: Frame) -> None:
    x0, y0, x1, y1 = prompt.extent()
    area = frame.window.region
    if x1 < area.x or y1 < area.y or x0 > area.x + area.width or y0 > area.y + area.height:
        where = f"prompt {prompt.id}" if prompt.id else "prompt"
        what = (
            f"The prompt at ({x0:g}, {y0:g}) to ({x1:g}, {y1:g}) lies outside the window of {area.width:g} x "
            f"{area.height:g} level-0 pixels at ({area.x:g}, {area.y:g})."
        )
        raise InputError(what, where=where, fix="Embed a window around it: window_for(prompt.extent(), ...).")
