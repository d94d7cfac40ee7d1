"""Published namings told in timm's: against other implementations of the same network, or against literal names."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers

from histoseed.encoders import EncoderCard, FeaturePyramid, build_encoder, get_card
from histoseed.encoders.layouts import LAYOUTS, in_timms_names
from histoseed.errors import ModelError

State = dict[str, torch.Tensor]


def card_of(name: str, **build: Any) -> EncoderCard:
    card = get_card(name)
    return replace(card, build={**card.build, **build}, dims=None, strides=None, params=None)


def randomised(network: torch.nn.Module) -> Any:
    """No tensor is left at a value that would hide a mix-up."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) * 0.5 - 0.2)
    return network.eval()


def loaded(card: EncoderCard, state: object, path: Path, **options: Any) -> FeaturePyramid:
    torch.save(state, path / "w.pth")
    return build_encoder(card, weights=path / "w.pth", **options)


def tensors(network: torch.nn.Module) -> State:
    return {key: value.clone() for key, value in network.state_dict().items()}


def test_every_layout_leaves_what_it_does_not_know() -> None:
    for layout in LAYOUTS:
        state = {"some.weight": torch.ones(2), "other": torch.zeros(1)}
        assert in_timms_names(layout, dict(state)).keys() == state.keys(), layout


_SAM = {"embed_dim": 24, "depth": 3, "num_heads": 2, "global_attn_indexes": [1], "img_size": 128}


def test_sam_of_transformers_is_the_same_network(tmp_path: Path) -> None:
    config = transformers.SamVisionConfig(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=2, mlp_dim=96, output_channels=256, image_size=128,
        global_attn_indexes=[1],
    )  # fmt: skip
    theirs = randomised(transformers.SamVisionModel(config))
    state = tensors(theirs) | {"mask_decoder.x": torch.zeros(1), "prompt_encoder.y": torch.zeros(1)}
    encoder = loaded(card_of("medsam", **_SAM), state, tmp_path)
    x = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        network: Any = encoder.network
        ours = network.forward_intermediates(x, intermediates_only=True)
        expected = theirs(x, output_hidden_states=True)
        for m, hidden in zip(ours, expected.hidden_states[1:], strict=True):
            torch.testing.assert_close(m, hidden.permute(0, 3, 1, 2), atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(network.forward_features(x), expected.last_hidden_state, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model_state": {f"sam.{k}": v for k, v in s.items()}, "n": 3}]
)
def test_sam_of_meta_and_of_micro_sam(wrap: Any, tmp_path: Path) -> None:
    source = build_encoder(card_of("pathosam-b", **_SAM), seed=1)
    # Names of Meta's release: image_encoder.blocks.0.mlp.lin1.weight, image_encoder.neck.0.weight, ...
    state = {f"image_encoder.{k.replace('mlp.fc', 'mlp.lin')}": v for k, v in tensors(source.network).items()}
    assert "image_encoder.blocks.0.mlp.lin1.weight" in state
    assert "image_encoder.neck.0.weight" in state
    state |= {"mask_decoder.iou_token.weight": torch.zeros(1), "prompt_encoder.no_mask_embed.weight": torch.zeros(1)}
    encoder = loaded(card_of("pathosam-b", **_SAM), wrap(state), tmp_path)
    assert all(torch.equal(v, tensors(source.network)[k]) for k, v in tensors(encoder.network).items())


def test_sam2_of_transformers_is_the_same_network(tmp_path: Path) -> None:
    config = transformers.Sam2HieraDetConfig(
        hidden_size=16, num_attention_heads=1, embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8], image_size=[256, 256],
    )  # fmt: skip
    theirs = randomised(transformers.models.sam2.modeling_sam2.Sam2HieraDetModel(config))
    state = {f"vision_encoder.backbone.{key}": value for key, value in tensors(theirs).items()}
    card = card_of("sam2.1-tiny", embed_dim=16, num_heads=1)
    encoder = loaded(card, state | {"mask_decoder.x": torch.zeros(1)}, tmp_path)
    x = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        network: Any = encoder.network
        ours = network.forward_intermediates(x, intermediates_only=True)
        for m, hidden in zip(ours, theirs(x).intermediate_hidden_states, strict=True):
            torch.testing.assert_close(m, hidden.permute(0, 3, 1, 2), atol=1e-3, rtol=1e-3)


def test_sam2_of_meta(tmp_path: Path) -> None:
    card = card_of("sam2.1-tiny", embed_dim=16, num_heads=1)
    source = build_encoder(card, seed=1)
    own = tensors(source.network)
    state = {
        f"image_encoder.trunk.{k.replace('mlp.fc1', 'mlp.layers.0').replace('mlp.fc2', 'mlp.layers.1')}": v
        for k, v in own.items() if not k.startswith("head.")
    }  # fmt: skip
    encoder = loaded(card, {"model": state | {"sam_mask_decoder.x": torch.zeros(1)}}, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())


_CLIP = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def test_clip_of_transformers_is_the_same_network(tmp_path: Path) -> None:
    vision = {"hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = vision | {"vocab_size": 50, "max_position_embeddings": 8}
    config = transformers.CLIPConfig(vision_config=vision | {"patch_size": 32}, text_config=text)
    theirs = randomised(transformers.CLIPModel(config))
    state = tensors(theirs)
    for key in list(state):  # files of older versions have it
        if key == "vision_model.embeddings.position_embedding.weight":
            state["vision_model.embeddings.position_ids"] = torch.arange(50)[None]
    encoder = loaded(card_of("plip", **_CLIP), state, tmp_path)
    x = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        network: Any = encoder.network
        ours = network.forward_features(x)
        expected = theirs.vision_model(pixel_values=x)
        last = theirs.vision_model.post_layernorm(expected.last_hidden_state)
        torch.testing.assert_close(ours, last, atol=1e-4, rtol=1e-4)


def test_clip_of_open_clip(tmp_path: Path) -> None:
    card = card_of("quiltnet-b32", **_CLIP)
    source = build_encoder(card, seed=1)
    own = tensors(source.network)
    names = {"cls_token": "class_embedding", "pos_embed": "positional_embedding", "patch_embed.proj": "conv1",
             "norm_pre": "ln_pre", "norm1": "ln_1", "norm2": "ln_2", "blocks": "transformer.resblocks",
             "attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
             "mlp.fc2": "mlp.c_proj"}  # fmt: skip
    state: State = {"visual.proj": torch.zeros(24, 8), "text_projection": torch.zeros(2), "logit_scale": torch.ones(())}
    for key, value in own.items():
        new = key
        for ours, theirs in names.items():
            new = new.replace(ours, theirs)
        new = "ln_post" + new.removeprefix("norm") if new.startswith("norm.") else new
        state[f"visual.{new}"] = value.reshape(-1) if key == "cls_token" else value[0] if key == "pos_embed" else value
    literal = {"visual.class_embedding", "visual.positional_embedding", "visual.conv1.weight", "visual.ln_pre.weight",
               "visual.ln_post.bias", "visual.transformer.resblocks.1.attn.in_proj_weight",
               "visual.transformer.resblocks.0.attn.out_proj.bias",
               "visual.transformer.resblocks.0.mlp.c_fc.weight"}  # fmt: skip
    assert literal <= state.keys()
    encoder = loaded(card, state, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())


def test_clip_takes_quick_gelu_only_where_it_was_trained_with_it() -> None:
    x = torch.linspace(-3, 3, 9)
    for name, expected in (("plip", x * torch.sigmoid(1.702 * x)), ("quiltnet-b32", torch.nn.functional.gelu(x))):
        network: Any = build_encoder(card_of(name, **_CLIP)).network
        torch.testing.assert_close(network.blocks[0].mlp.act(x), expected)


@pytest.mark.parametrize(("name", "prefix"), [("conch", "visual.trunk."), ("conch-v1.5", "trunk."),
                                              ("quiltnet-b16-pmb", "visual.trunk.")])  # fmt: skip
def test_trunks_inside_vision_language_models(name: str, prefix: str, tmp_path: Path) -> None:
    card = card_of(name, **_CLIP)
    own = tensors(build_encoder(card, seed=1).network)
    state = {prefix + key: value for key, value in own.items()}
    state |= {"attn_pool_contrast.query": torch.zeros(2), "ln_contrast.weight": torch.zeros(2),
              "visual.attn_pool_contrast.query": torch.zeros(2), "text.cls_emb": torch.zeros(2)}  # fmt: skip
    encoder = loaded(card, state, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())


def test_ctranspath_of_its_authors(tmp_path: Path) -> None:
    """Naming of timm 0.5.4: downsample at the end of a stage, masks and indices as buffers."""
    sizes = {"embed_dim": 24, "depths": [2, 2, 2, 1], "num_heads": [1, 2, 3, 4]}
    card = card_of("ctranspath", **sizes)
    own = tensors(build_encoder(card, seed=1).network)
    state: State = {}
    for key, value in own.items():
        stage = int(key.split(".")[1]) if key.startswith("layers.") else 0
        state[key.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")] = value
    assert "layers.0.downsample.reduction.weight" in state
    assert "layers.3.downsample.reduction.weight" not in state
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.int64)
    encoder = loaded(card, {"model": state}, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())
    # and in the current naming
    again = loaded(card, own, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(again.network).items())


def test_the_stem_of_ctranspath() -> None:  # specification 1.1
    network: Any = build_encoder(get_card("ctranspath")).network
    stem = network.patch_embed.proj
    convolutions = [m for m in stem if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions] == [
        (3, 12, 3, 2), (12, 24, 3, 2), (24, 96, 1, 1),
    ]  # fmt: skip
    assert [type(m).__name__ for m in stem] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + ["Conv2d"]
    assert isinstance(network.patch_embed.norm, torch.nn.LayerNorm)


@pytest.mark.parametrize("name", ["hipt-vit256", "lunit-s16"])
def test_checkpoints_of_dino(name: str, tmp_path: Path) -> None:
    """``teacher``, then ``module.`` and ``backbone.``, a projection head, and the options of the training program."""
    card = card_of(name, **_CLIP)
    own = tensors(build_encoder(card, seed=1).network)
    teacher = {f"module.backbone.{key}": value for key, value in own.items()}
    teacher["module.head.mlp.0.weight"] = torch.zeros(2)
    student = {key: torch.zeros_like(value) for key, value in teacher.items()}
    file = {"student": student, "teacher": teacher, "epoch": 400, "args": argparse.Namespace(lr=0.1)}
    encoder = loaded(card, file, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())


def test_gpfm_of_the_github_release(tmp_path: Path) -> None:
    """DINOv2: ``teacher``, ``backbone.``, blocks in chunks that count on, a mask token, heads."""
    card = card_of("gpfm", embed_dim=24, depth=6, num_heads=2)
    own = tensors(build_encoder(card, seed=1).network)
    teacher = {"backbone.mask_token": torch.zeros(1, 24), "dino_head.mlp.0.weight": torch.zeros(2)}
    for key, value in own.items():
        block = int(key.split(".")[1]) if key.startswith("blocks.") else 0
        teacher["backbone." + key.replace("blocks.", f"blocks.{block // 3}.", 1)] = value
    assert {"backbone.blocks.0.2.norm1.weight", "backbone.blocks.1.3.norm1.weight"} <= teacher.keys()
    encoder = loaded(card, {"teacher": teacher, "iteration": 1}, tmp_path)
    assert all(torch.equal(v, own[k]) for k, v in tensors(encoder.network).items())


def test_dinov2_with_registers_and_gated_mlps_of_meta(tmp_path: Path) -> None:
    """OpenMidnight: registers, ``w12`` and ``w3``, a position table with an entry for the class token."""
    card = card_of("openmidnight", embed_dim=24, depth=2, num_heads=2)
    own = tensors(randomised(build_encoder(card, seed=1).network))
    position = torch.rand(1, 1, 24)
    state = {key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for key, value in own.items()}
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.cat([position, own["pos_embed"]], 1)
    state["cls_token"] = own["cls_token"] - position
    state["mask_token"] = torch.zeros(1, 24)
    encoder = loaded(card, {"teacher": {f"backbone.{k}": v for k, v in state.items()}}, tmp_path)
    for key, value in tensors(encoder.network).items():
        torch.testing.assert_close(value, own[key])


def test_musk_keeps_its_vision_branch(tmp_path: Path) -> None:
    """Names of torchscale's BEiT-3, branch A for pictures, two unused positions in front of the table."""
    card = card_of("musk", embed_dim=24, depth=2, num_heads=2)
    own = tensors(randomised(build_encoder(card, seed=1).network))
    state: State = {"logit_scale": torch.ones(()), "vision_head.weight": torch.zeros(2), "beit3.text_embed.weight":
                    torch.zeros(9, 24), "beit3.vision_embed.mask_token": torch.zeros(1, 1, 24)}  # fmt: skip
    for key, value in own.items():
        layer = key.replace("blocks.", "encoder.layers.")
        if "attn.qkv" in key:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                state["beit3." + layer.replace("attn.qkv", f"self_attn.{part}_proj.A")] = piece
            continue
        for ours, theirs in (("attn.norm", "self_attn.inner_attn_ln.A"), ("attn.proj", "self_attn.out_proj.A"),
                             (".norm1", ".self_attn_layer_norm.A"), (".norm2", ".final_layer_norm.A"),
                             ("mlp.norm", "ffn.A.ffn_layernorm"), ("mlp.fc", "ffn.A.fc")):  # fmt: skip
            layer = layer.replace(ours, theirs)
        if key == "pos_embed":
            state["beit3.encoder.embed_positions.A.weight"] = torch.cat([torch.zeros(2, 24), value[0]])
        elif key.startswith("patch_embed."):
            state[f"beit3.{key.replace('patch_embed', 'vision_embed')}"] = value
        elif key == "cls_token":
            state["beit3.vision_embed.cls_token"] = value
        elif not key.startswith("fc_norm"):
            state[f"beit3.{layer}"] = value
            state[f"beit3.{layer}".replace(".A.", ".B.")] = value * 0
    state |= {f"beit3.{key}": value for key, value in own.items() if key.startswith("fc_norm")}
    encoder = loaded(card, {"model": state}, tmp_path, image_size=384)
    for key, value in tensors(encoder.network).items():
        assert torch.equal(value, own[key]), key


def test_kimianet_is_torchvisions_densenet(tmp_path: Path) -> None:
    theirs = torchvision.models.densenet121().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    state = {f"module.model.0.{key}": value for key, value in tensors(theirs.features).items()}
    state |= {"module.fc_4.weight": torch.zeros(30, 1024), "module.fc_4.bias": torch.zeros(30)}
    encoder = loaded(get_card("kimianet"), state, tmp_path)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        network: Any = encoder.network
        last = network.forward_intermediates(x, intermediates_only=True)[-1]
        expected = torch.relu(theirs.features(x))  # torchvision's forward does it next
        assert 0.1 < (expected > 0).float().mean() < 0.9
        torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-4)


def test_mobilenet_is_torchvisions(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2().eval()
    with torch.no_grad():
        for number, value in enumerate(theirs.state_dict().values()):
            if value.ndim == 1 and value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(number)) * 0.5 + 0.5)
    encoder = loaded(get_card("mobilenet-v2"), tensors(theirs), tmp_path)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        network: Any = encoder.network
        ours = network.forward_intermediates(x, intermediates_only=True)
        for m, last in zip(ours, (1, 3, 6, 13, 17), strict=True):  # the last module of torchvision at each stride
            torch.testing.assert_close(m, theirs.features[: last + 1](x), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(network.forward_features(x), theirs.features(x), rtol=1e-3, atol=1e-4)


def test_a_real_pretrained_file(shared_data: Path) -> None:
    """MobileNetV2 in half precision, dequantised from TensorFlow Lite, in torchvision's naming with its classifier."""
    path = shared_data / "weights" / "mobilenet_v2_imagenet.safetensors"
    encoder = build_encoder("mobilenet-v2", weights=path)
    assert (encoder.card.mean, encoder.card.std) == ((0.5,) * 3, (0.5,) * 3)
    with torch.inference_mode():
        maps = encoder(torch.rand(1, 3, 64, 64))
    assert all(m.isfinite().all() and m.std() > 0 for m in maps)


def test_hibou_and_phikon_of_older_transformers(tmp_path: Path) -> None:
    """Names of transformers 4.41, which both repositories were written with."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    for name, outer, build in (("hibou-b", "encoder.layer", sizes), ("phikon", "encoder.layer",
                               sizes | {"intermediate_size": 48})):  # fmt: skip
        card = card_of(name, **build)
        own = tensors(randomised(build_encoder(card, seed=1).network))
        state = {}
        for key, value in own.items():
            old = key.replace("layers.", f"{outer}.") if key.startswith("layers.") else key
            for new, former in (("attention.q_proj", "attention.attention.query"), ("attention.k_proj",
                                "attention.attention.key"), ("attention.v_proj", "attention.attention.value"),
                                ("attention.o_proj", "attention.output.dense")):  # fmt: skip
                old = old.replace(new, former)
            if name == "phikon":
                old = old.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
            if "gate_proj" in key:
                state[old.replace("gate_proj", "weights_in")] = torch.cat([value, own[key.replace("gate", "up")]])
            elif "up_proj" not in key:
                state[old.replace("down_proj", "weights_out")] = value
        assert "encoder.layer.0.attention.attention.query.weight" in state
        assert ("encoder.layer.0.mlp.weights_in.weight" if name == "hibou-b" else
                "encoder.layer.0.intermediate.dense.weight") in state  # fmt: skip
        if name == "phikon":
            state |= {"pooler.dense.weight": torch.zeros(24, 24), "pooler.dense.bias": torch.zeros(24)}
        encoder = loaded(card, state, tmp_path)
        for key, value in tensors(encoder.network).items():
            torch.testing.assert_close(value, own[key], msg=key)


def test_a_position_table_of_another_grid_is_resampled(tmp_path: Path) -> None:
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    large = card_of("midnight-12k", image_size=392, **sizes)  # 28 x 28
    state = tensors(build_encoder(large, seed=1).network)
    state["embeddings.position_embeddings"] = torch.full((1, 785, 24), 0.25)
    state["embeddings.position_embeddings"][:, 0] = 7
    encoder = loaded(card_of("midnight-12k", **sizes), state, tmp_path)
    table = tensors(encoder.network)["embeddings.position_embeddings"]
    assert table.shape == (1, 257, 24)
    assert (table[:, 0] == 7).all()
    torch.testing.assert_close(table[:, 1:], torch.full((1, 256, 24), 0.25))
    state["embeddings.position_embeddings"] = torch.zeros(1, 700, 24)  # no square
    with pytest.raises(ModelError, match="position_embeddings"):
        loaded(card_of("midnight-12k", **sizes), state, tmp_path)


def test_what_timms_converter_cannot_read_is_told_by_name(tmp_path: Path) -> None:
    card = card_of("uni", **_CLIP)
    state = tensors(build_encoder(card).network) | {"patch_embed.proj.weight": torch.zeros(3, 5)}
    with pytest.raises(ModelError, match=r"patch_embed.proj.weight \(3, 5\) for \(24, 3, 16, 16\)"):
        loaded(card, state, tmp_path)
    assert timm.__version__
