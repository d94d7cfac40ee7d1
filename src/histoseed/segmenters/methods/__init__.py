"""How an encoder is adapted: which of its parameters train, and what is added to it. One file a method.

frozen       nothing of the encoder trains, only the decoder
lora         low-rank updates of attention or of all linear layers
adapter      a spatial prior that exchanges features with a plain vision transformer
side-branch  a small convolutional network beside the encoder, at strides 4 and 8
bitfit       the biases
last-block   the last blocks
full         everything
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import torch
from torch import nn

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.adapted import AdaptedPyramid
from histoseed.segmenters.methods.bitfit import prepare_bitfit
from histoseed.segmenters.methods.last_block import prepare_last_block
from histoseed.segmenters.methods.lora import merge_lora, prepare_lora
from histoseed.segmenters.methods.lora_layer import LoRALinear
from histoseed.segmenters.methods.options import STORING, MethodName, MethodOptions
from histoseed.segmenters.methods.side_branch import (
    SideBranch,
    SidePyramid,
    prepare_side_branch,
    trunk_of,
    with_branch,
)

__all__ = [
    "METHODS",
    "STORING",
    "AdaptedPyramid",
    "LoRALinear",
    "MethodName",
    "MethodOptions",
    "SideBranch",
    "SidePyramid",
    "merge_lora",
    "prepare",
    "trainable_parameters",
    "trunk_of",
    "with_branch",
]


def _frozen(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> FeaturePyramid:
    del options, seed
    return encoder.freeze()


def _full(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> FeaturePyramid:
    del options, seed
    return encoder.unfreeze()


def _adapter(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> FeaturePyramid:
    from histoseed.segmenters.spatial_adapter import SpatialAdapter  # noqa: PLC0415  only where it is asked for

    del options
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        # No pyramid by its class, but all that a decoder and the training loop use of one.
        return cast("FeaturePyramid", SpatialAdapter(encoder).unfreeze())


METHODS: Mapping[MethodName, Callable[[FeaturePyramid, MethodOptions, int], FeaturePyramid]] = MappingProxyType(
    {
        "frozen": _frozen,
        "lora": prepare_lora,
        "adapter": _adapter,
        "side-branch": prepare_side_branch,
        "bitfit": prepare_bitfit,
        "last-block": prepare_last_block,
        "full": _full,
    }
)
"""By the name after ``--method``."""


def prepare(
    encoder: FeaturePyramid, method: str, options: MethodOptions | None = None, *, seed: int = 0
) -> FeaturePyramid:
    """Adapt an encoder: what is returned has the method's parameters, and only they have ``requires_grad``.

    With the same encoder and options the state-dict keys are the same again, so that a saved model loads strictly.

    Args:
        encoder: As built. It becomes part of the result; do not use it by itself any more.
        method: One of :data:`METHODS`.
        options: Numbers of the method; None takes the defaults.
        seed: Of the weights that are added. The global random state is left as it was.

    Raises:
        InputError: no such method, options of another one, or a method that this encoder does not allow.

    >>> from histoseed.encoders import build_encoder
    >>> trainable_parameters(prepare(build_encoder("bundled"), "frozen"))
    0
    """
    if method not in METHODS:
        close = difflib.get_close_matches(method, METHODS) or list(METHODS)
        raise InputError(f"There is no method {method!r}.", where="--method", fix=f"Use {' or '.join(close)}.")
    options = MethodOptions() if options is None else options
    if "name" in options.model_fields_set and options.name != method:
        raise InputError(f"The options belong to {options.name}, not to {method}.", where="--method")
    name = cast("MethodName", method)
    return METHODS[name](encoder, options.model_copy(update={"name": name}), seed)


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers of a model train.

    >>> trainable_parameters(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
