"""Which layers LoRA updates: counts for each family of backbones, and that query and value are what they are called."""

import pytest
import timm
import torch
import transformers
from torch import nn

from histoseed.errors import ModelError
from histoseed.segmenters.methods import LoRALinear
from histoseed.segmenters.methods.lora_targets import lora_layers


def on_meta(make):
    with torch.device("meta"):
        return make()


def timm_network(arch):
    return on_meta(lambda: timm.create_model(arch, pretrained=False, num_classes=0))


@pytest.mark.parametrize(
    ("arch", "qv", "linear"),
    [  # layers: blocks x 1 fused layer; blocks x (qkv, proj, fc1, fc2)
        ("vit_small_patch16_224", 12, 48),
        ("vit_small_patch16_dinov3", 12, 48),
        ("vit_small_plus_patch16_dinov3", 12, 60),  # gated: fc1 is two layers
        ("swin_tiny_patch4_window7_224", 12, 48),
        ("swinv2_tiny_window8_256", 12, 48),
        ("samvit_base_patch16", 12, 48),
        ("sam2_hiera_tiny", 12, 48),
        ("maxvit_tiny_tf_224", 22, 88),  # each block attends twice
        ("maxvit_rmlp_pico_rw_256", 22, 88),  # and its position tables are left alone
        ("eva02_large_patch14_224", 48, 168),  # query, key, value apart; gated
        ("caformer_s18", 12, 24 + 36),  # 12 of 18 blocks attend; fc1 and fc2 in all
    ],
)
def test_layers_of_timm(arch, qv, linear):
    network = timm_network(arch)
    meant, layers = lora_layers(network, "auto")
    assert (meant, len(layers)) == ("qv", qv)
    names = [target.name for target in lora_layers(network, "all-linear")[1]]
    assert len(names) == linear
    assert not [name for name in names if name.startswith(("patch_embed", "head")) or "rel_pos" in name]


@pytest.mark.parametrize("arch", ["convnext_tiny", "convnext_atto"])
def test_networks_without_attention_have_all_linear_layers_only(arch):
    network = timm_network(arch)
    blocks = {"convnext_tiny": 18, "convnext_atto": 12}[arch]
    meant, layers = lora_layers(network, "auto")
    assert (meant, len(layers)) == ("all-linear", 2 * blocks)
    assert all(target.blocks is None for target in layers)
    assert lora_layers(network, "qv") == ("qv", [])


@pytest.mark.parametrize("arch", ["resnet18", "densenet121"])
def test_convolutional_networks_have_none(arch):
    assert lora_layers(timm_network(arch), "auto")[1] == []


def test_the_published_number_of_parameters():
    # specification 5: rank 8 on attn.qkv and attn.proj of ViT-S/16 = 221,184; all-linear is 2.65 % of the whole
    network = timm_network("vit_small_patch16_224")
    own = sum(p.numel() for p in network.parameters())
    layers = [network.get_submodule(target.name) for target in lora_layers(network, "all-linear")[1]]
    sizes = {id(layer): sum(layer.weight.shape) * 8 for layer in layers}
    attention = [b.attn.qkv for b in network.blocks] + [b.attn.proj for b in network.blocks]
    assert sum(sizes[id(layer)] for layer in attention) == 221_184
    added = sum(sizes.values())
    assert added / (own + added) == pytest.approx(0.0265, abs=5e-5)


SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}


@pytest.mark.parametrize(
    ("kind", "options", "qv", "linear"),
    [  # 3 blocks x (q, v); 3 x (q, k, v, o, fc1, fc2), or gated with three layers instead of two
        ("Dinov2", SMALL, 6, 18),
        ("Dinov2", SMALL | {"use_swiglu_ffn": True}, 6, 21),
        ("Dinov2WithRegisters", SMALL, 6, 18),
        ("ViT", SMALL | {"intermediate_size": 32}, 6, 18),
        ("DINOv3ViT", SMALL | {"intermediate_size": 32}, 6, 18),
        ("CLIPVision", SMALL | {"intermediate_size": 32}, 6, 18),
        ("SamVision", SMALL | {"mlp_dim": 32}, 3, 12),
    ],
)
def test_layers_of_transformers(kind, options, qv, linear):
    config = getattr(transformers, f"{kind}Config")(**options)
    network = on_meta(lambda: getattr(transformers, f"{kind}Model")(config))
    meant, layers = lora_layers(network, "auto")
    assert (meant, len(layers)) == ("qv", qv)
    assert len(lora_layers(network, "all-linear")[1]) == linear


def tree(*names):
    """A network whose linear layers are called so."""
    root = nn.Module()
    for name in names:
        at = root
        *parts, last = name.split(".")
        for part in parts:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.add_module(last, nn.Linear(6, 6))
    return root


# specification 5: names of transformers 4
OLD_VIT = [
    f"encoder.layer.0.{name}"
    for name in (
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
]
OLD_SWIGLU = [*OLD_VIT[:4], "encoder.layer.0.mlp.weights_in", "encoder.layer.0.mlp.weights_out"]
SAM2 = ["blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.proj_in", "blocks.0.mlp.proj_out"]


@pytest.mark.parametrize(
    ("names", "qv"),
    [(OLD_VIT, [OLD_VIT[0], OLD_VIT[2]]), (OLD_SWIGLU, [OLD_VIT[0], OLD_VIT[2]]), (SAM2, SAM2[:1])],
)
def test_names_of_other_versions(names, qv):
    network = tree(*names, "patch_embed.proj", "blocks.0.proj", "pooler.dense", "classifier")
    assert [target.name for target in lora_layers(network, "qv")[1]] == qv
    assert {target.name for target in lora_layers(network, "all-linear")[1]} == set(names)


def test_layers_that_do_not_matter_are_left_out():
    network = tree("blocks.0.attn.qkv", "blocks.1.attn.qkv")
    layers = lora_layers(network, "qv", parameters={"blocks.0.attn.qkv.weight"})[1]
    assert [target.name for target in layers] == ["blocks.0.attn.qkv"]


def test_a_fused_layer_that_is_none_is_an_error():
    network = tree("blocks.0.attn.qkv")
    network.blocks.get_submodule("0").attn.qkv = nn.Linear(6, 7)
    with pytest.raises(ModelError, match=r"7 rows of blocks\.0\.attn\.qkv"):
        lora_layers(network, "qv")


def parts(arch, y, module):
    """Query, key, value as the library itself takes them from the fused layer's output."""
    if "maxvit_tiny" in arch or "vit_tiny" in arch:  # thirds
        return y.chunk(3, -1)
    width = module.dim_head
    if y.ndim == 4:  # CoAtNet: (N, heads * 3 * width, H, W)
        return y.movedim(1, -1).unflatten(-1, (module.num_heads, 3, width)).unbind(-2)
    return y.unflatten(-1, (module.num_heads, 3, width)).unbind(-2)


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("vit_tiny_patch16_224", "blocks.0.attn"),
        ("maxvit_tiny_tf_224", "stages.0.blocks.0.attn_grid.attn"),
        ("maxvit_rmlp_pico_rw_256", "stages.0.blocks.0.attn_block.attn"),
        ("coatnet_nano_rw_224", "stages.2.blocks.0.attn"),
    ],
)
def test_query_and_value_change_and_key_does_not(arch, name):
    network = timm_network(arch)
    target = next(t for t in lora_layers(network, "qv")[1] if t.name == f"{name}.qkv")
    attention = network.get_submodule(name)
    layer = attention.qkv.to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = (
        torch.randn(2, 5, layer.in_features)
        if isinstance(layer, nn.Linear)
        else torch.randn(2, layer.in_channels, 3, 3)
    )
    before = parts(arch, layer(x), attention)
    lora = LoRALinear(layer, rank=2, alpha=4, blocks=target.blocks)
    nn.init.normal_(lora.lora_b)
    after = parts(arch, lora(x), attention)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [False, True, False]
