"""Import of Camelyon16: slides stay where they are, lesions have holes, normal is not the same as unknown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fixtures.camelyon16 import HEIGHT, LESIONS, MPP, WIDTH, write_camelyon16, write_slide, write_xml
from histoseed.datasets.content import PatchContent, SlideArea
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.camelyon16 import _without, collect
from histoseed.datasets.intake.content import Collection
from histoseed.errors import AnnotationError, DatasetError, LimitError, SlideError
from histoseed.geometry import Region, polygons_to_label
from histoseed.settings import Settings
from histoseed.slides import open_slide

SETTINGS = Settings()


def _read(collection: Collection, patch_id: str) -> PatchContent:
    return next(item for item in collection.items if item.patch_id == patch_id).read()


def _texts(content: PatchContent) -> dict[str, int]:
    return {remark.text: remark.count for remark in content.remarks}


def _painted() -> np.ndarray:
    """Background, then tumour, then normal tissue: the order in which outlines are painted (specification 14)."""
    out = np.zeros((HEIGHT, WIDTH), bool)
    positive, negative = ("Tumor", "_0", "_1"), ("_2", "Exclusion")
    for groups, value in ((positive, True), (negative, False)):
        for group, vertices in LESIONS:
            if group in groups:
                out[polygons_to_label([shapely.Polygon(vertices)], out.shape) > 0] = value
    return out


def test_exclusions_become_holes(tmp_path: Path):
    content = _read(collect(write_camelyon16(tmp_path), settings=SETTINGS), "tumor_009")
    lesions = content.region_outlines
    np.testing.assert_array_equal(polygons_to_label(lesions.geometry, (HEIGHT, WIDTH)) > 0, _painted())
    assert set(lesions.class_name) == {"tumour"}
    assert [len(geometry.interiors) for geometry in lesions.geometry] == [1, 1, 0]
    assert shapely.area(lesions.geometry).tolist() == [1500, 500, 360]  # the third is cut at the border of the slide
    ignored = content.ignore_outlines
    assert ignored.bounds().tolist() == [[5, 60, 15, 70]]
    assert _texts(content) == {
        "{count} {object|objects} left the image and {was|were} cut at its border": 1,
        "{count} {outline of normal tissue lies|outlines of normal tissue lie} in no tumour outline": 1,
    }
    assert len({*lesions.id, *ignored.id}) == 4


def test_the_picture_stays_in_its_slide(tmp_path: Path):
    collection = collect(write_camelyon16(tmp_path), settings=SETTINGS)
    content = _read(collection, "tumor_009")
    assert content.image == SlideArea("training/tumor/tumor_009.tif", WIDTH, HEIGHT)
    assert content.facts == {"mpp": pytest.approx(MPP, rel=1e-4), "mpp_source": "metadata"}
    assert next(item.facts for item in collection.items if item.patch_id == "tumor_009") == {
        "exhaustive": False,  # nuclei are not annotated
        "x": 0.0,
        "y": 0.0,
        "slide": "tumor_009",
        "organ": "lymph node",
        "split": "train",
    }


def test_slides_splits_and_doubts(tmp_path: Path):
    collection = collect(write_camelyon16(tmp_path), settings=SETTINGS)
    assert {item.patch_id: item.facts["split"] for item in collection.items} == {
        "normal_001": "train",
        "normal_086": "train",
        "test_001": "test",
        "test_003": "test",
        "tumor_009": "train",
    }
    # specification 14: normal_86 is normal_086 and in doubt
    assert [(name, remark.text) for name, remark in collection.remarks] == [
        ("normal_086", "Several published pipelines leave this slide out")
    ]
    for patch_id in ("normal_001", "test_003"):
        content = _read(collection, patch_id)
        assert len(content.region_outlines) == len(content.ignore_outlines) == len(content.remarks) == 0
    assert len(_read(collection, "test_001").region_outlines) == 1


def test_a_tumour_slide_without_annotation_is_an_error(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    shutil.rmtree(folder / "training" / "lesion_annotations")
    with pytest.raises(DatasetError, match=r"without annotation: tumor_009.*Unpack lesion_annotations.zip"):
        collect(folder, settings=SETTINGS)


def test_the_reference_tells_tumour_from_normal_among_test_slides(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    (folder / "testing" / "lesion_annotations" / "test_001.xml").unlink()
    with pytest.raises(DatasetError, match="without annotation: test_001"):
        collect(folder, settings=SETTINGS)
    (folder / "testing" / "reference.csv").unlink()
    remarks = [(remark.text, remark.count) for _, remark in collect(folder, settings=SETTINGS).remarks]
    text = (
        "Nothing says whether {count} test {slide without annotation is|slides without annotation are} normal "
        "(reference.csv would)"
    )
    assert (text, 2) in remarks
    (folder / "testing" / "reference.csv").write_text("a,b\n1,2\n")
    remarks = [remark.text for _, remark in collect(folder, settings=SETTINGS).remarks]
    assert "The table was not understood and not used" in remarks


def test_a_normal_slide_with_tumour_outlines_is_said(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    write_xml(folder / "training" / "lesion_annotations" / "normal_001.xml", LESIONS[:1])
    content = _read(collect(folder, settings=SETTINGS), "normal_001")
    assert _texts(content) == {"A slide that is named normal has {count} tumour {outline|outlines}": 1}


def test_an_annotation_without_tumour_is_said(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    write_xml(folder / "training" / "lesion_annotations" / "tumor_9.xml", [])
    assert "The annotation of a tumour slide holds no tumour" in _texts(
        _read(collect(folder, settings=SETTINGS), "tumor_009")
    )


def test_nested_groups_go_by_the_nearest_known_one(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    path = folder / "training" / "lesion_annotations" / "tumor_9.xml"
    write_xml(path, [("micro", LESIONS[0][1])], parents={"micro": "Tumor"})
    assert len(_read(collect(folder, settings=SETTINGS), "tumor_009").region_outlines) == 1
    write_xml(path, [("micro", LESIONS[0][1])])
    with pytest.raises(DatasetError, match=r"tumor_9.xml, annotation 'Annotation 0': There is no group 'micro'"):
        _read(collect(folder, settings=SETTINGS), "tumor_009")


def test_a_tumour_inside_an_exclusion_is_left_out(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    path = folder / "training" / "lesion_annotations" / "tumor_9.xml"
    write_xml(path, [("Tumor", LESIONS[1][1]), ("Exclusion", LESIONS[0][1]), ("Tumor", LESIONS[2][1])])
    content = _read(collect(folder, settings=SETTINGS), "tumor_009")
    assert _texts(content) == {
        "{count} tumour {outline lies|outlines lie} wholly inside outlines of normal tissue and {was|were} left out": 1
    }
    assert shapely.area(content.region_outlines.geometry).tolist() == [600]


def test_a_mirror_and_a_part_of_the_slides(tmp_path: Path):
    folder = tmp_path / "mirror"
    write_slide(folder / "images" / "tumor_009.tif")
    write_slide(folder / "images" / "test_002.tif")
    for name in ("tumor_009", "tumor_010", "test_002"):
        write_xml(folder / "annotations" / f"{name}.xml", LESIONS)
    collection = collect(folder, settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == ["test_002", "tumor_009"]
    assert [(remark.text, remark.count) for _, remark in collection.remarks] == [
        ("{count} annotation {file has|files have} no slide here", 1)
    ]


def test_folders_that_cannot_be_right(tmp_path: Path):
    with pytest.raises(DatasetError, match="training/normal"):
        collect(tmp_path, settings=SETTINGS)
    with pytest.raises(DatasetError, match="no such folder"):
        collect(tmp_path / "nowhere", settings=SETTINGS)
    (tmp_path / "bare" / "images").mkdir(parents=True)
    with pytest.raises(DatasetError, match="There is no slide"):
        collect(tmp_path / "bare", settings=SETTINGS)
    folder = write_camelyon16(tmp_path)
    write_slide(folder / "training" / "normal" / "normal_86.tif")
    with pytest.raises(DatasetError, match="The same slide as"):
        collect(folder, settings=SETTINGS)
    (folder / "training" / "normal" / "normal_86.tif").rename(folder / "training" / "normal" / "slide.tif")
    with pytest.raises(DatasetError, match=r"slide\.tif: Not a name of Camelyon16"):
        collect(folder, settings=SETTINGS)


def test_files_that_cannot_be_read(tmp_path: Path):
    folder = write_camelyon16(tmp_path)
    path = folder / "training" / "lesion_annotations" / "tumor_9.xml"
    text = path.read_text()
    path.write_text(text[:400])
    with pytest.raises(AnnotationError, match=r"tumor_9\.xml"):
        _read(collect(folder, settings=SETTINGS), "tumor_009")
    path.write_text(text)
    with pytest.raises(LimitError, match=r"tumor_9\.xml"):
        _read(collect(folder, settings=Settings(max_vertices=3)), "tumor_009")
    (folder / "training" / "tumor" / "tumor_009.tif").write_bytes(b"II*\0 no slide")
    with pytest.raises(SlideError, match=r"tumor_009\.tif"):
        _read(collect(folder, settings=SETTINGS), "tumor_009")


_BOX = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 12), st.integers(1, 12)).map(
    lambda b: shapely.box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(_BOX, max_size=4), st.lists(_BOX, max_size=4))
def test_cutting_holes_is_painting_tumour_and_then_normal_tissue(tumours: list, normal: list):
    shape = (42, 42)
    expected = polygons_to_label(tumours, shape) > 0
    expected[polygons_to_label(normal, shape) > 0] = False
    whole, holes = (np.array(boxes, dtype=object) for boxes in (tumours, normal))
    cut, outside = _without(whole, holes)
    np.testing.assert_array_equal(polygons_to_label(cut, shape) > 0, expected)
    assert outside == sum(not any(hole.intersects(tumour) for tumour in tumours) for hole in normal)


@pytest.mark.parametrize("above", [False, True])
def test_round_trip(tmp_path: Path, above: bool):
    folder = write_camelyon16(tmp_path / "data")
    source = folder.parent if above else folder
    dataset = import_dataset("camelyon16", source, tmp_path / "ds")
    dataset.verify()
    assert not (tmp_path / "ds" / "images").exists() or not list((tmp_path / "ds" / "images").iterdir())
    rows = dataset.objects("tumor_009")
    assert rows["layer"].to_list() == ["region"] * 3 + ["ignore"]
    patch = dataset.patch("tumor_009")
    with open_slide(folder / "training" / "tumor" / "tumor_009.tif") as slide:
        np.testing.assert_array_equal(patch.image, slide.read(Region(0, 0, *slide.size)))
    assert dataset.patches["group"].to_list() == dataset.patches["slide"].to_list()


def test_a_real_slide_stays_where_it_is(shared_data: Path, tmp_path: Path):
    """An Aperio slide under a Camelyon name: size and resolution are its own, nothing of it is copied."""
    folder = tmp_path / "data"
    path = folder / "training" / "tumor" / "tumor_001.tif"
    path.parent.mkdir(parents=True)
    shutil.copyfile(shared_data / "wsi_fixtures" / "real" / "CMU-1-Small-Region.svs", path)
    square = [(500.0, 500.0), (1500.0, 500.0), (1500.0, 1500.0), (500.0, 1500.0)]
    hole = [(900.0, 900.0), (1000.0, 900.0), (1000.0, 1000.0), (900.0, 1000.0)]
    write_xml(folder / "training" / "lesion_annotations" / "tumor_001.xml", [("_0", square), ("_2", hole)])
    dataset = import_dataset("camelyon16", folder, tmp_path / "ds")
    dataset.verify()
    row = dataset.patches.row(0, named=True)
    assert (row["width"], row["height"], row["mpp"], row["mpp_source"]) == (2220, 2967, 0.499, "metadata")
    assert row["image"] == "training/tumor/tumor_001.tif"
    assert dataset.instances["area_px"].to_list() == [1_000_000 - 10_000]
    patch = dataset.patch(0)
    assert patch.image.shape == (2967, 2220, 3)
    coarse = import_dataset("camelyon16", folder, tmp_path / "coarse", mpp=1.996)
    assert coarse.patches.select("width", "height").row(0) == (555, 742)
    assert coarse.instances["area_px"][0] == pytest.approx(990_000 / 16, rel=2e-3)


def test_one_source_in_a_list_is_a_source(tmp_path: Path) -> None:
    write_camelyon16(tmp_path / "source")
    data = import_dataset("camelyon16", [tmp_path / "source"], tmp_path / "ds")
    assert len(data) > 0
