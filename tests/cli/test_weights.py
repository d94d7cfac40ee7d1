"""``histoseed weights`` and the filters of ``histoseed encoders list``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from histoseed.encoders import build_encoder, get_card
from histoseed.encoders.store import WeightsStore

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
    assert f"Not as recorded: mobilenet-v2 is missing, {one['path']}\n" in result.stderr
    again = f"histoseed weights get mobilenet-v2 --store {store} --from FILE"
    assert f"\n  {again}\n" in result.stderr
    assert run(*again.replace("FILE", str(checkpoint)).split()[1:]).exit_code == 0
    assert run("weights", "verify", "--store", store).exit_code == 0


def test_what_was_fetched_and_changed_is_fetched_again(
    run: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    store = tmp_path / "my weights"
    card = get_card("uni")
    path = WeightsStore(store).path(card, WeightsStore(store).keep(card, checkpoint, source=checkpoint.name))
    with path.open("r+b") as stream:
        stream.write(b"\0")
    result = run("weights", "verify", "--store", store)
    assert result.exit_code == 2
    assert f"\n  rm '{path}'\n  histoseed weights get uni --store '{store}'\n" in result.stderr
    assert f"\nuni: {path}\n" in result.stdout  # one line, however narrow the window is


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
    text = run("encoders", "show", checkpoint).stdout
    assert "made for everyday pictures" not in text  # whose weights lie in the file is not known
    assert f"weights here   yes: {checkpoint}\n" in run("encoders", "show", checkpoint).stdout


def card_of(run: Run, name: str) -> dict[str, str]:
    """Lines of the card; what is folded goes to the line before."""
    found: dict[str, str] = {}
    for line in run("encoders", "show", name).stdout.splitlines():
        assert line == line.rstrip()
        key, _, value = line.partition("  ")
        if key:
            found[key] = value.strip()
        else:
            found[list(found)[-1]] += f"\n{line.strip()}"
    return found


def test_a_card_says_what_to_do_for_the_weights(run: Run, checkpoint: Path) -> None:
    card, page = get_card("uni2-h"), "https://huggingface.co/MahmoodLab/UNI2-h"
    lines = card_of(run, "uni2-h")
    assert lines["licence"] == "cc-by-nc-nd-4.0; commercial use: no"
    assert lines["page"] == page
    assert lines["access"] == "gated: the licence must be accepted first"
    assert lines["weights here"] == f"no: nothing in {WeightsStore().place(card)}"
    assert lines["to get them"].splitlines() == [
        f"log in on {page}", 'read the licence, click "Agree and access repository"', "hf auth login",
        "histoseed weights get uni2-h",
    ]  # fmt: skip
    assert lines["feature maps"] == "4 of 1536 channels, one value for 14 x 14 pixels"
    assert not {"tap_norm", "-", "None"} & {*lines, *lines.values()}
    assert "are not in" in answer(run, "encoders", "show", "uni2-h")["weights_missing"]
    kept = WeightsStore().keep(card, checkpoint)
    lines = card_of(run, "uni2-h")
    assert lines["weights here"] == f"yes: {WeightsStore().path(card, kept)}"
    assert "to get them" not in lines
    assert answer(run, "encoders", "show", "uni2-h")["weights_missing"] is None


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("bundled", "weights here", "yes: they come with histoseed"),
        ("rudolfv", "usable here", "no: its weights were never released"),
        ("mobilenet-v2", "to get them",
         "fetch the file at https://github.com/google-coral/test_data\nhistoseed weights get mobilenet-v2 --from FILE"),
        ("timm:resnet18.a1_in1k", "access", "free, without a login"),
        ("timm:resnet18.a1_in1k", "feature maps", "64, 64, 128, 256, 512 channels at strides 2, 4, 8, 16, 32"),
        ("timm:resnet10t", "feature maps", "not known before it is built"),
        ("h-optimus-1", "access", "gated: the owners decide about each request"),
    ],
)  # fmt: skip
def test_lines_of_cards(name: str, key: str, text: str, run: Run) -> None:
    assert card_of(run, name)[key] == text


def test_what_is_missing_to_build_an_encoder_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histoseed.encoders.registry.importlib.util.find_spec", lambda name: None)
    assert card_of(run, "phikon-v2")["usable here"].startswith("no: the package transformers is not installed")
