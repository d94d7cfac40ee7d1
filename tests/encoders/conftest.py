"""Tiny variants of each family, built in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from histoseed.encoders import EncoderCard, get_card
from histoseed.settings import Settings


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


def _vit(arch: str, patch: int, **build: Any) -> EncoderCard:
    sizes = {"img_size": 4 * patch, "depth": 4, "embed_dim": 24, "num_heads": 2}
    return EncoderCard(name=f"tiny {arch}", family="timm", arch=arch, build=sizes | build)


def _swin(**build: Any) -> EncoderCard:
    sizes = {"embed_dim": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 3, 4]}
    return EncoderCard(name="tiny swin", family="timm", arch="swin_tiny_patch4_window7_224", build=sizes | build)


def _dinov2(**build: Any) -> EncoderCard:
    sizes = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    card = get_card("dinov2-small")
    return replace(card, name="tiny dinov2", build=sizes | build, dims=None, strides=None, params=None)


@pytest.fixture
def tiny() -> Callable[..., EncoderCard]:
    """A small card by name; whatever is no small variant is looked up as it is. Keywords change the build."""

    def make(name: str, **build: Any) -> EncoderCard:
        if name == "vit":
            return _vit("vit_tiny_patch16_224", 16, **build)
        if name == "vit patch 14":
            return _vit("vit_small_patch14_reg4_dinov2", 14, **build)
        if name in ("swin", "dinov2"):
            return {"swin": _swin, "dinov2": _dinov2}[name](**build)
        return get_card(name)

    return make
