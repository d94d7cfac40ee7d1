"""Ids that are the same in every run: made of the slide, the model and the outline."""

from __future__ import annotations

import hashlib
import uuid

import numpy as np
import numpy.typing as npt
import shapely
import torch

from histoseed.segmenters import Segmenter

__all__ = ["model_hash", "object_ids"]

_NAMESPACE = uuid.UUID("5a8d6a0e-2f0b-5c55-9d0c-7d1e5f3b8a61")


def object_ids(geometry: npt.NDArray[np.object_], slide: str, model: str) -> npt.NDArray[np.object_]:
    """UUIDs (version 5, RFC 9562) of outlines.

    Args:
        geometry: (n,) outlines in level-0 pixels.
        slide: Fingerprint of the slide's content.
        model: Hash of the model's weights.

    Returns:
        (n,) str. Equal outlines of one slide by one model have equal ids; within a result no two outlines are equal.
    """
    start = hashlib.sha1(_NAMESPACE.bytes + f"{slide}\n{model}\n".encode(), usedforsecurity=False)
    ids = np.empty(len(geometry), dtype=object)
    for row, outline in enumerate(shapely.to_wkb(geometry)):
        digest = start.copy()
        digest.update(outline)
        ids[row] = str(uuid.UUID(bytes=digest.digest()[:16], version=5))
    return ids


def model_hash(model: Segmenter) -> str:
    """The hash of a model's weights: that of its card, or, for a model that was never saved, of its tensors."""
    if model.card.weights_sha256 is not None:
        return model.card.weights_sha256
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
