"""``histoseed weights`` and the filters of ``histoseed encoders list``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from histoseed.encoders import build_encoder

Run = Callable[..., Any]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = build_encoder("mobilenet-v2", seed=1).network
    path = tmp_path / "mobile.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)  # type: ignore[union-attr, operator]
    return path


def answer(run: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_get_list_verify(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    made = answer(run, "weights", "get", "mobilenet-v2", "--from", checkpoint, "--store", store)
    (one,) = made["weights"]
    assert (one["encoder"], one["status"], one["commercial"]) == ("mobilenet-v2", "ok", "yes")
    assert answer(run, "weights", "list", "--store", store)["weights"] == made["weights"]
    assert answer(run, "weights", "verify", "--store", store) == {
        "histoseed": made["histoseed"], "command": "weights verify", "ok": True, "weights": made["weights"],
    }  # fmt: skip
    text = run("weights", "list", "--store", store).stdout
    assert one["sha256"][:12] in text
    assert "apache-2.0" in text
    Path(one["path"]).unlink()
    assert answer(run, "weights", "verify", "--store", store, code=2)["ok"] is False
    result = run("weights", "verify", "--store", store)
    assert result.exit_code == 2
    assert "Not as recorded: mobilenet-v2" in result.stderr


def test_an_empty_store(run: Run, tmp_path: Path) -> None:
    assert "The store is empty" in run("weights", "list", "--store", tmp_path / "none").stdout
    assert answer(run, "weights", "verify", "--store", tmp_path / "none") == {
        **answer(run, "weights", "verify", "--store", tmp_path / "none"), "ok": True, "weights": [],
    }  # fmt: skip


def test_wrong_input(refused: Callable[..., str], checkpoint: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    refused("weights", "get", "mobilenet-v3", "--store", store, names="mobilenet-v2")
    refused("weights", "get", "mobilenet-v2", "sam-b", "--from", checkpoint, names="One file belongs to one encoder")
    refused("weights", "get", "sam-b", "--from", checkpoint, "--store", store, names="missing: pos_embed")
    refused("weights", "get", "rudolfv", "--store", store, names="never released")
    refused("weights", "get", "pathosam-b", "--store", store, names="--from FILE")
    refused("weights", "verify", "uni", "--store", store, names="no weights of this encoder")
    refused("encoders", "list", "--max-params", "many", names="--max-params")
    refused("encoders", "list", "--max-params", "0", names="leaves nothing")
    refused("encoders", "show", "virchow3", names="virchow2")
    refused("encoders", "show", tmp_path / "absent.pth", names="absent.pth")


def test_encoders_are_filtered(run: Run) -> None:
    every = {card["name"] for card in answer(run, "encoders", "list")["encoders"]}
    assert {"uni", "sam-b", "bundled", "rudolfv"} <= every
    product = answer(run, "encoders", "list", "--commercial", "--free", "--max-params", "100M", "--group", "pathology")
    assert [card["name"] for card in product["encoders"]] == [
        "quiltnet-b32", "quiltnet-b16", "quiltnet-b16-pmb", "hibou-b",
    ]  # fmt: skip
    small = answer(run, "encoders", "list", "dinov2-*", "--max-params", "8.7e7")["encoders"]
    assert [card["name"] for card in small] == ["dinov2-small", "dinov2-base"]
    text = " ".join(run("encoders", "list", "--group", "pathology").stdout.split())
    assert "its weights were never released" in text
    assert "No encoder matches" in run("encoders", "list", "dinov2-*", "--max-params", "1k").stdout


def test_a_checkpoint_can_be_shown(run: Run, checkpoint: Path) -> None:
    facts = answer(run, "encoders", "show", checkpoint)
    assert (facts["name"], facts["commercial"]) == ("timm:mobilenetv2_100", "unknown")
    assert answer(run, "encoders", "show", "UNI2_h")["licence"] == "cc-by-nc-nd-4.0"
