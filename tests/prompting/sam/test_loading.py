"""Names, files, weights and what is said when they do not fit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segment_anything
import torch
from safetensors.torch import save_file

from fixtures import tiny_sam as tiny
from histoseed.encoders import hub
from histoseed.encoders.registry import CARDS as ENCODERS
from histoseed.errors import GatedModelError, InputError, ModelError
from histoseed.files import sha256_of
from histoseed.prompting.sam import CARDS, get_promptable_card, load_promptable
from histoseed.prompting.sam import loading as module
from histoseed.settings import Settings
from histoseed.workflows.weights import get_weights, verify_weights


def test_every_card_is_complete() -> None:
    for name, card in CARDS.items():
        assert card.name == name
        assert card.citation
        assert card.evidence
        assert card.page or card.hub_id
        assert card.licence or name.startswith("pathosam")
        assert card.as_dict()["name"] == name
        assert (card.arch is None) == (card.reason is not None)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SAM_ViT_B", "sam-vit-b"), ("sam2.1-hiera-b+",) * 2, ("sam2.1-hiera-base-plus", "sam2.1-hiera-b+"),
        ("hf:facebook/sam2.1-hiera-large", "sam2.1-hiera-l"), ("sam-huge", None), ("medsam", "medsam"),
        ("pathosam-b", "pathosam-vit-b"), ("sam-hq-vit-large", "sam-hq-vit-l"),
    ],
)  # fmt: skip
def test_names(written: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(ModelError, match=r"no promptable model 'sam-huge'\. Fix: The nearest names are sam-"):
            get_promptable_card(written)
    else:
        assert get_promptable_card(written).name == name


def test_other_names_are_no_two_models() -> None:
    names = [name for card in CARDS.values() for name in module._names(card)]
    assert len({module._plain(name) for name in names}) == len(names)


def test_random_weights_leave_the_global_state() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    model = load_promptable(tiny.tiny_card("sam2.1-hiera-t"), weights="random", seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.weights == "random, seed 3"


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return dict(model.network.state_dict())


def test_the_page_lists_every_card() -> None:
    text = (Path(__file__).parents[3] / "docs" / "promptable-models.md").read_text()
    for card in CARDS.values():
        params = f"{card.params / 1e6:.1f} M" if card.params else ""
        row = [f"`{card.name}`", params, card.licence or "not stated", card.commercial]
        assert " ".join(f"| {cell}".rstrip() for cell in row) in text
        assert card.hub_id or card.filename or card.reason
        assert (card.hub_id or card.filename or "none: ") in text


def test_what_the_store_calls_a_file_is_what_fetches_it() -> None:
    for card in CARDS.values():
        stored = card.weights_card()
        encoder = ENCODERS.get(stored.name)
        if encoder is not None and encoder.family == "none":  # MobileSAM, SAM 3: no encoders of ours
            continue
        assert (stored.name == card.name) == (encoder is None or card.name == "medsam")
        if encoder is not None:
            assert (stored.hub_id, stored.filename) == (encoder.hub_id, encoder.filename)
            assert (stored.licence, stored.commercial) == (encoder.licence, encoder.commercial)


def test_the_command_fetches_promptable_models_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tiny.tiny_card("sam2.1-hiera-t")
    monkeypatch.setattr("histoseed.workflows.weights.PROMPTABLE", {small.name: small})
    save_file(weights_of(load_promptable(small, weights="random")), tmp_path / "own.safetensors")
    stored = get_weights("sam2.1_hiera_t", file=tmp_path / "own.safetensors", store=tmp_path / "store")
    assert (stored.record.encoder, stored.record.licence) == ("sam2.1-hiera-t", "apache-2.0")
    assert [one.status for one in verify_weights(["sam2.1-hiera-t"], store=tmp_path / "store")] == ["ok"]
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="do not fit the model: missing: "):
        get_weights("sam2.1-hiera-t", file=tmp_path / "other.safetensors", store=tmp_path / "store")
    with pytest.raises(ModelError, match="There is no encoder 'sam-viit'"):
        get_weights("sam-viit", store=tmp_path / "store")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_files_in_metas_and_in_transformers_layout_are_one_model(tmp_path: Path, ending: str) -> None:
    card = tiny.tiny_card("sam-vit-b")
    state = {key: value.contiguous() for key, value in tiny.segment_anything_of(segment_anything).state_dict().items()}
    path = tmp_path / f"meta{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save(
        state | {"pixel_mean": torch.zeros(3, 1, 1)}, path
    )
    meta = load_promptable(card, weights=path)
    assert (meta.card.filename, meta.card.sha256) == (path.name, sha256_of(path))
    assert (meta.card.hub_id, meta.card.licence, meta.card.commercial) == (None, None, "unknown")
    own = weights_of(meta)
    # transformers stores the table of positions, which two parts share, once.
    own = {key: value.clone() for key, value in own.items() if not key.startswith("prompt_encoder.shared_embedding")}
    save_file(own, tmp_path / "model.safetensors")
    again = weights_of(load_promptable(card, weights=tmp_path / "model.safetensors"))
    assert all(torch.equal(again[key], value) for key, value in weights_of(meta).items())


def test_a_video_model_of_sam2_is_read_without_its_memory(tmp_path: Path) -> None:
    model = load_promptable(tiny.tiny_card("sam2.1-hiera-t"), weights="random")
    extra = {"memory_attention.layers.0.linear1.weight": torch.zeros(2, 2), "no_object_pointer": torch.zeros(1, 4)}
    save_file({key: value.clone() for key, value in weights_of(model).items()} | extra, tmp_path / "model.safetensors")
    again = load_promptable(tiny.tiny_card("sam2.1-hiera-t"), weights=tmp_path / "model.safetensors")
    assert all(torch.equal(weights_of(again)[key], value) for key, value in weights_of(model).items())


def test_a_file_alone_is_recognised_by_its_image_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histoseed.prompting.sam.layout.CARDS", {"sam-vit-b": tiny.tiny_card("sam-vit-b")})
    network = tiny.segment_anything_of(segment_anything)
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "x.pth"
    )
    model = load_promptable(str(tmp_path / "x.pth"))
    assert (model.name, model.weights) == ("sam-vit-b", "x.pth")
    np.testing.assert_array_equal(
        weights_of(model)["mask_decoder.iou_token.weight"], network.mask_decoder.iou_token.weight.detach()
    )
    with pytest.raises(InputError, match="Give one of them"):
        load_promptable(tmp_path / "x.pth", weights="random")


def test_files_of_other_models_are_refused(tmp_path: Path) -> None:
    torch.save(tiny.segment_anything_of(segment_anything).state_dict(), tmp_path / "sam.pth")
    for other in ("sam-hq-vit-b", "sam2.1-hiera-t"):
        with pytest.raises(ModelError, match="The weights do not fit the model: missing: "):
            load_promptable(tiny.tiny_card(other), weights=tmp_path / "sam.pth")
    torch.save(tiny.segment_anything_of(tiny.import_hq(), hq=True).state_dict(), tmp_path / "hq.pth")
    with pytest.raises(ModelError, match=r"unexpected: mask_decoder\.hf_token\.weight"):
        load_promptable(tiny.tiny_card("sam-vit-b"), weights=tmp_path / "hq.pth")
    torch.save({"weight": Path("x")}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="holds more than tensors"):
        load_promptable("medsam", weights=tmp_path / "code.pth")
    with pytest.raises(ModelError, match="no such weights file"):
        load_promptable(tmp_path / "nothing.pth")


def test_options_that_do_not_exist() -> None:
    card = tiny.tiny_card("sam-vit-b")
    with pytest.raises(InputError, match="no precision 'half'"):
        load_promptable(card, weights="random", precision="half")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no device 'abacus'"):
        load_promptable(card, weights="random", device="abacus")


def test_the_hub_is_asked_once_and_what_came_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = "a" * 40
    place = tmp_path / "snapshots" / commit
    place.mkdir(parents=True)
    torch.save(tiny.segment_anything_of(segment_anything).state_dict(), place / "pytorch_model.bin")
    asked: list[tuple[str, str]] = []

    def download(repo: str, name: str, **_: object) -> str:
        asked.append((repo, name))
        if name == "model.safetensors":
            raise hub._hub().errors.EntryNotFoundError("no such file")
        return str(place / name)

    monkeypatch.setattr(hub._hub(), "hf_hub_download", download)
    monkeypatch.setattr(hub._hub(), "get_hf_file_metadata", lambda url: None)  # the hub can be reached
    settings = Settings(cache_dir=tmp_path / "cache")
    with caplog.at_level(logging.WARNING, logger="histoseed.encoders"):
        model = load_promptable(tiny.tiny_card("sam-vit-b"), settings=settings)
    assert asked == [("facebook/sam-vit-base", "model.safetensors"), ("facebook/sam-vit-base", "pytorch_model.bin")]
    assert (model.card.revision, model.card.filename) == (commit, "pytorch_model.bin")
    assert model.card.sha256 == sha256_of(place / "pytorch_model.bin")
    assert model.card.sha256 in caplog.text
    assert model.weights == f"hub, facebook/sam-vit-base@{commit}"
    again = load_promptable(tiny.tiny_card("sam-vit-b"), weights="hub", settings=settings)
    assert len(asked) == 2
    assert again.fingerprint == model.fingerprint


def test_weights_that_are_not_on_the_hub_say_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"vit_b_histopathology is handed out at https://github.com/.*patho-sam"):
        load_promptable(tiny.tiny_card("pathosam-vit-b"), settings=Settings(cache_dir=tmp_path))


def test_gated_weights_say_where_to_accept_the_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        response = type("Response", (), {"headers": {}, "request": None, "status_code": 403})()
        raise hub._hub().errors.GatedRepoError("gated", response=response)

    monkeypatch.setattr(hub._hub(), "hf_hub_download", refuse)
    monkeypatch.setattr(hub._hub(), "get_hf_file_metadata", lambda url: None)
    with pytest.raises(GatedModelError, match=r"https://huggingface\.co/wanglab/medsam-vit-base"):
        load_promptable(tiny.tiny_card("medsam"), settings=Settings(cache_dir=tmp_path))
