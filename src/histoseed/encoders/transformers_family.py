"""The family ``transformers``: plain ViT, DINOv2 with and without registers. Only named classes are built.

Code from a hub repository is never run: where a repository brings its own copy of a network that transformers has too
(Hibou), transformers' own class is built and the file must fit it tensor by tensor.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.family import Blueprint
from histoseed.encoders.weights import State, refuse_misfit
from histoseed.errors import DependencyError, ModelError

try:
    # Any: the package is optional, and its types change between the versions we allow.
    _hf: Any = importlib.import_module("transformers")
    _hf_logging: Any = importlib.import_module("transformers.utils.logging")
    _hf.Dinov2Model  # noqa: B018  transformers resolves names late: let a missing torch show here
except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
    raise DependencyError(
        f"The package transformers cannot be imported ({error}).", fix='Install it: pip install ".[hf]".'
    ) from error

__all__ = ["plan"]

_LOG = logging.getLogger("histoseed.encoders")
_TABLE = "embeddings.position_embeddings"

_CONFIGS: Mapping[str, str] = MappingProxyType({
    "Dinov2Model": "Dinov2Config",
    "Dinov2WithRegistersModel": "Dinov2WithRegistersConfig",
    "ViTModel": "ViTConfig",
})  # fmt: skip


def plan(card: EncoderCard, image_size: int) -> Blueprint:
    """How to build a card of this family; position embeddings are resampled in the forward pass (bicubic).

    Raises:
        ModelError: a card of another architecture than those three.
    """
    del image_size
    if card.arch not in _CONFIGS:
        what = f"There is no builder for the transformers class {card.arch}."
        raise ModelError(what, where=card.name, fix=f"Use one of {', '.join(_CONFIGS)}.")
    build = dict(card.build)
    config = getattr(_hf, _CONFIGS[card.arch])(**build)
    return Blueprint(
        make=partial(_make, card.arch, build),
        features=_features,
        translate=partial(_translate, card.arch, build),
        strides=(config.patch_size,) * config.num_hidden_layers,
        patch_size=config.patch_size,
        prefix_tokens=1 + _registers(config),
    )


def _registers(config: Any) -> int:
    return int(getattr(config, "num_register_tokens", 0))


def _options(arch: str) -> dict[str, Any]:
    # The pooler of ViTModel is a classifier's; no feature map passes it, and published files do not have it.
    return {"add_pooling_layer": False} if arch == "ViTModel" else {}


def _make(arch: str, build: dict[str, Any]) -> nn.Module:
    model: nn.Module = getattr(_hf, arch)(getattr(_hf, _CONFIGS[arch])(**build), **_options(arch))
    return model


def _features(network: Any, x: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    patch, first = int(network.config.patch_size), 1 + _registers(network.config)
    rows, columns = x.shape[-2] // patch, x.shape[-1] // patch
    options = {"interpolate_pos_encoding": True} if network.config.model_type == "vit" else {}
    hidden = network(pixel_values=x, output_hidden_states=True, **options).hidden_states
    # hidden[0] is the embedding before the first block; in front stand the class token and the registers.
    return [hidden[tap + 1][:, first:].transpose(1, 2).reshape(x.shape[0], -1, rows, columns) for tap in taps]


def _translate(arch: str, build: dict[str, Any], network: Any, state: State, where: object) -> State:
    """Let transformers rename the tensors of files that older versions wrote; the result is compared strictly.

    Raises:
        ModelError: the file is of another network.
    """
    state = _resampled_positions(network, _of_the_encoder(state), where)
    with _quiet():
        loaded, info = getattr(_hf, arch).from_pretrained(
            None, config=getattr(_hf, _CONFIGS[arch])(**build), state_dict=state, output_loading_info=True,
            ignore_mismatched_sizes=True, **_options(arch),
        )  # fmt: skip
    missing, unexpected, mismatched = (sorted(info[f"{kind}_keys"]) for kind in ("missing", "unexpected", "mismatched"))
    refuse_misfit(missing, unexpected, mismatched, where)
    return dict(loaded.state_dict())


def _of_the_encoder(state: State) -> State:
    """Without what surrounds the encoder: a segmenter's ``encoder.network.``, a classifier's pooler."""
    for prefix in ("encoder.network.", "network.", "vit.", "dinov2.", "dinov2_with_registers."):
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        state = inner or state
    return {key: value for key, value in state.items() if not key.startswith("pooler.")}


def _resampled_positions(network: Any, state: State, where: object) -> State:
    """The position table on the network's grid, if it was stored on another (bicubic, as in the forward pass)."""
    table, own = state.get(_TABLE), network.state_dict()[_TABLE]
    if table is None or table.shape == own.shape or table.ndim != 3 or table.shape[-1] != own.shape[-1]:
        return state
    sides = [round((length - 1) ** 0.5) for length in (table.shape[1], own.shape[1])]
    if sides[0] ** 2 != table.shape[1] - 1:
        return state
    grid = table[:, 1:].float().reshape(1, sides[0], sides[0], -1).movedim(-1, 1)
    grid = F.interpolate(grid, size=(sides[1], sides[1]), mode="bicubic", align_corners=False, antialias=True)
    _LOG.info("%s: the position table of %d x %d is resampled to %d x %d", where, *[s for s in sides for _ in "xy"])
    return state | {_TABLE: torch.cat([table[:, :1].float(), grid.movedim(1, -1).flatten(1, 2)], 1)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bar and report: what is wrong is said by our error."""
    level = _hf_logging.get_verbosity()
    bars = _hf_logging.is_progress_bar_enabled()
    _hf_logging.set_verbosity_error()
    _hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        _hf_logging.set_verbosity(level)
        if bars:
            _hf_logging.enable_progress_bar()
