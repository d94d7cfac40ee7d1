"""Import of MoNuSeg 2018."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from fixtures.monuseg import (
    CELLS,
    DOCUMENTED,
    EXTRA,
    FROZEN,
    TEST,
    TESTED,
    TRAIN,
    aperio_xml,
    region,
    write_mask_folder,
    write_monuseg,
    write_monuseg_masks,
)
from histoseed.annotations import Instances
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.monuseg import CARD, collect
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_monuseg(tmp_path / "monuseg")
    return tmp_path / "monuseg"


def test_split_patient_and_centre(source: Path):
    items = collect(source, settings=SETTINGS).items
    assert [(item.patch_id, item.facts["split"]) for item in items] == [
        (DOCUMENTED, "train"),
        (FROZEN, "train"),
        (EXTRA, "train"),
        (TESTED, "test"),
    ]
    facts = items[0].facts
    assert (facts["patient"], facts["slide"], facts["centre"]) == ("TCGA-A7-A13E", DOCUMENTED, "A7")
    assert (facts["organ"], items[2].facts["organ"]) == ("breast", None)  # specification 8: the extra 7 are unknown


def test_images_that_are_not_documented_are_named(source: Path):
    remarks = collect(source, settings=SETTINGS).remarks
    assert [name for name, remark in remarks if "none of the 30" in remark.text] == [EXTRA]  # specification 8


def test_every_layer_is_read_and_no_outline_is_lost(source: Path):
    content = collect(source, settings=SETTINGS).items[0].read()
    nuclei = content.objects
    assert isinstance(nuclei, Instances)
    expected = {name: shapely.Polygon(points) for name, points in CELLS.items() if name not in ("two points", "hole")}
    expected["bow tie"] = shapely.make_valid(expected["bow tie"], method="structure")
    expected["ring"] -= shapely.Polygon(CELLS["hole"])
    expected["at the border"] &= shapely.box(0, 0, 1000, 1000)
    assert len(nuclei) == len(expected) == 6
    for shape, wanted in zip(nuclei.geometry, expected.values(), strict=True):
        assert shapely.equals(shape, wanted)
    assert nuclei.geometry[0].bounds == (10.25, 10.5, 20.75, 20.5)  # fractions of pixels are kept
    assert set(nuclei.class_name) == {None}
    counts = {remark.text: remark.count for remark in content.remarks}
    assert counts == {
        "{count} {outline|outlines} of less than three different vertices or without area {was|were} left out": 1,
        "{count} {outline that crosses itself was|outlines that cross themselves were} repaired": 1,
        "{count} {object|objects} left the image and {was|were} cut at its border": 1,
    }


def test_ids_are_the_same_at_every_import(source: Path):
    one, two = (collect(source, settings=SETTINGS).items[0].read().objects for _ in range(2))
    assert isinstance(one, Instances)
    assert isinstance(two, Instances)
    assert one.id.tolist() == two.id.tolist()


def test_the_resolution_is_that_of_the_published_size(source: Path):
    items = collect(source, settings=SETTINGS).items
    assert items[0].read().facts == {"mpp": 0.25, "mpp_source": "metadata"}  # specification 8
    resized = items[3].read()
    assert resized.facts == {"mpp": None}
    assert any("not 1000 x 1000" in remark.text for remark in resized.remarks)


@pytest.mark.parametrize("part", [TRAIN, TEST])
def test_one_split_is_enough(source: Path, part: str):
    shutil.rmtree(source / part)
    collection = collect(source, settings=SETTINGS)
    missing = "train" if part == TRAIN else "test"
    assert {item.facts["split"] for item in collection.items} == {"train", "test"} - {missing}
    assert [name for name, remark in collection.remarks if "not there" in remark.text] == [missing]


def test_folders_may_be_nested_or_given_themselves(source: Path):
    assert len(collect(source / TRAIN, settings=SETTINGS).items) == 3
    assert len(collect(source / TEST, settings=SETTINGS).items) == 1
    (source / TRAIN).rename(source / "moved")
    (source / TRAIN).mkdir()
    (source / "moved").rename(source / TRAIN / TRAIN)
    assert len(collect(source, settings=SETTINGS).items) == 4


def test_the_edition_with_one_picture_a_nucleus(tmp_path: Path):
    write_monuseg_masks(tmp_path)
    collection = collect(tmp_path, part="masks", settings=SETTINGS)
    (item,) = collection.items
    content = item.read()
    assert (item.facts["patient"], item.facts["split"]) == ("TCGA-A7-A13E", "train")
    assert np.unique(content.objects, return_counts=True)[1].tolist()[1:] == [60 - 6, 72]
    assert (content.pixels_lost, content.facts["mpp"]) == (6, 0.25)
    assert collection.info.name == "monuseg masks"


def test_real_nuclei_come_back(shared_data: Path, tmp_path: Path):
    """A real label image, written with one picture a nucleus, gives the same objects again."""
    folder = shared_data / "monuseg16"
    name = "TCGA-18-5592-01Z-00-DX1"
    image = np.asarray(Image.open(folder / "images" / f"{name}.png").convert("RGB"))
    expected = np.asarray(Image.open(folder / "labels" / f"{name}.png"))
    numbers = np.unique(expected)[1:][:40]
    masks = {f"mask_{n:04d}": np.where(expected == n, 255, 0).astype(np.uint8) for n in numbers}
    write_mask_folder(tmp_path, name, image, masks)
    content = collect(tmp_path, part="masks", settings=SETTINGS).items[0].read()
    np.testing.assert_array_equal(content.objects > 0, np.isin(expected, numbers))
    assert len(np.unique(content.objects)) - 1 == len(numbers)
    assert content.facts["mpp"] == 0.25


def test_totals_of_the_card():
    totals = {(t.measure, t.part, t.where.get("split")): t.value for t in CARD.totals}
    assert totals == {  # specification 0.3, 8 and 18
        ("patches", None, "train"): 37,
        ("patches", None, "test"): 14,
        ("patients", None, "test"): 14,
        ("patches", "masks", None): 30,
        ("objects", "masks", None): 16_958,
    }


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("monuseg", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height) == (4, 9)
    assert dataset.patches["mpp"].to_list() == [0.25, 0.25, 0.25, None]
    labels = dataset.patch(DOCUMENTED).labels
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 5, 6}
    assert labels[15, 19] == 2  # of overlapping outlines the later one lies on top
    assert labels[40, 20] == 0  # the hole
    assert any("1 outline that crosses itself was repaired" in text for text in dataset.info.known_problems)


def test_missing_annotations_are_named(source: Path):
    for name in (DOCUMENTED, EXTRA):
        (source / TRAIN / "Annotations" / f"{name}.xml").unlink()
    with pytest.raises(DatasetError, match=f"{DOCUMENTED}, {EXTRA}"):
        collect(source, settings=SETTINGS)


def test_bad_input(source: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for part in ("xml", "masks"):
        with pytest.raises(DatasetError):
            collect(tmp_path / "empty", part=part, settings=SETTINGS)
    with pytest.raises(InputError, match="xml, masks"):
        collect(source, part="png", settings=SETTINGS)
    items = collect(source, settings=SETTINGS).items
    annotation = source / TEST / f"{TESTED}.xml"
    annotation.write_text(annotation.read_text()[:200])
    with pytest.raises(AnnotationError, match=TESTED):
        items[3].read()
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        collect(source, settings=Settings(max_pixels=10)).items[0].read()
    annotation.write_text(aperio_xml([(None, [region(CELLS["ring"], 1)])]))
    with pytest.raises(LimitError, match="MAX_VERTICES"):
        collect(source, settings=Settings(max_vertices=3)).items[3].read()
    (source / TEST / f"{TESTED}.xml").rename(source / TEST / "one.xml")
    (source / TEST / f"{TESTED}.tif").rename(source / TEST / "one.tif")
    with pytest.raises(DatasetError, match=r"one\.tif: The file name holds no TCGA barcode"):
        collect(source, settings=SETTINGS)
