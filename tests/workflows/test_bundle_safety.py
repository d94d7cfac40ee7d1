"""Bundles that are not what they claim to be."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fixtures.tiny_models import tiny
from histoseed.errors import LimitError, ModelError
from histoseed.segmenters import save_segmenter
from histoseed.workflows.bundling import archive as archive_module
from histoseed.workflows.model_bundle import export_model, import_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_segmenter(tiny(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def remade(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the model's bundle anew, with other entries, content or manifest."""
    bundle = tmp_path / "good.histoseed.zip"
    export_model(folder, out=bundle)
    with zipfile.ZipFile(bundle) as source:
        good = {name: source.read(name) for name in source.namelist()}

    def make(
        change: Mapping[str, bytes | None] | None = None,
        *,
        manifest: Callable[[dict[str, Any]], object] | None = None,
        rehash: bool = True,
        compression: int = zipfile.ZIP_STORED,
        twice: str | None = None,
        link: bool = False,
    ) -> Path:
        files = {**good, **(change or {})}
        content = json.loads(good["bundle.json"])
        kept = {name: data for name, data in files.items() if data is not None and name != "bundle.json"}
        if rehash:
            content["files"] = {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in kept.items()
            }
        if manifest is not None:
            manifest(content)
        if files["bundle.json"] == good["bundle.json"]:
            files["bundle.json"] = json.dumps(content).encode()
        path = tmp_path / "bad.histoseed.zip"
        with zipfile.ZipFile(path, "w", compression) as target:
            for name, data in files.items():
                if data is not None:
                    entry = zipfile.ZipInfo(name)
                    entry.compress_type = compression
                    entry.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | 0o644) << 16
                    target.writestr(entry, data)
            if twice is not None:
                with pytest.warns(UserWarning, match="Duplicate"):
                    target.writestr(twice, good[twice])
        return path

    return make


def refused(bundle: Path, tmp_path: Path, words: str, kind: type[Exception] = ModelError) -> None:
    """Importing fails with these words and leaves nothing behind, in the folder or outside."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind, match=words):
        import_model(bundle, out=tmp_path / "out", fetch=False)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"change": {"../escaped": b"x"}}, "'../escaped'"),
        ({"change": {"/tmp/escaped": b"x"}}, "'/tmp/escaped'"),
        ({"change": {"model.json/": b""}}, "'model.json/'"),
        ({"change": {"model.pkl": b"x"}}, r"'model.pkl'; a bundle holds"),
        ({"change": {"LICENCES.txt": None}}, "lacks LICENCES.txt"),
        ({"change": {"model.safetensors": None}}, "lacks model.safetensors"),
        ({"change": {"model.safetensors": b"\x80\x04."}}, "sha256 differs|damaged"),
        ({"change": {"model.json": b"{}"}, "rehash": False}, "model.json is not the file"),
        ({"change": {"model.json": b"\xff"}}, "damaged"),
        ({"change": {"bundle.json": b"["}}, "bundle.json cannot be read"),
        ({"change": {"bundle.json": b"[" * 100_000}}, "bundle.json cannot be read"),
        ({"change": {"bundle.json": b"[]"}}, "none of histoseed"),
        ({"manifest": lambda content: content.update(version=2)}, "has version 2"),
        ({"manifest": lambda content: content["files"].pop("model.json")}, "names other files"),
        ({"manifest": lambda content: content["files"].update({"model.json": 3})}, "no hash of model.json"),
        ({"compression": zipfile.ZIP_DEFLATED}, "compressed"),
        ({"twice": "model.json"}, "model.json twice"),
        ({"link": True}, "no plain file"),
    ],
)
def test_entries(how: dict[str, Any], words: str, remade: Callable[..., Path], tmp_path: Path) -> None:
    refused(remade(**how), tmp_path, words)


def test_a_name_that_ends_early(remade: Callable[..., Path], tmp_path: Path) -> None:
    """Some programs read a name up to a zero byte."""
    bundle = remade({"LICENCES.txt": None, "LICENCES.txtX.exe": b"x"})
    bundle.write_bytes(bundle.read_bytes().replace(b"LICENCES.txtX.exe", b"LICENCES.txt\0.exe"))
    refused(bundle, tmp_path, r"it holds 'LICENCES.txt\\x00.exe'")


def test_a_bomb(remade: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = remade()
    monkeypatch.setenv("HISTOSEED_MAX_BUNDLE_BYTES", "1000")
    refused(bundle, tmp_path, "max_bundle_bytes is 1,000", LimitError)
    monkeypatch.delenv("HISTOSEED_MAX_BUNDLE_BYTES")
    monkeypatch.setattr(archive_module, "_TEXT_BYTES", 100)
    refused(bundle, tmp_path, r"the limit is 100\.", LimitError)


def test_entries_that_overlap(remade: Callable[..., Path], tmp_path: Path) -> None:
    """Every entry claims the bytes of the weights: the sum is more than the file holds."""
    bundle = remade()
    data = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        size = archive.getinfo("model.safetensors").file_size
    at = data.rfind(b"PK\x01\x02")  # in the table of contents: the last entry, LICENCES.txt
    assert b"LICENCES.txt" in data[at:]
    data[at + 20 : at + 28] = size.to_bytes(4, "little") * 2
    bundle.write_bytes(data)
    refused(bundle, tmp_path, "limit is 16,000,000|claim more bytes|damaged")


def test_a_table_of_contents_without_end(remade: Callable[..., Path], tmp_path: Path) -> None:
    bundle = remade()
    with zipfile.ZipFile(bundle, "a") as archive:
        for number in range(17_000):
            archive.writestr(f"{number:060}", b"")
    refused(bundle, tmp_path, "table of contents is too long")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_half_a_bundle(share: float, remade: Callable[..., Path], tmp_path: Path) -> None:
    bundle = remade()
    bundle.write_bytes(bundle.read_bytes()[: int(share * bundle.stat().st_size)])
    refused(bundle, tmp_path, "damaged")


def test_flipped_bytes(remade: Callable[..., Path], tmp_path: Path) -> None:
    bundle = remade()
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    refused(bundle, tmp_path, "damaged")


def test_no_bundle(tmp_path: Path) -> None:
    refused(tmp_path / "absent.histoseed.zip", tmp_path, "no such bundle")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mpp": -1}, "mpp"),
        ({"crop": 10**9}, "crop"),
        ({"format_version": 99}, "format version 99"),
        ({"surprise": 1}, "surprise"),
        ({"encoder": {"name": "/etc/passwd", "weights": "hub"}}, "no encoder '/etc/passwd'"),
        ({"encoder": {"name": "bundled", "weights": "/etc/passwd", "stored": False}}, "does not say by their hash"),
        ({"encoder": {"name": "timm:resnet18.a1_in1k", "weights": "hub", "stored": False}}, "do not fit the card"),
        ({"decoder": {"kind": "skip", "widths": [-1, 1, 1, 1]}}, "cannot be made"),
        ({"decoder": {"kind": "skip", "widths": [10**12, 1, 1, 1]}}, "cannot be made"),
        ({"weights_sha256": "0" * 64}, "sha256 differs"),
    ],
)
def test_cards_of_strangers(
    values: dict[str, Any], words: str, folder: Path, remade: Callable[..., Path], tmp_path: Path
) -> None:
    data = (json.dumps(json.loads((folder / "model.json").read_text()) | values)).encode()
    refused(remade({"model.json": data}), tmp_path, words)


def test_weights_of_another_model(remade: Callable[..., Path], tmp_path: Path, folder: Path) -> None:
    state = tiny().state_dict()
    state["decoder.extra"] = torch.zeros(1)
    save_file(state, tmp_path / "w.safetensors")
    card = json.loads((folder / "model.json").read_text()) | {"weights_sha256": None}
    bundle = remade(
        {"model.safetensors": (tmp_path / "w.safetensors").read_bytes(), "model.json": json.dumps(card).encode()}
    )
    refused(bundle, tmp_path, r"1 unexpected \(first: decoder.extra\)")
