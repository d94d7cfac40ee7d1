"""Import of PUMA: names decide, nothing is rescaled, tissue is kept as outlines and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from fixtures.puma import (
    FEATURES,
    FIRST,
    IMAGES,
    MPP,
    NUCLEI,
    SECOND,
    SIDE,
    TEN,
    TISSUE,
    box,
    feature,
    picture,
    save,
    write_puma,
)
from histoseed.datasets.content import PatchContent
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.puma import CARD, collect
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()

# specification 11
COUNTS = {
    "nuclei_tumor": 57419,
    "nuclei_lymphocyte": 21643,
    "nuclei_histiocyte": 7168,
    "nuclei_stroma": 3856,
    "nuclei_epithelium": 2211,
    "nuclei_apoptosis": 1850,
    "nuclei_endothelium": 1701,
    "nuclei_melanophage": 695,
    "nuclei_plasma_cell": 520,
    "nuclei_neutrophil": 366,
}


def _first(root: Path, scheme: str | None = None) -> PatchContent:
    collection = collect(root, scheme=scheme, settings=SETTINGS)
    assert collection.items[0].patch_id == FIRST
    return collection.items[0].read()


def _texts(content: PatchContent) -> dict[str, int]:
    return {remark.text: remark.count for remark in content.remarks}


def test_published_totals():
    stated = {t.where["class_name"]: t.value for t in CARD.totals if "class_name" in t.where}
    assert stated == COUNTS
    assert [t.value for t in CARD.totals if t.measure == "objects" and not t.where] == [sum(COUNTS.values())] == [97429]


def test_nuclei_of_ten_classes(tmp_path: Path):
    write_puma(tmp_path)
    nuclei = _first(tmp_path).objects
    # the last of the fifteen lies outside
    assert nuclei.class_name.tolist() == [*TEN, "nuclei_tumor", "nuclei_stroma", None, "nuclei_tumor"]
    # nothing is rescaled to the extent of the outlines
    assert nuclei.bounds()[:10].tolist() == [[1.0 + 6 * i, 2.0, 5.0 + 6 * i, 7.0] for i in range(10)]
    assert nuclei.bounds()[10].tolist() == [60, 20, SIDE, 28]  # cut at the border
    assert nuclei.geometry[11].geom_type == "MultiPolygon"
    assert shapely.is_valid(nuclei.geometry).all()


def test_track_1(tmp_path: Path):
    write_puma(tmp_path)
    assert CARD.schemes["track1"] == ("nuclei_tumor", "nuclei_lymphocyte", "nuclei_other")
    names = dict(zip(TEN, _first(tmp_path, "track1").objects.class_name, strict=False))
    # specification 11: lymphocyte and plasma cell are one class, the rest is another
    assert {name for name, merged in names.items() if merged == "nuclei_lymphocyte"} == {
        "nuclei_lymphocyte",
        "nuclei_plasma_cell",
    }
    assert {name for name, merged in names.items() if merged == "nuclei_tumor"} == {"nuclei_tumor"}
    assert sum(merged == "nuclei_other" for merged in names.values()) == 7


def test_what_was_changed_is_said_with_counts(tmp_path: Path):
    write_puma(tmp_path)
    assert _texts(_first(tmp_path)) == {
        "Transparent pixels were laid over white": 0,
        "nuclei: An outline that crosses itself was repaired: {count} {feature|features}": 1,
        "nuclei: {count} {object has|objects have} no class": 1,
        "nuclei: {count} {object|objects} left the image and {was|were} cut at its border": 1,
        "nuclei: {count} {object lies|objects lie} outside the image and {was|were} left out": 1,
        "tissue: {count} {object|objects} left the image and {was|were} cut at its border": 1,
        "Outlines of tissue overlap in {count} {pixel|pixels}, where the later one counts": 400,
    }


def test_tissue_is_drawn_later_over_earlier_and_kept_as_outlines(tmp_path: Path):
    write_puma(tmp_path)
    collection = collect(tmp_path, settings=SETTINGS)
    content = collection.items[0].read()
    names = np.array(["-", *(c.name for c in collection.info.region_classes)])
    expected = np.full((SIDE, SIDE), "-", dtype=object)
    expected[:40, :40] = "tissue_tumor"
    expected[:40, 30:] = "tissue_stroma"
    expected[50:, :] = "tissue_white_background"
    expected[40:50, :10], expected[40:50, 10:20], expected[40:50, 20:30] = (
        "tissue_blood_vessel",
        "tissue_epidermis",
        "tissue_necrosis",
    )
    np.testing.assert_array_equal(names[content.regions], expected)
    outlines = content.region_outlines
    assert outlines.bounds()[0].tolist() == [0, 0, 40, 40]
    assert outlines.class_name.tolist() == list(dict.fromkeys(outlines.class_name))  # six outlines, six classes
    assert set(outlines.class_name) == set(names[1:])
    assert content.ignore is None


def test_resolution_is_that_of_the_file_or_unknown(tmp_path: Path):
    pictures = write_puma(tmp_path)
    first, second = (item.read() for item in collect(tmp_path, settings=SETTINGS).items)
    assert first.facts == {"mpp": pytest.approx(MPP, rel=1e-4), "mpp_source": "metadata"}
    assert second.facts == {}
    assert any("does not state its resolution" in text for text in _texts(second))
    np.testing.assert_array_equal(first.image, pictures[FIRST])
    np.testing.assert_array_equal(second.image, pictures[SECOND])
    picture(tmp_path / IMAGES / f"{FIRST}.tif", 0, 0.5)
    assert any("states 0.5 microns" in text for text in _texts(_first(tmp_path)))


def test_groups(tmp_path: Path):
    write_puma(tmp_path)
    facts = [item.facts for item in collect(tmp_path, settings=SETTINGS).items]
    assert facts == [{"group": stem, "centre": "UMC Utrecht"} for stem in (FIRST, SECOND)]


def test_ids_are_unique_across_layers(tmp_path: Path):
    write_puma(tmp_path)
    # the same id on a nucleus and on tissue
    save(tmp_path / TISSUE / f"{FIRST}_tissue.geojson", [feature(0, "tissue_tumor", box(0, 0, 9, 9))])
    content = _first(tmp_path)
    assert not set(content.objects.id) & set(content.region_outlines.id)
    assert _first(tmp_path).objects.id.tolist() == content.objects.id.tolist()


@pytest.mark.parametrize(
    ("features", "word"),
    [
        ([FEATURES[0], feature(1, "nuclei_unknown", box(0, 0, 5, 5))], "object 1: There is no class 'nuclei_unknown'"),
        ([feature(1, "tissue_tumor", box(0, 0, 5, 5))], "object 0: There is no class 'tissue_tumor'"),
        ([feature(1, None, box(0, 0, 5, 5)) | {"properties": {"classification": "{broken"}}], "object 0: The class"),
        (
            [feature(1, None, box(0, 0, 5, 5)) | {"properties": {"classification": '{"name": 3}'}}],
            "object 0: The class",
        ),
    ],
)
def test_classes_that_are_not_known_name_file_and_object(tmp_path: Path, features: list, word: str):
    write_puma(tmp_path)
    path = tmp_path / NUCLEI / f"{FIRST}_nuclei.geojson"
    save(path, features)
    with pytest.raises(DatasetError, match=word) as caught:
        _first(tmp_path)
    assert path.name in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    write_puma(tmp_path)
    path = tmp_path / NUCLEI / f"{FIRST}_nuclei.geojson"
    text = path.read_text()
    path.write_text(text[:300])
    with pytest.raises(AnnotationError, match=path.name):
        _first(tmp_path)
    path.write_text(text)
    with pytest.raises(LimitError):
        collect(tmp_path, settings=Settings(max_objects=3)).items[0].read()
    with pytest.raises(LimitError):
        collect(tmp_path, settings=Settings(max_pixels=100)).items[0].read()
    image = tmp_path / IMAGES / f"{FIRST}.tif"
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(SlideError, match=image.name):
        _first(tmp_path)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (f"{NUCLEI}/{FIRST}_nuclei.geojson", "No file of nuclei for training_set_metastatic_roi_001"),
        (f"{TISSUE}/{SECOND}_tissue.geojson", "No file of tissue for training_set_primary_roi_103"),
        (f"{IMAGES}/{SECOND}.tiff", "No image for training_set_primary_roi_103"),
    ],
)
def test_missing_partners_are_named(tmp_path: Path, path: str, word: str):
    write_puma(tmp_path)
    (tmp_path / path).unlink()
    with pytest.raises(DatasetError, match=word):
        collect(tmp_path, settings=SETTINGS)


def test_wrong_folder_and_scheme(tmp_path: Path):
    with pytest.raises(DatasetError, match="tif_ROIs"):
        collect(tmp_path, settings=SETTINGS)
    write_puma(tmp_path)
    with pytest.raises(InputError, match="--classes"):
        collect(tmp_path, scheme="track3", settings=SETTINGS)


def test_empty_files_are_legitimate(tmp_path: Path):
    write_puma(tmp_path)
    for folder, kind in ((NUCLEI, "nuclei"), (TISSUE, "tissue")):
        save(tmp_path / folder / f"{FIRST}_{kind}.geojson", [])
    content = _first(tmp_path)
    assert len(content.objects) == len(content.region_outlines) == 0
    assert not content.regions.any()


def test_round_trip(tmp_path: Path):
    write_puma(tmp_path / "puma")
    dataset = import_dataset("puma", tmp_path / "puma", tmp_path / "ds")
    dataset.verify()
    rows = dataset.objects(FIRST)
    assert rows["layer"].value_counts(sort=True).rows() == [("nucleus", 14), ("region", 6)]
    patch = dataset.patch(FIRST)
    assert patch.classes == TEN
    assert patch.region_classes[patch.regions[60, 5] - 1] == "tissue_white_background"
    assert dataset.patches["mpp_source"].to_list() == ["metadata", "unknown"]
    # colours of the files would differ from picture to picture; the data set's follow from the names
    assert json.loads((tmp_path / "ds" / "dataset.json").read_text())["classes"][0]["name"] == "nuclei_tumor"
