"""Bundles: there and back, and the licence gate in use."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from fixtures.tiny_models import OPEN, tiny
from histoseed.encoders import build_encoder, get_card
from histoseed.encoders.store import WeightsStore
from histoseed.errors import InputError, ModelError, OutputError
from histoseed.segmenters import (
    DecoderEntry,
    EncoderEntry,
    MethodOptions,
    ModelCard,
    Segmenter,
    load_segmenter,
    prepare,
    read_card,
    save_segmenter,
)
from histoseed.workflows.bundling import Contents, Target, gate, planned_card
from histoseed.workflows.bundling import archive as archive_module
from histoseed.workflows.model_bundle import export_model, import_model, show_model

NAME = "timm:vit_tiny_patch16_224.augreg_in21k"
NC_ND = {"licence": "cc-by-nc-nd-4.0", "commercial": "no"}
GATED = {"name": "h-optimus-0", "weights": "hub", "licence": "apache-2.0", "commercial": "yes", "changed": False}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_segmenter(tiny(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a vision transformer's weights, as a hub would hand it out."""
    path = tmp_path_factory.mktemp("hub") / "model.safetensors"
    network = build_encoder(NAME, seed=3, image_size=64).network
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)  # type: ignore[union-attr, operator]
    return path


def on_file(published: Path, out: Path, *, method: str = "frozen", **entry: Any) -> Segmenter:
    """A model on weights that were given as a file, stored with it."""
    encoder = build_encoder(NAME, weights=published, image_size=64)
    options = MethodOptions(name=method, rank=2)  # type: ignore[arg-type]
    facts: dict[str, Any] = {
        "name": NAME, "weights": str(published), "changed": False, "sha256": encoder.card.sha256,
        "licence": "apache-2.0", "commercial": "yes",
    }  # fmt: skip
    card = ModelCard(
        histoseed="test", name="on a file", mpp=0.25, crop=64, encoder=EncoderEntry(**(facts | entry)), method=options,
        decoder=DecoderEntry(widths=(16, 16, 8, 8), image_widths=(4, 8)), data=(OPEN,),
    )  # fmt: skip
    torch.manual_seed(1)
    model = Segmenter(prepare(encoder, method, options), card).eval()
    with torch.no_grad():  # as if it had been trained
        for key, value in model.named_parameters():
            if "lora_b" in key:
                value.normal_(std=0.1)
    save_segmenter(model, out)
    return model


def change(folder: Path, part: str, **values: Any) -> None:
    """Change fields of the card's entry ``encoder``, or of its only data set."""
    content = json.loads((folder / "model.json").read_text())
    entry = content["encoder"] if part == "encoder" else content["data"][0]
    entry |= values
    (folder / "model.json").write_text(json.dumps(content))


def same_maps(a: Segmenter, b: Segmenter, tolerance: float = 1e-6) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        torch.testing.assert_close(a(images), b(images), rtol=0, atol=tolerance)


# There and back


def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "m.histoseed.zip"
    written = export_model(folder, out=bundle)
    taken = import_model(bundle, out=tmp_path / "back")
    assert (written.decision, taken.decision) == ("open", "open")
    assert written.card == taken.card == show_model(bundle).card == show_model(tmp_path / "back").card
    same_maps(load_segmenter(folder), load_segmenter(tmp_path / "back"))
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        "LICENCES.txt", "bundle.json", "model.json", "model.safetensors",
    ]  # fmt: skip
    for name, facts in taken.manifest["files"].items():  # type: ignore[index]
        data = (tmp_path / "back" / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_equal_models_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    export_model(folder, out=tmp_path / "a.histoseed.zip")
    save_segmenter(tiny(), tmp_path / "elsewhere" / "again")
    export_model(tmp_path / "elsewhere" / "again", out=tmp_path / "b.histoseed.zip")
    assert (tmp_path / "a.histoseed.zip").read_bytes() == (tmp_path / "b.histoseed.zip").read_bytes()
    export_model(import_model(tmp_path / "a.histoseed.zip", out=tmp_path / "c").path, out=tmp_path / "c.histoseed.zip")
    assert (tmp_path / "a.histoseed.zip").read_bytes() == (tmp_path / "c.histoseed.zip").read_bytes()


def test_the_notice_names_every_part(folder: Path, tmp_path: Path) -> None:
    change(folder, "data", licence="CC-BY-NC-SA-4.0", commercial="no", note="nuclei")
    change(folder, "encoder", name="phikon", weights="hub", licence="owkin-non-commercial", commercial="no")
    shown = show_model(folder)
    text = archive_text(shown.card, "private")
    for words in ("PRIVATE", "phikon", "owkin-non-commercial", "free", "CC-BY-NC-SA-4.0", "nuclei",
                  get_card("phikon").page, "No commercial use."):  # fmt: skip
        assert str(words) in text
    assert "anybody" in archive_text(tiny().card, "open")
    assert max(map(len, text.splitlines())) <= 100


def archive_text(card: ModelCard, target: Any) -> str:
    from histoseed.segmenters.licensing import parts_of
    from histoseed.workflows.bundling import licence_notice

    return licence_notice(card, parts_of(card), target, {"encoder": "x"})


def test_what_is_nobodys_business_stays_here(folder: Path, tmp_path: Path) -> None:
    change(folder, "encoder", weights="/home/somebody/secret/weights.pth", licence="mit", commercial="yes")
    shown = export_model(folder, out=tmp_path / "a.histoseed.zip", without_groups=True)
    assert shown.card.encoder.weights == "weights.pth"
    assert shown.card.data[0].groups == ()
    for needle in (b"/home/somebody", b"patient 1", str(tmp_path).encode()):
        assert needle not in (tmp_path / "a.histoseed.zip").read_bytes()
    assert b"patient 1" in export_model(folder, out=tmp_path / "b.histoseed.zip").path.read_bytes()


def test_a_full_disk_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(archive_module, "_add", full)
    with pytest.raises(OutputError, match="disk is full"):
        export_model(folder, out=tmp_path / "a.histoseed.zip")
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    bundle, own = tmp_path / "a.histoseed.zip", tmp_path / "mine.histoseed.zip"
    export_model(folder, out=bundle)
    with pytest.raises(OutputError, match="exists"):
        export_model(folder, out=bundle)
    export_model(folder, out=bundle, overwrite=True)
    own.write_text("my only copy")
    with pytest.raises(OutputError, match="no bundle of histoseed and is not replaced"):
        export_model(folder, out=own, overwrite=True)
    assert own.read_text() == "my only copy"
    for wrong, words in ((tmp_path / "a.zip", "another ending"), (tmp_path, "another ending")):
        with pytest.raises(OutputError, match=words):
            export_model(folder, out=wrong)
    import_model(bundle, out=tmp_path / "x")
    with pytest.raises(OutputError, match="not empty"):
        import_model(bundle, out=tmp_path / "x")
    import_model(bundle, out=tmp_path / "x", overwrite=True)
    with pytest.raises(OutputError, match="no imported model"):
        import_model(bundle, out=folder, overwrite=True)
    assert load_segmenter(folder)


def test_a_bundle_is_no_model_folder(folder: Path, tmp_path: Path) -> None:
    export_model(folder, out=tmp_path / "a.histoseed.zip")
    with pytest.raises(ModelError, match=r"histoseed model import .*a\.histoseed\.zip --out"):
        load_segmenter(tmp_path / "a.histoseed.zip")


# The gate


@pytest.mark.parametrize(
    ("encoder", "data", "options", "what", "fix"),
    [
        ({}, {"licence": "CC-BY-NC-SA-4.0", "commercial": "no"}, {}, r"free \(CC-BY-NC-SA-4.0\)", "--private"),
        ({}, {"licence": None, "commercial": "unknown"}, {}, "no licence stated", "--licence 'data:free="),
        (NC_ND | {"weights": "hub", "stored": False}, {}, {}, "its weights are not in the files", "--private"),
        (NC_ND | {"weights": "w.pth"}, {}, {}, "its weights are in the files", "Add --private"),
        (NC_ND | {"weights": "w.pth"}, {}, {"onnx": True}, "its weights are in the files", "Add --private"),
        (NC_ND | {"weights": "hub", "changed": True}, {}, {"target": "private"}, "not be passed on", "Adapt again"),
        (NC_ND | {"weights": "hub", "changed": True}, {}, {}, "changed by training", "--method frozen, lora"),
        (GATED | {"sha256": "a" * 64}, {}, {"target": "private"}, "must be asked for", "Add --without-encoder: "),
        (GATED, {}, {"target": "private"}, "must be asked for", "Adapt again: "),
        (GATED | {"changed": True}, {}, {}, "must be asked for", "--private"),
    ],
)  # fmt: skip
def test_refusals(
    encoder: dict[str, Any], data: dict[str, Any], options: dict[str, Any], what: str, fix: str, folder: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    change(folder, "encoder", **encoder)
    change(folder, "data", **data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelError, match=what) as caught:
        export_model(folder, out=tmp_path / "a.histoseed.zip", **options)
    assert caught.value.fix is not None
    assert fix in caught.value.fix
    never = "must not be passed on" in caught.value.what
    assert ("--private" in caught.value.fix) == (not never)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("target", ["open", "private"])
@pytest.mark.parametrize("onnx", [False, True])
@pytest.mark.parametrize("licence", [{}, NC_ND])
@pytest.mark.parametrize("entry", [{"sha256": "a" * 64}, {}, {"weights": "random"}, {"stored": False}])
def test_what_is_suggested_is_not_refused(
    entry: dict[str, Any], licence: dict[str, str], onnx: bool, target: Target, folder: Path
) -> None:
    change(folder, "encoder", **(GATED | licence | entry))
    card, asked = read_card(folder), Contents(onnx=onnx)
    try:
        gate(planned_card(card, asked, {}), target, asked)
    except ModelError as error:
        fix = error.fix or ""
    else:
        return
    assert ("--without-encoder" in fix) <= ("sha256" in entry)
    if not fix.startswith("Adapt again"):
        followed = Contents(without_encoder="--without-encoder" in fix, onnx=onnx and "--onnx out" not in fix)
        gate(planned_card(card, followed, {}), "private" if "--private" in fix else target, followed)


def test_private(folder: Path, tmp_path: Path) -> None:
    change(folder, "data", licence="CC-BY-NC-SA-4.0", commercial="no")
    with pytest.raises(ModelError, match="cannot be exported as open"):
        export_model(folder, out=tmp_path / "a.histoseed.zip")
    export_model(folder, out=tmp_path / "a.histoseed.zip", target="private")
    taken = import_model(tmp_path / "a.histoseed.zip", out=tmp_path / "b")
    assert taken.manifest is not None
    assert (taken.manifest["target"], taken.decision) == ("private", "private")
    with pytest.raises(ModelError, match="cannot be exported as open"):  # the licence came along
        export_model(tmp_path / "b", out=tmp_path / "c.histoseed.zip")


def test_a_licence_is_stated_where_none_is(folder: Path, tmp_path: Path) -> None:
    change(folder, "data", licence=None, commercial="unknown")
    bundle = tmp_path / "a.histoseed.zip"
    for stated, words in (
        ({"data:other": "MIT"}, "no part 'data:other'"), ({"encoder": "MIT"}, "is known"),
        ({"data:free": "my terms"}, "not known here"), ({"data:free": "CC-BY-NC-4.0"}, "cannot be exported as open"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            export_model(folder, out=bundle, licences=stated)
    shown = export_model(folder, out=bundle, licences={"data:free": "CC-BY-4.0"})
    assert (shown.card.data[0].licence, shown.card.data[0].commercial) == ("CC-BY-4.0", "yes")
    assert shown.manifest is not None
    assert shown.manifest["stated_at_export"] == {"data:free": "CC-BY-4.0"}
    import_model(bundle, out=tmp_path / "b")
    assert "CC-BY-4.0 (stated by whoever exported the model)" in (tmp_path / "b" / "LICENCES.txt").read_text()


# Without the encoder, and merged


def test_without_the_encoder(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_file(published, tmp_path / "m", method="lora", **NC_ND)
    bundle, store = tmp_path / "a.histoseed.zip", WeightsStore()
    with pytest.raises(ModelError, match="exported as open"):
        export_model(tmp_path / "m", out=bundle, without_encoder=True)
    shown = export_model(tmp_path / "m", out=bundle, without_encoder=True, target="private")
    assert bundle.stat().st_size < 0.2 * (tmp_path / "m" / "model.safetensors").stat().st_size
    assert (shown.card.encoder.stored, shown.card.encoder.weights) == (False, "hub")
    assert shown.manifest is not None
    assert shown.manifest["encoder_included"] is False

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    with pytest.raises(ModelError, match=r"cannot be reached.*--no-fetch"):
        import_model(bundle, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
    import_model(bundle, out=tmp_path / "later", fetch=False)

    other = tmp_path / "other" / "model.safetensors"
    other.parent.mkdir()
    save_file({key: value + 1 for key, value in model.encoder.plain().network.state_dict().items()  # type: ignore[union-attr, operator]
               if "lora" not in key}, other)  # fmt: skip
    store.keep(get_card(NAME), other)
    with pytest.raises(ModelError, match="weights changed"):  # a hub may serve anything some day
        import_model(bundle, out=tmp_path / "b")
    with pytest.raises(ModelError, match="weights changed"):
        load_segmenter(tmp_path / "later")
    store.keep(get_card(NAME), published)
    import_model(bundle, out=tmp_path / "b")
    same_maps(model, load_segmenter(tmp_path / "b"))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"changed": True}, "nobody else has them"),
        ({"weights": "random"}, "drawn at random"),
        ({"weights": "bundled"}, "come with histoseed"),
        ({"weights": "w.pth", "sha256": None, "licence": "mit", "commercial": "yes"}, "hash is not known"),
    ],
)
def test_what_cannot_be_left_out(entry: dict[str, Any], words: str, folder: Path, tmp_path: Path) -> None:
    change(folder, "encoder", **entry)
    with pytest.raises(InputError, match=words):
        export_model(folder, out=tmp_path / "a.histoseed.zip", without_encoder=True)


def test_merged(published: Path, tmp_path: Path) -> None:
    model = on_file(published, tmp_path / "m", method="lora")
    shown = export_model(tmp_path / "m", out=tmp_path / "a.histoseed.zip", merge=True)
    assert (shown.parts[0].use, shown.card.method) == ("changed", MethodOptions(name="frozen"))
    import_model(tmp_path / "a.histoseed.zip", out=tmp_path / "b")
    merged = load_segmenter(tmp_path / "b")
    assert not [key for key in merged.state_dict() if "lora" in key]
    same_maps(model, merged, tolerance=2e-5)
    plain = build_encoder(NAME, weights=published, image_size=64).network.state_dict()  # type: ignore[operator]
    own = merged.encoder.network.state_dict()  # type: ignore[operator]
    assert {key for key in own if not torch.equal(own[key], plain[key])} == {
        f"blocks.{block}.attn.qkv.weight" for block in range(12)
    }
    change(tmp_path / "m", "encoder", **NC_ND)
    with pytest.raises(ModelError, match=r"must not be passed on like this: timm:vit_tiny.*Leave --merge out"):
        export_model(tmp_path / "m", out=tmp_path / "c.histoseed.zip", merge=True, target="private")
    with pytest.raises(InputError, match="cannot be left out"):
        export_model(tmp_path / "m", out=tmp_path / "c.histoseed.zip", merge=True, without_encoder=True)


def test_nothing_to_merge(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no updates of LoRA"):
        export_model(folder, out=tmp_path / "a.histoseed.zip", merge=True)


def test_a_model_that_is_damaged_is_not_exported(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    with pytest.raises(ModelError, match="sha256 differs"):
        export_model(folder, out=tmp_path / "a.histoseed.zip")
    assert not (tmp_path / "a.histoseed.zip").exists()
