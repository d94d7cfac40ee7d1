"""The bundled promptable model: features of a segmenter that prompts share, and a small head on the grid of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from histoseed.errors import InputError, ModelError
from histoseed.geometry import Region
from histoseed.prompting.interface import Answer, Candidate, Embedding
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.roi.card import RoiCard
from histoseed.prompting.roi.encoding import prompt_maps
from histoseed.prompting.roi.network import RoiHead
from histoseed.prompting.roi.sampling import cell_centres, read_grids, shrunk
from histoseed.prompting.roi.squares import square_of_box, square_of_points
from histoseed.prompting.roi.trunk import coarse_channels, fine_channels, shared_features
from histoseed.prompting.trainable import Asked, Parts
from histoseed.prompting.windows import Window, WindowPolicy
from histoseed.segmenters import Segmenter

__all__ = ["CONTEXT_LEVELS", "FINE_LEVELS", "RoiPrompter", "new_head"]

FINE_LEVELS = 4
"""Means over 1, 2, 4 and 8 pixels of the fine features, for objects of up to eight times the usual size."""
CONTEXT_LEVELS = 3
_MULTIPLE = 16
_BATCH = 128
"""Prompts that the head sees at once; more only need more memory."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt in pixels of the window."""

    square: npt.NDArray[np.float64]
    box: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    single: bool

    def region(self, window: Window) -> Region:
        """The level-0 rectangle of the square."""
        x, y, side = self.square
        (x0, y0), (sx, sy) = window.to_level0(np.array([x, y])), window.scale
        return Region(float(x0), float(y0), float(side * sx), float(side * sy))


def new_head(model: Segmenter, card: RoiCard) -> RoiHead:
    """A head with random weights that fits a segmenter."""
    how = card.head
    return RoiHead(
        fine_channels(model), coarse_channels(model), context=how.context, widths=how.widths,
        candidates=how.candidates, cells=how.cells,
    )  # fmt: skip


class RoiPrompter:
    """A :class:`~histoseed.prompting.PromptableModel` that answers in milliseconds on a processor.

    Args:
        segmenter: Gives the features; it stays as it is.
        head: Answers.
        card: Says what they are.
        dtype: Precision of the networks.
    """

    def __init__(
        self, segmenter: Segmenter, head: RoiHead, card: RoiCard, *, dtype: torch.dtype = torch.float32
    ) -> None:
        self.segmenter = segmenter.eval()
        self.head = head.eval()
        self.card = card
        self.dtype = dtype
        self._known: tuple[object, str] | None = None

    @property
    def name(self) -> str:
        """How people call it."""
        return self.card.name

    @property
    def policy(self) -> WindowPolicy:
        """The windows it wants."""
        return WindowPolicy(**self.card.window.model_dump())

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the card, the segmenter's hash in it, and the head's weights as they are now."""
        trained = self.head.state_dict()
        if self.card.method is not None and self.card.method.name == "full":
            trained |= self.segmenter.state_dict()
        # Counters of changes are cheap, hashes are not: a prompt must not wait for them.
        now = (self.card, tuple((t.data_ptr(), t._version) for t in trained.values()))  # noqa: SLF001
        if self._known is None or self._known[0] != now:
            self._known = (now, self._digest(trained))
        return self._known[1]

    def _digest(self, trained: Mapping[str, torch.Tensor]) -> str:
        digest = hashlib.sha256(self.card.model_dump_json(exclude={"metrics", "name"}).encode())
        for key, value in sorted(trained.items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def _device(self) -> torch.device:
        return next(self.head.parameters()).device

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    @property
    def mixes_prompts(self) -> bool:
        """Yes: every prompt becomes the same maps."""
        return True

    def parts(self) -> Parts:
        """The segmenter that gives the features; the head."""
        return Parts(self.segmenter, self.head)

    def pixels(self, image: npt.NDArray[np.uint8], window: Window) -> torch.Tensor:
        """(H, W, 3) uint8 RGB -> (1, 3, rows, columns) float32 in [0, 1], padded to multiples of 16.

        Raises:
            InputError: an array of another shape or kind than the window.
        """
        if image.dtype != np.uint8 or image.shape != (*window.shape, 3):
            what = f"The image is {image.dtype} of shape {image.shape}, its window {(*window.shape, 3)}."
            raise InputError(what, where=self.name, fix="Read the window's region at the window's shape.")
        height, width = window.shape
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        mode = "reflect" if min(height, width) > _MULTIPLE else "replicate"
        return F.pad(pixels, (0, -width % _MULTIPLE, 0, -height % _MULTIPLE), mode=mode)

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the segmenter sees, before the head: ``fine`` and one ``coarse`` map a stride."""
        gradients = torch.is_grad_enabled() and any(p.requires_grad for p in self.segmenter.parameters())
        shared = shared_features(self.segmenter, pixels, dtype=self.dtype, gradients=gradients)
        return {"fine": shared.fine} | {f"coarse.{j}": features for j, features in enumerate(shared.coarse)}

    def ask(
        self, tensors: Mapping[str, torch.Tensor], window: Window, prompts: Sequence[Prompt], *, several: bool
    ) -> Asked:
        """See :class:`histoseed.prompting.trainable.TrainablePromptable`; here prompts may be of different kinds."""
        questions = [self._question(prompt, window) for prompt in prompts]
        logits, scores = self._decoded(self._pyramids(tensors), window, prompts, questions)
        kept = slice(None) if several else slice(0, 1)
        regions = tuple(question.region(window) for question in questions)
        return Asked(logits[:, kept], scores[:, kept], regions)

    @torch.inference_mode()
    def embed(self, image: npt.NDArray[np.uint8], window: Window) -> Embedding:
        """See a window; see the protocol."""
        tensors = self.encode(self.pixels(image, window).to(self._device))
        return Embedding(window, self.fingerprint, self._pyramids(tensors))

    @torch.inference_mode()
    def predict(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool = False) -> list[Answer]:
        """Answer prompts; see the protocol."""
        if embedding.fingerprint != self.fingerprint:
            raise ModelError("The embedding was made by another model.", where=self.name, fix="Embed the window again.")
        answers: list[Answer] = []
        for first in range(0, len(prompts), _BATCH):
            answers += self._answered(embedding, prompts[first : first + _BATCH], several=several)
        return answers

    def _answered(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool) -> list[Answer]:
        questions = [self._question(prompt, embedding.window) for prompt in prompts]
        logits, expected = self._decoded(embedding.tensors, embedding.window, prompts, questions)
        masks, scores = logits.cpu().numpy(), expected.cpu().numpy()
        return [
            Answer(prompt, self._candidates(q, masks[i], scores[i], embedding.window, several=several))
            for i, (prompt, q) in enumerate(zip(prompts, questions, strict=True))
        ]

    def _pyramids(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The part of the head that looks at the window alone: every map at several scales."""
        made = {f"fine.{i}": level for i, level in enumerate(shrunk(tensors["fine"], FINE_LEVELS))}
        for j, layer in enumerate(self.head.compress):
            levels = shrunk(layer(tensors[f"coarse.{j}"]), CONTEXT_LEVELS)
            made |= {f"context.{j}.{i}": level for i, level in enumerate(levels)}
        return made

    def _decoded(
        self,
        tensors: Mapping[str, torch.Tensor],
        window: Window,
        prompts: Sequence[Prompt],
        questions: Sequence[_Question],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All candidates of each prompt: logits (B, K, cells, cells) and expected IoUs (B, K), float32."""
        cells = self.head.cells
        squares = _stacked([q.square for q in questions], self._device)
        most = max(len(q.points) for q in questions)
        points = np.zeros((len(questions), most, 2))
        labels = np.full((len(questions), most), -1)
        for i, q in enumerate(questions):
            points[i, : len(q.points)], labels[i, : len(q.labels)] = q.points, q.labels
        maps = prompt_maps(
            squares,
            cells,
            boxes=_stacked([q.box for q in questions], self._device),
            points=torch.tensor(points, dtype=torch.float32, device=self._device),
            labels=torch.tensor(labels, device=self._device),
            logits=self._given_masks(prompts, window, squares),
        )
        features = self._features(tensors, squares)
        with self._precision():
            logits, expected = self.head(features.contiguous(memory_format=torch.channels_last), maps)
        return logits.float(), expected.float().sigmoid()

    def _question(self, prompt: Prompt, window: Window) -> _Question:
        points = np.concatenate([prompt.positive, prompt.negative])
        labels = np.repeat([1, 0], [len(prompt.positive), len(prompt.negative)])
        box = np.full(4, np.nan)
        if prompt.box is not None or prompt.mask is not None:
            extent = window.from_level0(np.array(prompt.extent()).reshape(2, 2)).ravel()
            square = square_of_box(extent, self._typical(window))
            box = extent if prompt.box is not None else box
        else:
            prompt.extent()
            square = square_of_points(window.from_level0(prompt.positive), self._typical(window))
        single = prompt.box is not None or prompt.mask is not None or len(points) > 1
        return _Question(square, box, window.from_level0(points), labels, single)

    def _typical(self, window: Window) -> float:
        mpp, policy = window.region.mpp, self.policy
        return policy.object_px / window.scale[0] if mpp is None else policy.object_um / mpp

    def _given_masks(self, prompts: Sequence[Prompt], window: Window, squares: torch.Tensor) -> torch.Tensor | None:
        """Mask prompts on the grids; None where no prompt has one."""
        if all(prompt.mask is None for prompt in prompts):
            return None
        cells = self.head.cells
        out = np.full((len(prompts), 1, cells, cells), np.nan, np.float32)
        centres = cell_centres(squares.cpu(), cells).numpy()
        for i, prompt in enumerate(prompts):
            if prompt.mask is None:
                continue
            region, (height, width) = prompt.mask.region, prompt.mask.logits.shape
            at = (window.to_level0(centres[i]) - (region.x, region.y)) / (region.width, region.height)
            at = (at * (width, height) - 0.5).astype(np.float32)
            logits = np.ascontiguousarray(prompt.mask.logits, np.float32)
            out[i, 0] = cv2.remap(
                logits, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-8.0
            )
        return torch.from_numpy(out).to(self._device)

    def _features(self, tensors: Mapping[str, torch.Tensor], squares: torch.Tensor) -> torch.Tensor:
        cells = self.head.cells
        fine = [tensors[f"fine.{i}"] for i in range(FINE_LEVELS)]
        size = (fine[0].shape[-2], fine[0].shape[-1])
        of = torch.zeros(len(squares), dtype=torch.long, device=squares.device)
        read = [read_grids(fine, of, squares, cells, size)]
        for j in range(len(self.head.compress)):
            levels = [tensors[f"context.{j}.{i}"] for i in range(CONTEXT_LEVELS)]
            read.append(read_grids(levels, of, squares, cells, size))
        return torch.cat(read, 1)

    def _candidates(
        self,
        question: _Question,
        masks: npt.NDArray[np.float32],
        scores: npt.NDArray[np.float32],
        window: Window,
        *,
        several: bool,
    ) -> tuple[Candidate, ...]:
        order = np.argsort(-scores, kind="stable")
        if question.single:  # candidate 0 was trained for prompts that leave no doubt
            order = np.concatenate([[0], order[order != 0]])
        region = question.region(window)
        kept = order if several else order[:1]
        return tuple(Candidate(masks[k], region, float(scores[k])) for k in kept)


def _stacked(rows: Sequence[npt.NDArray[np.float64]], device: torch.device) -> torch.Tensor:
    return torch.tensor(np.stack(rows), dtype=torch.float32, device=device)
