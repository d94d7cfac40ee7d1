"""``import`` and ``dataset``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from histoseed.datasets import IMPORTERS, read_dataset
from histoseed.errors import DatasetError, InputError, OutputError
from histoseed.pictures.colors import rgb
from histoseed.workflows.data import data_info, data_sheet, import_data, list_importers, split_data


class Counting:
    """A progress that adds up."""

    def __init__(self) -> None:
        self.total = self.made = 0
        self.ended = False

    def start(self, total: int, unit: str, description: str) -> None:
        self.total += total

    def advance(self, n: int, **facts: float) -> None:
        self.made += n

    def done(self) -> None:
        self.ended = True


def test_every_importer_is_listed_with_its_sources() -> None:
    rows = {row["name"]: row for row in list_importers()}
    assert rows.keys() == IMPORTERS.keys()
    assert rows["geojson"]["sources"] == "IMAGE GEOJSON"
    assert all(row["about"].endswith(".") for row in rows.values())


def test_info_counts_what_the_tables_hold(discs: Path) -> None:
    facts = data_info(discs, verify=True)
    objects = pl.read_parquet(discs / "instances.parquet")
    assert facts["patches"] == 4
    assert facts["objects"] == objects.height
    assert sum(facts["classes"].values()) + facts["unclassified"] == objects.height


def test_verify_finds_a_changed_picture(discs: Path) -> None:
    Image.new("RGB", (128, 128), "white").save(discs / "images" / "p1.png")
    data_info(discs)
    with pytest.raises(DatasetError, match=r"p1\.png.*changed"):
        data_info(discs, verify=True)


def test_the_sheet_shows_outlines_in_the_colours_of_the_classes(discs: Path, tmp_path: Path) -> None:
    told = Counting()
    assert data_sheet(discs, tmp_path / "sheet.png", progress=told) == 4
    assert (told.made, told.total, told.ended) == (4, 4, True)
    with Image.open(tmp_path / "sheet.png") as picture:
        seen = {color for _, color in picture.convert("RGB").getcolors(1 << 24)}
    assert {rgb(one.color) for one in read_dataset(discs).classes} <= seen


def test_a_sheet_takes_patches_at_equal_steps(discs: Path, tmp_path: Path) -> None:
    told = Counting()
    assert data_sheet(discs, tmp_path / "sheet.png", limit=2, progress=told) == 2
    assert told.total == 2


def test_a_sheet_replaces_nothing_unasked(discs: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="--overwrite"):
        data_sheet(discs, path)
    assert path.read_bytes() == b"mine"
    data_sheet(discs, path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "limit", "error"), [("a.jpg", 4, OutputError), ("a.png", 0, InputError)])
def test_a_sheet_that_makes_no_sense(
    discs: Path, tmp_path: Path, name: str, limit: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        data_sheet(discs, tmp_path / name, limit=limit)
    assert not (tmp_path / name).exists()


def test_a_split_adds_up(discs: Path) -> None:
    facts = split_data(discs, by="slide", fractions=(0.5, 0.5, 0.0), seed=3)
    data = read_dataset(discs)
    for name, row in facts["splits"].items():
        part = data.select(split=name)
        assert (row["patches"], row["objects"]) == (len(part), part.instances.height)
        assert row["units"] == part.patches["slide"].n_unique()
    assert sum(row["objects"] for row in facts["splits"].values()) == data.instances.height


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder that ``import labels`` reads, with one picture."""
    folder = tmp_path / "source"
    for part, pixels in (("images", np.full((32, 32, 3), 200, np.uint8)), ("labels", np.eye(32, dtype=np.uint8))):
        (folder / part).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / part / "a.png")
    return folder


def test_import_describes_what_it_made(labels: Path, tmp_path: Path) -> None:
    facts = import_data("labels", [labels], tmp_path / "ds", mpp=0.25, stain=None)
    assert (facts["patches"], facts["objects"], facts["mpp"]) == (1, 1, {"0.25": 1})


def test_import_replaces_data_sets_only(labels: Path, tmp_path: Path) -> None:
    import_data("labels", [labels], tmp_path / "ds")
    import_data("labels", [labels], tmp_path / "ds", overwrite=True)
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.tex").write_text("ten years")
    with pytest.raises(OutputError, match="no data set"):
        import_data("labels", [labels], precious, overwrite=True)
    assert (precious / "thesis.tex").read_text() == "ten years"


def test_import_never_replaces_its_own_source(labels: Path, tmp_path: Path) -> None:
    import_data("labels", [labels], tmp_path / "ds")
    inside = tmp_path / "ds" / "source"
    labels.rename(inside)
    with pytest.raises(OutputError, match="lies in the folder"):
        import_data("labels", [inside], tmp_path / "ds", overwrite=True)
    assert (inside / "images" / "a.png").is_file()
