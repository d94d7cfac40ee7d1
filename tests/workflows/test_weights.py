"""Fetching into, listing and verifying a store of weights."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from histoseed.encoders import build_encoder, get_card
from histoseed.encoders.store import WeightsStore
from histoseed.errors import GatedModelError, InputError, ModelError
from histoseed.workflows.weights import get_weights, list_weights, verify_weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Weights of MobileNetV2, random, in timm's naming."""
    network = build_encoder("mobilenet-v2", seed=1).network
    path = tmp_path / "mobile.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)  # type: ignore[union-attr, operator]
    return path


def test_a_file_from_elsewhere_is_compared_and_kept(checkpoint: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    kept = get_weights("mobilenet-v2", file=checkpoint, store=store)
    assert (kept.status, kept.record.encoder, kept.record.licence) == ("ok", "mobilenet-v2", "apache-2.0")
    assert kept.path.read_bytes() == checkpoint.read_bytes()
    assert list_weights(store=store) == [kept]
    assert verify_weights(store=store) == verify_weights(["mobilenet-v2"], store=store) == [kept]
    assert get_weights("mobilenet-v2", store=store).record == kept.record  # nothing to fetch
    encoder = build_encoder("mobilenet-v2", weights=kept.path)
    assert encoder.card.sha256 == kept.record.sha256


def test_a_file_of_another_network_is_not_taken(checkpoint: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(ModelError, match=r"do not fit.*missing: .*layer") as caught:
        get_weights("timm:resnet18.a1_in1k", file=checkpoint, store=store)
    assert "unexpected" in caught.value.what
    assert not store.exists()
    assert get_weights("timm:resnet18.a1_in1k", file=checkpoint, store=store, check=False).status == "ok"


def test_from_the_hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    calls = []

    def download(repo_id: str, filename: str, *, revision: str | None, cache_dir: Path) -> str:
        calls.append((repo_id, filename))
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)  # the hub can be reached
    weights = tmp_path / "resnet.safetensors"
    network = build_encoder("timm:resnet18.a1_in1k").network
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)  # type: ignore[union-attr, operator]
    kept = get_weights("timm:resnet18.a1_in1k")
    assert tmp_path / "cache" / "weights" in kept.path.parents
    assert kept.record.hub_id == "timm/resnet18.a1_in1k"
    assert get_weights("timm:resnet18.a1_in1k").record == kept.record
    assert calls == [("timm/resnet18.a1_in1k", "model.safetensors")]
    encoder = build_encoder("timm:resnet18.a1_in1k", weights="hub")
    assert torch.equal(encoder.network.state_dict()["conv1.weight"], network.state_dict()["conv1.weight"])  # type: ignore[union-attr, operator]


def test_gated_weights_without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(GatedModelError, match=r"cc-by-nc-nd-4\.0"):
        get_weights("uni2-h", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("name", "words"), [("bundled", "ship with histoseed"), ("rudolfv", "never released"),
                                             ("remedis", "TensorFlow")])  # fmt: skip
def test_what_cannot_be_fetched(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        get_weights(name, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_what_was_changed_or_lost_is_found(checkpoint: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = get_weights("mobilenet-v2", file=checkpoint, store=store)
    second = get_weights("timm:resnet18.a1_in1k", file=checkpoint, store=store, check=False)
    data = bytearray(first.path.read_bytes())
    first.path.unlink()  # its bytes belong to the file it was made from
    data[-1] ^= 1
    first.path.write_bytes(data)
    second.path.unlink()
    assert {one.record.encoder: one.status for one in verify_weights(store=store)} == {
        "mobilenet-v2": "changed", "timm:resnet18.a1_in1k": "missing",
    }  # fmt: skip
    assert [one.status for one in list_weights(store=store)] == ["ok", "missing"]  # without reading
    with pytest.raises(ModelError, match="holds no weights of this encoder") as caught:
        verify_weights(["uni"], store=store)
    assert "histoseed weights get uni" in (caught.value.fix or "")


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights file"):
        get_weights("mobilenet-v2", file=tmp_path / "absent.pth", store=tmp_path / "store")
    assert WeightsStore(tmp_path / "store").record(get_card("mobilenet-v2")) is None
