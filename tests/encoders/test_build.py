"""Building: fingerprints of the architectures, shapes, prefix tokens, seeds."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from histoseed.encoders import EncoderCard, FeaturePyramid, build_encoder
from histoseed.encoders.taps import equally_spaced
from histoseed.errors import InputError, ModelError

Tiny = Callable[..., EncoderCard]


def test_a_card_that_states_something_else_is_refused() -> None:
    wrong = EncoderCard(name="wrong", family="timm", arch="resnet18", params=1)
    with pytest.raises(ModelError, match="params 1 but 11176512"):
        build_encoder(wrong)


ENCODERS = ["bundled", "timm:resnet18", "timm:convnext_atto", "vit", "vit patch 14", "swin", "dinov2"]


@pytest.mark.parametrize("which", ENCODERS)
def test_maps_cover_the_image_at_every_size(which: str, tiny: Tiny) -> None:
    encoder = build_encoder(tiny(which))
    for size in [(224, 224), (256, 256), (200, 256), (37, 61)]:
        with torch.inference_mode():
            maps = encoder(torch.rand(2, 3, *size))
        rows, columns = (-(-side // encoder.size_multiple) * encoder.size_multiple for side in size)
        assert [m.shape for m in maps] == [
            (2, c, rows // s, columns // s) for c, s in zip(encoder.channels, encoder.strides, strict=True)
        ]
        assert all(m.isfinite().all() for m in maps)
        assert encoder.effective_scale == (rows / size[0], columns / size[1])
    assert encoder.strides == sorted(encoder.strides)
    assert encoder.card.dims == tuple(encoder.channels)


def test_windowed_encoders_are_created_for_the_image_size() -> None:
    small = build_encoder("timm:coatnet_nano_rw_224", image_size=100)
    with torch.inference_mode():
        assert [m.shape[-1] for m in small(torch.rand(1, 3, 100, 100))] == [64, 32, 16, 8, 4]
        with pytest.raises(ModelError, match="image_size=192") as caught:
            small(torch.rand(1, 3, 192, 192))
    assert "created for 100 x 100" in caught.value.what


def test_the_rule_of_the_taps() -> None:
    # CellViT's skips, one-based: 3, 6, 9, 12; 6, 12, 18, 24; 8, 16, 24, 32.
    assert [[t + 1 for t in equally_spaced(depth)] for depth in (12, 24, 32, 40)] == [
        [3, 6, 9, 12], [6, 12, 18, 24], [8, 16, 24, 32], [10, 20, 30, 40],
    ]  # fmt: skip
    for depth in range(1, 60):
        taps = equally_spaced(depth)
        assert len(set(taps)) == min(4, depth)
        assert taps[-1] == depth - 1


def test_taps_can_be_chosen_and_wrong_ones_are_refused() -> None:
    assert build_encoder("timm:resnet18", taps=[1, 3]).strides == [4, 16]
    for wrong in ([3, 1], [5], [-1], [], [1, 1]):
        with pytest.raises(ModelError, match="Taps"):
            build_encoder("timm:resnet18", taps=wrong)


@pytest.mark.parametrize(("which", "patch"), [("vit patch 14", 14), ("vit", 16)])
def test_prefix_tokens_are_stripped_from_timm_vits(which: str, patch: int, tiny: Tiny) -> None:
    card = tiny(which)
    encoder = build_encoder(card)
    network: Any = encoder.network
    assert encoder.card.prefix_tokens == (1 if patch == 16 else 5)
    with torch.no_grad():
        network.norm.weight.uniform_()  # fitted to the last block only: no part of any map
        network.cls_token.fill_(0)[..., 0] = 1e6  # the marker: it must not reach any map
        if network.reg_token is not None:
            network.reg_token.fill_(0)[..., 0] = 1e6
        for block in network.blocks:  # blocks that add nothing: each token keeps its content
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.zero_()
                layer.bias.zero_()
        x = torch.rand(2, 3, 4 * patch, 4 * patch)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (card.mean, card.std))
        tokens = F.conv2d((x - mean) / std, network.patch_embed.proj.weight, network.patch_embed.proj.bias, patch)
        grid = network.pos_embed[:, -16:].transpose(1, 2).reshape(1, 24, 4, 4)
        expected = tokens + grid
        expected = (expected - expected.mean(1, keepdim=True)) / expected.var(1, unbiased=False, keepdim=True).sqrt()
        maps = encoder(x)
    assert len(maps) == 4
    for m in maps:
        torch.testing.assert_close(m, expected, atol=1e-3, rtol=1e-3)


def test_prefix_tokens_are_stripped_from_transformers_dinov2(tiny: Tiny) -> None:
    card = tiny("dinov2")
    encoder = build_encoder(card)
    network: Any = encoder.network
    with torch.no_grad():
        network.embeddings.cls_token.fill_(0)[..., 0] = 1e6
        for name, parameter in network.named_parameters():
            if "layer_scale" in name:  # blocks that add nothing
                parameter.zero_()
        x = torch.rand(2, 3, 56, 56)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (card.mean, card.std))
        projection = network.embeddings.patch_embeddings.projection
        tokens = F.conv2d((x - mean) / std, projection.weight, projection.bias, 14)
        table = network.embeddings.position_embeddings[:, 1:].transpose(1, 2).reshape(1, 24, 4, 4)
        expected = F.layer_norm((tokens + table).movedim(1, -1), (24,), eps=1e-6).movedim(-1, 1)
        maps = encoder(x)
    for m in maps:
        torch.testing.assert_close(m, expected, atol=1e-4, rtol=1e-4)


def test_the_tap_is_the_block_it_names(tiny: Tiny) -> None:
    encoder = build_encoder(tiny("dinov2", num_hidden_layers=6), taps=[1, 4])
    x = torch.rand(1, 3, 56, 56)
    with torch.inference_mode():
        maps = encoder(x)
        network: Any = encoder.network
        hidden = network((x - encoder.mean) / encoder.std, output_hidden_states=True).hidden_states
    for m, depth in zip(maps, (2, 5), strict=True):
        expected = F.layer_norm(hidden[depth][:, 1:], (24,), eps=1e-6).transpose(1, 2).reshape(1, 24, 4, 4)
        torch.testing.assert_close(m, expected)


@pytest.mark.parametrize("which", ["vit", "dinov2"])
def test_transformer_maps_have_unit_scale_at_every_depth(which: str, tiny: Tiny) -> None:
    encoder = build_encoder(tiny(which))
    with torch.inference_mode():
        for m in encoder(torch.rand(1, 3, 224, 224)):
            torch.testing.assert_close(m.mean(1), torch.zeros_like(m[:, 0]), atol=1e-4, rtol=0)
            torch.testing.assert_close(m.var(1, unbiased=False), torch.ones_like(m[:, 0]), atol=1e-2, rtol=0)


def test_convolutional_maps_are_handed_out_as_they_are() -> None:
    encoder = build_encoder("timm:resnet18")
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        network: Any = encoder.network
        expected = network.forward_intermediates((x - encoder.mean) / encoder.std, intermediates_only=True)
        for m, other in zip(encoder(x), expected, strict=True):
            assert torch.equal(m, other)


@pytest.mark.parametrize("which", ["bundled", "vit", "swin", "dinov2"])
def test_random_weights_follow_the_seed_and_leave_the_global_generator_alone(which: str, tiny: Tiny) -> None:
    card = tiny(which)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (build_encoder(card, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert first.fingerprint() == again.fingerprint() == build_encoder(card, seed=1).fingerprint()
    assert first.fingerprint() != other.fingerprint()
    assert first.weights == "random, seed 1"


def test_resampling_is_logged_once_a_size(caplog: pytest.LogCaptureFixture, tiny: Tiny) -> None:
    encoder = build_encoder(tiny("vit patch 14"))
    with caplog.at_level(logging.INFO, logger="histoseed.encoders"), torch.inference_mode():
        for size in (256, 256, 252, 100):
            encoder(torch.rand(1, 3, size, size))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "256 x 256 are resampled to 266 x 266 (scale 1.039" in messages[0]


def test_a_frozen_encoder_gives_no_gradients_and_keeps_its_statistics() -> None:
    encoder = build_encoder("bundled").freeze().train()
    before = encoder.fingerprint()
    maps = encoder(torch.rand(2, 3, 32, 32))
    assert not any(m.requires_grad for m in maps)
    assert encoder.fingerprint() == before  # the running statistics of batch normalisation as well
    encoder.unfreeze()
    assert encoder.network.training
    assert all(m.requires_grad for m in encoder(torch.rand(2, 3, 32, 32)))
    assert encoder.fingerprint() != before


def test_an_encoder_can_be_copied_and_pickled(tiny: Tiny) -> None:
    encoder = build_encoder(tiny("vit"))
    x = torch.rand(1, 3, 64, 64)
    for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert isinstance(twin, FeaturePyramid)
        with torch.inference_mode():
            assert all(torch.equal(a, b) for a, b in zip(encoder(x), twin(x), strict=True))
        assert twin.fingerprint() == encoder.fingerprint()


def test_constants_are_no_weights() -> None:
    assert all(key.startswith("network.") for key in build_encoder("bundled").state_dict())


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(3, 64, 64),
        torch.zeros(1, 4, 64, 64),
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(0, 3, 64, 64),
        torch.zeros(1, 3, 0, 64),
    ],
)
def test_other_input_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        build_encoder("bundled")(x)


def test_architectures_that_give_no_aligned_maps_are_refused() -> None:
    with pytest.raises(ModelError, match="do not tile"):
        build_encoder("timm:inception_v3")
    with pytest.raises(ModelError, match="cannot build"):
        build_encoder(EncoderCard(name="odd", family="timm", arch="resnet18", build={"no_such_argument": 1}))
    with pytest.raises(InputError, match="not positive"):
        build_encoder("bundled", image_size=0)
