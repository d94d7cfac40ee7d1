"""What is built against the published numbers; everything on the meta device, no memory and no weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from histoseed.encoders import get_card
from histoseed.encoders.build import plan_encoder
from histoseed.encoders.family import Blueprint
from histoseed.encoders.registry import CARDS

BUILT = [name for name, card in CARDS.items() if card.family != "none"]


@cache
def on_meta(name: str) -> tuple[Blueprint, Any]:
    """Plan and network of a card, for images of its native size."""
    card = get_card(name)
    plan = plan_encoder(card, card.native_size or 256)
    with torch.device("meta"):
        return plan, plan.make()


@pytest.mark.parametrize("name", BUILT)
def test_what_a_card_states_is_what_is_built(name: str) -> None:
    card, (plan, network) = CARDS[name], on_meta(name)
    assert sum(p.numel() for p in network.parameters()) == card.params
    assert (plan.prefix_tokens, plan.patch_size) == (card.prefix_tokens, card.patch_size)
    assert set(plan.strides) == set(card.strides or ())
    assert len(card.dims or ()) == len(card.strides or ())


@pytest.mark.parametrize(
    ("name", "millions", "dim", "depth", "patch", "prefix"),
    [  # specification 1: parameters, dim / depth, patch, prefix
        ("uni", 303.4, 1024, 24, 16, 1),
        ("uni2-h", 681.4, 1536, 24, 14, 9),
        ("virchow", 631.2, 1280, 32, 14, 1),
        ("virchow2", 631.2, 1280, 32, 14, 5),
        ("gigapath", 1135.0, 1536, 40, 16, 1),
        ("h-optimus-0", 1134.8, 1536, 40, 14, 5),
        ("h-optimus-1", 1134.8, 1536, 40, 14, 5),
        ("h0-mini", 85.7, 768, 12, 14, 5),
        ("phikon", 85.8, 768, 12, 16, 1),
        ("phikon-v2", 303.4, 1024, 24, 16, 1),
        ("hipt-vit256", 21.7, 384, 12, 16, 1),
        ("hibou-b", 85.7, 768, 12, 14, 5),
        ("hibou-l", 303.7, 1024, 24, 14, 5),
        ("kaiko-s16", 21.7, 384, 12, 16, 1),
        ("kaiko-s8", 21.7, 384, 12, 8, 1),
        ("kaiko-b16", 85.8, 768, 12, 16, 1),
        ("kaiko-b8", 85.8, 768, 12, 8, 1),
        ("kaiko-l14", 304.4, 1024, 24, 14, 5),
        ("gpfm", 303.2, 1024, 24, 14, 1),
        ("mstar", 303.4, 1024, 24, 16, 1),
        ("lunit-s16", 21.7, 384, 12, 16, 1),
        ("lunit-s8", 21.7, 384, 12, 8, 1),
        # specification 2
        ("dinov2-small", 22.1, 384, 12, 14, 1),
        ("dinov2-base", 86.6, 768, 12, 14, 1),
        ("dinov2-large", 304.4, 1024, 24, 14, 1),
        ("timm:vit_giant_patch14_reg4_dinov2.lvd142m", 1136.5, 1536, 40, 14, 5),
        ("dinov3-small", 21.6, 384, 12, 16, 5),
        ("dinov3-small-plus", 28.7, 384, 12, 16, 5),
        ("dinov3-base", 85.6, 768, 12, 16, 5),
        ("dinov3-large", 303.1, 1024, 24, 16, 5),
        ("dinov3-huge-plus", 840.5, 1280, 32, 16, 5),
        ("timm:vit_small_patch16_224.augreg_in21k", 21.7, 384, 12, 16, 1),
        ("timm:vit_base_patch16_224.augreg_in21k", 85.8, 768, 12, 16, 1),
        ("timm:vit_large_patch16_224.augreg_in21k", 303.3, 1024, 24, 16, 1),
        ("timm:vit_base_patch8_224.augreg_in21k", 85.8, 768, 12, 8, 1),
        ("sam-b", 89.7, 768, 12, 16, 0),
        ("sam-l", 308.3, 1024, 24, 16, 0),
        ("sam-h", 637.0, 1280, 32, 16, 0),
    ],
)
def test_plain_transformers(name: str, millions: float, dim: int, depth: int, patch: int, prefix: int) -> None:
    plan, network = on_meta(name)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions
    assert (len(plan.strides), plan.patch_size, plan.prefix_tokens) == (depth, patch, prefix)
    assert CARDS[name].dims == (dim,) * 4


@pytest.mark.parametrize(
    ("name", "millions", "dims"),
    [  # specification 1 and 2; CTransPath 27.52 M
        ("ctranspath", 27.5, (96, 192, 384, 768)),
        ("kimianet", 7.0, (64, 256, 512, 1024, 1024)),
        ("dinov3-convnext-tiny", 27.8, (96, 192, 384, 768)),
        ("dinov3-convnext-base", 87.6, (128, 256, 512, 1024)),
        ("dinov3-convnext-large", 196.2, (192, 384, 768, 1536)),
        ("timm:swin_tiny_patch4_window7_224.ms_in22k", 27.5, (96, 192, 384, 768)),
        ("timm:swin_base_patch4_window7_224.ms_in22k", 86.7, (128, 256, 512, 1024)),
        ("timm:swin_large_patch4_window7_224.ms_in22k", 195.0, (192, 384, 768, 1536)),
        ("timm:swinv2_base_window12_192.ms_in22k", 86.9, (128, 256, 512, 1024)),
        ("timm:convnext_tiny.fb_in22k", 27.8, (96, 192, 384, 768)),
        ("timm:convnext_base.fb_in22k", 87.6, (128, 256, 512, 1024)),
        ("timm:convnext_large.fb_in22k", 196.2, (192, 384, 768, 1536)),
        ("timm:convnextv2_base.fcmae_ft_in22k_in1k", 87.7, (128, 256, 512, 1024)),
        ("timm:maxvit_base_tf_224.in21k", 118.7, (64, 96, 192, 384, 768)),
        ("timm:maxvit_large_tf_224.in21k", 210.8, (128, 128, 256, 512, 1024)),
        ("timm:maxvit_tiny_tf_512.in1k", 30.5, (64, 64, 128, 256, 512)),
        ("timm:coatnet_2_rw_224.sw_in12k", 72.8, (128, 128, 256, 512, 1024)),
        ("timm:caformer_b36.sail_in22k", 93.3, (128, 256, 512, 768)),
        ("sam2.1-tiny", 26.9, (96, 192, 384, 768)),
        ("sam2.1-small", 33.9, (96, 192, 384, 768)),
        ("sam2.1-base-plus", 68.7, (112, 224, 448, 896)),
        ("sam2.1-large", 212.2, (144, 288, 576, 1152)),
    ],
)
def test_hierarchical_encoders(name: str, millions: float, dims: tuple[int, ...]) -> None:
    plan, network = on_meta(name)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions
    assert plan.strides == (2, 4, 8, 16, 32)[-len(dims) :]
    side = -(-(CARDS[name].native_size or 256) // 32) * 32
    with torch.no_grad():
        maps = plan.features(network.eval(), torch.empty(1, 3, side, side, device="meta"), tuple(range(len(dims))))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (dim, side // stride, side // stride) for dim, stride in zip(dims, plan.strides, strict=True)
    ]
    assert CARDS[name].dims == dims


@pytest.mark.parametrize(
    ("name", "table"),
    [  # specification 1.1: lengths of the position tables; DINOv3 turns its queries and keys and has none
        ("uni", (1, 197, 1024)),
        ("uni2-h", (1, 256, 1536)),
        ("virchow", (1, 257, 1280)),
        ("virchow2", (1, 261, 1280)),
        ("gigapath", (1, 197, 1536)),
        ("h-optimus-0", (1, 256, 1536)),
        ("h0-mini", (1, 256, 768)),
        ("kaiko-l14", (1, 1369, 1024)),
        ("gpfm", (1, 257, 1024)),
        ("dinov3-base", None),
        ("sam-b", (1, 64, 64, 768)),
        ("sam2.1-tiny", (1, 96, 7, 7)),
        ("conch", (1, 28 * 28 + 1, 768)),  # specification 4
        ("conch-v1.5", (1, 28 * 28 + 1, 1024)),
        ("dinov2-small", (1, 37 * 37 + 1, 384)),
    ],
)
def test_position_tables(name: str, table: tuple[int, ...] | None) -> None:
    state = on_meta(name)[1].state_dict()
    found = [tuple(t.shape) for key, t in state.items() if key.endswith(("pos_embed", "position_embeddings"))]
    assert found == ([] if table is None else [table])


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [  # specification 1.1: the first MLP
        ("uni", (4096, 1024), (1024, 4096)),
        ("uni2-h", (8192, 1536), (1536, 4096)),
        ("virchow", (6832, 1280), (1280, 3416)),
        ("virchow2", (6832, 1280), (1280, 3416)),
        ("gigapath", (8192, 1536), (1536, 4096)),
        ("h-optimus-0", (8192, 1536), (1536, 4096)),
        ("h0-mini", (4096, 768), (768, 2048)),
    ],
)
def test_first_mlps(name: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    mlp = on_meta(name)[1].blocks[0].mlp
    assert (tuple(mlp.fc1.weight.shape), tuple(mlp.fc2.weight.shape)) == (first, second)


def test_layer_scale_begins_where_the_authors_began() -> None:  # specification 1.1
    for name, value in (("uni", 1e-5), ("uni2-h", 1e-5), ("virchow2", 1e-5), ("conch-v1.5", 1.0)):
        assert CARDS[name].build["init_values"] == value
        assert "blocks.0.ls1.gamma" in on_meta(name)[1].state_dict()
    for name in ("kaiko-b8", "kaiko-s16", "hipt-vit256"):
        assert "blocks.0.ls1.gamma" not in on_meta(name)[1].state_dict()


def test_where_sam_looks_at_the_whole_image() -> None:  # specification 2.1
    for name, blocks in (("sam-b", [2, 5, 8, 11]), ("sam-l", [5, 11, 17, 23]), ("sam-h", [7, 15, 23, 31])):
        assert [i for i, block in enumerate(on_meta(name)[1].blocks) if block.window_size == 0] == blocks
