"""Import of OCELOT: points stay points, pairs share a slide, places and resolutions are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from fixtures.ocelot import BARCODE, POINTS, SIDE, SPLIT, entry, tissue_codes, write_metadata, write_ocelot
from histoseed.datasets.content import PatchContent
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.ocelot import CARD, collect
from histoseed.datasets.intake.content import Collection
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()


def _read(collection: Collection, patch_id: str) -> PatchContent:
    return next(item for item in collection.items if item.patch_id == patch_id).read()


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cells_are_points_of_two_classes(tmp_path: Path, suffix: str):
    collection = collect(write_ocelot(tmp_path, suffix=suffix), settings=SETTINGS)
    # specification 10: 1 background cell, 2 tumour cell
    names = {1: "background_cell", 2: "tumor_cell"}
    for number, points in POINTS.items():
        cells = _read(collection, f"{number}_cell").objects
        inside = [point for point in points if point[0] <= SIDE]
        assert cells.kind.tolist() == ["point"] * len(inside)
        assert [(g.x, g.y) for g in cells.geometry] == [(x, y) for x, y, _ in inside]
        assert cells.class_name.tolist() == [names[label] for _, _, label in inside]
    said = _read(collection, "538_cell").remarks
    assert [(r.text, r.count) for r in said if "outside" in r.text] == [
        ("{count} {object lies|objects lie} outside the image and {was|were} left out", 1)
    ]


def test_unknown_tissue_is_ignored_and_not_background(tmp_path: Path):
    collection = collect(write_ocelot(tmp_path), settings=SETTINGS)
    assert [c.name for c in collection.info.region_classes] == ["background", "cancer_area"]
    content = _read(collection, "001_tissue")
    np.testing.assert_array_equal(content.regions, np.where(tissue_codes() == 255, 0, tissue_codes()))
    np.testing.assert_array_equal(content.ignore, tissue_codes() == 255)
    assert content.objects is None


def test_facts_come_from_the_metadata(tmp_path: Path):
    collection = collect(write_ocelot(tmp_path), settings=SETTINGS)
    facts = {item.patch_id: item.facts for item in collection.items}
    assert facts["001_cell"] == {
        "mpp": pytest.approx(0.19426718377508223 * 1024 / SIDE),  # specification 10, of 1024 pixels there
        "mpp_source": "metadata",
        "exhaustive": True,
        "x": 59847.0,
        "y": 45290.0,
        "slide": BARCODE,
        "patient": "TCGA-A3-3328",
        "centre": "A3",
        "organ": "kidney",
        "split": "train",
    }
    assert facts["001_tissue"]["mpp"] == pytest.approx(0.7777900241489988 * 1024 / SIDE)
    assert (facts["001_tissue"]["x"], facts["001_tissue"]["exhaustive"]) == (58230.0, False)
    assert {patch_id: f["split"] for patch_id, f in facts.items() if patch_id.endswith("cell")} == {
        f"{number}_cell": split for number, split in SPLIT.items()
    }
    assert "patient" not in facts["401_cell"]  # its slide has no barcode
    assert collection.remarks == []


def test_the_metadata_as_a_bare_list(tmp_path: Path):
    folder = write_ocelot(tmp_path, listed=True)
    assert [item.facts["slide"] for item in collect(folder, part="cell", settings=SETTINGS).items] == [
        entry(number)["slide_name"] for number in SPLIT
    ]
    entries = {number: entry(number) for number in SPLIT}
    write_metadata(folder, {number: entries[number] for number in reversed(SPLIT)}, listed=True)
    with pytest.raises(DatasetError, match="by its order 001 is of 'test' instead of 'train'"):
        collect(folder, settings=SETTINGS)
    write_metadata(folder, {"001": entries["001"]}, listed=True)
    with pytest.raises(DatasetError, match="1 entry without numbers, and there are 4 pairs"):
        collect(folder, settings=SETTINGS)


@pytest.mark.parametrize(("part", "kinds"), [("cell", {"cell"}), ("tissue", {"tissue"}), (None, {"cell", "tissue"})])
def test_parts(tmp_path: Path, part: str | None, kinds: set[str]):
    collection = collect(write_ocelot(tmp_path), part=part, settings=SETTINGS)
    assert {item.patch_id for item in collection.items} == {f"{n}_{kind}" for n in SPLIT for kind in kinds}
    assert bool(collection.info.region_classes) == ("tissue" in kinds)


def test_the_published_offsets_agree_with_the_places(tmp_path: Path):
    # specification 10: (60251 - 58230) / 3235 = 0.625 across, 0.125 down; the entry passes, its swap does not
    folder = write_ocelot(tmp_path)

    def said(**changes: Any) -> list[str]:
        write_metadata(folder, {number: entry(number) | changes for number in SPLIT})
        return sorted({remark.text for _, remark in collect(folder, settings=SETTINGS).remarks})

    assert said() == []
    text = "The stated offset of the cell picture disagrees with the places in the slide"
    assert said(patch_x_offset=0.125, patch_y_offset=0.625) == [f"{text} (x and y are exchanged)"]
    assert said(patch_x_offset=0.5) == [text]
    assert said(patch_x_offset="0.625") == [
        "metadata.json does not state the offset of the cell picture, or both places"
    ]
    assert said(subset="test")[-1] == "metadata.json states another subset than the folder, which counts"


def test_a_resolution_that_does_not_follow_from_the_extent_is_said(tmp_path: Path):
    folder = write_ocelot(tmp_path)
    write_metadata(folder, {number: entry(number) | {"mpp_x": 0.5} for number in SPLIT})
    collection = collect(folder, settings=SETTINGS)
    assert "resized_mpp does not follow" in _read(collection, "001_cell").remarks[0].text
    assert "resized_mpp does not follow" in _read(collection, "001_tissue").remarks[0].text


def _changed(number: str, kind: str, **values: Any) -> dict[str, Any]:
    return entry(number) | {kind: entry(number)[kind] | values}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (_changed("001", "cell", resized_mpp_x=None), "001, cell: 'resized_mpp_x' is None"),
        (_changed("001", "cell", resized_mpp_y=9.0), "resized_mpp is"),
        (_changed("001", "tissue", x_start="5"), "001, tissue: 'x_start' is '5'"),
        (entry("001") | {"slide_name": ""}, "slide_name"),
        (entry("001") | {"tissue": None}, "There is no 'tissue'"),
        (None, "No entry for 001"),
    ],
)
def test_metadata_that_cannot_be_used(tmp_path: Path, changed: dict[str, Any] | None, word: str):
    folder = write_ocelot(tmp_path)
    write_metadata(folder, {number: entry(number) for number in SPLIT} | {"001": changed})
    with pytest.raises(DatasetError, match=word) as caught:
        collect(folder, settings=SETTINGS)
    assert "metadata.json" in str(caught.value)


def test_metadata_that_is_no_metadata(tmp_path: Path):
    folder = write_ocelot(tmp_path)
    (folder / "metadata.json").write_text('{"pairs": 3}')
    with pytest.raises(DatasetError, match="neither sample_pairs nor a list"):
        collect(folder, settings=SETTINGS)
    (folder / "metadata.json").write_text('{"sample_pairs": {')
    with pytest.raises(AnnotationError, match="not JSON"):
        collect(folder, settings=SETTINGS)
    (folder / "metadata.json").unlink()
    with pytest.raises(AnnotationError, match="no such file"):
        collect(folder, settings=SETTINGS)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("annotations/train/cell/002.csv", "No cell annotation for 002"),
        ("annotations/val/tissue/401.png", "There is no image|No tissue annotation for 401"),
        ("images/train/tissue/001.jpg", "No image for 001"),
    ],
)
def test_missing_partners_are_named(tmp_path: Path, path: str, word: str):
    folder = write_ocelot(tmp_path)
    (folder / path).unlink()
    with pytest.raises(DatasetError, match=word):
        collect(folder, settings=SETTINGS)


def test_pairs_are_complete(tmp_path: Path):
    folder = write_ocelot(tmp_path)
    (folder / "images/train/tissue/001.jpg").unlink()
    (folder / "annotations/train/tissue/001.png").unlink()
    with pytest.raises(DatasetError, match="No tissue picture for 001"):
        collect(folder, settings=SETTINGS)
    assert len(collect(folder, part="cell", settings=SETTINGS).items) == 4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1,2,1\n5,5,3\n", r"001.csv, line 2: There is no label 3"),
        ("1,2\n", "line 1: A line is x,y,label"),
        ("x,y,label\n1,2,1\n", "line 1: A line is x,y,label"),
        ("nan,2,1\n", "not finite"),
    ],
)
def test_points_that_cannot_be_read(tmp_path: Path, text: str, word: str):
    folder = write_ocelot(tmp_path)
    (folder / "annotations/train/cell/001.csv").write_text(text)
    with pytest.raises(DatasetError, match=word):
        _read(collect(folder, settings=SETTINGS), "001_cell")


def test_tissue_that_cannot_be_right(tmp_path: Path):
    folder = write_ocelot(tmp_path)
    mask = folder / "annotations/train/tissue/001.png"
    Image.fromarray(tissue_codes() * np.uint8(0)).save(mask)
    with pytest.raises(DatasetError, match=r"001.png: Class code 0 is not known"):
        _read(collect(folder, settings=SETTINGS), "001_tissue")
    Image.fromarray(tissue_codes()[1:]).save(mask)
    with pytest.raises(DatasetError, match="64 x 63 pixels, its picture 64 x 64"):
        _read(collect(folder, settings=SETTINGS), "001_tissue")


def test_limits_folders_and_options(tmp_path: Path):
    folder = write_ocelot(tmp_path)
    with pytest.raises(LimitError):
        _read(collect(folder, settings=Settings(max_pixels=100)), "001_cell")
    with pytest.raises(LimitError):
        collect(folder, settings=Settings(max_geojson_bytes=100))
    with pytest.raises(InputError, match="--part"):
        collect(folder, part="cells", settings=SETTINGS)
    assert len(collect(tmp_path, settings=SETTINGS).items) == len(collect(folder, settings=SETTINGS).items)
    with pytest.raises(DatasetError, match="images/"):
        collect(folder / "annotations", settings=SETTINGS)
    (tmp_path / "bare" / "images").mkdir(parents=True)
    with pytest.raises(DatasetError, match="train/, val/ or test/"):
        collect(tmp_path / "bare", settings=SETTINGS)


def test_published_totals():
    # specification 10: 400 / 137 / 126 = 663 pairs
    default = {total.where.get("split"): total.value for total in CARD.totals if total.part is None}
    assert default == {None: 1326, "train": 800, "val": 274, "test": 252}


def test_round_trip(tmp_path: Path):
    dataset = import_dataset("ocelot", write_ocelot(tmp_path, suffix=".tif"), tmp_path / "ds")
    dataset.verify()
    assert len(dataset) == 8
    # points are never drawn
    assert dataset.instances["label"].null_count() == dataset.instances.height == 5
    assert dataset.patches["mask"].null_count() == 8
    assert dataset.patches["group"].to_list()[:2] == ["TCGA-A3-3328"] * 2
    # at half the resolution points move with the picture
    mpp = dataset.patches["mpp"][0]
    half = import_dataset("ocelot", tmp_path / "ocelot2023_v1.0.1", tmp_path / "half", part="cell", mpp=2 * mpp)
    assert [(g.x, g.y) for g in half.instances_of("001_cell").geometry] == [(5, 6), (20, 25), (0, 31.5)]
    assert shapely.get_type_id(half.instances_of("001_cell").geometry).tolist() == [0, 0, 0]
