"""``histoseed model show | export | import``."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.tiny_models import OPEN, tiny
from histoseed.segmenters import TrainingData, save_segmenter

Run = Callable[..., Any]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_segmenter(tiny(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A model that was trained on somebody's data of which nothing is known."""
    save_segmenter(tiny(data=(OPEN, TrainingData(name="ours"))), tmp_path / "closed")
    return tmp_path / "closed"


def answer(run: Run, *arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_there_and_back(run: Run, model: Path, tmp_path: Path) -> None:
    bundle, back = tmp_path / "m.histoseed.zip", tmp_path / "back"
    written = answer(run, "model", "export", model, "--out", bundle)
    assert (written["command"], written["may_be_exported"]) == ("model export", "open")
    shown = answer(run, "model", "show", bundle)
    taken = answer(run, "model", "import", bundle, "--out", back)
    assert written["bundle"] == shown["bundle"] == taken["bundle"]
    assert written["card"] == taken["card"] == answer(run, "model", "show", back)["card"]
    text = run("model", "show", bundle).stdout
    for words in ("tiny", "to anybody", "CC0-1.0", "open: model.json", "trained-on"):
        assert words in text
    assert zipfile.ZipFile(bundle).testzip() is None


def test_show_the_bundled_model(run: Run) -> None:
    shown = answer(run, "model", "show", "bundled")
    assert (shown["may_be_exported"], shown["bundle"], len(shown["parts"])) == ("open", None, 5)
    assert "0.25 um a pixel" in run("model", "show", "bundled").stdout


def test_groups_are_told(run: Run, model: Path, tmp_path: Path) -> None:
    told = run("model", "export", model, "--out", tmp_path / "a.histoseed.zip")
    assert "model.json names 2 groups of the training data" in told.stderr
    quiet = run("model", "export", model, "--out", tmp_path / "b.histoseed.zip", "--without-groups")
    assert "Note" not in quiet.stderr
    assert "Unpack it: histoseed model import" in quiet.stdout


def test_the_gate(run: Run, refused: Callable[..., str], closed: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "c.histoseed.zip"
    message = refused("model", "export", closed, "--out", bundle, names="ours (no licence stated)")
    assert "--licence 'data:ours=" in message
    assert "--private" in message
    result = run("model", "export", closed, "--out", bundle, "--private")
    assert (result.exit_code, "must not be published" in result.stderr) == (0, True)
    taken = run("model", "import", bundle, "--out", tmp_path / "b")
    assert (taken.exit_code, "private and must not be published: ours" in taken.stderr) == (0, True)
    stated = answer(run, "model", "export", closed, "--out", bundle, "--licence", "data:ours=CC-BY-4.0", "--overwrite")
    assert (stated["may_be_exported"], stated["bundle"]["target"]) == ("open", "open")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["model", "show", "absent"], "not a model folder"),
        (["model", "export", "absent", "--out", "a.histoseed.zip"], "not a model folder"),
        (["model", "export", "bundled", "--out", "a.zip"], "another ending"),
        (["model", "export", "bundled", "--out", "a.histoseed.zip", "--licence", "MIT"], "'MIT' states no licence"),
        (["model", "export", "bundled", "--out", "a.histoseed.zip", "--licence", "x=MIT"], "no part 'x'"),
        (["model", "export", "bundled", "--out", "a.histoseed.zip", "--merge"], "no updates of LoRA"),
        (["model", "export", "bundled", "--out", "a.histoseed.zip", "--without-encoder"], "changed by training"),
        (["model", "import", "absent.histoseed.zip", "--out", "b"], "no such bundle"),
        (["segment", "picture.png", "--model", "m.histoseed.zip", "--out", "b"], "not a model folder"),
    ],
)
def test_bad_input(
    arguments: list[str], names: str, refused: Callable[..., str], picture: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.histoseed.zip").write_bytes(b"PK")
    refused(*arguments, *(["--mpp", "0.5"] if arguments[0] == "segment" else []), names=names)


def test_no_bundle_is_told_in_words(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "x.histoseed.zip").write_bytes(b"PK\3\4" + bytes(1000))
    message = refused("model", "import", tmp_path / "x.histoseed.zip", "--out", tmp_path / "b", names="no bundle of")
    assert "Fetch the bundle again" in message
