"""A segmenter: encoder, decoder and card; saved as a folder, loaded strictly."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from histoseed.encoders import FeaturePyramid, build_encoder, get_card
from histoseed.errors import ModelError
from histoseed.files import sha256_of, staged_folder, write_bytes, write_json
from histoseed.segmenters.card import FORMAT_VERSION, ModelCard
from histoseed.segmenters.cell_tokens import CellClassifier, CellTokens
from histoseed.segmenters.interface import DenseMaps, Representation
from histoseed.segmenters.kinds import kind_of
from histoseed.segmenters.methods import prepare

__all__ = [
    "Segmenter",
    "check_segmenter",
    "is_model_file",
    "load_segmenter",
    "mix_with",
    "read_card",
    "read_weights",
    "save_segmenter",
    "start_from",
    "write_model_files",
]

CARD = "model.json"
WEIGHTS = "model.safetensors"

_ENCODER = "encoder."
_PLAIN = ("frozen", "full")
"""Methods that add nothing to an encoder."""


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
        encoder: Gives the features of several depths; prepared for the card's method.
        card: Says how the decoder is built and what its maps mean.

    Shape: input (N, 3, H, W) RGB float in [0, 1]; output (N, outputs, h, w) raw maps, see
    :meth:`~histoseed.segmenters.interface.Representation.outputs`.
    """

    representation: Representation

    def __init__(self, encoder: FeaturePyramid, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.encoder = encoder
        self._adapted = _adapted_keys(encoder) if card.method and card.method.name not in _PLAIN else frozenset()
        kind = kind_of(card.decoder.kind)
        self.representation = kind.representation
        tokens = bool(card.classes) and card.classifier.kind == "tokens"
        self.map_classes = 0 if tokens else len(card.classes)
        outputs = kind.representation.outputs(self.map_classes)
        self.decoder = kind.build(card.decoder, list(encoder.channels), list(encoder.strides), outputs)
        self.classifier: CellClassifier | None = None
        if tokens:
            how = card.classifier
            self.classifier = CellClassifier(
                encoder.channels[-1], len(card.classes), hidden=how.hidden, dropout=how.dropout
            )

    def stored_keys(self) -> set[str]:
        """Keys of the state dict that go into the model's file: without frozen weights that a hub has."""
        stored = self.card.encoder.stored
        return {k for k in self.state_dict() if stored or not k.startswith(_ENCODER) or k in self._adapted}

    def decode(self, images: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Raw maps from images in [0, 1] and features already at hand. (N, outputs, h, w)."""
        maps: torch.Tensor = self.decoder((images - 0.5) / 0.5, features)
        return maps

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raw maps; see the class for shapes."""
        return self.decode(images, self.encoder(images))

    @torch.inference_mode()
    def predict(
        self,
        images: torch.Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        features: list[torch.Tensor] | None = None,
    ) -> DenseMaps:
        """Maps of a batch, in evaluation mode.

        Args:
            images: (N, 3, H, W) RGB float in [0, 1], on any device.
            dtype: Precision of the network: float32, or bfloat16 where the processor has it.
            features: The encoder's maps of these images, where they are at hand.
        """
        device = next(self.parameters()).device
        with _precision(device, dtype):
            given = images.to(device, memory_format=torch.channels_last)
            features = self.encoder(given) if features is None else features
            raw = self.decode(given, features)
        maps = self.representation.activated(raw.float(), self.map_classes, self.decoder)
        if self.classifier is None:
            return maps
        classifier = copy.deepcopy(self.classifier).float().cpu().eval()
        tokens = features[-1].float().cpu()
        return replace(maps, cells=CellTokens(tokens, (images.shape[-2], images.shape[-1]), classifier))


def _adapted_keys(encoder: nn.Module) -> frozenset[str]:
    """What a method trains of an encoder, statistics of trained layers included."""
    keys: set[str] = set()
    for name, module in encoder.named_modules():
        trained = [key for key, p in module.named_parameters(recurse=False) if p.requires_grad]
        if trained:
            trained += [key for key, _ in module.named_buffers(recurse=False)]
        keys.update(f"{_ENCODER}{name}.{key}" if name else _ENCODER + key for key in trained)
    return frozenset(keys)


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
    keys = model.stored_keys()
    state = {k: v for k, v in model.state_dict().items() if k in keys}
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
    shared = model.representation.outputs(0)
    for key, value in other.state_dict().items():
        if key not in own:
            continue
        if own[key].shape == value.shape:
            own[key].copy_(value)
        elif key.startswith("decoder.head.") and own[key].shape[1:] == value.shape[1:]:
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
    shared = model.representation.outputs(0)
    for key, value in other.state_dict().items():
        if key not in own or not own[key].dtype.is_floating_point:
            continue
        given = value.to(own[key].device)
        if own[key].shape == given.shape:
            own[key].lerp_(given, share)
        elif key.startswith("decoder.head."):
            own[key][:shared].lerp_(given[:shared], share)


def _storable(tensor: torch.Tensor, *, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        ModelError: no model stands there, its card is damaged, a newer histoseed wrote it, or it is a promptable model.
    """
    path = folder / CARD
    if not path.is_file():
        fix = f"Name a folder that holds {CARD} and {WEIGHTS}, as `histoseed adapt --out` writes it."
        if folder.suffix == ".zip" and folder.is_file():
            fix = f"Unpack it: histoseed model import {folder} --out FOLDER"
        raise ModelError("This is not a model folder.", where=folder, fix=fix)
    try:
        content: Any = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"The model card is damaged ({error}).", where=path) from error
    if isinstance(content, dict) and content.get("task") == "prompt":
        what = "This is a promptable model: it outlines what is pointed at, and finds nothing by itself."
        raise ModelError(what, where=path, fix=f"Use it with `histoseed prompt IMAGE --model {folder}`.")
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


def is_model_file(weights: str | Path) -> bool:
    """Whether weights are named by the file of a model folder."""
    path = Path(weights)
    return path.name == WEIGHTS and (path.parent / CARD).is_file()


def load_segmenter(folder: Path, *, device: str = "cpu") -> Segmenter:
    """A trained model, in evaluation mode.

    Raises:
        ModelError: no model, a newer version, a wrong hash, weights that do not fit, or weights of the encoder that the
            hub has not or no longer has as they were.
        GatedModelError: the encoder's weights must be asked for.
    """
    model = _loaded(Path(folder), published=True)
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def check_segmenter(folder: Path) -> Segmenter:
    """Hold the files of a model against its card, without the weights that a hub has.

    Returns:
        The model as :func:`load_segmenter` gives it, but with random numbers where the hub's weights would be.

    Raises:
        ModelError: no model, a newer version, a wrong hash, weights that do not fit.
    """
    return _loaded(Path(folder), published=False)


def _loaded(folder: Path, *, published: bool) -> Segmenter:
    card = read_card(folder)
    state = read_weights(folder, card.weights_sha256)
    entry = card.encoder
    named = get_card(entry.name)
    if not entry.stored:  # exactly those that the decoder was trained on
        named = replace(named, revision=entry.revision, sha256=entry.sha256)
    source = entry.weights if published and not entry.stored else "random"
    encoder = build_encoder(named, weights=source, image_size=card.crop)
    if card.method is not None:
        encoder = prepare(encoder, card.method.name, card.method)
    model = Segmenter(encoder, card)
    _load_strictly(model, state, folder / WEIGHTS)
    return model.eval()


def read_weights(folder: Path, sha256: str | None) -> dict[str, torch.Tensor]:
    """The tensors of a model folder.

    Args:
        folder: Of a segmenter, or of a model that stands on one.
        sha256: Hash that the card names; None is not compared.

    Raises:
        ModelError: no weights, others than those that the card names, or damaged ones.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError("The weights are missing.", where=path, fix="Copy the whole model folder.")
    if sha256 is not None and sha256_of(path) != sha256:
        what = f"The weights are not those that {CARD} names (sha256 differs)."
        raise ModelError(what, where=path, fix="Copy the whole model folder again.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"The weights are damaged ({error}).", where=path, fix="Copy the model again.") from error


def _load_strictly(model: Segmenter, state: dict[str, torch.Tensor], path: Path) -> None:
    """Every tensor the card promises, and no other."""
    own = model.state_dict()
    wanted = model.stored_keys()
    missing, unexpected = sorted(wanted - state.keys()), sorted(state.keys() - own.keys())
    shapes = [k for k in sorted(wanted & state.keys()) if own[k].shape != state[k].shape]
    if missing or unexpected or shapes:
        wrong = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        listed = "; ".join(f"{len(names)} {what} (first: {names[0]})" for what, names in wrong.items() if names)
        fix = "Use the model.json that was written together with these weights."
        raise ModelError(f"The weights do not fit the card: {listed}.", where=path, fix=fix)
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()}, strict=False)
