"""Import of TNBC (Naylor)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage import measure

from fixtures.tnbc import mask, write_tnbc
from histoseed.datasets import read_dataset
from histoseed.datasets.importers.registry import import_dataset
from histoseed.datasets.importers.tnbc import CARD, collect, components
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tnbc(tmp_path)


def test_slides_are_patients(source: Path):
    items = collect(source.parent, settings=SETTINGS).items
    assert [item.patch_id for item in items[:3]] == ["01_1", "01_2", "02_1"]
    assert len(items) == 12
    facts = items[1].facts
    assert (facts["patient"], facts["slide"], facts["organ"]) == ("tnbc-01", "Slide_01", "breast")
    assert (facts["mpp"], facts["mpp_source"]) == (0.25, "metadata")  # specification 13.1
    assert len({item.facts["patient"] for item in items}) == 11


def test_objects_are_components_with_small_holes_filled(source: Path):
    content = collect(source, settings=SETTINGS).items[0].read()
    labels = np.asarray(content.objects)
    assert labels.max() == 4
    assert labels[3, 3] == labels[8, 8]  # touching at a corner
    assert labels[18, 6] == labels[15, 3] > 0  # one pixel: filled
    assert labels[18, 17] == labels[18, 18] == 0  # two pixels: a hole
    assert [remark.count for remark in content.remarks if "holes" in remark.text] == [1]


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_empty_fourth_channel_does_not_bleach_the_image(tmp_path: Path, alpha: int):
    """Public loaders drop the fourth channel as empty; taken for opacity it would leave nothing but white."""
    source = write_tnbc(tmp_path, alpha=alpha)
    content = collect(source, settings=SETTINGS).items[0].read()
    stored = np.asarray(Image.open(source / "Slide_01" / "01_1.png"))
    np.testing.assert_array_equal(content.image, stored[..., :3])
    assert any("fourth channel is empty" in remark.text for remark in content.remarks) == (alpha == 0)


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
def test_filling_never_joins_objects(drawn: np.ndarray):
    labels, filled = components(drawn)
    reference = measure.label(drawn, connectivity=2)
    assert labels.max() == reference.max()
    np.testing.assert_array_equal(labels[drawn], reference[drawn])
    holes = measure.label(~drawn, connectivity=1, background=0)
    sizes = np.bincount(holes.ravel(), minlength=1)
    border = set(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]).tolist())
    single = [n for n in range(1, len(sizes)) if sizes[n] == 1 and n not in border]
    assert filled == len(single)
    np.testing.assert_array_equal(labels > 0, drawn | np.isin(holes, single))


def test_the_second_version_adds_brain(tmp_path: Path):
    source = write_tnbc(tmp_path, slides=14)
    collection = collect(source, part="v1.1", settings=SETTINGS)
    organs = {item.facts["slide"]: item.facts["organ"] for item in collection.items}
    assert {slide for slide, organ in organs.items() if organ == "brain"} == {"Slide_12", "Slide_13", "Slide_14"}
    assert (len(organs), collection.info.name) == (14, "tnbc v1.1")


def test_the_first_version_out_of_the_second_says_what_it_leaves_out(tmp_path: Path):
    collection = collect(write_tnbc(tmp_path, slides=14), settings=SETTINGS)
    assert len(collection.items) == 12
    assert [remark.text for _, remark in collection.remarks] == [
        "Slide_12, Slide_13, Slide_14: left out, part v1.0 does not have them"
    ]


def test_masks_of_cell_types_are_recognised(source: Path):
    """The second version comes with a further archive whose masks hold cell types (specification 13.1)."""
    typed = np.where(mask() > 0, 3, 0).astype(np.uint8)
    typed[15:22, 3:10] = 5
    Image.fromarray(typed).save(source / "GT_02" / "02_1.png")
    with pytest.raises(DatasetError, match=r"02_1\.png.*0, 3, 5: cell types\?"):
        collect(source, settings=SETTINGS).items[2].read()


def test_totals_of_the_card():
    first = {(t.measure, t.value) for t in CARD.totals if t.part is None}
    assert first == {("patches", 50), ("patients", 11)}  # specification 13.1
    assert (68, "v1.1") in {(t.value, t.part) for t in CARD.totals}  # specification 13.1


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("tnbc", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert (len(dataset), dataset.instances.height) == (12, 48)
    assert dataset.patches["group"].n_unique() == 11
    assert any("12 holes of one pixel" in note for note in dataset.info.notes)


def test_missing_slides_are_named(source: Path):
    for slide in ("Slide_03", "Slide_07"):
        shutil.rmtree(source / slide)
    with pytest.raises(DatasetError, match="no folder Slide_03, Slide_07"):
        collect(source, settings=SETTINGS)
    with pytest.raises(DatasetError, match="Slide_03, Slide_07, Slide_12, Slide_13, Slide_14"):
        collect(source, part="v1.1", settings=SETTINGS)


def test_missing_masks_are_named(source: Path):
    (source / "GT_01" / "01_2.png").unlink()
    with pytest.raises(DatasetError, match="No mask for 01_2"):
        collect(source, settings=SETTINGS)
    shutil.rmtree(source / "GT_01")
    with pytest.raises(DatasetError, match="GT_01: There is no such folder"):
        collect(source, settings=SETTINGS)


def test_bad_files(source: Path):
    items = collect(source, settings=SETTINGS).items
    Image.fromarray(mask()[:8]).save(source / "GT_01" / "01_1.png")
    with pytest.raises(DatasetError, match="48 x 8 pixels"):
        items[0].read()
    path = source / "Slide_01" / "01_2.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SlideError, match=r"01_2\.png"):
        items[1].read()
    (source / "GT_02" / "02_1.png").write_bytes(b"")
    with pytest.raises(AnnotationError, match=r"02_1\.png"):
        items[2].read()
    with pytest.raises(LimitError, match="max_pixels"):
        collect(source, settings=Settings(max_pixels=10)).items[3].read()


def test_no_such_part(source: Path):
    with pytest.raises(InputError, match=r"v1\.0, v1\.1"):
        collect(source, part="v2", settings=SETTINGS)
