"""The family ``transformers``: DINOv2. Only named classes are built; code from a repository is never run."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.family import Blueprint
from histoseed.encoders.weights import State, check_strictly
from histoseed.errors import DependencyError, ModelError

try:
    # Any: the package is optional, and its types change between the versions we allow.
    _hf: Any = importlib.import_module("transformers")
    _hf_logging: Any = importlib.import_module("transformers.utils.logging")
    _hf.Dinov2Model  # noqa: B018  transformers resolves names late: let a missing torch show here
except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
    raise DependencyError(
        f"The package transformers cannot be imported ({error}).", fix='Install it: pip install "histoseed[hf]".'
    ) from error

__all__ = ["plan"]


def plan(card: EncoderCard, image_size: int) -> Blueprint:
    """How to build a card of this family; position embeddings are resampled in the forward pass (bicubic).

    Raises:
        ModelError: a card of another architecture than DINOv2.
    """
    del image_size
    if card.arch != "Dinov2Model":
        raise ModelError(f"There is no builder for the transformers class {card.arch}.", where=card.name)
    config = _hf.Dinov2Config(**card.build)
    return Blueprint(
        make=partial(_make, dict(card.build)),
        features=_features,
        load=_load,
        strides=(config.patch_size,) * config.num_hidden_layers,
        patch_size=config.patch_size,
        prefix_tokens=1,
    )


def _make(build: dict[str, Any]) -> nn.Module:
    model: nn.Module = _hf.Dinov2Model(_hf.Dinov2Config(**build))
    return model


def _features(network: Any, x: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    patch = int(network.config.patch_size)
    rows, columns = x.shape[-2] // patch, x.shape[-1] // patch
    hidden = network(pixel_values=x, output_hidden_states=True).hidden_states
    # hidden[0] is the embedding before the first block; token 0 is the class token.
    return [hidden[tap + 1][:, 1:].transpose(1, 2).reshape(x.shape[0], -1, rows, columns) for tap in taps]


def _load(network: Any, state: State, where: object) -> None:
    """Load through transformers, which renames the tensors of files that older versions wrote, then check strictly."""
    with _quiet():
        loaded, info = _hf.Dinov2Model.from_pretrained(
            None, config=network.config, state_dict=dict(state), output_loading_info=True, ignore_mismatched_sizes=True
        )
    if any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise ModelError(
            "The weights do not fit the encoder: "
            f"missing: {_first(info['missing_keys'])}; unexpected: {_first(info['unexpected_keys'])}; "
            f"of another shape: {_first(info['mismatched_keys'])}.",
            where=where,
            fix="Check that the weights belong to this encoder.",
        )
    check_strictly(network, loaded.state_dict(), where)
    network.load_state_dict(loaded.state_dict(), strict=True)


def _first(keys: Iterable[object]) -> str:
    names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) + more) or "none"


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
