"""What all SAM models share: a window is embedded once, prompts are answered from it in batches."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.errors import InputError, ModelError
from histoseed.prompting.interface import Answer, Candidate, Embedding
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.sam.cards import PromptableCard
from histoseed.prompting.sam.frame import Frame, frame_of
from histoseed.prompting.sam.pixels import prepared
from histoseed.prompting.sam.questions import Questions, batches, is_ambiguous, questions_of
from histoseed.prompting.trainable import Asked, Parts
from histoseed.prompting.windows import Window, WindowPolicy

__all__ = ["Precision", "SamPromptable"]

Precision = Literal["float32", "bfloat16"]
Tensors = Mapping[str, torch.Tensor]


class SamPromptable(ABC):
    """A SAM network as a :class:`histoseed.prompting.PromptableModel`; made by :func:`load_promptable`.

    It can be trained, as a :class:`histoseed.prompting.trainable.TrainablePromptable`; :meth:`ask` is :meth:`decode` on
    prompts instead of tensors.

    Args:
        card: What it is.
        network: Of transformers, on the device where it shall run.
        weights: Where the weights come from, for a run's manifest.
        precision: ``bfloat16``: image encoder and mask decoder compute in mixed precision. Places of prompts never do:
            eight bits cannot tell neighbouring pixels apart.
        at_once: Most prompts in one pass, each of which takes about 40 MB at 1024 pixels; None: 8 on a processor, where
            more are slower, and 64 elsewhere.
    """

    def __init__(
        self,
        card: PromptableCard,
        network: Any,
        *,
        weights: str,
        precision: Precision = "float32",
        at_once: int | None = None,
    ) -> None:
        # Any: a class of transformers, whose types are not known here.
        self.card = card
        self.network: Any = network
        self.weights = weights
        self.precision = precision
        self.at_once = at_once
        self.title: str | None = None  # the name that a training gave it
        self._policy = WindowPolicy(side=self.side)
        self._known: tuple[object, str] | None = None

    @property
    def name(self) -> str:
        """That of its training, else of the card."""
        return self.title or self.card.name

    @property
    def policy(self) -> WindowPolicy:
        """Windows of the network's side, at any resolution."""
        return self._policy

    @property
    def side(self) -> int:
        """Pixels along a side of the square that the network sees."""
        return int(self.network.config.prompt_encoder_config.image_size)

    @property
    def cells(self) -> int:
        """Cells along a side of the mask logits."""
        return 4 * self.side // int(self.network.config.prompt_encoder_config.patch_size)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = next(self.network.parameters()).device
        return device

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the card, the precision, and all weights as they are now.

        It is computed when it is first asked for, and again when a weight was changed or moved; about a second a
        gigabyte.
        """
        state = self.network.state_dict()
        now = (self.precision, tuple((t.data_ptr(), t._version) for t in state.values()))  # noqa: SLF001  torch's counter of changes
        if self._known is None or self._known[0] != now:
            self._known = (now, _digest(self.card, self.precision, state))
        return self._known[1]

    def to(self, device: str | torch.device) -> Self:
        """Move the network."""
        self.network.to(device)
        return self

    def frame(self, window: Window) -> Frame:
        """Where a window lies in the network's square."""
        return frame_of(window, self.side, self.cells, self.card.resize)

    def pixels(self, image: npt.NDArray[np.uint8], window: Window) -> torch.Tensor:
        """A window as :meth:`encode` takes it. (H, W, 3) uint8 RGB -> (1, 3, side, side) float32, on the processor.

        Raises:
            InputError: an array of another shape or kind than the window.
        """
        if image.dtype != np.uint8 or image.shape != (*window.shape, 3):
            what = f"The window has {window.shape} pixels, the image {image.shape} of {image.dtype}."
            raise InputError(what, where=self.name, fix="Give RGB, 8 bits, (rows, columns, 3).")
        return prepared(image, self.frame(window), self.card)

    def embed(self, image: npt.NDArray[np.uint8], window: Window) -> Embedding:
        """See a window; see :class:`histoseed.prompting.PromptableModel`. The same bytes each time."""
        with torch.no_grad():
            tensors = self.encode(self.pixels(image, window).to(self.device))
        return Embedding(window, self.fingerprint, tensors)

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool = False) -> list[Answer]:
        """Answer prompts about one window; see :class:`histoseed.prompting.PromptableModel`.

        With ``several`` each prompt has three candidates, as the expected IoU orders them. Without, a single click is
        answered by the best of three, everything else by the mask that the network keeps for clear prompts, as its
        authors advise. No answer depends on the other prompts.

        Raises:
            ModelError: an embedding of another model.
            InputError: a prompt that says nothing about the inside, or that lies outside the window.
        """
        if embedding.fingerprint != self.fingerprint:
            fix = "Embed the window again; weights that were trained further make another model."
            raise ModelError("The embedding was made by another model.", where=self.name, fix=fix)
        frame = self.frame(embedding.window)
        tensors = {key: tensor.to(self.device) for key, tensor in embedding.tensors.items()}
        answers: dict[int, Answer] = {}
        for numbers in batches(prompts, self.at_once or (8 if self.device.type == "cpu" else 64)):
            asked = [prompts[number] for number in numbers]
            three = several or is_ambiguous(asked[0])
            with torch.no_grad():
                logits, scores = self.decode(tensors, questions_of(asked, frame).to(self.device), several=three)
            rows, columns = frame.covered
            masks = logits[..., :rows, :columns].float().cpu().numpy()
            expected = scores.float().cpu().numpy()
            for number, prompt, some, score in zip(numbers, asked, masks, expected, strict=True):
                best = np.argsort(-score, kind="stable")[: None if several else 1]
                # Ordered before they are held within 0 and 1, which SAM's are not always.
                found = (
                    Candidate(np.ascontiguousarray(some[i]), frame.region, float(score[i].clip(0, 1))) for i in best
                )
                answers[number] = Answer(prompt, tuple(found))
        return [answers[number] for number in range(len(prompts))]

    @property
    def mixes_prompts(self) -> bool:
        """No: SAM has no way to leave out a token."""
        return False

    def parts(self) -> Parts:
        """The image encoder; prompt encoder and mask decoder. Fixed codes of places belong to neither."""
        network = self.network
        prompts = {key: part for key, part in network.prompt_encoder.named_children() if key != "shared_embedding"}
        decoder = dict(network.mask_decoder.named_children())
        return Parts(
            nn.ModuleDict({"vision_encoder": network.vision_encoder}),
            nn.ModuleDict({"prompt_encoder": nn.ModuleDict(prompts), "mask_decoder": nn.ModuleDict(decoder)}),
        )

    def ask(self, tensors: Tensors, window: Window, prompts: Sequence[Prompt], *, several: bool) -> Asked:
        """See :class:`histoseed.prompting.trainable.TrainablePromptable`: one candidate, or three."""
        frame = self.frame(window)
        logits, scores = self.decode(tensors, questions_of(prompts, frame).to(self.device), several=several)
        rows, columns = frame.covered
        return Asked(logits[..., :rows, :columns].float(), scores.float(), (frame.region,) * len(prompts))

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The image encoder, with gradients where they are enabled.

        Args:
            pixels: (1, 3, side, side) float32, from :meth:`pixels`.

        Returns:
            What :meth:`decode` takes, float32.
        """

    @abstractmethod
    def decode(self, tensors: Tensors, questions: Questions, *, several: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompt encoder and mask decoder, with gradients where they are enabled.

        Args:
            tensors: Of one window, from :meth:`encode`.
            questions: B prompts of one kind.
            several: Three masks of each instead of one.

        Returns:
            Logits (B, K, cells, cells) over the whole square and expected IoUs (B, K).
        """

    def _mixed(self, *, enabled: bool = True) -> AbstractContextManager[Any]:
        """Mixed precision where the model was asked for it."""
        on = enabled and self.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=on)


def _digest(card: PromptableCard, precision: str, state: Mapping[str, Any]) -> str:
    facts = {"card": card.as_dict(), "precision": precision}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        data = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(data.view(torch.uint8).numpy())
    return digest.hexdigest()
