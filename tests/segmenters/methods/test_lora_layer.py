"""LoRALinear against closed forms: its matrix, its blocks, merging, saving."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from histoseed.errors import InputError
from histoseed.segmenters.methods import LoRALinear
from histoseed.segmenters.methods.lora_layer import is_adaptable


def filled(layer, seed=0, **options):
    """A layer whose update is not zero."""
    options = {"rank": 2, "alpha": 6.0} | options
    lora = LoRALinear(layer, generator=torch.Generator().manual_seed(seed), **options)
    nn.init.normal_(lora.lora_b, generator=torch.Generator().manual_seed(seed + 1))
    return lora.eval()


def test_it_is_the_matrix_plus_the_scaled_product():
    base = nn.Linear(5, 4)
    lora = filled(copy.deepcopy(base))
    x = torch.randn(3, 7, 5)
    matrix = base.weight + 6.0 / 2 * lora.lora_b @ lora.lora_a
    torch.testing.assert_close(lora.weight, matrix)
    torch.testing.assert_close(lora(x), F.linear(x, matrix, base.bias))


def test_a_convolution_of_one_pixel_is_the_same_by_pixel():
    base = nn.Conv2d(5, 4, 1, bias=False)
    lora = filled(copy.deepcopy(base))
    x = torch.randn(2, 5, 3, 6)
    assert lora.weight.shape == (4, 5, 1, 1)
    matrix = base.weight[:, :, 0, 0] + 3 * lora.lora_b @ lora.lora_a
    torch.testing.assert_close(lora(x), torch.einsum("oi,nihw->nohw", matrix, x))
    torch.testing.assert_close(lora(x), F.conv2d(x, lora.weight))


@pytest.mark.parametrize("base", [nn.Linear(5, 6), nn.Conv2d(5, 6, 1)])
def test_the_update_is_zero_at_the_start(base):
    x = torch.randn(2, 3, 5) if isinstance(base, nn.Linear) else torch.randn(2, 5, 3, 3)
    expected = base(x)
    assert torch.equal(LoRALinear(base, rank=2, alpha=4)(x), expected)
    assert torch.equal(LoRALinear(base, rank=2, alpha=4, blocks=[[0, 1], [4, 5]])(x), expected)


def test_query_and_value_of_a_fused_layer_are_two_layers_of_their_own():
    fused = nn.Linear(4, 9)
    lora = filled(copy.deepcopy(fused), blocks=[range(3), range(6, 9)])
    x = torch.randn(2, 5, 4)
    for part, (start, changes) in enumerate([(0, True), (3, False), (6, True)]):
        alone = nn.Linear(4, 3)
        alone.weight.data, alone.bias.data = fused.weight[start : start + 3].data, fused.bias[start : start + 3].data
        if changes:
            row = part // 2
            alone = LoRALinear(alone, rank=2, alpha=6.0)
            alone.lora_a.data = lora.lora_a[2 * row : 2 * row + 2].data
            alone.lora_b.data = lora.lora_b[3 * row : 3 * row + 3].data
        torch.testing.assert_close(lora(x)[..., start : start + 3], alone(x))
    assert torch.equal(lora(x)[..., 3:6], fused(x)[..., 3:6])
    torch.testing.assert_close(lora(x), F.linear(x, lora.weight, lora.bias))


def test_blocks_may_be_interleaved():
    base = nn.Conv2d(3, 6, 1)
    lora = filled(copy.deepcopy(base), blocks=[[0, 3], [2, 5]])
    x = torch.randn(1, 3, 4, 4)
    changed = (lora(x) != base(x)).any(-1).any(-1)[0]
    assert changed.tolist() == [True, False, True, True, False, True]
    torch.testing.assert_close(lora(x), F.conv2d(x, lora.weight, lora.bias))


def test_only_the_two_matrices_train_and_the_keys_of_the_layer_stay():
    base = nn.Linear(4, 6)
    keys = set(base.state_dict())
    lora = LoRALinear(base, rank=2, alpha=4, blocks=[[0, 1], [4, 5]])
    assert set(lora.state_dict()) == keys | {"lora_a", "lora_b"}
    assert {name for name, p in lora.named_parameters() if p.requires_grad} == {"lora_a", "lora_b"}
    lora(torch.randn(3, 4)).sum().backward()
    assert {name for name, p in lora.named_parameters() if p.grad is not None} == {"lora_a", "lora_b"}


@pytest.mark.parametrize("blocks", [None, [range(2), range(4, 6)]])
@pytest.mark.parametrize("base", [nn.Linear(5, 6), nn.Conv2d(5, 6, 1, bias=False)])
def test_gradients_are_those_of_finite_differences(base, blocks):
    lora = filled(copy.deepcopy(base), blocks=blocks).double()
    x = torch.randn(2, 5, 2, 2, dtype=torch.float64)
    x = x.movedim(1, -1) if isinstance(base, nn.Linear) else x

    def run(a, b):
        called = torch.func.functional_call(lora, {"lora_a": a, "lora_b": b}, x)
        return called, torch.func.functional_call(_Reader(lora), {"layer.lora_a": a, "layer.lora_b": b}, ())

    assert torch.autograd.gradcheck(run, (lora.lora_a, lora.lora_b))


class _Reader(nn.Module):
    """Reads the weight without calling the layer, as Eva, BEiT and Swin V2 do."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self):
        return self.layer.weight


def test_merging_keeps_the_output_and_unmerging_brings_the_weight_back_bit_by_bit():
    lora = filled(nn.Linear(16, 12), blocks=[range(4), range(8, 12)])
    x = torch.randn(3, 16)
    before, state, weight = lora(x), copy.deepcopy(lora.state_dict()), lora.weight.clone()
    lora.merge()
    lora.merge()  # a second time changes nothing
    assert lora.merged
    torch.testing.assert_close(lora(x), before, rtol=0, atol=1e-5)
    assert torch.equal(lora.weight, weight)
    assert {k: torch.equal(v, state[k]) for k, v in lora.state_dict().items()} == dict.fromkeys(state, True)
    lora.unmerge()
    assert torch.equal(lora(x), before)
    lora.merge()
    lora.train()
    assert not lora.merged
    assert torch.equal(lora.weight, weight)


def test_a_merged_layer_loads_another_state():
    first, second = filled(nn.Linear(4, 4), 0), filled(nn.Linear(4, 4), 5)
    first.merge()
    first.load_state_dict(second.state_dict())
    x = torch.randn(2, 4)
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("base", [nn.Linear(5, 6), nn.Linear(5, 6, bias=False), nn.Conv2d(5, 6, 1)])
def test_the_plain_layer_is_the_same_function(base):
    kind, keys = type(base), set(base.state_dict())
    lora = filled(base)
    x = torch.randn(2, 5, 3, 3)
    x = x.movedim(1, -1) if kind is nn.Linear else x
    plain = lora.plain()
    assert type(plain) is kind
    assert set(plain.state_dict()) == keys
    assert not any(p.requires_grad for p in plain.parameters())
    torch.testing.assert_close(plain(x), lora(x), rtol=0, atol=1e-5)


def test_dropout_is_of_the_update_alone_and_of_training_alone():
    base = nn.Linear(64, 32)
    lora = filled(copy.deepcopy(base), dropout=0.5)
    x = torch.randn(4, 64)
    assert torch.equal(lora(x), lora(x))
    lora.train()
    torch.manual_seed(0)
    one, other = lora(x), lora(x)
    assert not torch.equal(one, other)
    nn.init.zeros_(lora.lora_b)
    assert torch.equal(lora(x), base(x))


def test_the_start_depends_on_the_generator_alone():
    made = [filled(nn.Linear(6, 6), seed).lora_a for seed in (3, 3, 4)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 1, groups=2), nn.LayerNorm(4)]
)
def test_other_layers_are_refused(layer):
    assert not is_adaptable(layer)
    with pytest.raises(InputError, match="needs a linear layer"):
        LoRALinear(layer, rank=1, alpha=1)


def test_parts_of_different_size_are_refused():
    with pytest.raises(InputError, match=r"\[1, 2\]"):
        LoRALinear(nn.Linear(4, 4), rank=1, alpha=1, blocks=[[0], [1, 2]])


def test_inside_autocast_it_runs_in_16_bits():
    lora = filled(nn.Linear(8, 6), blocks=[range(2), range(4, 6)])
    x = torch.randn(2, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = lora(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), lora(x), rtol=0.05, atol=0.05)
