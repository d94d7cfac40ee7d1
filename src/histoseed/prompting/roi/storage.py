"""A promptable model of this kind on disk: a folder with ``model.safetensors`` (the head) and ``model.json``."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from histoseed.errors import ModelError
from histoseed.files import sha256_of, staged_folder, write_bytes, write_json
from histoseed.prompting.folders import put_tensors, read_prompt_folder
from histoseed.prompting.roi.card import FORMAT_VERSION, RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.segmenters import Segmenter
from histoseed.segmenters.model import CARD, WEIGHTS, read_weights

__all__ = ["load_prompter", "read_prompt_card", "save_prompter", "write_prompter_files"]


_SEGMENTER = "segmenter."
"""Before the names of what was trained of the segmenter."""


def save_prompter(model: RoiPrompter, folder: Path, *, overwrite: bool = False) -> RoiCard:
    """Write both files, the weights as float16.

    Returns:
        The card as written, with the hash of the weights.

    Raises:
        OutputError: the folder is in use, or cannot be written.
    """
    with staged_folder(folder, overwrite=overwrite) as stage:
        return write_prompter_files(model, stage, half=True)


def write_prompter_files(model: RoiPrompter, folder: Path, *, half: bool) -> RoiCard:
    """Write both files into an existing folder; the card goes last and names the hash of the weights.

    Args:
        model: Of a segmenter that was trained along (``method`` of its card), the weights are stored too.
        folder: Where to.
        half: As float16, about three digits: half the size.

    Raises:
        OutputError: the folder cannot be written.
    """
    state = {k: _storable(v, half=half) for k, v in _stored(model).items()}
    write_bytes(folder / WEIGHTS, save(state, metadata={"format": "pt"}))
    card = model.card.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS)})
    write_json(folder / CARD, card.model_dump(mode="json"))
    return card


def _stored(model: RoiPrompter) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = dict(model.head.state_dict())
    if model.card.method is not None and model.card.method.name == "full":
        state |= {_SEGMENTER + key: value for key, value in model.segmenter.state_dict().items()}
    return state


def _storable(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def read_prompt_card(folder: Path) -> RoiCard:
    """The card of a folder.

    Raises:
        ModelError: no promptable model stands there, its card is damaged, or a newer histoseed wrote it.
    """
    return read_prompt_folder(folder, RoiCard, FORMAT_VERSION)


def load_prompter(folder: Path, segmenter: Segmenter, *, dtype: torch.dtype = torch.float32) -> RoiPrompter:
    """A promptable model in evaluation mode, on the device of its segmenter.

    Args:
        folder: Where its files lie.
        segmenter: The one that gives the features.
        dtype: Precision of the networks.

    Raises:
        ModelError: no model, a wrong hash, weights that do not fit, or another segmenter than it was trained on.
    """
    card = read_prompt_card(folder)
    if segmenter.card.weights_sha256 != card.segmenter_sha256:
        what = "It was trained on the features of another segmenter (sha256 differs)."
        raise ModelError(what, where=folder, fix=f"Give it the segmenter {card.segmenter!r} that its card names.")
    state = read_weights(folder, card.weights_sha256)
    model = RoiPrompter(segmenter, new_head(segmenter, card), card, dtype=dtype)
    put_tensors(_stored(model), state, folder / WEIGHTS)
    device = next(segmenter.parameters()).device
    model.head.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
