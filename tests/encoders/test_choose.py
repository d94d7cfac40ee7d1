"""What may stand behind ``--encoder``: names, model folders, U-Net checkpoints of other tools."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from histoseed.encoders import FeaturePyramid, build_encoder, choose_encoder, get_card
from histoseed.encoders.choose import is_path
from histoseed.errors import InputError, ModelError

State = dict[str, torch.Tensor]


def tensors(network: Any) -> State:
    return {key: value.detach().clone().contiguous() for key, value in network.state_dict().items()}


def same(encoder: FeaturePyramid, state: State) -> bool:
    own = tensors(encoder.network)
    return all(torch.equal(own[key], value) for key, value in state.items())


def model_folder(folder: Path, name: str, **changes: Any) -> State:
    """A model folder as `adapt` writes it, with an encoder of random weights; answers the encoder's tensors."""
    encoder = build_encoder(name, seed=1)
    state = {f"encoder.{key}": value for key, value in tensors(encoder).items()}
    folder.mkdir()
    save_file(state | {"decoder.head.weight": torch.zeros(3)}, folder / "model.safetensors")
    content = {
        "format_version": 2, "name": "mine", "mpp": 0.25,
        "encoder": {"name": name, "weights": "random", "stored": True, "licence": "apache-2.0", "commercial": "yes"},
        "data": [{"name": "cells", "licence": "CC0-1.0", "commercial": "yes"}],
        "training": {"method": "full"},
    } | changes  # fmt: skip
    (folder / "model.json").write_text(json.dumps(content))
    return tensors(encoder.network)


def test_names_and_paths() -> None:
    assert (choose_encoder("bundled").weights, choose_encoder("uni").weights) == ("bundled", "hub")
    assert choose_encoder("uni", "random").weights == "random"
    assert choose_encoder("timm:resnet18", "w.pth").weights == "w.pth"
    assert not is_path("timm:vit_base_patch16_clip_224.openai/x")
    assert is_path("models/mine")


@pytest.mark.parametrize("name", ["bundled", "timm:resnet18.a1_in1k"])
def test_a_model_folder_is_an_encoder(name: str, tmp_path: Path) -> None:
    state = model_folder(tmp_path / "model", name)
    chosen = choose_encoder(tmp_path / "model")
    assert (chosen.card.name, chosen.card.licence, chosen.card.commercial) == (name, "apache-2.0 + CC0-1.0", "yes")
    assert chosen.weights == tmp_path / "model" / "model.safetensors"
    encoder = build_encoder(str(tmp_path / "model"))
    assert same(encoder, state)
    assert (encoder.card.licence, encoder.card.evidence) == ("apache-2.0 + CC0-1.0", "encoder of the model 'mine'")
    # The name in the card builds the same network when the folder is gone.
    assert tensors(build_encoder(encoder.card.name).network).keys() == state.keys()


@pytest.mark.parametrize("weights", ["hub", "random", "bundled", "other.safetensors"])
def test_the_weights_of_a_path_are_not_dropped(weights: str, tmp_path: Path) -> None:
    model_folder(tmp_path / "model", "timm:resnet10t")
    save_file(tensors(build_encoder("timm:resnet18").network), tmp_path / "unet.safetensors")
    for path, name in ((tmp_path / "model", "timm:resnet10t"), (tmp_path / "unet.safetensors", "timm:resnet18")):
        for ask in (choose_encoder, build_encoder):
            with pytest.raises(InputError, match="brings its weights along") as caught:
                ask(str(path), weights=weights)
            other = f", or name the encoder without its weights: --encoder {name} --weights {weights}"
            # Nothing is suggested that is refused: only the encoder bundled has weights in the package, and whose
            # weights a file of a U-Net holds, no hub knows.
            has = weights not in {"bundled", "hub"} or (weights == "hub" and path.is_dir())
            assert caught.value.fix == f"Leave --weights out{other if has else '.'}"


def test_the_weights_that_a_path_stands_for_may_be_said(tmp_path: Path) -> None:
    model_folder(tmp_path / "model", "bundled")
    own = tmp_path / "model" / "model.safetensors"
    assert choose_encoder(tmp_path / "model", own) == choose_encoder(tmp_path / "model", str(own))
    model_folder(tmp_path / "left", "bundled", encoder={"name": "dinov2-small", "weights": "hub", "stored": False})
    assert choose_encoder(tmp_path / "left", "hub") == choose_encoder(tmp_path / "left")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_folder_one_is_in(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "model", "bundled")
    monkeypatch.chdir(tmp_path / "model")
    assert choose_encoder(".").card.name == "bundled"
    with pytest.raises(ModelError, match=f"There is no encoder '{name}'"):
        choose_encoder(name)


@pytest.mark.parametrize(
    ("encoder", "data", "expected"),
    [
        ("yes", ["yes", "no"], "no"),
        ("no", ["yes"], "no"),
        ("yes", ["yes", "unknown"], "unknown"),
        ("yes", [], "yes"),
    ],
)
def test_what_the_data_forbid_the_encoder_forbids(encoder: str, data: list[str], expected: str, tmp_path: Path) -> None:
    entry = {"name": "bundled", "weights": "bundled", "licence": "Apache-2.0", "commercial": encoder}
    seen = [{"name": f"d{i}", "licence": "CC-BY-NC-4.0", "commercial": use} for i, use in enumerate(data)]
    model_folder(tmp_path / "model", "bundled", encoder=entry, data=seen)
    assert choose_encoder(tmp_path / "model").card.commercial == expected


def test_a_model_that_stores_no_encoder_points_to_the_hub(tmp_path: Path) -> None:
    entry = {"name": "dinov2-small", "weights": "hub", "stored": False, "revision": "a" * 40, "sha256": "b" * 64}
    model_folder(tmp_path / "model", "bundled", encoder=entry)
    chosen = choose_encoder(tmp_path / "model")
    assert (chosen.weights, chosen.card.revision, chosen.card.sha256) == ("hub", "a" * 40, "b" * 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": {"weights": "hub"}}, "names no encoder"),
        ({"encoder": "bundled"}, "names no encoder"),
        ({"encoder": {"name": "bundlet"}}, "no encoder 'bundlet'"),
        ({"method": {"name": "lora", "rank": 8}}, "method lora"),
        ({"training": {"method": "adapter"}}, "method adapter"),
    ],
)
def test_models_whose_encoder_cannot_be_taken_out(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    model_folder(tmp_path / "model", "bundled", **changes)
    with pytest.raises(ModelError, match=words) as caught:
        choose_encoder(tmp_path / "model")
    assert caught.value.fix


class TorchvisionUNet(torch.nn.Module):
    """Named as segmentation_models_pytorch names its parts."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = torch.nn.Conv2d(3, 3, 1)
        self.segmentation_head = torch.nn.Conv2d(3, 1, 1)


def without(network: Any, *parts: str) -> Any:
    for part in parts:
        delattr(network, part)
    return network


CASES = {
    "resnet18": (lambda: without(torchvision.models.resnet18(), "fc"), "timm:resnet18"),
    "resnext50_32x4d": (lambda: without(torchvision.models.resnext50_32x4d(), "fc"), "timm:resnext50_32x4d"),
    "mobilenet_v2": (lambda: without(torchvision.models.mobilenet_v2(), "classifier"), "timm:mobilenetv2_100"),
    "densenet121": (lambda: without(torchvision.models.densenet121(), "classifier"), "timm:densenet121"),
    "tu-convnext_atto": (
        lambda: torch.nn.ModuleDict({"model": timm.create_model("convnext_atto", features_only=True)}),
        "timm:convnext_atto",
    ),
    "tu-resnet18": (
        lambda: torch.nn.ModuleDict({"model": timm.create_model("resnet18", features_only=True)}), "timm:resnet18",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "wrap"), [*((kind, "plain") for kind in CASES), ("resnet18", "lightning"), ("resnet18", "ending")]
)
def test_a_unets_checkpoint_is_an_encoder(kind: str, wrap: str, tmp_path: Path) -> None:
    make, name = CASES[kind]
    torch.manual_seed(0)
    network = TorchvisionUNet(make()).eval()
    state = tensors(network)
    path = tmp_path / "best.pth"
    if wrap == "lightning":
        torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    elif wrap == "plain":
        torch.save(state, path)
    else:
        path = tmp_path / "best.safetensors"
        save_file(state, path)
    encoder = build_encoder(str(path))
    assert encoder.card.name == name
    assert (encoder.card.licence, encoder.card.commercial, encoder.card.hub_id) == (None, "unknown", None)
    first = next(iter(tensors(encoder.network).values()))
    assert any(torch.equal(first, value) for value in state.values())
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        ours: Any = encoder.network
        m = ours.forward_intermediates(x, intermediates_only=True)[-1]
        theirs: Any = network.encoder
        if kind.startswith("tu-"):
            expected = theirs["model"](x)[-1]
        elif kind == "mobilenet_v2":
            expected = theirs.features[:18](x)
        elif kind == "densenet121":
            expected = torch.relu(theirs.features(x))  # torchvision's forward does it next
        else:
            y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
            expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(y))))
    torch.testing.assert_close(m, expected, rtol=1e-4, atol=1e-4)


def test_a_folder_that_smp_saved(tmp_path: Path) -> None:
    state = tensors(TorchvisionUNet(without(torchvision.models.resnet18(), "fc")))
    save_file(state, tmp_path / "model.safetensors")
    config = {"encoder_name": "resnet18", "encoder_depth": 5, "classes": 1, "in_channels": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    chosen = choose_encoder(tmp_path)
    assert (chosen.card.name, chosen.weights) == ("timm:resnet18", tmp_path / "model.safetensors")
    assert torch.equal(tensors(build_encoder(str(tmp_path)).network)["conv1.weight"], state["encoder.conv1.weight"])
    (tmp_path / "config.json").write_text(json.dumps(config | {"encoder_name": "mit_b0x"}))
    with pytest.raises(ModelError, match="mit_b0x"):
        choose_encoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="encoder_name"):
        choose_encoder(tmp_path)


def test_an_architecture_may_be_named_beside_the_file(tmp_path: Path) -> None:
    network = TorchvisionUNet(without(torchvision.models.resnet18(), "fc"))
    torch.save(tensors(network), tmp_path / "w.pth")
    card = replace(get_card("timm:resnet18"), mean=(0.5,) * 3)
    encoder = build_encoder(card, weights=tmp_path / "w.pth")
    assert torch.equal(tensors(encoder.network)["conv1.weight"], tensors(network)["encoder.conv1.weight"])


def test_only_what_no_map_passes_may_be_missing_from_a_unet(tmp_path: Path) -> None:
    network = TorchvisionUNet(torch.nn.ModuleDict({"model": timm.create_model("convnext_atto", features_only=True)}))
    state = tensors(network)
    assert not [key for key in state if ".head" in key]  # the normalisation behind the last stage
    torch.save(state, tmp_path / "w.pth")
    build_encoder("timm:convnext_atto", weights=tmp_path / "w.pth")
    gone = "encoder.model.stages_3.blocks.1.mlp.fc2.weight"
    torch.save({key: value for key, value in state.items() if key != gone}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"missing: stages\.3\.blocks\.1\.mlp\.fc2\.weight"):
        build_encoder("timm:convnext_atto", weights=tmp_path / "w.pth")


def test_unknown_files_and_folders_are_told(tmp_path: Path) -> None:
    torch.save({"encoder.a.weight": torch.zeros(2), "b": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"2 tensors \(encoder.a.weight, b, ...\)") as caught:
        choose_encoder(tmp_path / "w.pth")
    assert "--encoder timm:ARCH --weights" in (caught.value.fix or "")
    resnet = tensors(TorchvisionUNet(without(torchvision.models.resnet18(), "fc")))
    resnet["encoder.layer4.1.conv2.weight"] = torch.zeros(7, 7)
    torch.save(resnet, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="124 tensors"):
        choose_encoder(tmp_path / "w.pth")
    with pytest.raises(ModelError, match="no such file or folder"):
        choose_encoder("models/absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"neither model\.json"):
        choose_encoder(tmp_path / "empty")
    (tmp_path / "empty" / "model.json").write_text("[1")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        choose_encoder(tmp_path / "empty")
    (tmp_path / "empty" / "model.json").write_text("[1]")
    with pytest.raises(ModelError, match="no JSON object"):
        choose_encoder(tmp_path / "empty")


def test_a_name_of_an_architecture_says_nothing_of_a_files_licence(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    for name, weights, licence, commercial in (
        ("timm:resnet18.a1_in1k", None, "apache-2.0", "yes"),
        ("timm:resnet18.a1_in1k", "random", "apache-2.0", "yes"),
        ("timm:resnet18.a1_in1k", file, None, "unknown"),
        ("mobilenet-v2", file, "apache-2.0", "yes"),  # its authors hand it out as a file
        ("uni2-h", file, "cc-by-nc-nd-4.0", "no"),
    ):
        chosen = choose_encoder(name, weights)
        assert (chosen.card.licence, chosen.card.commercial) == (licence, commercial)
        assert chosen.weights == ("hub" if weights is None else weights)
