"""Embeddings of windows: computed once where the encoder does not train, kept in memory and on the disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from histoseed.encoders import EmbeddingCache, embedding_key
from histoseed.prompting import Window
from histoseed.prompting.trainable import TrainablePromptable

__all__ = ["MEMORY", "WindowStore", "encoder_fingerprint"]

MEMORY = 1 << 30
"""Bytes of embeddings kept in memory; what was not used for longest goes first."""


class WindowStore:
    """What a model's encoder makes of windows.

    Args:
        model: Its encoder stays as it is, unless ``live``.
        live: The encoder trains: every window is computed anew, with gradients where they are enabled.
        cache: Where embeddings are kept between runs; None keeps them in memory only.
        memory: Most bytes kept in memory.

    Stored embeddings are float16, and so is what is computed beside them, so that a run does not depend on what was
    stored before. They take the precision of the network again when they are read.
    """

    def __init__(
        self, model: TrainablePromptable, *, live: bool, cache: EmbeddingCache | None = None, memory: int = MEMORY
    ) -> None:
        self.model, self.live, self.cache, self.memory = model, live, cache, memory
        self.device = next(model.parts().head.parameters()).device
        self.computed = 0
        self._fingerprint = "" if live or cache is None else encoder_fingerprint(model)
        self._names: list[str] = []
        self._kept: OrderedDict[tuple[str, Window], dict[str, torch.Tensor]] = OrderedDict()
        self._bytes = 0

    def tensors(
        self, picture: str, window: Window, read: Callable[[Window], npt.NDArray[np.uint8]]
    ) -> dict[str, torch.Tensor]:
        """The embedding of a window, as :meth:`TrainablePromptable.ask` takes it.

        Args:
            picture: Name of the picture, unique in this store.
            window: Part of it.
            read: Gives its pixels.
        """
        if self.live:
            return self.model.encode(self.model.pixels(read(window), window).to(self.device))
        place = (picture, window)
        if place not in self._kept:
            self._keep(place, self._stored(read(window), window))
        self._kept.move_to_end(place)
        return {name: tensor.to(self.device).float() for name, tensor in self._kept[place].items()}

    def _stored(self, image: npt.NDArray[np.uint8], window: Window) -> dict[str, torch.Tensor]:
        """From the disk, or computed. The first window is always computed: it says what the tensors are called."""
        # The resolution decides how many tiles a histology encoder sees; kinds of devices round differently.
        maker = f"{self._fingerprint} {window.region.mpp} {self.device.type}"
        key = embedding_key(image, maker, precision="float16")
        if self.cache is not None and self._names:
            arrays = self.cache.get(key)
            if arrays is not None and len(arrays) == len(self._names):
                return dict(zip(self._names, map(torch.from_numpy, arrays), strict=True))
        self.computed += 1
        with torch.no_grad():
            found = self.model.encode(self.model.pixels(image, window).to(self.device))
        self._names = sorted(found)
        tensors = {name: _narrowed(found[name]) for name in self._names}
        if self.cache is not None:
            self.cache.put(key, [tensor.numpy() for tensor in tensors.values()])
        return tensors

    def _keep(self, place: tuple[str, Window], tensors: dict[str, torch.Tensor]) -> None:
        self._kept[place] = tensors
        self._bytes += _bytes_of(tensors)
        while self._bytes > self.memory and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= _bytes_of(gone)


def encoder_fingerprint(model: TrainablePromptable) -> str:
    """SHA-256 over what decides about embeddings: kind and card of the model, precision, weights of the encoder."""
    facts = (type(model).__name__, model.policy, getattr(model, "card", model.name),
             getattr(model, "precision", None), getattr(model, "dtype", None),
             getattr(model, "other_encoder", None))  # fmt: skip
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in sorted(model.parts().encoder.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _narrowed(tensor: torch.Tensor) -> torch.Tensor:
    """float16 on the processor; what lies beyond its range stays float32."""
    tensor = tensor.detach().float().cpu().contiguous()
    fits = not tensor.numel() or tensor.abs().max() <= torch.finfo(torch.float16).max
    return tensor.half() if fits else tensor


def _bytes_of(tensors: dict[str, torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
