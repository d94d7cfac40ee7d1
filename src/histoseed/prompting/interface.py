"""What every promptable model is to the rest of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.windows import Window, WindowPolicy

if TYPE_CHECKING:
    import torch

__all__ = ["Answer", "Candidate", "Embedding", "PromptableModel"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What a model has computed of one window; prompts are answered from it.

    Args:
        window: Which part of the slide.
        fingerprint: Of the model that made it; another model's embedding is refused.
        tensors: Whatever that model keeps.
    """

    window: Window
    fingerprint: str
    tensors: Mapping[str, torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take, for caches."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One possible outline.

    Args:
        logits: (h, w) float32, above 0 inside. The array covers ``region``; beyond it nothing is inside.
        region: Level-0 rectangle.
        score: IoU with the true outline that the model expects, 0 to 1.
    """

    logits: npt.NDArray[np.float32]
    region: Region
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model makes of one prompt.

    Args:
        prompt: The question.
        candidates: Best first. The best may be empty: "no object" is an answer.
    """

    prompt: Prompt
    candidates: tuple[Candidate, ...]


@runtime_checkable
class PromptableModel(Protocol):
    """Embeds a window once, then answers many prompts about it."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def policy(self) -> WindowPolicy:
        """The windows it wants."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides its answers."""

    def embed(self, image: npt.NDArray[np.uint8], window: Window) -> Embedding:
        """See a window.

        Args:
            image: (H, W, 3) uint8 RGB, of the shape of the window.
            window: Where it lies.
        """

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool = False) -> list[Answer]:
        """Answer prompts about one window, all in one batch (split where memory asks for it).

        Args:
            embedding: Made by this model.
            prompts: In level-0 pixels; each lies in the window at least in part.
            several: Hand out all candidates, not only the best.

        Raises:
            ModelError: an embedding of another model.
        """
