"""CoNIC: stacks read picture by picture, groups by image, counts of the central square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.conic import COUNTS, NAMES, label_maps, write_conic
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.conic import CARD, collect
from histoseed.datasets.intake.arrays import open_array, pixels
from histoseed.errors import DatasetError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()

CLASSES = ("Neutrophil", "Epithelial", "Lymphocyte", "Plasma", "Eosinophil", "Connective")  # specification 2: as 1


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_conic(tmp_path / "conic")
    return tmp_path / "conic"


def test_every_patch_arrives(tmp_path: Path):
    images = write_conic(tmp_path)
    collection = collect(tmp_path, settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == list(NAMES)
    assert [c.name for c in collection.info.classes] == list(CLASSES)
    contents = [item.read() for item in collection.items]
    for content, image, maps in zip(contents, images, label_maps(), strict=True):
        np.testing.assert_array_equal(content.image, image)
        np.testing.assert_array_equal(content.objects, maps[..., 0])
        assert content.remarks == []  # COUNTS are what the published code counts
    assert [content.class_of for content in contents] == [
        {1: "Epithelial", 2: "Neutrophil", 7: "Connective"},
        {1: "Lymphocyte", 2: "Lymphocyte", 3: "Eosinophil"},
        {1: "Epithelial", 2: "Epithelial"},
        {},
    ]


def test_patches_stay_together_by_image(source: Path):
    facts = [item.facts for item in collect(source, settings=SETTINGS).items]
    assert [f["group"] for f in facts] == ["consep_1", "consep_1", "glas_31", "dpath_12"]  # before the last "-"
    assert [f["centre"] for f in facts] == ["consep", "consep", "glas", "dpath"]  # before the first "_"
    assert {(f["mpp"], f["mpp_source"]) for f in facts} == {(0.5, "metadata")}  # specification 2
    assert all("split" not in f and "fold" not in f for f in facts)


def test_counts_that_differ_are_said(tmp_path: Path):
    wrong = (COUNTS[0], (0, 0, 2, 0, 1, 0), (0, 2, 0, 0, 0, 0), COUNTS[3])
    write_conic(tmp_path, counts=wrong)
    remarks = [item.read().remarks for item in collect(tmp_path, settings=SETTINGS).items]
    assert [[r.count for r in said if "counts.csv" in r.text] for said in remarks] == [[], [2], [1], []]
    assert {r.kind for said in remarks for r in said} == {"problem"}


def test_counts_are_optional(tmp_path: Path):
    write_conic(tmp_path, counts=None)
    assert all(not item.read().remarks for item in collect(tmp_path, settings=SETTINGS).items)


def test_a_nucleus_of_two_classes_is_said(source: Path):
    maps = label_maps()
    maps[0, 50:54, 50:62, 1] = 4
    np.save(source / "labels.npy", maps)
    content = collect(source, settings=SETTINGS).items[0].read()
    assert content.class_of == {1: "Epithelial", 2: "Neutrophil", 7: "Connective"}
    assert any("several classes" in r.text and r.count == 1 for r in content.remarks)


def test_any_real_type_that_holds_whole_numbers(source: Path):
    images = np.load(source / "images.npy").astype(np.float64)
    np.save(source / "images.npy", images)
    np.save(source / "labels.npy", label_maps().astype(np.float32))
    content = collect(source, settings=SETTINGS).items[1].read()
    assert content.image.dtype == np.uint8
    np.testing.assert_array_equal(content.image, images[1])
    np.testing.assert_array_equal(content.objects, label_maps()[1, ..., 0])


@pytest.mark.parametrize("value", [0.5, 256.0, -1.0, np.nan, np.inf])
def test_pictures_of_other_numbers_are_refused(source: Path, value: float):
    images = np.load(source / "images.npy").astype(np.float64)
    images[1, 3, 4, 2] = value
    np.save(source / "images.npy", images)
    items = collect(source, settings=SETTINGS).items
    items[0].read()
    with pytest.raises(DatasetError, match=r"images\.npy, patch 1: .*" + str(value)):
        items[1].read()


def test_an_unknown_class(source: Path):
    maps = label_maps()
    maps[0, 50, 50, 1] = 9
    np.save(source / "labels.npy", maps)
    with pytest.raises(DatasetError, match=r"labels\.npy, patch 0: Class code 9"):
        collect(source, settings=SETTINGS).items[0].read()


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "patch_info.csv"])
def test_a_file_that_is_missing(source: Path, name: str):
    (source / name).unlink()
    with pytest.raises(DatasetError, match=name):
        collect(source, settings=SETTINGS)


def test_an_empty_folder_names_everything(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"images\.npy and no labels\.npy and no patch_info\.csv"):
        collect(tmp_path, settings=SETTINGS)


@pytest.mark.parametrize("keep", [0, 5, 60, 5000])
def test_truncated_arrays(source: Path, keep: int):
    path = source / "labels.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"labels\.npy"):
        collect(source, settings=SETTINGS)


def test_pickles_are_never_read(source: Path):
    path = source / "images.npy"
    np.save(path, np.array([print, None], object), allow_pickle=True)
    with pytest.raises(DatasetError, match="pickled") as caught:
        collect(source, settings=SETTINGS)
    assert caught.value.fix
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(DatasetError, match=r"images\.npy"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("images.npy", np.zeros((4, 256, 256, 4), np.uint8), "any, 256, 256, 3"),
        ("images.npy", np.zeros((4, 224, 256, 3), np.uint8), "any, 256, 256, 3"),
        ("images.npy", np.zeros((0, 256, 256, 3), np.uint8), "0, 256"),
        ("images.npy", np.zeros((3, 256, 256, 3), np.uint8), r"\(3, 256, 256, 2\)"),
        ("labels.npy", np.zeros((4, 256, 256), np.uint16), "4, 256, 256, 2"),
        ("labels.npy", np.zeros((4, 256, 256, 2), complex), "complex"),
    ],
)
def test_arrays_of_another_shape(source: Path, name: str, array: np.ndarray, words: str):
    np.save(source / name, array)
    with pytest.raises(DatasetError, match=words):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("patch_info.csv", "glas_31-0008\n", "", "names 3 patches"),
        ("patch_info.csv", "glas_31-0008", "consep_1-0000", "twice"),
        ("patch_info.csv", "glas_31-0008", "glas_31", "row 2"),
        ("patch_info.csv", "patch_info", "name", "'patch_info'"),
        ("counts.csv", "0,0,1,0,0,0\n", "", "3 rows"),
        ("counts.csv", "0,0,1,0,0,0", "0,0,x,0,0,0", "whole number"),
        ("counts.csv", "0,0,1,0,0,0", "0,0,99999999999999999999,0,0,0", "whole number"),
        ("counts.csv", "plasma", "plasm", "'plasma'"),
    ],
)
def test_tables_that_do_not_fit(source: Path, name: str, old: str, new: str, words: str):
    path = source / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=words) as caught:
        collect(source, settings=SETTINGS)
    assert name in str(caught.value)


def test_pictures_beyond_the_limit(tmp_path: Path):
    np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(1, 3000, 3000, 3))
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        open_array(tmp_path / "a.npy", (None, None, None, 3), Settings(max_pixels=8_999_999))
    assert open_array(tmp_path / "a.npy", (None, None, None, 3), Settings(max_pixels=9_000_000)).shape[1] == 3000


def test_pictures_of_a_stack_are_those_of_the_file(tmp_path: Path):
    for order in "CF":
        values = np.asarray(np.arange(4 * 3 * 5 * 3, dtype=np.float32).reshape(4, 3, 5, 3), order=order)
        np.save(tmp_path / "a.npy", values)
        stack = open_array(tmp_path / "a.npy", (None, None, None, 3), SETTINGS)
        assert (len(stack), stack.shape, stack.dtype) == (4, values.shape, values.dtype)
        for i in range(4):
            np.testing.assert_array_equal(stack[i], values[i])


def test_nothing_stays_mapped(source: Path):
    picture = open_array(source / "images.npy", (None, None, None, 3), SETTINGS)[0]
    assert type(picture) is np.ndarray
    assert picture.flags.owndata


@pytest.mark.parametrize("late", [b"", np.zeros((2, 2, 2, 3), np.int16)])
def test_a_stack_that_changes_while_it_is_read(tmp_path: Path, late: bytes | np.ndarray):
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 4, 3), np.uint8))
    stack = open_array(tmp_path / "a.npy", (None, None, None, 3), SETTINGS)
    if isinstance(late, bytes):
        (tmp_path / "a.npy").write_bytes(late)
    else:
        np.save(tmp_path / "a.npy", late)
    with pytest.raises(DatasetError, match=r"any more|changed"):
        stack[1]


def test_a_picture_is_a_copy_of_the_file(source: Path):
    array = np.load(source / "images.npy", mmap_mode="r")
    assert not np.shares_memory(pixels(array[0], "here"), array)


def test_published_totals():
    totals = {(t.measure, *t.where.values()): t.value for t in CARD.totals}
    assert (totals["patches",], totals["groups",], totals["objects",]) == (4_981, 238, 569_861)  # specification 2
    counts = (5_082, 282_082, 120_933, 31_965, 3_849, 125_950)  # specification 2, counts from the maps
    assert [totals["objects", name] for name in CLASSES] == list(counts)
    assert sum(counts) == 569_861


def test_round_trip(source: Path, tmp_path: Path):
    dataset = import_dataset("conic", source, tmp_path / "out", workers=2)
    dataset.verify()
    assert dataset.patch_ids == list(NAMES)
    one = dataset.patch("consep_1-0001")
    assert (one.mpp, one.group, one.centre) == (0.5, "consep_1", "consep")
    np.testing.assert_array_equal(one.labels, label_maps()[1, ..., 0])
    assert [one.classes[i - 1] for i in one.class_ids[1:]] == ["Lymphocyte", "Lymphocyte", "Eosinophil"]
    assert not dataset.patch("dpath_12-0065").labels.any()
