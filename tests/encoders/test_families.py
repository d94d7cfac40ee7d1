"""Every family in small and with random weights: shapes at three sizes, prefix tokens, positions, strict files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from histoseed.encoders import EncoderCard, FeaturePyramid, build_encoder, get_card
from histoseed.errors import ModelError

_VIT = {"depth": 4, "embed_dim": 24, "num_heads": 2}
_EVA = {"depth": 4, "embed_dim": 32, "num_heads": 2}  # turns a quarter of each head's channels
_HF = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2}
_CONV = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
_SWIN = {"embed_dim": 12, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 3, 4]}
_MAX = {"embed_dim": [32, 32, 64, 64], "depths": [1, 1, 1, 1], "stem_width": 16}

SMALLER: Mapping[str, Mapping[str, Any]] = {
    "uni": _VIT,
    "uni2-h": _VIT,
    "virchow": _VIT,
    "virchow2": _VIT,
    "gigapath": _VIT,
    "h-optimus-0": _VIT,
    "h0-mini": _VIT,
    "kaiko-s8": _VIT,
    "kaiko-l14": _VIT,
    "gpfm": _VIT,
    "lunit-s16": _VIT,
    "hipt-vit256": _VIT,
    "conch": _VIT,
    "conch-v1.5": _VIT,
    "quiltnet-b32": _VIT,
    "plip": _VIT,
    "musk": _VIT,
    "phikon": _HF | {"intermediate_size": 48},
    "phikon-v2": _HF,
    "hibou-b": _HF,
    "midnight-12k": _HF,
    "dinov2-small": _HF,
    "dinov3-base": _EVA,
    "dinov3-small-plus": _EVA,
    "timm:vit_base_patch16_radio_v3.c_radio": _VIT,
    "timm:vit_pe_spatial_base_patch16_512.fb": _EVA,
    "timm:eva02_large_patch14_224.mim_m38m": _EVA,
    "sam-b": _VIT | {"global_attn_indexes": [1, 3], "img_size": 512},
    "sam-b-cellvit": _VIT | {"global_attn_indexes": [1, 3], "img_size": 512},
    "ctranspath": _SWIN | {"embed_dim": 24},
    "kimianet": {"growth_rate": 8, "block_config": [1, 1, 1, 1]},
    "timm:swin_tiny_patch4_window7_224.ms_in22k": _SWIN,
    "timm:swinv2_base_window12_192.ms_in22k": _SWIN,
    "timm:convnext_tiny.fb_in22k": _CONV,
    "timm:convnextv2_base.fcmae_ft_in22k_in1k": _CONV,
    "dinov3-convnext-tiny": _CONV,
    "timm:maxvit_base_tf_224.in21k": _MAX,
    "timm:coatnet_2_rw_224.sw_in12k": _MAX,
    "timm:caformer_b36.sail_in22k": {},
    "sam2.1-tiny": {"embed_dim": 16, "num_heads": 1},
    "mobilenet-v2": {},
}
"""Build arguments that make a card small; what the card states beside them (gated MLPs, registers, stem) stays."""

ONE_STRIDE = [name for name in SMALLER if len(set(get_card(name).strides or ())) == 1]


def small(name: str, **build: Any) -> EncoderCard:
    card = get_card(name)
    arch = "caformer_s18" if "caformer" in name else card.arch  # timm lets nobody change its depths
    sizes = {**card.build, **SMALLER[name], **build}
    return replace(card, arch=arch, build=sizes, dims=None, strides=None, params=None)


def cells(encoder: FeaturePyramid, size: int) -> list[int]:
    side = -(-size // encoder.size_multiple) * encoder.size_multiple
    return [side // stride for stride in encoder.strides]


@pytest.mark.filterwarnings("ignore::UserWarning")  # timm on windows larger than the coarsest map
@pytest.mark.parametrize("size", [224, 256, 512])
@pytest.mark.parametrize("name", SMALLER)
def test_every_family_runs_at_three_sizes(name: str, size: int) -> None:
    card = small(name)
    encoder = build_encoder(card, image_size=size)
    with torch.inference_mode():
        maps = encoder(torch.rand(1, 3, size, size))
    expected = [(1, c, n, n) for c, n in zip(encoder.channels, cells(encoder, size), strict=True)]
    assert [tuple(m.shape) for m in maps] == expected
    assert all(m.isfinite().all() for m in maps)
    assert encoder.strides == list(get_card(name).strides or ())
    assert encoder.card.prefix_tokens == get_card(name).prefix_tokens


def _silence(network: Any) -> None:
    """Blocks that add nothing: every token keeps its content, whatever the others hold."""
    ends = ("attn.proj", "mlp.fc2", "attention.o_proj", "mlp.down_proj")
    for key, module in network.named_modules():
        if key.endswith(ends):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)


@pytest.mark.parametrize("name", ONE_STRIDE)
def test_a_patch_lands_in_its_cell_and_no_prefix_token_in_any(name: str) -> None:
    card = small(name)
    encoder = build_encoder(card, image_size=256)
    network: Any = encoder.network
    size = 4 * encoder.size_multiple
    with torch.no_grad():
        _silence(network)
        prefix = 0
        for key, value in network.named_parameters():
            last = key.rpartition(".")[2]
            if last in {"cls_token", "reg_token", "register_tokens"}:
                value.fill_(0)[..., 0] = 1e6  # the marker
                prefix += value.shape[1]
            elif last in {"pos_embed", "position_embeddings"}:
                value.zero_()
        x = torch.zeros(1, 3, size, size)
        patch = card.patch_size or 0
        x[..., patch : 2 * patch, 2 * patch : 3 * patch] = torch.rand(3, patch, patch)
        maps = encoder(x)
    assert prefix == card.prefix_tokens
    for m in maps:
        background = m[0, :, 0, 0]
        differs = (m[0] - background[:, None, None]).abs().amax(0) > 1e-3
        assert differs.nonzero().tolist() == [[1, 2]]
        assert background.abs().amax() < 0.9 * (len(background) - 1) ** 0.5  # what the marker alone would become


@pytest.mark.filterwarnings("ignore::UserWarning")  # timm's interpolation
@pytest.mark.parametrize("name", SMALLER)
def test_files_are_read_strictly(name: str, tmp_path: Path) -> None:
    card = small(name)
    source = build_encoder(card, seed=1, image_size=224)
    state = {key: value.contiguous().clone() for key, value in source.network.state_dict().items()}  # type: ignore[union-attr, operator]
    save_file(state, tmp_path / "w.safetensors")
    # For another image size: tables of windows and positions are resampled where they depend on it.
    loaded = build_encoder(card, weights=tmp_path / "w.safetensors", image_size=256).network.state_dict()
    same = [key for key, value in state.items() if loaded[key].shape == value.shape]
    assert all(torch.equal(loaded[key], state[key]) for key in same)
    assert set(state) - set(same) <= {key for key in state if "rel" in key or "pos_embed" in key}
    victim = max(state, key=lambda key: state[key].numel())
    save_file({**state, victim: torch.zeros(3, 5), "stranger": torch.zeros(2)}, tmp_path / "wrong.safetensors")
    with pytest.raises(ModelError) as caught:
        build_encoder(card, weights=tmp_path / "wrong.safetensors", image_size=224)
    assert victim in caught.value.what
    assert "(3, 5)" in caught.value.what
    assert "stranger" in caught.value.what


def test_sams_position_table_is_cropped_or_resampled() -> None:  # specification 4
    resampling, cropping = (build_encoder(small(name), seed=1) for name in ("sam-b", "sam-b-cellvit"))
    corner = build_encoder(small("sam-b", img_size=256), seed=1)  # made for a quarter of the image
    whole, part = torch.rand(1, 3, 512, 512), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        state = {key: value.clone() for key, value in resampling.network.state_dict().items()}
        state |= {key: torch.zeros_like(value) for key, value in state.items() if "rel_pos" in key}
        state["pos_embed"] = torch.randn_like(state["pos_embed"])
        quarter = {key: torch.zeros_like(v) for key, v in corner.network.state_dict().items() if "rel_pos" in key}
        resampling.network.load_state_dict(state)
        cropping.network.load_state_dict(state)
        corner.network.load_state_dict(state | quarter | {"pos_embed": state["pos_embed"][:, :16, :16]})
        cropping.mean.copy_(resampling.mean)
        cropping.std.copy_(resampling.std)
        for one, other in zip(resampling(whole), cropping(whole), strict=True):  # as large as the table
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
        for one, other in zip(corner(part), cropping(part), strict=True):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
        assert not torch.allclose(resampling(part)[0], cropping(part)[0], atol=0.1)
        with pytest.raises(ModelError, match="64 x 64 tokens, but a position table of 32 x 32"):
            cropping(torch.rand(1, 3, 1024, 1024))
