"""CytoDArk0: parts by magnification and size, groups out of names, no classes, Nissl stain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fixtures.cytodark0 import NAMES, labels, write_cytodark0, write_part
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.cytodark0 import CARD, collect
from histoseed.errors import AnnotationError, DatasetError, HistoseedError, InputError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_cytodark0(tmp_path)
    return tmp_path


def test_every_image_arrives_without_classes(source: Path):
    collection = collect(source, settings=SETTINGS)
    assert (collection.info.classes, collection.info.stain, collection.info.name) == ((), "Nissl", "cytodark0")
    assert [item.patch_id for item in collection.items] == sorted(NAMES)
    for k, item in enumerate(collection.items):
        content = item.read()
        np.testing.assert_array_equal(content.objects, labels(k))
        assert (content.class_of, content.remarks) == (None, [])


@pytest.mark.parametrize(("part", "mpp"), [(None, 0.548), ("20x-256", 0.548), ("40x-2048", 0.274)])  # specification 12
def test_microns_per_pixel_follow_the_part(source: Path, part: str | None, mpp: float):
    items = collect(source, part=part, settings=SETTINGS).items
    assert {(item.facts["mpp"], item.facts["mpp_source"]) for item in items} == {(mpp, "metadata")}


def test_parts():
    assert list(CARD.parts) == [  # specification 12, layout
        *("20x-256", "20x-512", "20x-1024"),
        *("40x-256", "40x-512", "40x-1024", "40x-2048"),
    ]


def test_another_part_is_named_in_the_data_set(source: Path):
    assert collect(source, part="40x-2048", settings=SETTINGS).info.name == "cytodark0 40x-2048"


def test_a_part_that_does_not_exist_and_one_that_is_not_there(source: Path):
    with pytest.raises(InputError, match="20x-256"):
        collect(source, part="20x-2048", settings=SETTINGS)
    with pytest.raises(DatasetError, match="20x/512x512"):
        collect(source, part="20x-512", settings=SETTINGS)


def test_the_inner_folder_can_be_given(source: Path):
    assert len(collect(source / "cytoDArk0", settings=SETTINGS).items) == 5
    assert len(collect(source / "cytoDArk0" / "20x" / "256x256", settings=SETTINGS).items) == 5


def test_crops_of_a_field_stay_together(source: Path):
    facts = {item.patch_id: item.facts for item in collect(source, settings=SETTINGS).items}
    assert {name: (f["group"], f["organ"]) for name, f in facts.items()} == {
        "ID10_Aud_Cortex_Tursiops_1": ("ID10", "Auditory cortex"),
        "ID10_Aud_Cortex_Tursiops_2": ("ID10", "Auditory cortex"),
        "ID55_Cerebellum_Chimpanzee_1": ("ID55", "Cerebellum"),
        "ID60_Hippocampus_Mouse": ("ID60", "Hippocampus"),
        "ID66_Visual_Cortex_Macaque_12": ("ID66", "Visual cortex"),
    }
    assert not any({"patient", "slide", "centre"} & f.keys() for f in facts.values())


def test_the_published_split(source: Path):
    facts = {item.patch_id: item.facts for item in collect(source, settings=SETTINGS).items}
    split = {0: "train", 1: "val", 2: "test"}  # specification 12
    assert {name: f["split"] for name, f in facts.items()} == {name: split[fold] for name, fold in NAMES.items()}


def test_without_table_the_split_is_not_known(tmp_path: Path):
    write_cytodark0(tmp_path, table=False)
    collection = collect(tmp_path, settings=SETTINGS)
    assert {item.facts["split"] for item in collection.items} == {None}
    assert [remark.kind for _, remark in collection.remarks] == ["note"]


def test_training_images_may_stand_twice(source: Path):
    path = source / "cytoDArk0" / "20x" / "256x256" / "folds.csv"
    path.write_text(path.read_text() + "ID10_Aud_Cortex_Tursiops_1,0\n")
    assert collect(source, settings=SETTINGS).items[0].facts["split"] == "train"
    path.write_text(path.read_text() + "ID10_Aud_Cortex_Tursiops_1,1\n")
    with pytest.raises(DatasetError, match="two folds"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Mouse,2", "Mouse,3", "'3'"),
        ("ID60_Hippocampus_Mouse,2\n", "", "no line for ID60"),
        ("ID60_Hippocampus_Mouse,2", "ID60_Hippocampus_Mouse,2\nID61_Hippocampus_Mouse,2", "no image of the name ID61"),
        ("img_id", "image", "'img_id'"),
    ],
)
def test_a_table_that_does_not_fit(source: Path, old: str, new: str, words: str):
    path = source / "cytoDArk0" / "20x" / "256x256" / "folds.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=words):
        collect(source, settings=SETTINGS)


def test_names_of_another_form_are_refused(tmp_path: Path):
    folder = tmp_path / "20x" / "256x256"
    write_part(folder, table=False)
    for name in (folder / "image" / "ID60_Hippocampus_Mouse.png", folder / "label" / "ID60_Hippocampus_Mouse.tiff"):
        name.rename(name.with_stem("mouse_60"))
    with pytest.raises(DatasetError, match=r"mouse_60\.png"):
        collect(tmp_path, settings=SETTINGS)


def test_an_area_that_is_not_known_is_not_guessed(tmp_path: Path):
    folder = tmp_path / "20x" / "256x256"
    write_part(folder, table=False)
    for name in (folder / "image" / "ID60_Hippocampus_Mouse.png", folder / "label" / "ID60_Hippocampus_Mouse.tiff"):
        name.rename(name.with_stem("ID60_Spinal_Cord_Mouse_2"))
    facts = {item.patch_id: item.facts for item in collect(tmp_path, settings=SETTINGS).items}
    assert "organ" not in facts["ID60_Spinal_Cord_Mouse_2"]


def test_missing_partners(source: Path):
    (source / "cytoDArk0" / "20x" / "256x256" / "label" / "ID60_Hippocampus_Mouse.tiff").unlink()
    with pytest.raises(DatasetError, match="ID60_Hippocampus_Mouse"):
        collect(source, settings=SETTINGS)


def test_bad_label_images(source: Path):
    path = source / "cytoDArk0" / "20x" / "256x256" / "label" / "ID60_Hippocampus_Mouse.tiff"
    item = next(i for i in collect(source, settings=SETTINGS).items if i.patch_id == "ID60_Hippocampus_Mouse")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AnnotationError, match=r"ID60_Hippocampus_Mouse\.tiff"):
        item.read()
    tifffile.imwrite(path, np.zeros((41, 40), np.uint16))
    with pytest.raises(DatasetError, match="41"):
        item.read()


def test_limits_hold(source: Path):
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        collect(source, settings=Settings(max_pixels=1_000)).items[0].read()


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(DatasetError, match="cytoDArk0"):
        collect(tmp_path, settings=SETTINGS)
    for part in ("image", "label"):
        (tmp_path / "20x" / "256x256" / part).mkdir(parents=True)
    with pytest.raises(HistoseedError, match="no image"):
        collect(tmp_path, settings=SETTINGS)


def test_published_totals():
    totals = {(t.measure, t.part): t.value for t in CARD.totals}
    assert totals == {("patches", "20x-1024"): 69, ("patches", "40x-2048"): 58}  # specification 12 and 18


def test_round_trip(source: Path, tmp_path: Path):
    dataset = import_dataset("cytodark0", source, tmp_path / "out", part="40x-2048")
    dataset.verify()
    assert dataset.patch_ids == sorted(NAMES)
    one = dataset.patch("ID55_Cerebellum_Chimpanzee_1")
    assert (one.mpp, one.group, one.organ, one.split) == (0.274, "ID55", "Cerebellum", "val")
    assert (dataset.info.stain, one.class_ids[one.label_ids].tolist()) == ("Nissl", [0, 0])
