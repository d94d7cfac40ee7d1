"""The family ``timm``: any architecture that gives its intermediate maps."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from histoseed.encoders.cards import EncoderCard, Layout
from histoseed.encoders.conv_stem import ConvStem
from histoseed.encoders.family import Blueprint
from histoseed.encoders.registry import nearest
from histoseed.encoders.timm_weights import translate
from histoseed.errors import DependencyError, ModelError
from histoseed.licences import commercial_use

try:
    import timm

    # Any: what timm exports there changes its type between the versions we allow.
    _layers: Any = importlib.import_module("timm.layers")
except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
    raise DependencyError(
        f"The package timm cannot be imported ({error}).",
        fix="Install timm and a torchvision that belongs to the installed torch.",
    ) from error

__all__ = ["make_on_meta", "plan", "timm_card", "timm_names"]

_PREFIX = "timm:"

_MODULES: Mapping[str, Any] = MappingProxyType({"ConvStem": ConvStem, "SwiGLUPacked": _layers.SwiGLUPacked})
"""Modules that a card may name among its build arguments."""

_RESAMPLING = ("samvit_",)
"""Architectures of one stride that resample their own position tables, whatever size they were created for."""

_USUAL_LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {"mobilenetv2_": "torchvision", "sam2_hiera": "sam2", "samvit_": "sam", "swin_": "swin"}
)
"""Naming of widespread files of an architecture, for cards that state none."""


def timm_names(pattern: str) -> list[str]:
    """``timm:ARCH.TAG`` of every pretrained model that matches a shell wildcard which starts with ``timm:``."""
    return [_PREFIX + name for name in timm.list_pretrained(pattern.removeprefix(_PREFIX))]


def timm_card(name: str) -> EncoderCard:
    """A card made from timm's own table of pretrained weights.

    Args:
        name: ``timm:ARCH`` (timm's default weights of that architecture) or ``timm:ARCH.TAG``.

    Raises:
        ModelError: no such architecture or tag; the error gives the nearest names.
    """
    arch = name.removeprefix(_PREFIX)
    base = arch.partition(".")[0]
    if not timm.is_model(base):
        close = nearest(base, timm.list_models())
        hint = f"The nearest names are {', '.join(_PREFIX + other for other in close)}." if close else None
        raise ModelError(f"timm {timm.__version__} has no architecture {base!r}.", where=name, fix=hint)
    try:
        cfg = timm.get_pretrained_cfg(arch)
    except RuntimeError as error:  # timm's answer to an unknown tag
        tags = ", ".join(_PREFIX + other for other in timm.list_pretrained(f"{base}.*")) or "none"
        raise ModelError(f"timm has no weights {arch!r}.", where=name, fix=f"Known are: {tags}.") from error
    if cfg is None:
        return EncoderCard(name=name, family="timm", arch=arch, evidence=f"timm {timm.__version__}: no weights known")
    hub_id = cfg.hf_hub_id
    return EncoderCard(
        name=name,
        family="timm",
        arch=arch,
        hub_id=hub_id,
        filename=cfg.hf_hub_filename,
        licence=cfg.license,
        commercial=commercial_use(cfg.license),
        page=f"https://huggingface.co/{hub_id}" if hub_id else None,
        native_size=int(cfg.input_size[-1]),
        mean=_triple(cfg.mean),
        std=_triple(cfg.std),
        evidence=f"timm {timm.__version__} pretrained cfg",
    )


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def plan(card: EncoderCard, image_size: int) -> Blueprint:
    """How to build a card of this family.

    Vision transformers keep the position table of their weights and resample it in the forward pass
    (``dynamic_img_size``). Hierarchical transformers with windows (Swin, MaxViT, CoAtNet, ...) are created for
    ``image_size``, rounded up to a multiple of their coarsest stride.

    Beyond timm's arguments a card may state ``pos_embed_mode``: ``crop`` takes the upper left corner of SAM's position
    table instead of resampling it, as CellViT does.

    Raises:
        ModelError: an architecture without intermediate maps, or build arguments it does not know.
    """
    kwargs, model = _accepted(card, image_size)
    if not hasattr(model, "forward_intermediates"):
        raise ModelError("timm gives no intermediate maps of this architecture.", where=card.name, fix="Use another.")
    strides = tuple(int(level["reduction"]) for level in model.feature_info)
    isotropic = len(set(strides)) == 1
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None) if isotropic else None
    make = partial(_make, card.arch, kwargs)
    usual = next((layout for start, layout in _USUAL_LAYOUTS.items() if card.arch.startswith(start)), None)
    return Blueprint(
        make=make,
        features=_features,
        translate=partial(translate, make, card.layout or usual),
        strides=strides,
        patch_size=int(patch[0]) if isinstance(patch, tuple) else patch,
        prefix_tokens=int(getattr(model, "num_prefix_tokens", 0)) if isotropic else 0,
        sized=not isotropic and "img_size" in kwargs,
    )


def _make(arch: str, kwargs: dict[str, Any]) -> nn.Module:
    given: dict[str, Any] = {
        key: _MODULES.get(value, value) if isinstance(value, str) else value for key, value in kwargs.items()
    }
    mode = given.pop("pos_embed_mode", "resample")
    # num_classes=0: without the classifier; its normalisation layers stay where the checkpoint has them.
    network: Any = timm.create_model(arch, pretrained=False, num_classes=0, **given)
    if mode == "crop":
        network.patch_embed.register_forward_hook(partial(_crop_positions, network))
    made: nn.Module = network
    return made


def _crop_positions(network: Any, module: nn.Module, inputs: object, tokens: torch.Tensor) -> torch.Tensor:
    """Tokens plus the difference of the two tables: timm adds the resampled one next. (N, rows, columns, C)."""
    del module, inputs
    rows, columns = tokens.shape[1:3]
    table = network.pos_embed
    if rows > table.shape[1] or columns > table.shape[2]:
        raise ValueError(f"{rows} x {columns} tokens, but a position table of {table.shape[1]} x {table.shape[2]}")
    shifted: torch.Tensor = tokens - _layers.resample_abs_pos_embed_nhwc(table, [rows, columns])
    shifted += table[:, :rows, :columns]
    return shifted


def _accepted(card: EncoderCard, image_size: int) -> tuple[dict[str, Any], Any]:
    """The size arguments the architecture takes, found by trying on the meta device, and the network made there."""
    build = dict(card.build)
    dynamic = {"dynamic_img_size": True, **build}
    flexible = _attempt(card.arch, dynamic)
    example = flexible or _attempt(card.arch, build)
    if example is not None:
        reductions = {int(level["reduction"]) for level in example.feature_info}
        if flexible is not None and len(reductions) == 1:
            return dynamic, flexible
        if card.arch.startswith(_RESAMPLING):
            return build, example
        multiple = math.lcm(*reductions)
        size = {"img_size": -(-image_size // multiple) * multiple}
        for kwargs in ({**size, **dynamic}, {**size, **build}):
            model = _attempt(card.arch, kwargs)
            if model is not None:
                return kwargs, model
        return (build, example) if flexible is None else (dynamic, flexible)
    raise ModelError(f"timm cannot build {card.arch} with {build}.", where=card.name, fix="Check the card's arguments.")


def make_on_meta(arch: str) -> nn.Module:
    """An architecture of timm without memory for its weights, to compare names and shapes with."""
    with torch.device("meta"):
        return _make(arch, {})


def _attempt(arch: str, kwargs: dict[str, Any]) -> Any:
    try:
        with torch.device("meta"):
            return _make(arch, kwargs)
    except TypeError:  # the constructor does not know an argument
        return None


def _features(network: Any, x: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    # norm=False: the last block's normalisation is fitted to that depth only; the pyramid normalises each tap.
    maps = network.forward_intermediates(
        x, indices=list(taps), norm=False, stop_early=True, output_fmt="NCHW", intermediates_only=True
    )
    return list(maps)
