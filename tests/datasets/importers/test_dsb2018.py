"""Import of Data Science Bowl 2018."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fixtures.dsb2018 import masks, run_lengths, write_dsb2018, write_image, write_table
from fixtures.monuseg import write_mask_folder
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.dsb2018 import CARD, collect, decode_run_lengths
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


def labels() -> np.ndarray:
    return sum(np.where(mask > 0, i, 0) for i, mask in enumerate(masks().values(), start=1)).astype(np.int32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_dsb2018(tmp_path / "dsb")
    return tmp_path / "dsb"


@pytest.mark.parametrize("part", ["masks", "rle"])
@pytest.mark.parametrize("inside", [False, True])
def test_both_parts_say_the_same(source: Path, part: str, inside: bool):
    collection = collect(source / "stage1_train" if inside else source, part=part, settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == ["00ae65c1", "f81ca7ee"]
    for item in collection.items:
        content = item.read()
        np.testing.assert_array_equal(content.objects, labels())
        assert content.image.shape == (20, 30, 3)  # RGBA in the file
        assert not item.facts
    assert collection.info.stain is None


@given(arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.booleans()))
def test_run_lengths_come_back(mask: np.ndarray):
    assume(mask.any())
    np.testing.assert_array_equal(decode_run_lengths(run_lengths(mask), mask.shape), mask)


@pytest.mark.parametrize(
    "text", ["", "1", "1 2 3", "x 2", "0 1", "1 0", "-1 2", "6 2", "9999999999999 1", "1.5 2", "\u0661 \u0662"]
)
def test_wrong_run_lengths(text: str):
    with pytest.raises(DatasetError):
        decode_run_lengths(text, (2, 3))


def test_overlap_is_counted(tmp_path: Path):
    nuclei = masks()
    nuclei["d4"] = np.zeros((20, 30), np.uint8)
    nuclei["d4"][2:8, 8:12] = 255  # all of b2 and one column of a1
    nuclei["e5"] = np.zeros((20, 30), np.uint8)
    write_image(tmp_path, "one", nuclei)
    content = collect(tmp_path, settings=SETTINGS).items[0].read()
    assert (content.pixels_lost, content.objects_lost) == (18 + 6, 1)
    assert np.unique(content.objects).tolist() == [0, 1, 3, 4]
    said = {remark.text: remark.count for remark in content.remarks if remark.kind == "problem"}
    assert said == {
        "Masks overlap in {count} {pixel|pixels}; the later one was taken": 24,
        "{count} {mask is|masks are} wholly hidden by others": 1,
        "{count} {mask is|masks are} empty and {was|were} left out": 1,
    }


def test_the_table_replaces_missing_masks_only_when_asked(source: Path):
    for folder in (source / "stage1_train").iterdir():
        shutil.rmtree(folder / "masks")
    with pytest.raises(DatasetError, match=r"No masks for 00ae65c1, f81ca7ee.*--part rle"):
        collect(source, settings=SETTINGS)
    np.testing.assert_array_equal(collect(source, part="rle", settings=SETTINGS).items[0].read().objects, labels())


def test_run_lengths_in_another_order_are_refused(source: Path):
    """Where masks are there too, they prove the order of the pixels (it is documented nowhere beside the data)."""
    turned = {name: mask.T.reshape(20, 30) for name, mask in masks().items()}
    write_table(source / "stage1_train_labels.csv", {"00ae65c1": turned, "f81ca7ee": turned})
    with pytest.raises(DatasetError, match="contradict the masks of 00ae65c1, f81ca7ee"):
        collect(source, part="rle", settings=SETTINGS)


def test_corrected_masks_beside_the_original_table_are_said(source: Path):
    (source / "stage1_train" / "f81ca7ee" / "masks" / "b2.png").unlink()
    first, second = (item.read() for item in collect(source, part="rle", settings=SETTINGS).items)
    assert not [remark for remark in first.remarks if "mask files" in remark.text]
    assert [remark.kind for remark in second.remarks if "mask files" in remark.text] == ["problem"]
    np.testing.assert_array_equal(second.objects, labels())


def test_totals_of_the_card():
    assert [(t.measure, t.value) for t in CARD.totals] == [("patches", 664), ("objects", 28_986)]  # specification 0.3


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("dsb2018", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height, dataset.info.stain) == (2, 6, None)
    np.testing.assert_array_equal(dataset.patch("f81ca7ee").labels, labels())


def test_real_masks_come_back(shared_data: Path, tmp_path: Path):
    """Real label images, written in the original layout under their original names, give the same objects again."""
    stems = sorted(path.stem for path in (shared_data / "dsb2018_histology_cc0" / "images").iterdir())[:3]
    expected = {}
    tables = {}
    for stem in stems:
        folder = shared_data / "dsb2018_histology_cc0"
        image = np.asarray(Image.open(folder / "images" / f"{stem}.png").convert("RGBA"))
        expected[stem] = np.asarray(Image.open(folder / "labels" / f"{stem}.png")).astype(np.int32)
        numbers = np.unique(expected[stem])[1:]
        tables[stem] = {f"{n:05d}": np.where(expected[stem] == n, 255, 0).astype(np.uint8) for n in numbers}
        write_mask_folder(tmp_path / "stage1_train", stem, image, tables[stem])
    write_table(tmp_path / "stage1_train_labels.csv", tables)
    for part in ("masks", "rle"):
        for item in collect(tmp_path, part=part, settings=SETTINGS).items:
            content = item.read()
            np.testing.assert_array_equal(content.objects, expected[item.patch_id])
            assert content.pixels_lost == 0


def test_bad_folders(source: Path, tmp_path: Path):
    with pytest.raises(InputError, match="masks, rle"):
        collect(source, part="csv", settings=SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no folder with images/"):
        collect(tmp_path / "empty", settings=SETTINGS)
    shutil.copytree(source / "stage1_train", tmp_path / "alone")
    with pytest.raises(DatasetError, match="no stage1_train_labels"):
        collect(tmp_path / "alone", part="rle", settings=SETTINGS)
    (source / "stage1_train" / "f81ca7ee" / "images" / "f81ca7ee.png").unlink()
    with pytest.raises(DatasetError, match="not exactly one image in images/ of f81ca7ee"):
        collect(source, settings=SETTINGS)


def test_bad_tables(source: Path):
    table = source / "stage1_train_labels.csv"
    good = table.read_text()
    for text, message in (
        (good.replace("EncodedPixels", "Pixels"), "columns ImageId and EncodedPixels"),
        (good.replace("f81ca7ee", "ffffffff"), "No line for f81ca7ee"),
        (good + "abc,1 1\n", "No image folder for abc"),
        (good + "f81ca7ee,\n", "line 8"),
        (good + '"f81', "Cannot be read as CSV"),
        ("", "columns ImageId"),
    ):
        table.write_text(text)
        with pytest.raises(DatasetError, match=message):
            collect(source, part="rle", settings=SETTINGS)
    table.write_text(good)
    with pytest.raises(LimitError, match="HISTOSEED_MAX_GEOJSON_BYTES"):
        collect(source, part="rle", settings=Settings(max_geojson_bytes=20))


def test_bad_masks(source: Path):
    item = collect(source, settings=SETTINGS).items[0]
    mask = source / "stage1_train" / "00ae65c1" / "masks" / "b2.png"
    Image.fromarray(labels().astype(np.uint8)).save(mask)
    with pytest.raises(DatasetError, match=r"b2\.png: A mask holds 0 and one other value"):
        item.read()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(mask)
    with pytest.raises(DatasetError, match=r"b2\.png: The file is 4 x 3 pixels, its image 30 x 20"):
        item.read()
    mask.write_bytes(mask.read_bytes()[:40])
    with pytest.raises(AnnotationError, match=r"b2\.png"):
        item.read()
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        collect(source, settings=Settings(max_pixels=10)).items[1].read()
