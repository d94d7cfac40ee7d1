"""The store of weights: records, copies to another machine, what must not be trusted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from histoseed.encoders import get_card
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.store import WeightsStore
from histoseed.errors import OutputError
from histoseed.files import sha256_of
from histoseed.settings import Settings


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"tensors" * 100)
    return path


def test_what_is_kept_is_found_again_and_survives_the_move_to_another_machine(
    weights: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object, **kwargs: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", no_network)
    monkeypatch.setattr(huggingface_hub, "get_token", no_network)  # no login either, though the model is gated
    card = get_card("uni2-h")
    store = WeightsStore(tmp_path / "store")
    record = store.keep(card, weights, revision="c" * 40, source="pytorch_model.bin")
    assert (record.licence, record.commercial, record.bytes) == ("cc-by-nc-nd-4.0", "no", 700)
    shutil.copytree(tmp_path / "store", settings.cache_dir / "weights")
    shutil.rmtree(tmp_path / "store")
    weights.unlink()
    found = fetch_weights(card, settings)
    assert (found.revision, found.sha256) == ("c" * 40, sha256_of(found.path))
    assert settings.cache_dir in found.path.parents
    assert [one.encoder for _, one in WeightsStore(settings=settings).records()] == ["uni2-h"]


@pytest.mark.parametrize("linked", [False, True])
def test_the_file_and_its_copy_share_nothing(linked: bool, weights: Path, tmp_path: Path) -> None:
    given = weights
    if linked:  # as the hub's cache hands files out
        given = tmp_path / "blob"
        given.symlink_to(weights)
    store = WeightsStore(tmp_path / "store")
    card = get_card("uni")
    record = store.keep(card, given, source="pytorch_model.bin")
    path = store.path(card, record)
    assert not path.is_symlink()
    assert (path.stat().st_ino != weights.stat().st_ino, path.stat().st_nlink) == (True, 1)
    with weights.open("r+b") as stream:  # edited in place
        stream.write(b"another")
    assert sha256_of(path) == record.sha256 != sha256_of(weights)
    with path.open("r+b") as stream:
        stream.write(b"a third")
    assert weights.read_bytes().startswith(b"another")


def test_a_store_that_shared_its_bytes_with_the_file_is_parted_from_it(weights: Path, tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "store")
    card = get_card("uni")
    path = store.place(card) / weights.name
    path.parent.mkdir(parents=True)
    path.hardlink_to(weights)
    store.keep(card, weights)
    assert path.read_bytes() == weights.read_bytes()
    assert path.stat().st_nlink == weights.stat().st_nlink == 1


def test_a_file_that_cannot_be_read_leaves_the_store_as_it_was(weights: Path, tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "store")
    card = get_card("uni")
    record = store.keep(card, weights)
    with pytest.raises(FileNotFoundError, match="absent"):
        store.keep(card, tmp_path / "absent.bin")
    assert store.record(card) == record
    assert sorted(one.name for one in store.place(card).iterdir()) == ["record.json", weights.name]


def test_keeping_twice_replaces(weights: Path, tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "store")
    card = get_card("hipt-vit256")
    store.keep(card, weights)
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    record = store.keep(card, other)
    assert sorted(path.name for path in store.place(card).iterdir()) == ["other.pth", "record.json"]
    assert store.keep(card, store.path(card, record)) == record  # its own file
    assert store.record(card) == record


def test_cards_of_one_file_share_it_and_others_do_not(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path)
    assert store.place(get_card("sam-b")) == store.place(get_card("sam-b-cellvit"))
    places = [store.place(get_card(name)) for name in ("sam-b", "sam-l", "pathosam-b", "gpfm", "hipt-vit256", "uni")]
    assert len(set(places)) == len(places)
    assert all(place.parent == tmp_path for place in places)
    wild = replace(get_card("uni"), hub_id="a/b", filename="deep/er/w.bin")
    assert store.place(wild).parent == tmp_path


def test_an_empty_store_holds_nothing(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "absent")
    assert list(store.records()) == []
    assert store.record(get_card("uni")) is None
    assert not (tmp_path / "absent").exists()


def test_a_place_that_cannot_be_written_is_told(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file is in the way")
    with pytest.raises(OutputError):
        WeightsStore(tmp_path / "store").keep(get_card("uni"), weights)
