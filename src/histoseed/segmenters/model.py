"""A segmenter: encoder, decoder and card; saved as a folder, loaded strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from histoseed.encoders import FeaturePyramid, build_encoder
from histoseed.errors import ModelError
from histoseed.files import sha256_of, staged_folder, write_bytes, write_json
from histoseed.segmenters.card import FORMAT_VERSION, ModelCard
from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.targets import DISTANCES, SEMANTIC

__all__ = [
    "Maps",
    "Segmenter",
    "load_segmenter",
    "mix_with",
    "read_card",
    "save_segmenter",
    "start_from",
    "write_model_files",
]

CARD = "model.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Maps:
    """Dense predictions of a batch, float32.

    Args:
        semantic: (N, 3, H, W) probabilities of background, body, boundary between touching nuclei.
        distances: (N, 4, H, W) directional maps in [-1, 1].
        classes: (N, 1 + C, H, W) class probabilities, class 0 unclassified; None without classes.
    """

    semantic: npt.NDArray[np.float32]
    distances: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None


@contextmanager
def _precision(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    if dtype == torch.float32:
        yield
    else:
        with torch.autocast(device.type, dtype=dtype):
            yield


class Segmenter(nn.Module):
    """Encoder with skips, decoder, card.

    Args:
        encoder: Gives the features of several depths.
        card: Says how the decoder is built and what its maps mean.

    Shape: input (N, 3, H, W) RGB float in [0, 1]; output (N, 7 [+ 1 + classes], H, W) raw maps.
    """

    def __init__(self, encoder: FeaturePyramid, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.encoder = encoder
        outputs = SEMANTIC + DISTANCES + (1 + len(card.classes) if card.classes else 0)
        self.decoder = SkipDecoder(
            list(encoder.channels), outputs, widths=card.decoder.widths, image_widths=card.decoder.image_widths
        )

    def decode(self, images: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Raw maps from images in [0, 1] and features already at hand. (N, outputs, H, W)."""
        maps: torch.Tensor = self.decoder((images - 0.5) / 0.5, features)
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raw maps; see the class for shapes."""
        return self.decode(images, self.encoder(images))

    @torch.inference_mode()
    def predict(self, images: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> Maps:
        """Maps of a batch, in evaluation mode.

        Args:
            images: (N, 3, H, W) RGB float in [0, 1], on any device.
            dtype: Precision of the network: float32, or bfloat16 where the processor has it.
        """
        device = next(self.parameters()).device
        with _precision(device, dtype):
            raw = self(images.to(device, memory_format=torch.channels_last))
        raw = raw.float()
        kinds = raw[:, SEMANTIC + DISTANCES :]
        return Maps(
            semantic=raw[:, :SEMANTIC].softmax(1).cpu().numpy(),
            distances=raw[:, SEMANTIC : SEMANTIC + DISTANCES].tanh().cpu().numpy(),
            classes=kinds.softmax(1).cpu().numpy() if self.card.classes else None,
        )


def save_segmenter(model: Segmenter, folder: Path, *, half: bool = False, overwrite: bool = False) -> ModelCard:
    """Write ``model.safetensors`` and ``model.json``.

    Args:
        model: What to save.
        folder: Must be absent or empty, unless ``overwrite``.
        half: Store weights as float16 (half the size, about three digits).
        overwrite: Replace an existing folder.

    Returns:
        The card as written, with the hash of the weights.

    Raises:
        OutputError: the folder is in use, or cannot be written.
    """
    with staged_folder(folder, overwrite=overwrite) as stage:
        return write_model_files(model, stage, half=half)


def write_model_files(model: Segmenter, folder: Path, *, half: bool = False) -> ModelCard:
    """Write the two files of a model into an existing folder; the card goes last and names the hash of the weights."""
    stored = model.card.encoder.stored
    state = {k: v for k, v in model.state_dict().items() if stored or not k.startswith("encoder.")}
    write_bytes(
        folder / WEIGHTS, save({k: _storable(v, half=half) for k, v in state.items()}, metadata={"format": "pt"})
    )
    card = model.card.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS)})
    write_json(folder / CARD, card.model_dump(mode="json"))
    return card


@torch.no_grad()
def start_from(model: Segmenter, other: Segmenter) -> None:
    """Copy the weights of another model where they fit; of the last layer, the maps that do not depend on classes."""
    own = model.state_dict()
    for key, value in other.state_dict().items():
        if key not in own:
            continue
        if own[key].shape == value.shape:
            own[key].copy_(value)
        elif key.startswith("decoder.head."):
            shared = SEMANTIC + DISTANCES
            own[key][:shared].copy_(value[:shared])


@torch.no_grad()
def mix_with(model: Segmenter, other: Segmenter, share: float) -> None:
    """Average weights with those of another model, where they fit; of the last layer, the maps without classes.

    Args:
        model: Changed in place.
        other: The model it was started from, see :func:`start_from`.
        share: Weight of ``other``, 0 to 1.

    The half-way average of a model and its fine-tuned copy keeps most of what was learned and loses less of what was
    known (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").
    """
    own = model.state_dict()
    for key, value in other.state_dict().items():
        if key not in own or not own[key].dtype.is_floating_point:
            continue
        given = value.to(own[key].device)
        if own[key].shape == given.shape:
            own[key].lerp_(given, share)
        elif key.startswith("decoder.head."):
            shared = SEMANTIC + DISTANCES
            own[key][:shared].lerp_(given[:shared], share)


def _storable(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        ModelError: no model stands there, its card is damaged, or a newer histoseed wrote it.
    """
    path = folder / CARD
    if not path.is_file():
        fix = f"Name a folder that holds {CARD} and {WEIGHTS}, as `histoseed adapt --out` writes it."
        raise ModelError("This is not a model folder.", where=folder, fix=fix)
    try:
        content: Any = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"The model card is damaged ({error}).", where=path) from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        what = f"The model has format version {version}; this histoseed reads up to {FORMAT_VERSION}."
        raise ModelError(what, where=path, fix="Update histoseed.")
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"Field {'.'.join(map(str, first['loc']))}: {first['msg']}."
        raise ModelError(what, where=path) from error


def load_segmenter(folder: Path, *, device: str = "cpu") -> Segmenter:
    """A trained model, in evaluation mode.

    Raises:
        ModelError: no model, a newer version, a wrong hash, weights that do not fit.
    """
    folder = Path(folder)
    card = read_card(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError("The weights are missing.", where=path, fix="Copy the whole model folder.")
    if card.weights_sha256 is not None and sha256_of(path) != card.weights_sha256:
        what = f"The weights are not those that {CARD} names (sha256 differs)."
        raise ModelError(what, where=path, fix="Copy the whole model folder again.")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ModelError(f"The weights are damaged ({error}).", where=path, fix="Copy the model again.") from error
    entry = card.encoder
    encoder = build_encoder(entry.name, weights="random" if entry.stored else entry.weights, image_size=card.crop)
    model = Segmenter(encoder, card)
    _load_strictly(model, state, path)
    return model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _load_strictly(model: Segmenter, state: dict[str, torch.Tensor], path: Path) -> None:
    """Every tensor the card promises, and no other."""
    own = model.state_dict()
    wanted = {k for k in own if model.card.encoder.stored or not k.startswith("encoder.")}
    missing, unexpected = sorted(wanted - state.keys()), sorted(state.keys() - own.keys())
    shapes = [k for k in sorted(wanted & state.keys()) if own[k].shape != state[k].shape]
    if missing or unexpected or shapes:
        wrong = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        listed = "; ".join(f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names)
        fix = "Use the model.json that was written together with these weights."
        raise ModelError(f"The weights do not fit the card: {listed}.", where=path, fix=fix)
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()}, strict=False)
