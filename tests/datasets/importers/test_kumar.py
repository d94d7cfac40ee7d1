"""Import of Kumar 2017."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from fixtures.kumar import inst_map, write_kumar, write_pair
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.kumar import CARD, FOLD_OF, collect
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import DatasetError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()

# specification 8
_TRAIN = (
    "18-5592 21-5784 38-6178 50-5931 A7-A13E AR-A1AK AR-A1AS B0-5711 E2-A14V G9-6348 G9-6356 G9-6362 G9-6363 "
    "HE-7128 HE-7129 HE-7130"
)
TRAIN = _TRAIN.split(" ")
SAME = ["21-5786", "49-4488", "A7-A13F", "CH-5767", "E2-A1B5", "G9-6336", "B0-5698", "B0-5710"]
OTHER = ["AY-A8YK", "DK-A2I6", "KB-A93J", "NH-A8F7", "RD-A8N9", "G2-A2EK"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    parts = {
        "train": [f"TCGA-{short}-01Z-00-DX1" for short in TRAIN],
        "test_same": [f"TCGA-{short}-01Z-00-DX1" for short in SAME],
        "test_diff": [f"TCGA-{short}-01A-01-TS1" for short in OTHER],
    }
    write_kumar(tmp_path, parts)
    return tmp_path


def test_the_published_split(source: Path):
    items = collect(source, settings=SETTINGS).items
    found = {(item.facts["patient"], item.facts["split"], item.facts["fold"]) for item in items}
    expected = [(TRAIN, "train", 0), (SAME, "test", 1), (OTHER, "test", 2)]
    assert found == {(f"TCGA-{s}", split, fold) for listed, split, fold in expected for s in listed}
    assert len(items) == len(FOLD_OF) == 30  # specification 8


def test_patient_slide_and_centre_come_from_the_name(source: Path):
    facts = {item.patch_id: item.facts for item in collect(source / "Kumar", settings=SETTINGS).items}
    one = facts["TCGA-AY-A8YK-01A-01-TS1"]
    assert (one["patient"], one["slide"], one["centre"]) == ("TCGA-AY-A8YK", "TCGA-AY-A8YK-01A-01-TS1", "AY")


def test_organs_as_counted_in_the_publication(source: Path):
    organs = [item.facts["organ"] for item in collect(source, settings=SETTINGS).items]
    # specification 8
    assert {organ: organs.count(organ) for organ in set(organs)} == {
        "breast": 6, "kidney": 6, "liver": 6, "prostate": 6, "bladder": 2, "colon": 2, "stomach": 2,
    }  # fmt: skip


def test_labels_and_resolution(source: Path):
    items = collect(source, settings=SETTINGS).items
    whole, small = items[0].read(), items[1].read()
    np.testing.assert_array_equal(whole.objects, inst_map((1000, 1000)).astype(np.int32))
    assert np.asarray(whole.objects).dtype == np.int32
    assert whole.class_of is None
    assert (whole.facts["mpp"], whole.facts["mpp_source"]) == (0.25, "metadata")  # specification 8
    assert not whole.remarks
    assert small.facts["mpp"] is None
    assert [remark.text for remark in small.remarks if "1000 x 1000" in remark.text]


def test_totals_of_the_card():
    totals = [(total.measure, total.value, dict(total.where)) for total in CARD.totals]
    assert totals == [  # specification 8
        ("patches", 30, {}),
        ("patients", 30, {}),
        ("patches", 16, {"split": "train"}),
        ("patches", 8, {"fold": 1}),
        ("patches", 6, {"fold": 2}),
    ]


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("kumar", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height) == (30, 90)
    assert dataset.patches["fold"].value_counts(sort=True)["count"].to_list() == [16, 8, 6]
    assert dataset.patches["mpp_source"].to_list() == ["metadata", *["unknown"] * 29]


def test_a_file_in_the_folder_of_another_part(source: Path):
    name = "TCGA-G9-6336-01Z-00-DX1"
    write_pair(source / "Kumar" / "train", name)
    with pytest.raises(DatasetError, match="TCGA-G9-6336 is in test_same; the file lies in train"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize(
    ("name", "message"), [("TCGA-ZZ-9999-01Z-00-DX1", "not one of the 30"), ("image7", "no TCGA barcode")]
)
def test_foreign_files(source: Path, name: str, message: str):
    write_pair(source / "Kumar" / "test_diff", name)
    with pytest.raises(DatasetError, match=message):
        collect(source, settings=SETTINGS)


def test_missing_label_files_are_named(source: Path):
    names = ["TCGA-18-5592-01Z-00-DX1", "TCGA-21-5784-01Z-00-DX1"]
    for name in names:
        (source / "Kumar" / "train" / "Labels" / f"{name}.mat").unlink()
    with pytest.raises(DatasetError, match=", ".join(names)):
        collect(source, settings=SETTINGS)


def test_a_missing_part(source: Path):
    shutil.rmtree(source / "Kumar" / "test_diff")
    with pytest.raises(DatasetError, match="no folder test_diff/"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"other": np.zeros((16, 20))}, "'inst_map' is missing; the file holds other"),
        ({"inst_map": np.full((16, 20), 0.5)}, "whole numbers"),
        ({"inst_map": np.full((16, 20), -1.0)}, "whole numbers"),
        ({"inst_map": np.full((16, 20), np.nan)}, "whole numbers"),
        ({"inst_map": np.array(["text"])}, "inst_map"),
        ({"inst_map": np.zeros((20, 16))}, "inst_map has 20 x 16 pixels .rows x columns., its image 16 x 20"),
    ],
)
def test_wrong_label_files(source: Path, value: dict[str, np.ndarray], message: str):
    item = collect(source, settings=SETTINGS).items[1]
    scipy.io.savemat(source / "Kumar" / "train" / "Labels" / f"{item.patch_id}.mat", value)
    with pytest.raises(DatasetError, match=message):
        item.read()


@pytest.mark.parametrize("keep", [0, 60, 140, 190])
def test_truncated_label_files(source: Path, keep: int):
    item = collect(source, settings=SETTINGS).items[1]
    path = source / "Kumar" / "train" / "Labels" / f"{item.patch_id}.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"\.mat: (Cannot be read as a MATLAB file|The array 'inst_map')"):
        item.read()


def test_a_bomb_in_a_label_file_is_not_unpacked(source: Path):
    items = collect(source, settings=Settings(max_pixels=400)).items
    path = source / "Kumar" / "train" / "Labels" / f"{items[1].patch_id}.mat"
    scipy.io.savemat(path, {"inst_map": np.zeros((1000, 1000))}, do_compression=True)
    with pytest.raises(LimitError, match="HISTOSEED_MAX_PIXELS"):
        items[1].read()
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        items[0].read()
