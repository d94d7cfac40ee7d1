"""What the commands for data sets say: once, in the right number, with a way out; and slides that lie elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from fixtures.camelyon16 import write_camelyon16
from fixtures.pannuke import write_pannuke
from fixtures.puma import write_puma
from histoseed.annotations import Instances, write_geojson
from histoseed.datasets import DatasetInfo, DatasetWriter, import_dataset, read_dataset

Run = Callable[..., Any]


@pytest.fixture
def slides(tmp_path: Path) -> tuple[Path, Path]:
    """Camelyon16 as a data set whose patches are whole slides, and the folder of the slides."""
    source = write_camelyon16(tmp_path / "source").parent
    return import_dataset("camelyon16", source, tmp_path / "ds").path, source


COMMANDS = {
    "info": lambda ds, out: ["dataset", "info", ds, "--verify"],
    "leakage": lambda ds, out: ["dataset", "leakage", ds],
    "diff": lambda ds, out: ["dataset", "diff", ds, ds, "--out", out],
    "split": lambda ds, out: ["dataset", "split", ds, "--by", "slide", "--overwrite"],
    "verify": lambda ds, out: ["dataset", "verify", "camelyon16", ds],
    "convert": lambda ds, out: ["convert", ds, out, "--to", "geojson"],
    "evaluate": lambda ds, out: ["evaluate", ds, "--model", "bundled"],
    "segment": lambda ds, out: ["segment", ds, "--out", out],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_slides_that_lie_elsewhere_are_asked_for(
    refused: Callable[..., str], slides: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    message = refused(*COMMANDS[name](slides[0], tmp_path / "out"), names="HISTOSEED_SLIDES_DIR=DIR")
    assert "normal_001.tif is missing" in message


@pytest.mark.parametrize("name", ["info", "leakage", "diff", "split", "verify", "convert"])
def test_the_setting_names_their_folder(
    run: Run, slides: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HISTOSEED_SLIDES_DIR", str(slides[1]))
    result = run(*COMMANDS[name](slides[0], tmp_path / "out"))
    assert result.exit_code == (1 if name == "verify" else 0), result.output  # 1: five slides are not 399


def test_what_an_import_notes_is_said_once(run: Run, tmp_path: Path) -> None:
    write_puma(tmp_path / "puma")
    result = run("import", "puma", tmp_path / "puma", "--out", tmp_path / "ds")
    said = json.loads((tmp_path / "ds" / "import.json").read_text())["warnings"]
    assert len(said) > 5
    for sentence in said:
        assert f"Note: {sentence}\n" in result.stderr
        assert sentence.partition(" (")[0] not in result.stdout
    again = run("dataset", "info", tmp_path / "ds").stdout
    assert all(sentence.partition(" (")[0] in " ".join(again.split()) for sentence in said)


def test_an_import_without_objects_shows_no_empty_table(run: Run, tmp_path: Path, folder: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(folder / "labels" / "a.png")
    text = run("import", "labels", folder, "--out", tmp_path / "ds").stdout
    assert "kind" not in text
    assert "images            1, 1 of them without an object" in text


def test_numbers_agree_with_their_nouns(run: Run, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "one", DatasetInfo(name="one")) as writer:
        labels = np.zeros((40, 40), np.int32)
        labels[5:9, 5:9] = 1
        ignore = np.zeros((40, 40), bool)
        ignore[20:] = True
        writer.add(
            "a", np.zeros((40, 40, 3), np.uint8), labels, patient="p", split="train", exhaustive=False, ignore=ignore
        )
    text = run("dataset", "info", tmp_path / "one").stdout
    for line in (
        "patches          1 of 40 x 40 pixels", "objects a patch  1 (middle half 1 to 1)", "ignore area      1 patch\n",
        "groups           1 group, 1 patient\n", "splits           train: 1 patch, 1 object\n",
        "partial          1 patch\n",
    ):  # fmt: skip
        assert line in text
    result = run("convert", tmp_path / "one", tmp_path / "a.geojson")
    assert "1 object of 1 image, from dataset" not in result.stdout  # the ignore area is an object, too
    assert "2 objects of 1 image, from dataset to geojson" in result.stdout


def test_verify_names_each_source_once(run: Run, tmp_path: Path) -> None:
    write_pannuke(tmp_path / "pannuke")
    text = run("dataset", "verify", "pannuke", tmp_path / "pannuke").stdout
    source = "https://github.com/TIO-IKIM/CellViT"
    assert text.count(source) == 1
    assert f"Published by: {source}" in text
    assert "[1]" not in text


def test_merge_says_once_what_is_left_of_commercial_use(run: Run, tmp_path: Path, data: Path) -> None:
    with DatasetWriter(tmp_path / "other", DatasetInfo(name="other", licence="CC-BY-NC-4.0")) as writer:
        writer.add("q", np.zeros((8, 8, 3), np.uint8))
    result = run("dataset", "merge", data, tmp_path / "other", "--out", tmp_path / "both")
    assert result.stdout.count("commercial") == 1
    assert "commercial use   no" in result.stdout
    assert "licence          discs: CC0-1.0; other: CC-BY-NC-4.0\n" in result.stdout
    assert "(together: no commercial use)" in str(read_dataset(tmp_path / "both").info.licence)


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("200", 200), (None, 140), ("wide", 140)])
def test_tables_in_a_pipe_are_as_wide_as_columns_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str | None, width: int
) -> None:
    problem = "A long word after another " * 30
    with DatasetWriter(tmp_path / "one", DatasetInfo(name="one", known_problems=(problem,))) as writer:
        writer.add("a", np.zeros((8, 8, 3), np.uint8))
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    longest = max(map(len, run("dataset", "info", tmp_path / "one").stdout.splitlines()))
    assert width - 10 < longest <= width


def test_a_folder_of_pairs_is_imported(run: Run, tmp_path: Path, refused: Callable[..., str]) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for k, name in enumerate("ab"):
        Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(folder / f"{name}.png")
        write_geojson(folder / f"{name}.geojson", Instances.build([shapely.box(2, 2, 8, 8 + k)]))
    assert run("import", "geojson", folder, "--out", tmp_path / "ds").exit_code == 0
    assert read_dataset(tmp_path / "ds").patch_ids == ["a", "b"]
    many = [folder / "a.png"] * 30
    message = refused("import", "geojson", *many, "--out", tmp_path / "other", names="There is no GeoJSON")
    assert "and 27 more" in message


def test_a_split_says_what_else_it_can_follow(refused: Callable[..., str], tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "one", DatasetInfo(name="one")) as writer:
        writer.add("a", np.zeros((8, 8, 3), np.uint8), centre="c")
    message = refused("dataset", "split", tmp_path / "one", names="No patch states its patient")
    assert "Split --by centre or --by group, or fill the column patient" in message
