"""The adapter: deformable attention against a direct loop, and a trunk that starts as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder, get_card
from histoseed.errors import InputError
from histoseed.segmenters import why_not
from histoseed.segmenters.spatial_adapter import (
    DeformableAttention,
    SpatialAdapter,
    SpatialPrior,
    deformable_sample,
    reference_points,
)

VIT = "timm:vit_tiny_patch16_224"


def loop_sample(value, sizes, locations, weights):
    """Equation 3 of Deformable DETR, one query, head, map and point after the other, bilinear by hand."""
    n, _, heads, channels = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    out = np.zeros((n, queries, heads, channels))
    starts = np.cumsum([0, *(h * w for h, w in sizes)])
    for b, q, m, level, k in np.ndindex(n, queries, heads, len(sizes), points):
        height, width = sizes[level]
        x = locations[b, q, m, level, k, 0] * width - 0.5
        y = locations[b, q, m, level, k, 1] * height - 0.5
        for i in (int(np.floor(y)), int(np.floor(y)) + 1):
            for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= i < height and 0 <= j < width:
                    share = (1 - abs(y - i)) * (1 - abs(x - j))
                    cell = value[b, starts[level] + i * width + j, m]
                    out[b, q, m] += weights[b, q, m, level, k] * share * cell
    return out.reshape(n, queries, heads * channels)


@pytest.mark.parametrize("sizes", [[(5, 4)], [(6, 8), (3, 4), (2, 2)]])
def test_sampling_equals_a_loop_in_double_precision(sizes):
    rng = np.random.default_rng(0)
    n, heads, channels, queries, points = 2, 3, 4, 5, 2
    value = rng.normal(size=(n, sum(h * w for h, w in sizes), heads, channels))
    locations = rng.uniform(-0.2, 1.2, (n, queries, heads, len(sizes), points, 2))
    weights = rng.uniform(size=(n, queries, heads, len(sizes), points))
    given = [torch.from_numpy(a) for a in (value, locations, weights)]
    found = deformable_sample(given[0], sizes, given[1], given[2]).numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, loop_sample(value, sizes, locations, weights), atol=1e-12)


def test_sampling_has_the_gradient_of_its_differences():
    torch.manual_seed(0)
    value = torch.randn(1, 12, 2, 3, dtype=torch.float64, requires_grad=True)
    locations = (0.1 + 0.8 * torch.rand(1, 2, 2, 1, 2, 2, dtype=torch.float64)).requires_grad_()
    weights = torch.rand(1, 2, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, p, w: deformable_sample(v, [(3, 4)], p, w), (value, locations, weights))


def test_reference_points_are_centres_of_cells():
    points = reference_points([(1, 2), (2, 1)], torch.device("cpu"), torch.float64)
    assert points.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def test_heads_look_in_directions_of_their_own_at_the_start():
    attention = DeformableAttention(16, 2, heads=4, points=3)
    shift = attention.offsets.bias.detach().reshape(4, 2, 3, 2)
    torch.testing.assert_close(shift[0, 0], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(shift[1, 1], torch.tensor([[0.0, 1], [0, 2], [0, 3]]), atol=1e-5, rtol=0)
    assert attention.offsets.weight.abs().sum() == 0


@pytest.mark.parametrize(("size", "expected"), [(64, [32, 16, 8, 4]), (50, [25, 13, 7, 4])])
def test_the_prior_has_strides_2_to_16(size, expected):
    maps = SpatialPrior(8, width=4)(torch.rand(1, 3, size, size))
    assert [tuple(m.shape) for m in maps] == [(1, 8, s, s) for s in expected]


def trunk_maps(adapter, images):
    got = []
    handle = adapter.trunk.register_forward_hook(lambda module, given, out: got.extend(out))
    adapter(images)
    handle.remove()
    return got


@pytest.mark.parametrize(("gamma", "tolerance"), [(0.0, 0.0), (1e-5, 1e-3)])
def test_the_trunk_starts_as_it_was(gamma, tolerance):
    images = torch.rand(2, 3, 64, 96)
    encoder = build_encoder(VIT, image_size=64)
    before = encoder(images)
    adapter = SpatialAdapter(encoder, gamma=gamma, width=8).eval()
    for one, other in zip(before, trunk_maps(adapter, images), strict=True):
        assert (one - other).abs().max() <= tolerance


def test_what_the_injectors_add_reaches_the_trunk():
    images = torch.rand(1, 3, 64, 64)
    encoder = build_encoder(VIT, image_size=64)
    before = encoder(images)
    adapter = SpatialAdapter(encoder, gamma=1.0, width=8).eval()
    for one, other in zip(before, trunk_maps(adapter, images), strict=True):
        assert (one - other).abs().max() > 0.01
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in encoder.network.blocks)


@pytest.mark.parametrize("name", [VIT, "timm:vit_small_patch14_reg4_dinov2.lvd142m"])
def test_maps_have_true_resolutions_and_only_the_adapter_learns(name):
    encoder = build_encoder(name, image_size=64)
    adapter = SpatialAdapter(encoder, width=8).train()
    maps = adapter(torch.rand(2, 3, 64, 96))
    assert [tuple(m.shape[-2:]) for m in maps] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    assert [m.shape[1] for m in maps] == adapter.channels
    sum(m.square().sum() for m in maps).backward()
    assert not any(p.requires_grad or p.grad is not None for p in adapter.trunk.parameters())
    assert not adapter.trunk.network.training
    # What the attention looks with starts at zero weight, so that only its norm has no gradient yet.
    still = [k for k, p in adapter.named_parameters() if p.requires_grad and not (p.grad is not None and p.grad.any())]
    assert all("query_norm" in key for key in still)


def test_freezing_and_thawing():
    adapter = SpatialAdapter(build_encoder(VIT, image_size=64), width=8)
    count = sum(p.requires_grad for p in adapter.parameters())
    adapter.freeze().train()
    assert not any(p.requires_grad for p in adapter.parameters())
    assert not adapter.norms[0].training
    adapter.unfreeze().train()
    assert sum(p.requires_grad for p in adapter.parameters()) == count
    assert adapter.norms[0].training


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:regnetx_002"])
def test_encoders_whose_cards_state_no_strides_say_why_not(name):
    assert get_card(name).strides is None
    assert "hierarchical" in (why_not(get_card(name), "cellvit", "adapter") or "")
    assert why_not(get_card("timm:vit_tiny_patch16_384.augreg_in21k_ft_in1k"), "cellvit", "adapter") is None


def test_hierarchical_encoders_say_why_not():
    reason = why_not(get_card("timm:convnext_tiny.fb_in22k"), "cellvit", "adapter")
    assert "hierarchical" in reason
    with pytest.raises(InputError, match=r"taps of one stride|hierarchical"):
        SpatialAdapter(build_encoder("bundled", image_size=64))
