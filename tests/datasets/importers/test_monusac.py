"""Import of MoNuSAC 2020."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile

from fixtures.monusac import (
    AMBIGUOUS,
    EPITHELIAL,
    IN_BOTH,
    KIDNEY,
    LUNG,
    LYMPHOCYTE,
    TEST,
    TRAIN,
    picture,
    write_monusac,
    write_region,
)
from fixtures.monuseg import aperio_xml, region
from histoseed.annotations import Instances
from histoseed.datasets import read_dataset
from histoseed.datasets.content import PatchContent
from histoseed.datasets.importers.monusac import CARD, collect
from histoseed.datasets.importers.registry import import_dataset
from histoseed.errors import AnnotationError, DatasetError, InputError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_monusac(tmp_path / "monusac")
    return tmp_path / "monusac"


def contents(source: Path) -> dict[str, PatchContent]:
    return {item.patch_id: item.read() for item in collect(source, settings=SETTINGS).items}


def classes(content: PatchContent) -> list[str | None]:
    assert isinstance(content.objects, Instances)
    return content.objects.class_name.tolist()


def test_split_patient_and_organ(source: Path):
    facts = {item.patch_id: item.facts for item in collect(source, settings=SETTINGS).items}
    assert {name: (f["patient"], f["centre"], f["organ"], f["split"]) for name, f in facts.items()} == {
        f"{IN_BOTH}_1": ("TCGA-A2-A0ES", "A2", "breast", "train"),
        f"{LUNG}_001": ("TCGA-55-1594", "55", "lung", "train"),
        f"{KIDNEY}_1": ("TCGA-2Z-A9JG", "2Z", "kidney", "test"),
        f"{KIDNEY}_2": ("TCGA-2Z-A9JG", "2Z", "kidney", "test"),
        f"{IN_BOTH}_1.test": ("TCGA-A2-A0ES", "A2", "breast", "test"),
    }
    assert {f["slide"] for f in facts.values()} == {IN_BOTH, LUNG, KIDNEY}


def test_the_leak_of_the_published_split_is_said(source: Path):
    collection = collect(source, settings=SETTINGS)
    assert [name for name, remark in collection.remarks if "both train and test" in remark.text] == ["TCGA-A2-A0ES"]
    leaking = "TCGA-A2-A0ES and TCGA-MP-A4T7"  # specification 7
    assert any(leaking in text for text in collection.info.known_problems)


def test_classes_are_names_of_layers(source: Path):
    content = contents(source)[f"{LUNG}_001"]
    assert classes(content) == ["Epithelial", "Lymphocyte", "Macrophage"]
    nuclei = content.objects
    assert isinstance(nuclei, Instances)
    assert shapely.equals(nuclei.geometry[0], shapely.Polygon(EPITHELIAL))
    assert [remark.count for remark in content.remarks if "cross themselves" in remark.text] == [1]
    info = collect(source, settings=SETTINGS).info
    assert [c.name for c in info.classes] == ["Epithelial", "Lymphocyte", "Neutrophil", "Macrophage"]  # specification 7
    assert {c.name: c.color for c in info.classes}["Lymphocyte"] == "#ffff00"  # specification 7: yellow


def test_ambiguous_areas_are_ignored(source: Path):
    content = contents(source)[f"{KIDNEY}_1"]
    assert classes(content) == ["Neutrophil"]
    assert content.ignore_outlines is not None
    assert shapely.equals(content.ignore_outlines.geometry[0], shapely.Polygon(AMBIGUOUS))


def test_the_slide_file_stands_in_for_a_missing_tif(source: Path):
    content = contents(source)[f"{KIDNEY}_2"]
    np.testing.assert_array_equal(content.image, picture())
    assert any("the .svs was read" in remark.text for remark in content.remarks)


@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_is_taken_away(source: Path, alpha: int):
    rgba = picture(channels=4, alpha=alpha)
    write_region(source / TRAIN / LUNG, f"{LUNG}_001", aperio_xml([]), tif=rgba)
    np.testing.assert_array_equal(contents(source)[f"{LUNG}_001"].image, rgba[..., :3])


def test_the_resolution_is_what_a_file_states(source: Path):
    mpp = {name: content.facts.get("mpp") for name, content in contents(source).items()}
    assert mpp == {
        f"{IN_BOTH}_1": None,  # 0.25 is nominal only, specification 7
        f"{LUNG}_001": 0.2525,  # the XML
        f"{KIDNEY}_1": 0.2461,  # the slide file beside the TIFF
        f"{KIDNEY}_2": 0.2461,  # the slide file
        f"{IN_BOTH}_1.test": None,
    }


def test_a_damaged_slide_file_beside_a_tif_does_no_harm(source: Path):
    path = source / TEST / KIDNEY / f"{KIDNEY}_1.svs"
    path.write_bytes(path.read_bytes()[:500])
    assert contents(source)[f"{KIDNEY}_1"].facts.get("mpp") is None


def test_a_slide_file_of_another_size_says_nothing_about_the_tif(source: Path):
    write_region(source / TEST / KIDNEY, f"{KIDNEY}_1", aperio_xml([]), svs=picture((16, 16)))
    assert contents(source)[f"{KIDNEY}_1"].facts.get("mpp") is None


def test_names_count_without_regard_to_case_and_none_is_unclassified(source: Path):
    xml = aperio_xml([(" epithelial", [region(EPITHELIAL, 1)]), (None, [region(LYMPHOCYTE, 1)])])
    write_region(source / TRAIN / LUNG, f"{LUNG}_001", xml)
    content = contents(source)[f"{LUNG}_001"]
    assert classes(content) == ["Epithelial", None]
    assert [remark.count for remark in content.remarks if "unclassified" in remark.text] == [1]


def test_an_unknown_class_is_refused(source: Path):
    xml = aperio_xml([("Epithelial", []), ("Eosinophil", [region(EPITHELIAL, 7)])])
    write_region(source / TRAIN / LUNG, f"{LUNG}_001", xml)
    with pytest.raises(DatasetError, match=f"{LUNG}_001.xml, layer 2, region 7: There is no class 'Eosinophil'"):
        contents(source)


def test_totals_of_the_card():
    totals = {(t.measure, t.where.get("split")): t.value for t in CARD.totals}
    assert totals == {  # specification 7 and 18
        ("patches", "train"): 209,
        ("patches", "test"): 101,
        ("objects", None): 46_899,
        ("patients", "train"): 46,
        ("patients", "test"): 25,
        ("patients", None): 69,
    }


def test_a_round_trip(source: Path, tmp_path: Path):
    import_dataset("monusac", source, tmp_path / "ds")
    dataset = read_dataset(tmp_path / "ds")
    dataset.verify()
    assert len(dataset) == 5
    counts = dict(dataset.instances.group_by("layer").len().iter_rows())
    assert counts == {"nucleus": 7, "ignore": 1}
    patch = dataset.patch(f"{KIDNEY}_1")
    assert patch.ignore is not None
    assert patch.ignore.sum() == 20 * 10
    assert patch.ignore[:10, 40:60].all()
    assert dataset.instances["instance_id"].n_unique() == 8


def test_one_split_is_enough(source: Path):
    shutil.rmtree(source / TRAIN)
    collection = collect(source, settings=SETTINGS)
    assert len(collection.items) == 3
    assert [name for name, remark in collection.remarks if "not there" in remark.text] == ["train"]
    assert len(collect(source / TEST, settings=SETTINGS).items) == 3


def test_annotations_without_image_are_named_together(source: Path):
    (source / TEST / KIDNEY / f"{KIDNEY}_2.svs").unlink()
    (source / TEST / IN_BOTH / f"{IN_BOTH}_1.tif").unlink()
    with pytest.raises(DatasetError, match=f"No image for {KIDNEY}_2, {IN_BOTH}_1"):
        collect(source, settings=SETTINGS)


def test_images_without_annotation_are_left_out_and_named(source: Path):
    tifffile.imwrite(source / TRAIN / LUNG / f"{LUNG}_002.tif", picture(), photometric="rgb")
    collection = collect(source, settings=SETTINGS)
    assert len(collection.items) == 5
    assert [name for name, remark in collection.remarks if "no XML" in remark.text] == [f"{LUNG}_002.tif"]


def test_bad_input(source: Path, tmp_path: Path):
    with pytest.raises(InputError, match="published"):
        collect(source, scheme="eva", settings=SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no region with an XML"):
        collect(tmp_path / "empty", settings=SETTINGS)
    items = {item.patch_id: item for item in collect(source, settings=SETTINGS).items}
    tif = source / TRAIN / IN_BOTH / f"{IN_BOTH}_1.tif"
    tif.write_bytes(tif.read_bytes()[:300])
    with pytest.raises(SlideError, match=f"{IN_BOTH}_1"):
        items[f"{IN_BOTH}_1"].read()
    xml = source / TRAIN / LUNG / f"{LUNG}_001.xml"
    xml.write_text('<!DOCTYPE x [<!ENTITY a "b">]>' + xml.read_text().partition("\n")[2])
    with pytest.raises(AnnotationError, match="document type declaration"):
        items[f"{LUNG}_001"].read()
    with pytest.raises((LimitError, SlideError), match="max_pixels"):
        collect(source, settings=Settings(max_pixels=10)).items[2].read()
    write_region(source / TRAIN / "slide 7", "slide 7_1", aperio_xml([]), tif=picture())
    with pytest.raises(DatasetError, match="no TCGA barcode"):
        collect(source, settings=SETTINGS)
