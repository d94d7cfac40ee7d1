"""The side branch: where it joins, that its trunk can be cached, what it refuses."""

import pytest
import torch

from histoseed.errors import InputError
from histoseed.segmenters.methods import MethodOptions, SideBranch, SidePyramid, prepare


def branch_of(encoder):
    assert isinstance(encoder, SidePyramid)
    return encoder


@pytest.mark.parametrize(
    ("which", "strides", "places"),
    [
        ("bundled", [2, 4, 8, 16], (1, 2)),
        ("convnext", [4, 8, 16, 32], (0, 1)),
        ("timm:resnet18", [2, 4, 8, 16, 32], (1, 2)),
        ("vit", [4, 8, 16, 16], (0, 1)),
        ("dinov2", [4, 8, 14, 14], (0, 1)),
    ],
)
@pytest.mark.parametrize("join", ["add", "concat"])
def test_it_joins_at_strides_four_and_eight(which, strides, places, join, tiny, images):
    own = tiny(which).channels
    encoder = branch_of(prepare(tiny(which), "side-branch", MethodOptions(side_join=join, side_channels=6)))
    assert encoder.strides == strides
    assert encoder.places == places
    extra = {places[0]: 12, places[1]: 24} if join == "concat" else {}
    assert encoder.channels == [count + extra.get(i, 0) for i, count in enumerate(own)]
    with torch.no_grad():
        maps = encoder(images)
    rows, columns = encoder.target_size(64, 64)
    assert [m.shape for m in maps] == [
        (2, count, -(-rows // stride), -(-columns // stride))
        for count, stride in zip(encoder.channels, strides, strict=True)
    ]


@pytest.mark.parametrize("size", [(64, 64), (50, 90)])
def test_concatenated_maps_stand_behind_those_of_the_encoder(size, tiny):
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    plain = tiny("convnext")
    encoder = branch_of(prepare(tiny("convnext"), "side-branch", MethodOptions(side_join="concat")))
    with torch.no_grad():
        old, new = plain(images), encoder(images)
    for a, b in zip(old, new, strict=True):
        assert torch.equal(a, b[:, : a.shape[1]])
    assert new[0].shape[1] == old[0].shape[1] + 64


@pytest.mark.parametrize("which", ["vit", "bundled"])
def test_the_trunk_is_that_of_the_frozen_encoder_and_joining_gives_the_rest(which, tiny, images):
    with torch.no_grad():
        expected = tiny(which)(images)
    encoder = branch_of(prepare(tiny(which), "side-branch")).train()
    for parameter in encoder.branch.project.parameters():
        torch.nn.init.normal_(parameter)
    encoder.eval()
    cached = encoder.trunk(images)
    assert all(torch.equal(a, b) for a, b in zip(cached, expected, strict=True))
    assert not any(m.requires_grad for m in cached)
    joined, at_once = encoder.joined(images, cached), encoder(images)
    assert all(torch.equal(a, b) for a, b in zip(joined, at_once, strict=True))
    assert [m.requires_grad for m in joined] == [i in encoder.places for i in range(len(joined))]
    assert not torch.equal(joined[encoder.places[0]], cached[encoder.places[0]])


def test_every_pixel_reaches_the_finest_map():
    torch.manual_seed(0)
    branch = SideBranch(16).eval()
    x = torch.randn(1, 3, 17, 30, requires_grad=True)
    quarter, eighth = branch(x)
    assert quarter.shape == (1, 32, 5, 8)
    assert eighth.shape == (1, 64, 3, 4)
    (quarter.square().sum() + eighth.square().sum()).backward()
    assert (x.grad.abs().sum((0, 1)) > 0).all()


def test_the_deepest_map_is_never_joined(tiny):
    with pytest.raises(InputError, match=r"strides \[16, 16\] are too few"):
        prepare(tiny("vit", taps=(1, 3)), "side-branch")
    assert branch_of(prepare(tiny("vit", taps=(0, 1, 3)), "side-branch")).strides == [4, 8, 16]
