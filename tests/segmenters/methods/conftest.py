"""Tiny encoders with random weights, one of each kind; built in milliseconds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from histoseed.encoders import EncoderCard, FeaturePyramid, build_encoder, get_card

_VIT = {"img_size": 64, "depth": 4, "embed_dim": 24, "num_heads": 2}
_STAGES = {"embed_dim": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 3, 4]}
# A layer scale of 1: the usual 1e-6 hides the blocks of random weights.
_CONV = {"depths": [1, 1, 2, 1], "dims": [8, 12, 16, 20], "ls_init_value": 1.0}
_DINO = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
_EVA = {"img_size": 56, "depth": 3, "embed_dim": 48, "num_heads": 2}

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_tiny_patch16_224", _VIT),
    "swin": ("swin_tiny_patch4_window7_224", _STAGES),
    "swin v2": ("swinv2_tiny_window8_256", _STAGES),
    "convnext": ("convnext_tiny", _CONV),
    "convnext of convolutions": ("convnext_atto", _CONV),
    "eva": ("eva02_small_patch14_224", _EVA),
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def _card(name: str) -> str | EncoderCard:
    if name in ("bundled", "timm:resnet18"):
        return name
    if name == "dinov2":
        return replace(
            get_card("dinov2-small"), name="tiny dinov2", build=_DINO, dims=None, strides=None, params=None,
            native_size=None,
        )  # fmt: skip
    arch, build = TINY[name]
    return EncoderCard(name=f"tiny {name}", family="timm", arch=arch, build=build)


@cache
def _built(name: str, taps: tuple[int, ...] | None) -> FeaturePyramid:
    encoder = build_encoder(_card(name), weights="random", image_size=64, taps=taps)
    for key, parameter in encoder.named_parameters():
        if name == "swin v2" and ".norm" in key and key.endswith("weight"):
            nn.init.ones_(parameter)  # it starts with blocks that do nothing
    return encoder


@pytest.fixture
def tiny() -> Callable[..., FeaturePyramid]:
    """An encoder by name, the same at every call."""

    def make(name: str, taps: tuple[int, ...] | None = None) -> FeaturePyramid:
        return copy.deepcopy(_built(name, taps))

    return make


@pytest.fixture
def images() -> torch.Tensor:
    """A batch of noise."""
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
