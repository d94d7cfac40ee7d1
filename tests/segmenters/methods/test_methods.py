"""Every method on every kind of encoder: what trains, where gradients flow, that the start is the encoder as it was."""

import copy
import pickle

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import nn

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods import (
    METHODS,
    AdaptedPyramid,
    LoRALinear,
    MethodOptions,
    merge_lora,
    prepare,
    trainable_parameters,
)

ENCODERS = ["bundled", "vit", "swin", "swin v2", "convnext", "convnext of convolutions", "eva", "dinov2"]
ATTENTION = ["vit", "swin", "swin v2", "eva", "dinov2"]
OURS = ["lora", "side-branch", "bitfit", "last-block"]
CASES = [(e, m) for e in ENCODERS for m in OURS if (e, m) != ("bundled", "lora")]


def trained(encoder):
    return {name for name, p in encoder.named_parameters() if p.requires_grad}


def run(encoder, images):
    with torch.no_grad():
        return encoder(images)


def disturb(encoder):
    """Give every parameter that trains another value."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in encoder.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return encoder


@pytest.mark.parametrize(("which", "method"), CASES)
def test_gradients_flow_to_what_trains_and_nowhere_else(which, method, tiny, images):
    encoder = prepare(tiny(which), method).train()
    disturb(encoder)  # at zero, B of LoRA and the projections of the branch hide what is before them
    maps = encoder(images)
    torch.stack([m.square().mean() for m in maps]).sum().backward()
    with_gradient = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert with_gradient == trained(encoder) != set()
    assert all(bool((p.grad != 0).any()) for p in encoder.parameters() if p.grad is not None and p.numel() > 64)
    assert trainable_parameters(encoder) == sum(
        dict(encoder.named_parameters())[name].numel() for name in with_gradient
    )


@pytest.mark.parametrize(("which", "method"), CASES)
def test_the_start_is_the_encoder_as_it_was(which, method, tiny, images):
    before = run(tiny(which), images)
    encoder = prepare(tiny(which), method)
    after = run(encoder, images)
    assert len(after) == len(before)
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.shape == new.shape:
            assert torch.equal(old, new)
        else:  # a side branch beside a plain vision transformer: the shallowest maps, at the branch's strides
            assert (method, i < 2) == ("side-branch", True)
            grown = nn.functional.interpolate(old, size=new.shape[-2:], mode="bilinear", align_corners=False)
            assert torch.equal(grown, new)
    assert [m.shape[1] for m in after] == encoder.channels


@pytest.mark.parametrize(("which", "method"), CASES)
def test_a_saved_encoder_loads_strictly_and_is_the_same(which, method, tiny, images):
    encoder = disturb(prepare(tiny(which), method, seed=1))
    state = load(save({k: v.contiguous() for k, v in encoder.state_dict().items()}))
    again = prepare(tiny(which), method, seed=2)
    again.load_state_dict(state, strict=True)
    for old, new in zip(run(encoder, images), run(again, images), strict=True):
        assert torch.equal(old, new)
    assert set(tiny(which).state_dict()) <= set(state)  # the encoder's own keys stay
    assert encoder.fingerprint() == again.fingerprint()


@pytest.mark.parametrize(("which", "method"), CASES)
def test_frozen_parts_stay_in_evaluation_and_nothing_else_changes_in_training(which, method, tiny, images):
    encoder = prepare(tiny(which), method)
    before = copy.deepcopy(encoder.state_dict())
    encoder.train()
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.stack([m.square().mean() for m in encoder(images)]).sum().backward()
        optimizer.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    live = tuple(f"{name}." for name in encoder.live)
    allowed = trained(encoder) | {
        name
        for name in before
        if name.startswith(live) and name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert changed
    assert changed <= allowed
    assert not encoder.network.training
    assert all(encoder.get_submodule(name).training for name in encoder.live)


@pytest.mark.parametrize(("which", "method"), [(e, m) for e, m in CASES if e in ("bundled", "vit")])
def test_freeze_stops_everything_and_unfreeze_lets_the_method_train_again(which, method, tiny, images):
    encoder = prepare(tiny(which), method).train()
    names = trained(encoder)
    encoder.freeze()
    assert trained(encoder) == set()
    assert not any(m.requires_grad for m in encoder(images))
    assert not any(module.training for child in encoder.children() for module in child.modules())
    encoder.unfreeze()
    assert trained(encoder) == names
    assert any(m.requires_grad for m in encoder(images))


def test_biases_are_all_that_bitfit_trains(tiny):
    encoder = prepare(tiny("vit"), "bitfit")
    own = {name for name, _ in encoder.named_parameters() if name.endswith(".bias")}
    assert trained(encoder) == own - {"network.norm.bias"}  # behind the last map
    names = trained(prepare(tiny("eva"), "bitfit"))
    assert any(name.endswith("q_bias") for name in names) or any("q_proj.bias" in name for name in names)


def test_an_encoder_without_biases_has_no_bitfit(tiny):
    encoder = tiny("bundled")
    for module in encoder.modules():
        if getattr(module, "bias", None) is not None:
            module.bias = None
    with pytest.raises(InputError, match="no biases"):
        prepare(encoder, "bitfit")


@pytest.mark.parametrize(
    ("which", "blocks", "expected"),
    [
        ("vit", 1, ["network.blocks.3"]),
        ("vit", 2, ["network.blocks.2", "network.blocks.3"]),
        ("dinov2", 1, ["network.encoder.layer.3"]),
        ("swin", 2, ["network.layers.2.blocks.0", "network.layers.3.blocks.0"]),
        ("convnext", 3, ["network.stages.2.blocks.0", "network.stages.2.blocks.1", "network.stages.3.blocks.0"]),
        ("bundled", 1, ["network.levels.3.1"]),
        ("timm:resnet18", 3, ["network.layer3.1", "network.layer4.0", "network.layer4.1"]),
    ],
)
def test_the_last_blocks_are_the_last_ones(which, blocks, expected, tiny):
    encoder = prepare(tiny(which), "last-block", MethodOptions(blocks=blocks))
    assert list(encoder.live) == expected
    assert trained(encoder) == {
        name for name, _ in encoder.named_parameters() if name.startswith(tuple(f"{block}." for block in expected))
    }


@pytest.mark.parametrize("method", ["last-block", "lora", "bitfit"])
@pytest.mark.parametrize(
    ("which", "inside"), [("vit", "network.blocks"), ("swin", "network.layers"), ("dinov2", "network.encoder.layer")]
)
def test_blocks_behind_the_last_map_do_not_train(which, inside, method, tiny):
    names = trained(prepare(tiny(which, taps=(0, 1)), method))
    assert any(name.startswith(f"{inside}.1.") for name in names)
    assert not any(name.startswith((f"{inside}.2.", f"{inside}.3.")) for name in names)


def test_an_architecture_that_gives_no_shapes_has_all_its_parameters(tiny, caplog):
    encoder = AdaptedPyramid.of(tiny("vit"))

    def features(network, x, taps):
        if x.is_meta:
            raise NotImplementedError("no shapes")
        return encoder_features(network, x, taps)

    encoder_features, encoder._features = encoder._features, features
    with caplog.at_level("INFO", logger="histoseed.segmenters"):
        names = encoder.reached()
    assert names == {name for name, _ in encoder.named_parameters()}
    assert "no shapes" in caplog.text


def test_more_blocks_than_there_are_is_an_error(tiny):
    with pytest.raises(InputError, match="4 blocks that are recognised; 5 are asked for"):
        prepare(tiny("vit"), "last-block", MethodOptions(blocks=5))


@pytest.mark.parametrize(
    ("which", "targets", "count"),
    [
        # rank 8, width 24: query and value of 4 blocks; or qkv (24 + 72), proj (24 + 24), fc1 and fc2 (24 + 96)
        ("vit", "qv", 4 * 2 * 8 * (24 + 24)),
        ("dinov2", "qv", 4 * 2 * 8 * (24 + 24)),
        ("vit", "all-linear", 4 * 8 * (96 + 48 + 2 * 120)),
        ("dinov2", "all-linear", 4 * 8 * (4 * 48 + 2 * 120)),
        ("swin", "qv", 2 * 8 * 2 * (2 * 12 + 2 * 24 + 48 + 96)),
        ("convnext", "all-linear", 2 * 8 * 5 * (8 + 12 + 2 * 16 + 20)),
        ("convnext of convolutions", "all-linear", 2 * 8 * 5 * (8 + 12 + 2 * 16 + 20)),
    ],
)
def test_the_number_of_lora_parameters(which, targets, count, tiny):
    encoder = prepare(tiny(which), "lora", MethodOptions(targets=targets))
    assert trainable_parameters(encoder) == count
    assert encoder.method.targets == targets


@pytest.mark.parametrize("which", [e for e in ENCODERS if e != "bundled"])
@pytest.mark.parametrize("targets", ["auto", "all-linear"])
def test_merged_lora_is_the_encoder_with_other_weights(which, targets, tiny, images):
    encoder = disturb(prepare(tiny(which), "lora", MethodOptions(targets=targets)))
    expected = run(encoder, images)
    start = run(tiny(which), images)
    plain = merge_lora(encoder)
    assert type(plain) is FeaturePyramid
    assert plain.state_dict().keys() == tiny(which).state_dict().keys()
    assert trained(plain) == set()
    again = tiny(which)
    again.load_state_dict(plain.state_dict(), strict=True)
    for merged, loaded, old in zip(run(plain, images), run(again, images), expected, strict=True):
        torch.testing.assert_close(merged, old, rtol=1e-5, atol=1e-5)
        assert torch.equal(merged, loaded)
    assert any((old - first).abs().max() > 1e-3 for old, first in zip(expected, start, strict=True))


def test_merging_layers_in_place_keeps_the_maps(tiny, images):
    encoder = disturb(prepare(tiny("vit"), "lora")).eval()
    before = run(encoder, images)
    for module in encoder.modules():
        if isinstance(module, LoRALinear):
            module.merge()
    for old, new in zip(before, run(encoder, images), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-5)
    encoder.train()
    encoder.eval()
    for old, new in zip(before, run(encoder, images), strict=True):
        assert torch.equal(new, old)


def test_only_lora_can_be_merged(tiny):
    for encoder in (tiny("vit"), prepare(tiny("vit"), "bitfit")):
        with pytest.raises(InputError, match="no low-rank updates"):
            merge_lora(encoder)


def test_lora_needs_layers_to_update(tiny):
    with pytest.raises(InputError, match="no linear layers that LoRA can update"):
        prepare(tiny("timm:resnet18"), "lora")
    with pytest.raises(InputError, match=r"no attention .* all-linear"):
        prepare(tiny("convnext"), "lora", MethodOptions(targets="qv"))


def test_lora_dropout_is_on_in_training_only(tiny, images):
    encoder = disturb(prepare(tiny("vit"), "lora", MethodOptions(dropout=0.5)))
    assert torch.equal(run(encoder, images)[0], run(encoder, images)[0])
    encoder.train()
    assert not torch.equal(run(encoder, images)[0], run(encoder, images)[0])
    encoder.freeze().train()
    assert torch.equal(run(encoder, images)[0], run(encoder, images)[0])


def test_the_seed_decides_about_what_is_added_and_the_global_state_stays(tiny):
    for method in ("lora", "side-branch"):
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        states = [prepare(tiny("vit"), method, seed=seed).state_dict() for seed in (1, 1, 2)]
        assert torch.equal(torch.rand(3), expected)
        assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
        assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


@pytest.mark.parametrize("method", OURS)
def test_an_adapted_encoder_can_be_copied_and_pickled(method, tiny, images):
    encoder = disturb(prepare(tiny("vit"), method))
    for again in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert trained(again) == trained(encoder)
        assert again.train().live == encoder.live
        again.eval()
        assert all(torch.equal(a, b) for a, b in zip(run(again, images), run(encoder, images), strict=True))


def test_frozen_and_full_are_the_encoder_itself(tiny):
    encoder = tiny("vit")
    assert prepare(encoder, "frozen") is encoder
    assert encoder.frozen
    assert trainable_parameters(encoder) == 0
    assert prepare(encoder, "full") is encoder
    assert not encoder.frozen
    assert trainable_parameters(encoder) == sum(p.numel() for p in encoder.parameters())


def test_the_adapter_is_prepared_with_a_frozen_trunk(tiny, images):
    trunk = tiny("vit")
    encoder = prepare(trunk, "adapter")
    assert trained(encoder)
    assert not [name for name in trained(encoder) if name.startswith("trunk.")]
    assert [m.shape[1] for m in run(encoder, images)] == encoder.channels


@pytest.mark.parametrize("method", OURS)
def test_a_prepared_encoder_is_not_prepared_again(method, tiny):
    encoder = prepare(tiny("vit"), method)
    assert isinstance(encoder, AdaptedPyramid)
    with pytest.raises(InputError, match=f"already prepared for {method}"):
        prepare(encoder, "lora")


def test_unknown_methods_and_foreign_options_are_refused(tiny):
    with pytest.raises(InputError, match=r"no method 'lorra'.* Use lora"):
        prepare(tiny("vit"), "lorra")
    with pytest.raises(InputError, match="belong to bitfit, not to lora"):
        prepare(tiny("vit"), "lora", MethodOptions(name="bitfit"))
    for wrong in ({"rank": 0}, {"alpha": float("inf")}, {"dropout": 1}, {"blocks": 0}, {"targets": "q"}, {"rnk": 2}):
        with pytest.raises(ValidationError):
            MethodOptions(**wrong)


def test_options_go_through_json_and_stand_with_the_encoder(tiny):
    options = MethodOptions(name="lora", rank=4, alpha=2, targets="all-linear")
    assert MethodOptions.model_validate_json(options.model_dump_json()) == options
    assert prepare(tiny("vit"), "lora", options).method == options
    assert prepare(tiny("vit"), "last-block", MethodOptions(blocks=2)).method.name == "last-block"


def test_the_table_names_every_method():
    # the names after --method, in the order of the documentation
    names = ["frozen", "lora", "adapter", "side-branch", "bitfit", "last-block", "full"]
    assert list(METHODS) == names
