"""Encoders and weights that cannot be had: ``adapt``, ``weights get`` and ``encoders show`` say so alike."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from histoseed.bundled import bundled_folder
from histoseed.encoders import FeaturePyramid, build_encoder

Refused = Callable[..., str]


def commands(encoder: str, data: Path, tmp_path: Path, *, show: bool = False) -> list[list[object]]:
    """What names an encoder on the command line."""
    named: list[list[object]] = [
        ["adapt", data, "--encoder", encoder, "--out", tmp_path / "m"],
        ["weights", "get", encoder, "--store", tmp_path / "store"],
    ]
    return [*named, ["encoders", "show", encoder]] if show else named


@pytest.mark.parametrize(("wrong", "right"), [("uni3", "uni2-h"), ("dinov2-smal", "dinov2-small")])
def test_a_name_that_is_none(wrong: str, right: str, refused: Refused, data: Path, tmp_path: Path) -> None:
    for command in commands(wrong, data, tmp_path, show=True):
        message = refused(*command, names=f"no encoder '{wrong}'")
        assert right in message.rpartition("Fix:")[2]


@pytest.mark.parametrize(
    ("encoder", "words"),
    [("uni2-h", 'click "Agree and access repository"'), ("h-optimus-1", "wait for the owners")],
)
def test_gated(
    encoder: str, words: str, refused: Refused, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    for command in commands(encoder, data, tmp_path):
        message = refused(*command, names="gated (licence cc-by-nc-nd-4.0, commercial use: no)")
        assert "Where: https://huggingface.co/" in message
        assert words in message
        assert "hf auth login" in message


def test_no_network(
    refused: Refused, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise OSError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    adapting, fetching = (
        refused(*command, names="cannot be reached ([Errno -2] Name or service not known)")
        for command in commands("timm:resnet18.a1_in1k", data, tmp_path)
    )
    for message in (adapting, fetching):
        assert "`histoseed weights get timm:resnet18.a1_in1k --store DIR`" in message
        assert 'weights="' not in message
    assert "--weights random or --weights FILE" in adapting
    assert "--weights" not in fetching  # it has no such option
    assert "Retrying" not in caplog.text  # every attempt takes a line


def test_a_hub_that_does_not_answer_is_asked_once_and_its_client_says_nothing(tmp_path: Path) -> None:
    """With the client itself, in a process of its own: it reads its address and sets up its log when it is imported."""
    program = (
        "import time; from histoseed.cli import app\n"
        "def fail(seconds): raise SystemExit('waited')\n"
        "time.sleep = fail\n"  # between one attempt and the next
        "app(['weights', 'get', 'dinov2-small'])"
    )
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9", "HISTOSEED_CACHE_DIR": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    told = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | nobody
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=told)
    lines = done.stderr.splitlines()
    assert (done.returncode, [line.partition(":")[0] for line in lines]) == (
        2, ["Fetching dinov2-small", "Error", "Where", "Fix"],
    ), done.stderr  # fmt: skip
    assert "the hub cannot be reached ([Errno " in lines[1]
    assert lines[2] == "Where: http://127.0.0.1:9/facebook/dinov2-small"


def test_all_names_are_looked_at_before_anything_is_fetched(refused: Refused, tmp_path: Path) -> None:
    names = refused(
        "weights", "get", "uni2h", "dinov2-smal", "--store", tmp_path / "s", names="no encoder 'dinov2-smal'"
    )
    assert "Where: dinov2-smal\n" in names
    refused("weights", "get", "uni2h", "bundled", "--store", tmp_path / "s", names="its weights ship with histoseed")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name(
    name: str, refused: Refused, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    for command in commands(name, data, tmp_path, show=True):
        assert "encoders list" in refused(*command, names=f"There is no encoder '{name}'")


def test_the_weights_of_a_model_folder_are_not_dropped(run: Callable[..., Any], refused: Refused, data: Path,
                                                       tmp_path: Path) -> None:  # fmt: skip
    model = bundled_folder()
    for weights in ("hub", "random", tmp_path / "absent.pth"):
        message = refused("adapt", data, "-e", model, "--weights", weights, "--out", tmp_path / "m",
                          names=f"--weights {weights} would drop them")  # fmt: skip
        assert ("--encoder bundled --weights" in message) == (weights != "hub")
    options = ["--weights", model / "model.safetensors", "--method", "frozen", "--steps", 1, "--batch", 1, "--quiet"]
    assert run("adapt", data, "-e", model, "--out", tmp_path / "m", *options).exit_code == 0  # they are its own
    before, after = (json.loads((folder / "model.json").read_text())["data"] for folder in (model, tmp_path / "m"))
    assert [one["name"] for one in after] == [*(one["name"] for one in before), "discs"]


@pytest.mark.parametrize("weights", ["random", "hub"])
def test_a_combination_that_makes_no_sense_is_refused_before_anything_is_read_or_built(
    weights: str, refused: Refused, tmp_path: Path
) -> None:
    refused("adapt", tmp_path / "absent", "-e", "timm:resnet10t", "--weights", weights, "--method", "adapter",
            "--decoder", "cellvit", "--out", tmp_path / "m", names="this encoder is hierarchical")  # fmt: skip


def test_weights_of_another_network(refused: Refused, data: Path, tmp_path: Path) -> None:
    state = build_encoder("timm:resnet18").network.state_dict()  # type: ignore[operator]
    file = tmp_path / "w.safetensors"
    for change, words in (
        ({"conv1.weight": None, "stem.weight": torch.zeros(1)}, "missing: conv1.weight; unexpected: stem.weight"),
        ({"conv1.weight": torch.zeros(8, 3, 7, 7)}, "of another shape: conv1.weight (8, 3, 7, 7) for (64, 3, 7, 7)"),
    ):
        kept = {key: value for key, value in {**state, **change}.items() if value is not None}
        save_file(kept, file)
        refused("adapt", data, "-e", "timm:resnet18", "--weights", file, "--out", tmp_path / "m", names=words)
        refused("weights", "get", "timm:resnet18.a1_in1k", "--from", file, "--store", tmp_path / "store", names=words)


def test_never_released(refused: Refused, data: Path, tmp_path: Path) -> None:
    for command in commands("rudolfv", data, tmp_path):
        refused(*command, names="never released")


def test_no_memory(
    run: Callable[..., Any], data: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(FeaturePyramid, "_run", fail)
    for command, words in (
        (["segment", picture, "--mpp", "0.5", "--tile-size", "512"], "Use --batch 4, or --tile-size 256, or a machine"),
        (["adapt", data, "--method", "full"], "Use --batch 4, or --method frozen or lora, or --checkpointing"),
    ):
        result = run(*command, "--batch", "8", "--out", tmp_path / str(command[0]))
        assert (result.exit_code, "Traceback" in result.stderr) == (2, False)
        assert "Error: There is not enough memory on the accelerator." in result.stderr
        assert words in result.stderr
