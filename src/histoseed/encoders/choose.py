"""From what a user names as an encoder - a card, a model, a checkpoint - to a card and where its weights are.

Three kinds of paths are understood:

- a model folder of histoseed (``model.json``): the encoder it was trained with;
- a folder that ``segmentation_models_pytorch`` saved (``config.json`` and ``model.safetensors``): its encoder;
- a checkpoint file of a U-Net or of an encoder, whose architecture is found by its tensors.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.encoders.cards import Commercial, EncoderCard
from histoseed.encoders.registry import CARDS, get_card
from histoseed.errors import InputError, ModelError

if TYPE_CHECKING:
    from histoseed.encoders.weights import State

__all__ = ["Chosen", "choose_encoder", "is_path"]

_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_LINEAR = ("frozen", "full", "last-block", "bitfit")
"""Methods of adaptation that leave the encoder's tensors under their own names."""

_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^layer4\.", ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
                    "resnext101_32x8d", "wide_resnet50_2")),
    (r"^features\.denseblock4\.", ("densenet121", "densenet169", "densenet201", "densenet161")),
    (r"^(features\.18\.1|blocks\.6\.0\.conv_pwl)\.", ("mobilenetv2_100",)),
    (r"^stages[._]3\.blocks\.\d+\.conv_dw\.", ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
                                               "convnext_nano", "convnext_pico", "convnext_femto", "convnext_atto")),
)  # fmt: skip
"""Tensors that tell a kind of network, and the architectures whose shapes then decide.

Kinds whose files look alike for different networks (the EfficientNets of timm and of TensorFlow) are left out.
"""

_WRAPPERS = re.compile(r"^((module|model|net|backbone|encoder|network)\.)+")
"""What stands in front of an encoder's names where it is a part of a larger network."""

_CLASSIFIER = 4
"""Tensors of a head that a file may have beside its encoder's own."""

_SOURCES = ("random", "hub", "bundled")

_SMP_NAMES: Mapping[str, str] = {"mobilenet_v2": "mobilenetv2_100"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """An encoder and its weights.

    Args:
        card: Its name can be given to :func:`histoseed.encoders.build_encoder` again, also where the path is gone.
        weights: ``hub``, ``bundled``, ``random`` or a file.
    """

    card: EncoderCard
    weights: str | Path


def is_path(name: str) -> bool:
    """Whether an encoder is named by a path: something lies there, or it is written like one.

    >>> is_path("runs/unet.pth"), is_path("timm:resnet18"), is_path("hf:facebook/dinov2-small"), is_path("")
    (True, False, False, False)
    """
    if not name or name.startswith(("timm:", "hf:")):  # pathlib takes an empty name for the folder it is in
        return False
    return name.endswith(_ENDINGS) or "/" in name or "\\" in name or Path(name).exists()


def choose_encoder(name: str | Path, weights: str | Path | None = None) -> Chosen:
    """The card and the weights that a user means.

    Args:
        name: What :func:`histoseed.encoders.get_card` understands, or a path (see the module).
        weights: None takes ``bundled`` for the encoder ``bundled`` and ``hub`` for all other names. A path brings its
            weights along: others are refused.

    Raises:
        InputError: a path, and other weights than it stands for.
        ModelError: no such encoder or file, a model whose encoder cannot be taken out, or tensors of an unknown
            architecture.

    >>> choose_encoder("bundled").weights, choose_encoder("uni").weights
    ('bundled', 'hub')
    """
    known = isinstance(name, str) and (name in CARDS or not is_path(name))
    if known:
        card = get_card(str(name))
        chosen = Chosen(card, "bundled" if card.family == "bundled" else "hub")
    else:
        chosen = _from_path(Path(name))
    if weights is None or str(weights) == str(chosen.weights):
        return chosen
    card = chosen.card
    if not known:
        what = f"The encoder {name} is a path and brings its weights along; --weights {weights} would drop them."
        has = {"hub": card.hub_id is not None, "bundled": card.family == "bundled"}.get(str(weights), True)
        named = f", or name the encoder without its weights: --encoder {card.name} --weights {weights}" if has else "."
        raise InputError(what, where=f"--weights {weights}", fix=f"Leave --weights out{named}")
    if card.name.startswith("timm:") and str(weights) not in _SOURCES:
        # The name says the architecture; whose weights lie in the file, it does not.
        card = replace(card, licence=None, commercial="unknown", page=None, citation=None)
    return Chosen(card, weights)


def _from_path(path: Path) -> Chosen:
    if (path / "model.json").is_file():
        return _from_model(path)
    if (path / "config.json").is_file():
        return _from_smp(path)
    if path.is_file():
        return _from_file(path)
    if path.is_dir():
        what = "The folder holds neither model.json (histoseed) nor config.json (segmentation_models_pytorch)."
        raise ModelError(what, where=path, fix="Name a model folder, or a weights file.")
    fix = "Check the path; `histoseed encoders list` shows the names of encoders."
    raise ModelError("There is no such file or folder.", where=path, fix=fix)


def _from_model(folder: Path) -> Chosen:
    """The encoder of a model that histoseed trained. What its data allow is part of what the encoder allows."""
    content = _json(folder / "model.json")
    entry = content.get("encoder")
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ModelError("The model card names no encoder.", where=folder / "model.json", fix="Copy the model again.")
    method = content.get("method") or (content.get("training") or {}).get("method")
    method = method.get("name") if isinstance(method, dict) else method
    if isinstance(method, str) and method not in _LINEAR:
        what = (
            f"The model was adapted by the method {method}, which adds tensors to its encoder; it is no plain encoder."
        )
        raise ModelError(what, where=folder, fix="Name the encoder it was built on, or a model adapted by full.")
    card = get_card(entry["name"])
    seen = [part for part in content.get("data") or () if isinstance(part, dict)]
    licences = dict.fromkeys(text for part in (entry, *seen) if (text := part.get("licence")))
    card = replace(
        card,
        licence=" + ".join(licences) or card.licence,
        commercial=_strictest([card.commercial, *(part.get("commercial", "unknown") for part in (entry, *seen))]),
        evidence=f"encoder of the model {content.get('name', folder.name)!r}",
    )
    if entry.get("stored", True):
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise ModelError("The weights are missing.", where=weights, fix="Copy the whole model folder.")
        return Chosen(card, weights)
    card = replace(card, revision=entry.get("revision"), sha256=entry.get("sha256"))
    return Chosen(card, str(entry.get("weights", "hub")))


def _strictest(uses: list[Any]) -> Commercial:
    return "no" if "no" in uses else "unknown" if any(use != "yes" for use in uses) else "yes"


def _from_smp(folder: Path) -> Chosen:
    """A model that ``segmentation_models_pytorch`` saved with ``save_pretrained``."""
    name = _json(folder / "config.json").get("encoder_name")
    files = sorted(path for path in folder.iterdir() if path.name in {"model.safetensors", "pytorch_model.bin"})
    if not isinstance(name, str) or not files:
        what = "This is no folder of segmentation_models_pytorch: config.json with encoder_name, model.safetensors."
        raise ModelError(what, where=folder, fix="Save the model with save_pretrained, or name its weights file.")
    arch = _SMP_NAMES.get(name, name.removeprefix("tu-"))
    return Chosen(_of_a_unet(arch, files[0]), files[0])


def _from_file(path: Path) -> Chosen:
    """A checkpoint alone: the architecture whose tensors have exactly these shapes."""
    from histoseed.encoders.weights import read_state  # noqa: PLC0415  imports torch

    state = read_state(path)
    for arch in _candidates(state):
        card = _of_a_unet(arch, path)
        if _fits(card, state):
            return Chosen(card, path)
    names = list(state)
    what = f"The file's {len(names)} tensors ({', '.join(names[:3])}, ...) are of no architecture that is recognised."
    raise ModelError(what, where=path, fix=f"Say which it is: --encoder timm:ARCH --weights {path}")


def _candidates(state: State) -> Iterator[str]:
    """Architectures that may have these tensors, by a name that tells the kind, then by all shapes."""
    within = {key: value for key, value in state.items() if "encoder." in key} or state
    inner = {_WRAPPERS.sub("", key): value for key, value in within.items()}
    shapes = Counter(tuple(value.shape) for value in inner.values())
    for mark, archs in _MARKS:
        if any(re.search(mark, key) for key in inner):
            yield from (arch for arch in archs if (shapes - _shapes(arch)).total() <= _CLASSIFIER)


@cache
def _shapes(arch: str) -> Counter[tuple[int, ...]]:
    from histoseed.encoders.timm_family import make_on_meta  # noqa: PLC0415  timm takes seconds to import

    return Counter(tuple(value.shape) for value in make_on_meta(arch).state_dict().values())


def _fits(card: EncoderCard, state: State) -> bool:
    from histoseed.encoders.timm_family import make_on_meta, plan  # noqa: PLC0415  timm takes seconds to import
    from histoseed.encoders.weights import check_strictly  # noqa: PLC0415

    network = make_on_meta(card.arch)
    try:
        check_strictly(network, plan(card, 256).translate(network, dict(state), card.name), card.name)
    except ModelError:
        return False
    return True


def _of_a_unet(arch: str, path: Path) -> EncoderCard:
    """The card of an architecture, without what holds only for timm's own weights.

    Raises:
        ModelError: timm has no such architecture.
    """
    card = get_card(f"timm:{arch}")
    return replace(
        card, hub_id=None, filename=None, page=None, licence=None, commercial="unknown", native_size=None,
        citation=None, evidence=f"{path.name}; the normalisation is assumed to be that of timm:{arch}",
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"The file cannot be read as JSON ({error}).", where=path, fix="Copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError("The file holds no JSON object.", where=path, fix="Copy it again.")
    return content
