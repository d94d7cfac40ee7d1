"""The same updates as Hugging Face's peft: the same maps, the same merged weights."""

import peft
import pytest
import torch
from torch import nn

from histoseed.segmenters.methods import LoRALinear, MethodOptions, merge_lora, prepare

FUSED = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
APART = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
CASES = [
    ("vit", "all-linear", FUSED),
    ("swin", "all-linear", FUSED),
    ("convnext", "all-linear", FUSED[2:]),
    ("convnext of convolutions", "all-linear", FUSED[2:]),
    ("dinov2", "qv", ["q_proj", "v_proj"]),
    ("dinov2", "all-linear", APART),
]


def pair(which, targets, names, tiny):
    """Ours and theirs with the same matrices, which are not zero."""
    ours = prepare(tiny(which), "lora", MethodOptions(rank=3, alpha=7, targets=targets))
    theirs = tiny(which)
    config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=names, lora_dropout=0.0, bias="none")
    peft.inject_adapter_in_model(config, theirs.network)
    layers = {n: m for n, m in ours.network.named_modules() if isinstance(m, LoRALinear)}
    others = {n: m for n, m in theirs.network.named_modules() if hasattr(m, "lora_A")}
    assert layers.keys() == others.keys() != set()
    for name, layer in layers.items():
        nn.init.normal_(layer.lora_b)
        for matrix, values in (("lora_A", layer.lora_a), ("lora_B", layer.lora_b)):
            weight = getattr(others[name], matrix)["default"].weight
            weight.data.copy_(values.detach().view_as(weight))
    return ours.eval(), theirs.eval(), others


@pytest.mark.parametrize(("which", "targets", "names"), CASES)
def test_the_same_matrices_give_the_same_maps_and_the_same_merged_weights(which, targets, names, tiny, images):
    ours, theirs, others = pair(which, targets, names, tiny)
    with torch.no_grad():
        start, mine, expected = tiny(which)(images), ours(images), theirs(images)
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert any((a - b).abs().max() > 1e-2 for a, b in zip(mine, start, strict=True))

    plain = merge_lora(ours)
    for name, layer in others.items():
        layer.merge()
        torch.testing.assert_close(plain.network.get_submodule(name).weight, layer.get_base_layer().weight)


@pytest.mark.parametrize(("which", "targets", "names"), CASES)
def test_as_many_parameters_train(which, targets, names, tiny):
    ours, theirs, _ = pair(which, targets, names, tiny)
    count = [sum(p.numel() for n, p in m.named_parameters() if "lora_" in n) for m in (ours, theirs)]
    assert count[0] == count[1]


def test_query_and_value_of_a_fused_layer_are_those_of_separate_layers():
    """peft has no update of two thirds of a layer: compare with peft on query and value apart."""
    fused = nn.Linear(8, 18)
    apart = nn.ModuleDict({"q_proj": nn.Linear(8, 6), "k_proj": nn.Linear(8, 6), "v_proj": nn.Linear(8, 6)})
    for i, layer in enumerate(apart.values()):
        layer.weight.data, layer.bias.data = fused.weight.data[6 * i : 6 * i + 6], fused.bias.data[6 * i : 6 * i + 6]
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    peft.inject_adapter_in_model(config, apart)
    lora = LoRALinear(fused, rank=2, alpha=4, blocks=[range(6), range(12, 18)])
    nn.init.normal_(lora.lora_b)
    for i, name in enumerate(("q_proj", "v_proj")):
        apart[name].lora_A["default"].weight.data.copy_(lora.lora_a[2 * i : 2 * i + 2])
        apart[name].lora_B["default"].weight.data.copy_(lora.lora_b[6 * i : 6 * i + 6])
    x = torch.randn(3, 8)
    torch.testing.assert_close(lora(x), torch.cat([layer(x) for layer in apart.values()], -1))
