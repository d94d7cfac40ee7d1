"""The parts of the fusions: sizes, published parameter counts, closed forms."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from histoseed.errors import InputError
from histoseed.prompting.fusion.attention import GridAttention
from histoseed.prompting.fusion.card import CARDS
from histoseed.prompting.fusion.concat import Concat
from histoseed.prompting.fusion.cross_attention import CrossAttention
from histoseed.prompting.fusion.encoder_only import EncoderOnly
from histoseed.prompting.fusion.layers import places, resized, sam_neck, upsampler
from histoseed.prompting.fusion.refinement import Refinement

H_OPTIMUS, UNI = (1536, 16), (1024, 14)  # channels and tokens a side of a tile


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def neck_of(width: int = 768, channels: int = 256) -> nn.Module:
    """SAM's neck as transformers has it."""
    from transformers import SamVisionConfig
    from transformers.models.sam.modeling_sam import SamVisionNeck

    torch.manual_seed(0)
    return SamVisionNeck(SamVisionConfig(hidden_size=width, output_channels=channels))


def test_published_modules_have_their_published_sizes() -> None:
    dim, tokens = H_OPTIMUS
    with torch.device("meta"):
        # specification 8: 2.38 M and 37 M parameters with H-optimus-0
        assert count(upsampler("interpolation", dim, tokens, 64)) == 9 * dim + dim + dim * dim + dim == 2_376_192
        assert count(upsampler("deconvolution", dim, tokens, 64)) == 16 * dim * dim + dim == 37_750_272
        deconvolution = upsampler("deconvolution", *UNI, 64)
    kernels = [(layer.kernel_size[0], layer.stride[0]) for layer in deconvolution]  # type: ignore[union-attr, index]
    assert kernels == [(3, 1), (4, 4)]  # specification 8: 14 -> 16 by a kernel of 3, then 4 by 4


def test_published_attention_has_its_published_sizes() -> None:
    attention = 4 * (256 * 256 + 256)
    with torch.device("meta"):
        cross = CrossAttention(CARDS["cross-attention-published"], 1024, 256, before=768, finer={})
        refinement = Refinement(CARDS["refinement-published"], 1536)
    assert count(cross) == (768 + 1) * 256 + (1024 + 1) * 256 + attention + 257 * 256 == 788_224
    assert count(refinement) == 4 * 256 + 1537 * 256 + attention + (9 * 256 + 1) * 256 + 257 * 3 == 1_248_515


@pytest.mark.parametrize(("tokens", "cells"), [(16, 64), (14, 64), (7, 16), (16, 16), (14, 16)])
def test_deconvolution_reaches_the_grid_of_sam(tokens: int, cells: int) -> None:
    found = upsampler("deconvolution", 4, tokens, cells)(torch.randn(1, 4, tokens, tokens))
    assert found.shape == (1, 4, cells, cells)


def test_a_tile_with_more_tokens_than_sam_is_not_deconvolved() -> None:
    with pytest.raises(InputError, match="Use interpolation"):
        upsampler("deconvolution", 4, 28, 16)


@pytest.mark.parametrize("side", [3, 16, 37])
def test_interpolation_takes_any_grid_and_keeps_what_is_constant(side: int) -> None:
    layer = upsampler("interpolation", 4, 14, 16)
    nn.init.zeros_(layer.depthwise.weight)  # type: ignore[union-attr, arg-type]
    layer.depthwise.weight.data[:, 0, 1, 1] = 1  # type: ignore[union-attr, index]
    nn.init.zeros_(layer.depthwise.bias)  # type: ignore[union-attr, arg-type]
    nn.init.dirac_(layer.pointwise.weight)  # type: ignore[union-attr, arg-type]
    nn.init.zeros_(layer.pointwise.bias)  # type: ignore[union-attr, arg-type]
    level = torch.arange(4.0)[None, :, None, None]
    torch.testing.assert_close(layer(level.expand(1, 4, side, side)), level.expand(1, 4, 16, 16))


def test_a_ramp_stays_where_it_is_when_the_grid_changes() -> None:
    coarse = ((torch.arange(8) + 0.5) / 8).expand(1, 1, 8, 8)
    finer, coarser = resized(coarse, 32)[0, 0, 16], resized(coarse, 4)[0, 0, 2]
    torch.testing.assert_close(finer[4:-4], ((torch.arange(32) + 0.5) / 32)[4:-4])
    torch.testing.assert_close(coarser[1:-1], ((torch.arange(4) + 0.5) / 4)[1:-1])


def test_places_are_the_same_in_every_grid_and_differ_within_one() -> None:
    three, nine = places(3, 3, 64, torch.device("cpu")), places(9, 9, 64, torch.device("cpu")).reshape(9, 9, 64)
    torch.testing.assert_close(nine[1::3, 1::3].reshape(9, 64), three, atol=1e-4, rtol=0)  # the same centres
    assert (torch.cdist(nine.reshape(81, 64), nine.reshape(81, 64)) + 9 * torch.eye(81)).min() > 0.5


def test_a_neck_starts_as_that_of_sam() -> None:
    own = neck_of(48, 32)
    given, more = torch.randn(1, 5, 5, 48), torch.randn(1, 5, 5, 7)
    joined = sam_neck(own, 55, "sam", kept=48)
    torch.testing.assert_close(joined(torch.cat([given, more], -1)), own(given))
    fresh = sam_neck(own, 55, "random", kept=48)
    assert (fresh(torch.cat([given, more], -1)) - own(given)).abs().max() > 0.1
    joined.conv2.weight.data.zero_()  # type: ignore[union-attr, operator]
    assert own(given).abs().max() > 0  # a copy


@pytest.mark.parametrize("fusion", ["concat", "concat-published", "encoder-only", "encoder-only-deconv"])
def test_features_become_the_image_map_of_sam_and_all_layers_learn(fusion: str) -> None:
    kind = EncoderOnly if fusion.startswith("encoder-only") else Concat
    layer = kind(CARDS[fusion], neck_of(48, 32), 12, 14, 16)
    given = {"trunk.0": torch.randn(1, 48, 16, 16), "histology": torch.randn(1, 12, 14, 14), "early": torch.ones(1)}
    made = layer(given)
    assert made["image"].shape == (1, 32, 16, 16)
    assert "histology" not in made
    assert ("early" in made) == (kind is Concat)
    for _ in range(2):  # what hides behind zeros gets its gradient after a step
        layer.zero_grad()
        (layer(given)["image"] * torch.randn(1, 32, 16, 16)).sum().backward()
        with torch.no_grad():
            for p in layer.parameters():
                p.sub_(1e-3 * p.grad.sign())  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in layer.parameters())


def test_attention_is_that_of_torch_on_each_prompt_alone() -> None:
    """All prompts in one row give what one call a prompt would; keys and values are computed once."""
    torch.manual_seed(0)
    layer = GridAttention(10, 32, positions=False)
    queries, histology = torch.randn(3, 32, 4, 5), torch.randn(1, 10, 6, 6)
    found = layer(queries, layer.projected(histology))
    tokens = layer.context(histology.flatten(2).transpose(1, 2))
    for one, query in zip(found, queries, strict=True):
        row = query.flatten(1).T[None]
        expected, _ = layer.attention(row, tokens, tokens, need_weights=True)
        torch.testing.assert_close(one.flatten(1).T[None], expected, rtol=1e-4, atol=1e-5)


def test_without_positions_attention_does_not_know_where_anything_is() -> None:
    queries, histology = torch.randn(1, 32, 4, 4), torch.randn(1, 10, 6, 6)
    for positions in (True, False):
        torch.manual_seed(0)
        layer = GridAttention(10, 32, positions=positions)
        plain = layer(queries, layer.projected(histology))
        moved = layer(queries, layer.projected(histology.flip(-1)))
        assert torch.allclose(plain, moved, atol=1e-5) is not positions


def test_finer_maps_get_what_the_coarsest_found() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(CARDS["cross-attention-published"], 10, 32, finer={"middle": 8, "fine": 4})
    maps = {"image": torch.randn(1, 32, 4, 4), "middle": torch.randn(1, 8, 8, 8), "fine": torch.randn(1, 4, 16, 16)}
    one, two = (layer(maps | {"histology": torch.randn(1, 10, 6, 6)}) for _ in range(2))
    assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in maps.items()}
    assert all((one[key] - two[key]).abs().max() > 1e-3 for key in maps)
    started = CrossAttention(CARDS["cross-attention"], 10, 32, finer={"middle": 8, "fine": 4})
    same = started(maps | {"histology": torch.randn(1, 10, 6, 6)})
    assert all(torch.equal(same[key], maps[key]) for key in maps)


@pytest.mark.parametrize("fusion", ["refinement", "refinement-published"])
def test_refinement_corrects_masks_of_every_number(fusion: str) -> None:
    torch.manual_seed(0)
    layer = Refinement(CARDS[fusion], 10, width=32)
    tensors = layer({"histology": torch.randn(1, 10, 6, 6), "image": torch.ones(1)})
    assert set(tensors) == {"context", "image"}
    masks = torch.randn(2, 3, 16, 16)
    corrected = layer.refined(masks, tensors)
    assert corrected.shape == masks.shape
    assert torch.equal(corrected, masks) is (fusion == "refinement")  # starts as SAM
    nn.init.normal_(layer.correction[-1].weight)  # type: ignore[arg-type]
    corrected = layer.refined(masks, tensors)
    assert (corrected - masks).abs().amax((1, 2, 3)).min() > 0.01
    torch.testing.assert_close(layer.refined(masks[:1], tensors), corrected[:1], rtol=1e-4, atol=1e-5)
    if fusion == "refinement":  # each candidate alone: one of them is corrected as among three
        torch.testing.assert_close(layer.refined(masks[:, 1:2], tensors), corrected[:, 1:2], rtol=1e-4, atol=1e-5)


def test_a_block_of_cells_is_corrected_where_it_lies() -> None:
    """The corrections of the cells of a query come out in their own places."""
    layer = Refinement(CARDS["refinement"], 10, width=32)
    tensors = layer({"histology": torch.randn(1, 10, 6, 6)})
    layer.correction[-1].bias.data = torch.arange(16.0)  # type: ignore[union-attr, assignment]
    found = layer.refined(torch.zeros(1, 1, 8, 8), tensors)[0, 0]
    assert torch.equal(found, torch.arange(16.0).reshape(4, 4).tile(2, 2))


def test_a_neck_is_not_changed_by_what_is_made_of_it() -> None:
    own = neck_of(48, 32)
    before = deepcopy(own.state_dict())
    EncoderOnly(CARDS["encoder-only-published"], own, 12, 14, 16)
    Concat(CARDS["concat"], own, 12, 14, 16)
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
