"""Import of NuInsSeg."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fixtures.nuinsseg import labels, vague, write_image, write_nuinsseg, write_vague
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.nuinsseg import CARD, collect
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import AnnotationError, DatasetError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_nuinsseg(tmp_path / "NuInsSeg")
    return tmp_path / "NuInsSeg"


def test_every_patch_is_found_with_its_organ(source: Path):
    items = collect(source, settings=SETTINGS).items
    assert {item.patch_id: (item.facts["group"], item.facts["organ"]) for item in items} == {
        "human_bladder_01": ("human bladder", "bladder"),
        "human_bladder_02": ("human bladder", "bladder"),
        "human_cardia_cardia 7": ("human cardia", "cardia"),  # the stem does not say the organ
        "mouse_kidney_1": ("mouse kidney", "kidney"),
    }
    assert all("mpp" not in item.facts and "patient" not in item.facts for item in items)  # specification 19


@pytest.mark.parametrize("depth", [0, 1])
def test_the_folder_above_may_be_given(source: Path, depth: int):
    assert len(collect(source.parents[depth - 1] if depth else source, settings=SETTINGS).items) == 4


def test_the_modified_labels_are_read(source: Path):
    """In ``label masks`` the overlap of two nuclei has a number of its own (specification 13.2)."""
    content = collect(source, settings=SETTINGS).items[0].read()
    np.testing.assert_array_equal(content.objects, labels())
    expected = np.asarray(Image.open(source / "human bladder" / "tissue images" / "human_bladder_01.png"))
    np.testing.assert_array_equal(content.image, expected)


def test_vague_areas_are_ignored_under_both_names_of_their_folder(source: Path):
    collection = collect(source, settings=SETTINGS)
    ignore = {item.patch_id: item.read().ignore for item in collection.items}
    for name in ("human_bladder_01", "mouse_kidney_1"):
        np.testing.assert_array_equal(ignore[name], vague() > 0)
    assert ignore["human_bladder_02"] is None
    assert ignore["human_cardia_cardia 7"] is None
    said = {name: remark.count for name, remark in collection.remarks if "no mask of vague areas" in remark.text}
    assert said == {"human bladder": 1, "human cardia": 1}


def test_totals_of_the_card():
    totals = {total.measure: total.value for total in CARD.totals}
    assert totals == {"patches": 665, "objects": 30_698, "groups": 31}  # specification 13.2


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("nuinsseg", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height) == (4, 8)
    patch = dataset.patch("mouse_kidney_1")
    np.testing.assert_array_equal(patch.labels, labels())
    np.testing.assert_array_equal(patch.ignore, vague() > 0)
    assert (patch.mpp, patch.group) == (None, "mouse kidney")


def test_all_missing_label_files_are_named_at_once(source: Path):
    organ = source / "human bladder"
    for name in ("human_bladder_01", "human_bladder_02"):
        (organ / "label masks modify" / f"{name}.tif").unlink()
    with pytest.raises(DatasetError, match="human_bladder_01, human_bladder_02"):
        collect(source, settings=SETTINGS)


def test_label_masks_do_not_stand_in_for_the_modified_ones(source: Path):
    shutil.rmtree(source / "mouse kidney" / "label masks modify")
    with pytest.raises(DatasetError, match="label masks modify: There is no such folder"):
        collect(source, settings=SETTINGS)


def test_two_folders_of_vague_areas_are_ambiguous(source: Path):
    write_vague(source / "mouse kidney", "mask binary", "mouse_kidney_1", ".png")
    with pytest.raises(DatasetError, match=r"both 'mask binary' and 'mask binary_vague'"):
        collect(source, settings=SETTINGS)


def test_vague_areas_of_no_image_are_refused(source: Path):
    write_vague(source / "human bladder", "mask binary", "human_bladder_09", ".png")
    with pytest.raises(DatasetError, match="No image for human_bladder_09"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize("folder", ["label masks modify", "vague areas/mask binary_vague"])
def test_resized_labels_are_refused(source: Path, folder: str):
    tifffile.imwrite(source / "mouse kidney" / folder / "mouse_kidney_1.tif", np.ones((12, 16), np.uint8))
    item = collect(source, settings=SETTINGS).items[-1]
    with pytest.raises(DatasetError, match="16 x 12 pixels, its image 32 x 24"):
        item.read()


def test_a_truncated_file_is_named(source: Path):
    path = source / "mouse kidney" / "label masks modify" / "mouse_kidney_1.tif"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AnnotationError, match=r"mouse_kidney_1\.tif"):
        collect(source, settings=SETTINGS).items[-1].read()


def test_a_bomb_is_refused(source: Path):
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        collect(source, settings=Settings(max_pixels=100)).items[0].read()


def test_no_organ_folder(tmp_path: Path):
    with pytest.raises(DatasetError, match="no organ folder"):
        collect(tmp_path, settings=SETTINGS)
    with pytest.raises(DatasetError, match="no such folder"):
        collect(tmp_path / "absent", settings=SETTINGS)


def test_other_species_keep_their_whole_name(tmp_path: Path):
    write_image(tmp_path / "rat liver", "rat_liver_1")
    assert collect(tmp_path, settings=SETTINGS).items[0].facts["organ"] == "rat liver"
