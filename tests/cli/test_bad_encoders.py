"""Encoders and weights that cannot be had: ``adapt``, ``weights get`` and ``encoders show`` say so alike."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

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

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    for command in commands("timm:resnet18.a1_in1k", data, tmp_path):
        message = refused(*command, names="cannot be reached ([Errno -2] Name or service not known)")
        assert "copy its folder here" in message
    assert "Retrying" not in caplog.text  # every attempt takes a line


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
