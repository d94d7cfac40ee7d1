"""The skip decoder takes any number of feature maps of any size."""

import pytest
import torch

from histoseed.segmenters import SkipDecoder

PYRAMIDS = {
    "hierarchical": ([8, 16, 24, 32], [2, 4, 8, 16]),
    "coarse hierarchical": ([8, 16, 24, 32], [4, 8, 16, 32]),
    "plain transformer": ([12, 12, 12, 12], [14, 14, 14, 14]),
    "five levels": ([4, 8, 16, 24, 32], [2, 4, 8, 16, 32]),
    "one level": ([16], [16]),
}


@pytest.mark.parametrize("name", PYRAMIDS)
@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
def test_output_has_the_size_of_the_image(name, size):
    channels, strides = PYRAMIDS[name]
    decoder = SkipDecoder(channels, 7, widths=(16, 16, 8, 8), image_widths=(4, 8))
    features = [torch.rand(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(channels, strides, strict=True)]
    assert decoder(torch.rand(2, 3, *size), features).shape == (2, 7, *size)


def test_every_feature_and_the_image_reach_the_output():
    channels, strides = PYRAMIDS["five levels"]
    decoder = SkipDecoder(channels, 7, widths=(16, 16, 8, 8), image_widths=(4, 8)).eval()
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    features = [torch.rand(1, c, 64 // s, 64 // s, requires_grad=True) for c, s in zip(channels, strides, strict=True)]
    decoder(image, features).square().sum().backward()
    for tensor in (image, *features):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


def test_no_feature_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        SkipDecoder([], 7)
