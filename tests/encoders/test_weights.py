"""Weights: strict loading from files, pinned downloads, gated repositories."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors as hub_errors
from safetensors.torch import save_file

from histoseed.encoders import EncoderCard, build_encoder, get_card
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.store import WeightsStore
from histoseed.encoders.weights import bundled_state
from histoseed.errors import GatedModelError, ModelError, OutputError
from histoseed.files import sha256_of
from histoseed.settings import Settings

Tiny = Callable[..., EncoderCard]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def network_state(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.contiguous().clone() for key, value in encoder.network.state_dict().items()}  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("which", ["vit", "swin", "dinov2", "bundled"])
def test_weights_round_trip_strictly(which: str, ending: str, tmp_path: Path, tiny: Tiny) -> None:
    card = tiny(which)
    source = build_encoder(card, seed=1)
    path = tmp_path / f"weights{ending}"
    if ending == ".safetensors":
        save_file(network_state(source), path)
    else:
        torch.save({"state_dict": network_state(source)}, path)
    before = torch.get_rng_state()
    loaded = build_encoder(card, weights=path, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    mine, theirs = loaded.network.state_dict(), source.network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert loaded.card.sha256 == sha256_of(path)
    assert loaded.weights == path.name


def test_half_precision_files_are_loaded_in_single_precision(tmp_path: Path, tiny: Tiny) -> None:
    for card in (tiny("vit"), tiny("dinov2")):
        state = {key: value.half() for key, value in network_state(build_encoder(card)).items()}
        save_file(state, tmp_path / "half.safetensors")
        loaded = build_encoder(card, weights=tmp_path / "half.safetensors").network.state_dict()
        assert all(value.dtype == torch.float32 for value in loaded.values())
        assert all(torch.equal(loaded[key], state[key].float()) for key in state)


def test_a_classifier_in_the_file_is_left_out(tmp_path: Path) -> None:
    state = network_state(build_encoder("timm:resnet18", seed=1))
    state |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    save_file(state, tmp_path / "w.safetensors")
    loaded = build_encoder("timm:resnet18", weights=tmp_path / "w.safetensors")
    assert torch.equal(loaded.network.state_dict()["conv1.weight"], state["conv1.weight"])


@pytest.mark.filterwarnings("ignore::UserWarning")  # timm's interpolation, two of them
def test_tables_of_another_window_are_resampled_by_timm(tmp_path: Path, tiny: Tiny) -> None:
    state = network_state(build_encoder(tiny("swin"), seed=1))
    table = "layers.0.blocks.0.attn.relative_position_bias_table"
    state[table] = torch.full_like(state[table], 0.25)
    save_file(state, tmp_path / "w.safetensors")
    card = tiny("swin", window_size=8)
    loaded = build_encoder(card, weights=tmp_path / "w.safetensors").network.state_dict()
    assert state[table].shape[0] == 13 * 13
    torch.testing.assert_close(loaded[table], torch.full((15 * 15, 1), 0.25))
    assert torch.equal(loaded["layers.0.blocks.0.mlp.fc1.weight"], state["layers.0.blocks.0.mlp.fc1.weight"])


def test_files_of_older_transformers_are_renamed(tmp_path: Path, tiny: Tiny) -> None:
    source = build_encoder(tiny("dinov2"), seed=1)
    state = network_state(source)
    old = {
        key.replace("attention.q_proj", "attention.attention.query")
        .replace("attention.k_proj", "attention.attention.key")
        .replace("attention.v_proj", "attention.attention.value")
        .replace("attention.o_proj", "attention.output.dense"): value
        for key, value in state.items()
    }
    save_file(old, tmp_path / "w.safetensors")
    loaded = build_encoder(tiny("dinov2"), weights=tmp_path / "w.safetensors")
    assert all(torch.equal(loaded.network.state_dict()[key], state[key]) for key in state)


@pytest.mark.parametrize("which", ["vit", "dinov2", "bundled"])
def test_weights_that_do_not_fit_are_listed(which: str, tmp_path: Path, tiny: Tiny) -> None:
    card = tiny(which)
    state = network_state(build_encoder(card))
    first, second = [key for key, value in state.items() if value.ndim == 1][:2]
    del state[first]
    state["not.in.the.network"] = torch.zeros(2)
    state[second] = torch.zeros(77)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as caught:
        build_encoder(card, weights=tmp_path / "w.safetensors")
    for word in (first, second, "not.in.the.network", "missing", "unexpected", "another shape"):
        assert word in caught.value.what


def test_the_weights_of_another_network_are_refused(tmp_path: Path, tiny: Tiny) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors")
    for card in ("bundled", "timm:convnext_atto", tiny("vit"), tiny("dinov2")):
        with pytest.raises(ModelError, match="do not fit"):
            build_encoder(card, weights=tmp_path / "w.safetensors")


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-was-run",)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.npz", "absent.pth", "hubb"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\xff" * 64])
def test_damaged_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.startswith("w."):
        path.write_bytes(content)
    with pytest.raises(ModelError):
        build_encoder("bundled", weights=path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    for name, save in (("w.safetensors", save_file), ("w.pth", torch.save)):
        path = tmp_path / name
        save(network_state(build_encoder("bundled")), path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(ModelError):
            build_encoder("bundled", weights=path)


def test_a_pickle_with_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(1), "b": _Evil()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="could run code"):
        build_encoder("bundled", weights=tmp_path / "w.pth")
    assert not (tmp_path / "pickle-was-run").exists()


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="no table of named tensors"):
        build_encoder("bundled", weights=tmp_path / "w.pth")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder as the wheel lays it out."""
    monkeypatch.setattr("histoseed.encoders.weights.files", lambda package: tmp_path)
    folder = tmp_path / "bundled" / "model"
    folder.mkdir(parents=True)
    return folder / "model.safetensors"


@pytest.mark.parametrize("prefix", ["encoder.", "encoder.network."])
def test_the_bundled_weights_are_the_encoder_of_the_segmenter(prefix: str, installed: Path) -> None:
    source = build_encoder("bundled", seed=1)
    state = {prefix + key: value.half() if value.is_floating_point() else value for key, value in
             network_state(source).items()}  # fmt: skip
    save_file(state | {"decoder.weight": torch.zeros(3)}, installed)
    loaded = build_encoder("bundled", weights="bundled")
    expected = {key: value.half().float() if value.is_floating_point() else value for key, value in
                network_state(source).items()}  # fmt: skip
    assert all(torch.equal(loaded.network.state_dict()[key], expected[key]) for key in expected)
    with pytest.raises(ModelError, match="Only the encoder bundled"):
        build_encoder("timm:resnet18", weights="bundled")


def test_an_installation_without_bundled_weights_says_so(installed: Path) -> None:
    with pytest.raises(ModelError, match="carries no bundled model"):
        bundled_state()


class FakeHub:
    """Stands in for the download; keeps the calls."""

    def __init__(self, root: Path, files: dict[str, bytes], error: BaseException | None = None) -> None:
        self.folder = root / "models--x" / "snapshots" / COMMIT
        self.folder.mkdir(parents=True)
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        self.error = error
        self.calls: list[tuple[str, str, str | None]] = []

    def __call__(self, repo_id: str, filename: str, *, revision: str | None, cache_dir: Path) -> str:
        self.calls.append((repo_id, filename, revision))
        if self.error is not None:
            raise self.error
        if not (self.folder / filename).exists():
            raise hub_errors.EntryNotFoundError(filename)
        return str(self.folder / filename)


def fake(monkeypatch: pytest.MonkeyPatch, *args: Any, **kwargs: Any) -> FakeHub:
    hub = FakeHub(*args, **kwargs)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)  # the hub can be reached
    return hub


def test_the_first_download_is_recorded_and_a_later_change_refused(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tiny: Tiny
) -> None:
    card = replace(tiny("vit"), hub_id="someone/tiny")
    source = build_encoder(card, seed=1)
    save_file(network_state(source), tmp_path / "w.safetensors")
    hub = fake(monkeypatch, tmp_path, {"model.safetensors": (tmp_path / "w.safetensors").read_bytes()})
    encoder = build_encoder(card, weights="hub", settings=settings)
    sha = sha256_of(tmp_path / "w.safetensors")
    assert encoder.weights == f"hub, someone/tiny@{COMMIT}"
    assert (encoder.card.revision, encoder.card.sha256) == (COMMIT, sha)
    assert sha in caplog.text
    store = WeightsStore(settings=settings)
    record = store.record(card)
    assert record is not None
    assert (record.sha256, record.revision, record.hub_id) == (sha, COMMIT, "someone/tiny")
    assert torch.equal(encoder.network.state_dict()["pos_embed"], source.network.state_dict()["pos_embed"])

    again = build_encoder(card, weights="hub", settings=settings)
    assert again.card == encoder.card
    assert len(hub.calls) == 1  # the store has it

    kept = store.path(card, record)
    kept.unlink()
    build_encoder(card, weights="hub", settings=settings)
    assert [call[2] for call in hub.calls] == [None, COMMIT]  # the same revision, whatever the branch points to now

    kept.unlink()
    (hub.folder / "model.safetensors").unlink()
    save_file(network_state(build_encoder(card, seed=2)), hub.folder / "model.safetensors")
    with pytest.raises(ModelError, match="weights changed"):
        build_encoder(card, weights="hub", settings=settings)
    assert not kept.exists()
    (store.place(card) / "record.json").unlink()
    build_encoder(card, weights="hub", settings=settings)


def test_a_stored_file_that_was_changed_is_refused(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = get_card("dinov2-small")
    fake(monkeypatch, tmp_path, {"model.safetensors": b"as published"})
    path = fetch_weights(card, settings).path
    path.unlink()
    path.write_bytes(b"as somebody likes it")
    with pytest.raises(ModelError, match="weights changed"):
        fetch_weights(card, settings)


def test_a_hash_on_the_card_holds_at_the_first_download(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, tmp_path, {"model.safetensors": b"anything"})
    card = replace(get_card("dinov2-small"), sha256="0" * 64, revision="1" * 40)
    with pytest.raises(ModelError, match="the encoder card records 0000"):
        fetch_weights(card, settings)
    assert not WeightsStore(settings=settings).place(card).exists()


def test_the_pickled_file_is_taken_only_where_no_safe_one_exists(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = fake(monkeypatch, tmp_path, {"pytorch_model.bin": b"x"})
    found = fetch_weights(get_card("timm:resnet18.a1_in1k"), settings)
    assert found.filename == "pytorch_model.bin"
    assert [call[1] for call in hub.calls] == ["model.safetensors", "pytorch_model.bin"]
    found.path.unlink()  # from the store: the record knows which file it was
    fetch_weights(get_card("timm:resnet18.a1_in1k"), settings)
    assert hub.calls[-1][1:] == ("pytorch_model.bin", COMMIT)
    found.path.unlink()
    (hub.folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="holds none of"):
        fetch_weights(get_card("timm:resnet18.a1_in1k"), settings)


def test_large_files_are_not_kept_twice(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own cache, as its client lays it out, is emptied once the store has a copy."""
    card = get_card("timm:resnet18.a1_in1k")
    hub = fake(monkeypatch, settings.cache_dir / "hub", {})
    blob = settings.cache_dir / "hub" / "models--x" / "blobs" / "e7a9"
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    (hub.folder / "model.safetensors").symlink_to(blob)
    found = fetch_weights(card, settings)
    assert (found.path.read_bytes(), found.revision, found.path.is_symlink()) == (b"weights", COMMIT, False)
    assert not [path for path in (settings.cache_dir / "hub").rglob("*") if path.is_file() or path.is_symlink()]
    assert fetch_weights(card, settings) == replace(found, filename="model.safetensors")
    assert len(hub.calls) == 1


def test_another_process_may_be_faster(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    card = get_card("timm:resnet18.a1_in1k")

    def download(*_: object, **__: object) -> str:
        """Between the download and its use, the other has taken the file over and emptied the hub's cache."""
        (tmp_path / "model.safetensors").write_bytes(b"weights")
        WeightsStore(settings=settings).keep(card, tmp_path / "model.safetensors", source="model.safetensors")
        return str(settings.cache_dir / "hub" / "gone" / "model.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)
    assert fetch_weights(card, settings).path.read_bytes() == b"weights"


def test_what_the_hub_answers_is_left_to_the_download(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(url: str) -> None:
        raise _raised(hub_errors.EntryNotFoundError)

    hub = fake(monkeypatch, tmp_path, {"pytorch_model.bin": b"weights"})
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", answers)
    assert fetch_weights(get_card("timm:resnet18.a1_in1k"), settings).filename == "pytorch_model.bin"
    assert len(hub.calls) == 2


def test_offline_mode_is_called_by_its_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str) -> None:
        raise hub_errors.OfflineModeIsEnabled(
            f"Cannot reach {url}: offline mode is enabled. To disable it, please unset"
        )

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    with pytest.raises(ModelError, match=r"cannot be reached \(HF_HUB_OFFLINE is set\)") as caught:
        fetch_weights(get_card("dinov2-small"), settings)
    assert (caught.value.fix or "").startswith("Unset HF_HUB_OFFLINE, or run `histoseed weights get dinov2-small")


def _raised(kind: type[Exception]) -> Exception:
    """The hub's errors want a response; what is tested here only looks at their type."""

    class Raised(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            Exception.__init__(self, "from the hub")

    return Raised()


@pytest.mark.parametrize("gate", ["click", "manual"])
def test_gated_weights_name_page_licence_and_click(
    gate: Any, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(get_card("dinov2-small"), gated=gate, licence="cc-by-nc-nd-4.0", commercial="no")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "a-secret-token")
    hub = fake(monkeypatch, tmp_path, {}, _raised(hub_errors.GatedRepoError))
    with pytest.raises(GatedModelError) as caught:
        build_encoder(card, weights="hub", settings=settings)
    text = str(caught.value)
    for word in (
        "https://huggingface.co/facebook/dinov2-small",
        "cc-by-nc-nd-4.0",
        "commercial use: no",
        "hf auth login",
    ):
        assert word in text
    assert ("ask for access" if gate == "manual" else "Agree and access repository") in text
    assert "a-secret-token" not in text
    assert len(hub.calls) == 1
    # Without a login, the hub is not even asked.
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(GatedModelError):
        build_encoder(card, weights="hub", settings=settings)
    assert len(hub.calls) == 1
    assert not settings.cache_dir.exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (_raised(hub_errors.LocalEntryNotFoundError), "cannot be reached"),
        (_raised(hub_errors.OfflineModeIsEnabled), "cannot be reached"),
        (_raised(hub_errors.HfHubHTTPError), "cannot be reached"),
        (ConnectionResetError("reset by peer"), "reset by peer"),
        (_raised(hub_errors.RepositoryNotFoundError), "has no repository facebook/dinov2-small"),
        (_raised(hub_errors.RevisionNotFoundError), "has no repository"),
    ],
    ids=lambda value: type(value).__mro__[1].__name__,
)
def test_a_failed_download_says_what_to_do(
    error: Exception, words: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, tmp_path, {}, error)
    with pytest.raises(ModelError, match=words) as caught:
        build_encoder("dinov2-small", weights="hub", settings=settings)
    assert not isinstance(caught.value, GatedModelError)
    assert caught.value.fix
    assert caught.value.__cause__ is error


def test_a_full_disk_is_not_called_a_network_problem(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, tmp_path, {}, OSError(28, "No space left on device"))
    with pytest.raises(OutputError, match="No space left"):
        fetch_weights(get_card("dinov2-small"), settings)


def test_encoders_without_weights_on_the_hub_say_so(settings: Settings) -> None:
    for card in (get_card("bundled"), get_card("rudolfv")):
        with pytest.raises(ModelError, match="no weights on the hub"):
            fetch_weights(card, settings)
    with pytest.raises(ModelError, match=r"vit256_small_dino\.pth is handed out at https://github\.com") as caught:
        fetch_weights(get_card("hipt-vit256"), settings)
    assert "histoseed weights get hipt-vit256 --from FILE" in (caught.value.fix or "")
    with pytest.raises(GatedModelError, match="end-user agreement"):
        fetch_weights(get_card("kimianet"), settings)


@pytest.mark.parametrize("name", ["remedis", "rudolfv", "pluto", "keep", "mobile-sam"])
def test_what_cannot_be_built_says_why(name: str) -> None:
    card = get_card(name)
    assert card.reason
    with pytest.raises(ModelError) as caught:
        build_encoder(name)
    assert card.reason in caught.value.what


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"sha256": 3}', '{"encoder": "x", "filename": "../../x", "sha256": "0", "bytes": 1}',
     '{"encoder": "x", "filename": "record.json", "sha256": "0", "bytes": 1}'],
)  # fmt: skip
def test_a_damaged_record_is_no_licence_to_trust(
    content: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, tmp_path, {"model.safetensors": b"x"})
    place = WeightsStore(settings=settings).place(get_card("dinov2-small"))
    place.mkdir(parents=True)
    (place / "record.json").write_text(content)
    with pytest.raises(ModelError, match=r"record of stored weights|is no file beside it"):
        fetch_weights(get_card("dinov2-small"), settings)
