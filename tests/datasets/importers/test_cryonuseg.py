"""Import of CryoNuSeg."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fixtures.cryonuseg import FIRST, HEADER, IMAGES, ROWS, SECOND, labels, write_cryonuseg, write_sheet
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.cryonuseg import CARD, collect
from histoseed.datasets.importers.cryonuseg_sheet import read_sheet
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_cryonuseg(tmp_path / "cryo")
    return tmp_path / "cryo"


@pytest.mark.parametrize(
    ("part", "count", "annotator"),
    [
        (None, 3, "biologist, first round"),
        ("biologist-1", 3, "biologist, first round"),
        ("biologist-2", 4, "biologist, second round"),
        ("bioinformatician", 5, "bioinformatician"),
    ],
)
def test_each_mark_up_is_a_part(source: Path, part: str | None, count: int, annotator: str):
    items = collect(source, part=part, settings=SETTINGS).items
    assert [item.patch_id for item in items] == list(IMAGES)
    for item in items:
        content = item.read()
        np.testing.assert_array_equal(content.objects, labels(count))
        assert content.annotator == annotator


def test_all_three_stay_together(source: Path):
    items = collect(source, part="all", settings=SETTINGS).items
    assert len(items) == 9
    groups = {}
    for item in items:
        groups.setdefault(item.facts["group"], []).append((item.patch_id, int(np.max(item.read().objects))))
    assert groups["Human_Testes_01"] == [
        ("Human_Testes_01.biologist-1", 3),
        ("Human_Testes_01.biologist-2", 4),
        ("Human_Testes_01.bioinformatician", 5),
    ]
    assert len(groups) == 3


@pytest.mark.parametrize("nested", [True, False])
def test_folders_may_be_nested_twice(source: Path, nested: bool):
    if nested:
        (source / FIRST).rename(source / "moved")
        (source / FIRST).mkdir()
        (source / "moved").rename(source / FIRST / FIRST)
    else:
        (source / SECOND / SECOND / "label masks modify").rename(source / SECOND / "label masks modify")
    assert len(collect(source, part="all", settings=SETTINGS).items) == 9


def test_without_the_sheet_nothing_is_guessed(source: Path):
    collection = collect(source, settings=SETTINGS)
    for item in collection.items:
        assert item.facts == {"organ": item.facts["organ"], "group": item.patch_id}
    assert [item.facts["organ"] for item in collection.items] == ["adrenal gland", "testes", "thyroid gland"]
    assert ["Selected_WSIs.xlsx is not beside" in remark.text for _, remark in collection.remarks] == [True]


def test_the_sheet_gives_resolution_and_patient(source: Path):
    write_sheet(source / "Selected_WSIs.xlsx")
    collection = collect(source, part="all", settings=SETTINGS)
    facts = {item.patch_id: item.facts for item in collection.items}
    first = facts["Human_AdrenalGland_01.biologist-2"]
    assert (first["mpp"], first["mpp_source"]) == (0.2525, "metadata")
    assert (first["patient"], first["centre"]) == ("TCGA-OR-A5J1", "OR")
    assert "group" not in first  # the patient is the group of all three
    assert "mpp" not in facts["Human_Testes_01.biologist-1"]  # specification 13.3: missing
    assert facts["Human_ThyroidGland_03.bioinformatician"]["mpp"] == 0.2265
    assert not collection.remarks


def test_the_sheet_may_be_saved_as_csv(source: Path):
    with (source / "Selected_WSIs.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *ROWS])
    write_sheet(source.parent / "Selected_WSIs.xlsx")
    assert read_sheet(source / "Selected_WSIs.csv") == read_sheet(source.parent / "Selected_WSIs.xlsx")


def test_an_image_that_the_sheet_forgets_is_named(source: Path):
    write_sheet(source / "Selected_WSIs.xlsx", ROWS[:2])
    collection = collect(source, settings=SETTINGS)
    assert [name for name, remark in collection.remarks if "says nothing" in remark.text] == ["Human_ThyroidGland_03"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "No row names an image"),
        ([["Human_Skin_01", "x", 58, 44, 134, "Easy"]], "Not exactly one column"),
        ([["Human_Skin_01", "x", 0.3, 0.25, 134, "Easy"]], "Not exactly one column"),
        ([ROWS[0], ROWS[0]], "twice"),
        ([["Human_Skin_01", "Human_Skin_02", 58, 0.25, 134, "Easy"]], "in one row"),
    ],
)
def test_a_sheet_that_is_not_understood(source: Path, rows: list[list[object]], message: str):
    write_sheet(source / "Selected_WSIs.xlsx", rows)
    with pytest.raises(DatasetError, match=f"Selected_WSIs.*{message}"):
        collect(source, settings=SETTINGS)


def test_both_sheets_are_ambiguous(source: Path):
    write_sheet(source / "Selected_WSIs.xlsx")
    (source / "Selected_WSIs.csv").write_text("x")
    with pytest.raises(DatasetError, match=r"Selected_WSIs\.xlsx and \.csv"):
        collect(source, settings=SETTINGS)


_SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"xl/worksheets/sheet1.xml": "<worksheet"},
        {"xl/worksheets/sheet1.xml": f"{_BOMB}<worksheet {_SPACE}><row>&b;</row></worksheet>"},
        {"xl/worksheets/sheet1.xml": f'<worksheet {_SPACE}><row><c r="A1" t="s"><v>7</v></c></row></worksheet>'},
        {"xl/worksheets/sheet1.xml": f'<worksheet {_SPACE}><row><c r="A1" t="s"><v>x</v></c></row></worksheet>'},
        {"xl/worksheets/sheet1.xml": f'<worksheet {_SPACE}><row><c r="ZZZZ1"><v>7</v></c></row></worksheet>'},
        {"xl/worksheets/sheet1.xml": f"<worksheet {_SPACE}>{' ' * 16_000_000}</worksheet>"},
    ],
)
def test_damaged_and_hostile_workbooks(tmp_path: Path, members: dict[str, str]):
    path = tmp_path / "Selected_WSIs.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    with pytest.raises(DatasetError, match="The sheet cannot be read"):
        read_sheet(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no zip at all"])
def test_files_that_are_no_workbook(tmp_path: Path, data: bytes):
    path = tmp_path / "Selected_WSIs.xlsx"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="The sheet cannot be read"):
        read_sheet(path)


def test_totals_of_the_card():
    objects = {total.part: total.value for total in CARD.totals if total.measure == "objects"}
    assert objects == {
        None: 7_596,
        "biologist-2": 8_044,
        "bioinformatician": 8_251,
        "all": 23_891,
    }  # specification 13.3


def test_a_round_trip(source: Path, tmp_path: Path):
    write_sheet(source / "Selected_WSIs.xlsx")
    import_dataset("cryonuseg", source, tmp_path / "ds", part="all")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height) == (9, 36)
    assert dataset.patches["group"].n_unique() == 3
    assert dataset.instances.group_by("annotator").len().sort("len")["len"].to_list() == [9, 12, 15]


def test_missing_partners_are_named(source: Path):
    for image in IMAGES[:2]:
        (source / FIRST / "label masks modify" / f"{image}.tif").unlink()
    with pytest.raises(DatasetError, match="Human_AdrenalGland_01, Human_Testes_01"):
        collect(source, settings=SETTINGS)
    assert len(collect(source, part="biologist-2", settings=SETTINGS).items) == 3


def test_bad_input(source: Path):
    with pytest.raises(InputError, match="biologist-1, biologist-2, bioinformatician, all"):
        collect(source, part="biologist", settings=SETTINGS)
    assert collect(source.parent, settings=SETTINGS).items
    with pytest.raises(DatasetError, match="no folder tissue images/"):
        collect(source / FIRST, settings=SETTINGS)
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        collect(source, settings=Settings(max_pixels=10)).items[0].read()
    item = collect(source, settings=SETTINGS).items[0]
    tifffile.imwrite(item.files[1], np.ones((5, 6), np.uint8))
    with pytest.raises(DatasetError, match="6 x 5 pixels, its image 40 x 24"):
        item.read()
    for folder in ("tissue images", f"{FIRST}/label masks modify"):
        (source / folder / f"{IMAGES[0]}.tif").rename(source / folder / "sample.tif")
    with pytest.raises(DatasetError, match=r"sample\.tif: The file name is of another form"):
        collect(source, settings=SETTINGS)
