"""The blocks of networks of several libraries."""

import pytest
import timm
import torch

from histoseed.encoders.small import SmallEncoder
from histoseed.segmenters.methods.blocks import blocks_of


def names(network):
    return [name for name, _ in blocks_of(network)]


@pytest.mark.parametrize(
    ("arch", "count", "first", "last"),
    [  # as published: 12 blocks; 2, 2, 6, 2; 3, 3, 9, 3; 2, 2, 5, 2; 2, 2, 2, 2; 3, 4, 6, 3; 6, 12, 24, 16
        ("vit_tiny_patch16_224", 12, "blocks.0", "blocks.11"),
        ("samvit_base_patch16", 12, "blocks.0", "blocks.11"),
        ("swin_tiny_patch4_window7_224", 12, "layers.0.blocks.0", "layers.3.blocks.1"),
        ("convnext_tiny", 18, "stages.0.blocks.0", "stages.3.blocks.2"),
        ("maxvit_tiny_tf_224", 11, "stages.0.blocks.0", "stages.3.blocks.1"),
        ("resnet18", 8, "layer1.0", "layer4.1"),
        ("resnet50", 16, "layer1.0", "layer4.2"),
        ("densenet121", 58, "features.denseblock1.denselayer1", "features.denseblock4.denselayer16"),
        ("mobilenetv2_100", 17, "blocks.0.0", "blocks.6.0"),
    ],
)
def test_blocks_of_timm(arch, count, first, last):
    with torch.device("meta"):
        found = names(timm.create_model(arch, pretrained=False, num_classes=0))
    assert (len(found), found[0], found[-1]) == (count, first, last)


def test_blocks_of_the_small_encoder():
    assert names(SmallEncoder(depths=(1, 2, 1, 1))) == [
        "levels.0.0", "levels.1.0", "levels.1.1", "levels.2.0", "levels.3.0",
    ]  # fmt: skip


def test_a_network_without_blocks_has_none():
    assert names(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())) == []
