"""Import of images with QuPath GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from histoseed.datasets import Dataset, import_dataset, import_geojson
from histoseed.errors import AnnotationError, HistoseedError, InputError

WIDTH, HEIGHT = 60, 40


def _feature(shape: shapely.Geometry, name: str | None = None, number: int = 0) -> dict:
    properties = {"objectType": "annotation"}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, number]}
    uuid = f"00000000-0000-4000-8000-{number:012d}"
    return {"type": "Feature", "id": uuid, "geometry": shapely.geometry.mapping(shape), "properties": properties}


NUCLEI = [
    _feature(shapely.box(2, 2, 8, 8), "tumour", 1),
    _feature(shapely.box(16, 10, 26, 16), "stroma", 2),  # centroid at x 21
    _feature(shapely.Point(5, 30).buffer(3), None, 3),
    _feature(shapely.Point(50, 30), "tumour", 4),
]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
    return path


def _save(tmp_path: Path, features: list[dict], name: str = "field.geojson") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_without_a_region_the_image_is_one_patch(picture: Path, tmp_path: Path):
    dataset = import_geojson(picture, _save(tmp_path, NUCLEI), tmp_path / "ds", mpp=0.5)
    dataset.verify()
    patch = dataset.patch("field")
    np.testing.assert_array_equal(patch.image, np.asarray(Image.open(picture)))
    assert (patch.mpp, patch.mpp_source, patch.slide, patch.group, patch.exhaustive) == (
        0.5,
        "user",
        "field",
        "field",
        True,
    )
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[2:8, 2:8], expected[10:16, 16:26] = 2, 1  # large ones first, so that small ones lie on top
    np.testing.assert_array_equal(np.where(patch.labels < 3, patch.labels, 0), expected)
    assert patch.classes == ("stroma", "tumour")
    assert patch.class_ids.tolist() == [0, 1, 2, 0]
    assert dataset.objects(0)["kind"].to_list() == ["polygon", "polygon", "polygon", "point"]
    assert {c.name: c.color for c in dataset.classes} == {"stroma": "#c80002", "tumour": "#c80001"}
    assert sorted(dataset.instances["instance_id"].to_list()) == [f["id"] for f in NUCLEI]


@pytest.mark.parametrize("name", ["Region*", "ROI"])
def test_each_region_becomes_a_crop(picture: Path, tmp_path: Path, name: str):
    regions = [_feature(shapely.box(0, 0, 20, 20), name, 10), _feature(shapely.box(20, 4, 40, 24), name, 11)]
    dataset = import_geojson(picture, _save(tmp_path, NUCLEI + regions), tmp_path / "ds")
    dataset.verify()
    left, right = dataset
    whole = np.asarray(Image.open(picture))
    np.testing.assert_array_equal(left.image, whole[0:20, 0:20])
    np.testing.assert_array_equal(right.image, whole[4:24, 20:40])
    assert dataset.patches.select("x", "y").rows() == [(0.0, 0.0), (20.0, 4.0)]
    assert (left.slide, right.slide, left.mpp) == ("field", "field", None)
    # The second nucleus has its centroid in the right crop: there its visible part, in the left one an ignored area.
    assert left.label_ids.tolist() == [1]
    assert np.argwhere(left.ignore).tolist() == [[y, x] for y in range(10, 16) for x in range(16, 20)]
    expected = np.zeros((20, 20), int)
    expected[6:12, 0:6] = 1
    np.testing.assert_array_equal(right.labels, expected)
    assert right.ignore is None
    assert "2 objects lie in no patch" in dataset.info.known_problems[0]
    assert "Region*" not in [c.name for c in dataset.classes]


def test_a_region_of_another_class_can_be_named(picture: Path, tmp_path: Path):
    path = _save(tmp_path, [*NUCLEI, _feature(shapely.box(0, 0, 20, 20), "Training", 9)])
    dataset = import_geojson(picture, path, tmp_path / "ds", roi_class="Training")
    assert dataset.patch_ids == ["field_x0_y0_w20_h20"]
    with pytest.raises(AnnotationError, match=r"No outline has the class 'Trainin'.*Training, stroma"):
        import_geojson(picture, path, tmp_path / "other", roi_class="Trainin")
    assert not (tmp_path / "other").exists()


def test_outside_a_region_that_is_no_rectangle_nothing_counts(picture: Path, tmp_path: Path):
    triangle = shapely.Polygon([(0, 0), (20, 0), (0, 20)])
    dataset = import_geojson(picture, _save(tmp_path, [NUCLEI[0], _feature(triangle, "ROI", 9)]), tmp_path / "ds")
    rows, columns = np.indices((20, 20))
    patch = dataset.patch(0)
    outside = (rows + 0.5) + (columns + 0.5) > 20
    on_edge = rows + columns == 19
    np.testing.assert_array_equal(patch.ignore[~on_edge], outside[~on_edge])
    assert patch.label_ids.tolist() == [1]


def test_edges_of_regions_follow_pixel_centres(picture: Path, tmp_path: Path):
    path = _save(tmp_path, [NUCLEI[0], _feature(shapely.box(0.4, 0.6, 19.4, 30.6), "ROI", 9)])
    assert import_geojson(picture, path, tmp_path / "ds").patch_ids == ["field_x0_y1_w19_h30"]


def test_a_region_without_objects_is_a_patch_of_its_own(picture: Path, tmp_path: Path):
    dataset = import_geojson(picture, _save(tmp_path, [_feature(shapely.box(0, 0, 9, 9), "ROI", 9)]), tmp_path / "ds")
    assert dataset.patch(0).labels.max() == 0
    assert dataset.patch(0).exhaustive


def test_tiles_own_every_object_once(picture: Path, tmp_path: Path):
    dataset = import_geojson(picture, _save(tmp_path, NUCLEI), tmp_path / "ds", tile=20)
    dataset.verify()
    assert dataset.instances["instance_id"].sort().to_list() == [f["id"] for f in NUCLEI]
    assert dataset.patch_ids == [
        "field_x0_y0_w20_h20",
        "field_x20_y0_w20_h20",
        "field_x0_y20_w20_h20",
        "field_x40_y20_w20_h20",
    ]


def test_ignored_annotations_become_the_ignore_area(picture: Path, tmp_path: Path):
    path = _save(tmp_path, [*NUCLEI, _feature(shapely.box(30, 0, 40, 5), "Ignore*", 9)])
    dataset = import_geojson(picture, path, tmp_path / "ds")
    assert np.argwhere(dataset.patch(0).ignore).min(axis=0).tolist() == [0, 30]
    assert int(dataset.patch(0).ignore.sum()) == 50
    assert dataset.instances["layer"].to_list() == ["nucleus"] * 4 + ["ignore"]
    assert [c.name for c in dataset.classes] == ["stroma", "tumour"]


def test_several_images(picture: Path, tmp_path: Path):
    second = tmp_path / "second.png"
    second.write_bytes(picture.read_bytes())
    files = [_save(tmp_path, NUCLEI[:1]), _save(tmp_path, NUCLEI[1:2], "second.geojson")]
    dataset = import_dataset("geojson", [[picture, second], files], tmp_path / "ds")
    assert dataset.patches["slide"].to_list() == ["field", "second"]
    assert [p.class_ids.tolist() for p in dataset] == [[0, 2], [0, 1]]


def test_what_the_readers_say_is_kept(picture: Path, tmp_path: Path):
    bow_tie = shapely.Polygon([(0, 0), (8, 8), (8, 0), (0, 8)])
    dataset = import_geojson(picture, _save(tmp_path, [_feature(bow_tie)]), tmp_path / "ds")
    assert any("repaired: 1 feature (1 file" in problem for problem in dataset.info.known_problems)


def test_overlapping_outlines_lose_pixels_and_keep_their_shape(picture: Path, tmp_path: Path):
    shapes = [shapely.box(2, 2, 10, 10), shapely.box(6, 2, 14, 10)]
    dataset = import_geojson(
        picture, _save(tmp_path, [_feature(s, None, i) for i, s in enumerate(shapes)]), tmp_path / "ds"
    )
    assert "32 pixels and 0 whole objects" in dataset.info.known_problems[-1]
    assert shapely.area(dataset.instances_of(0).geometry).tolist() == [64, 64]


DRAWN = [_feature(shapely.box(x, 2, x + 6, 9), "tumour", x + 1) for x in range(0, 50, 10)]
"""Rectangles as QuPath writes them."""


@pytest.fixture
def drawn(picture: Path, tmp_path: Path) -> Path:
    """Two images with rectangles, one of them with a round outline too."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(picture.read_bytes())
    _save(folder, [*DRAWN, _feature(shapely.Point(30, 30).buffer(4), "tumour", 99)], "a.geojson")
    _save(folder, DRAWN[:3], "b.geojson")
    return folder


def test_rectangles_that_nobody_declared_are_told(drawn: Path, tmp_path: Path):
    dataset = import_dataset("geojson", drawn, tmp_path / "ds")
    assert set(dataset.instances["kind"]) == {"polygon"}
    (told,) = [text for text in dataset.info.known_problems if "rectangle" in text]
    assert told == (
        "8 of 9 outlines are upright rectangles and count as exact outlines, of which masks are made: if they are boxes"
        " around objects, say --boxes (2 files: a.geojson, b.geojson)."
    )


def test_rectangles_become_boxes_when_asked_and_no_mask_is_made_of_them(drawn: Path, tmp_path: Path):
    _save(drawn, [_feature(shapely.box(0, 0, 40, 30), "Region*", 98), DRAWN[0]], "b.geojson")
    dataset = import_dataset("geojson", drawn, tmp_path / "ds", boxes=True)
    dataset.verify()
    assert dataset.instances["kind"].value_counts().sort("kind").rows() == [("box", 6), ("polygon", 1)]
    assert [patch.label_ids.tolist() for patch in dataset] == [[1], []]
    assert dataset.patch(1).image.shape == (30, 40, 3)  # a rectangle that marks a region is none
    boxed = dataset.objects(0).filter(kind="box").sort("x0")
    assert boxed.select("x0", "y0", "x1", "y1").row(0) == (0.0, 2.0, 6.0, 9.0)
    assert boxed["label"].null_count() == 5
    assert not any("rectangle" in text for text in dataset.info.known_problems)


def test_boxes_in_vain_are_told(picture: Path, tmp_path: Path):
    path = _save(tmp_path, [NUCLEI[2]])
    dataset = import_geojson(picture, path, tmp_path / "ds", boxes=True)
    assert any("--boxes changes nothing" in note for note in dataset.info.notes)


@pytest.mark.parametrize(
    ("features", "boxes", "words"),
    [
        ([NUCLEI[2]], False, "not outlined"),
        ([NUCLEI[3]], False, "away from the points"),
        ([NUCLEI[0]], True, "outside of all boxes"),
        (NUCLEI, False, "not annotated"),
    ],
)
def test_what_counts_as_background_is_told_of_the_kind_there_is(
    picture: Path, tmp_path: Path, features: list, boxes: bool, words: str
):
    dataset = import_geojson(picture, _save(tmp_path, features), tmp_path / "ds", boxes=boxes)
    assert any(f"so that everything {words} counts as background" in note for note in dataset.info.notes)


@pytest.mark.parametrize(
    ("features", "options", "error", "word"),
    [
        ([], {}, AnnotationError, "no object"),
        ([_feature(shapely.box(-5, 0, 5, 5))], {}, AnnotationError, "outside the image"),
        ([_feature(shapely.box(50, 30, 70, 39))], {}, AnnotationError, "outside the image"),
        (NUCLEI, {"mpp": -1.0}, InputError, "mpp"),
        (NUCLEI, {"tile": 0}, InputError, "tile"),
        ([*NUCLEI, _feature(shapely.box(0, 0, 0.3, 9), "ROI", 9)], {}, AnnotationError, "no pixel"),
        ([_feature(shapely.box(61, 0, 70, 9))], {"allow_outside": True}, AnnotationError, "No object lies inside"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    picture: Path, tmp_path: Path, features: list, options: dict, error: type[HistoseedError], word: str
):
    path = _save(tmp_path, features)
    with pytest.raises(error) as caught:
        import_geojson(picture, path, tmp_path / "ds", **options)
    assert word in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["field.geojson", "field.png"]


def test_outlines_that_leave_the_image_are_cut_when_allowed(picture: Path, tmp_path: Path):
    path = _save(tmp_path, [_feature(shapely.box(-1, 3, 5, 9))])
    dataset = import_geojson(picture, path, tmp_path / "ds", allow_outside=True)
    assert shapely.equals(dataset.instances_of(0).geometry[0], shapely.box(0, 3, 5, 9))


def test_lists_must_match(picture: Path, tmp_path: Path):
    path = _save(tmp_path, NUCLEI)
    with pytest.raises(InputError, match="1 image and 2 GeoJSON"):
        import_geojson(picture, [path, path], tmp_path / "ds")
    with pytest.raises(InputError, match="stem 'field'"):
        import_geojson([picture, picture], [path, path], tmp_path / "ds")


@pytest.fixture
def several(picture: Path, tmp_path: Path) -> Path:
    """A folder of three images, two of them with annotations, and other files."""
    folder = tmp_path / "several"
    folder.mkdir()
    for name in ("a.png", "b.1.png", "c.png"):
        (folder / name).write_bytes(picture.read_bytes())
    _save(folder, NUCLEI[:1], "a.png.geojson")
    _save(folder, NUCLEI[1:2], "b.1.geojson")
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.geojson").write_text("x")
    return folder


def _slides(dataset: Dataset) -> dict[str, int]:
    return {row[0]: dataset.objects(row[1]).height for row in dataset.patches.select("slide", "patch_id").iter_rows()}


def test_a_folder_gives_pairs_of_equal_names(several: Path, tmp_path: Path):
    dataset = import_dataset("geojson", several, tmp_path / "ds")
    assert _slides(dataset) == {"a": 1, "b.1": 1}
    assert "1 image has no GeoJSON and was left out (1 file: c.png)." in dataset.info.notes


def test_folders_and_files_in_any_order_give_the_same_pairs(several: Path, tmp_path: Path):
    wanted = {"a": 1, "b.1": 1}
    (several / "c.png").unlink()
    files = sorted(path for path in several.glob("[ab]*"))
    assert _slides(import_dataset("geojson", files[::-1], tmp_path / "files")) == wanted
    for name, kind in (("pictures", "*.png"), ("outlines", "[ab]*.geojson")):
        (several / name).mkdir()
        for path in several.glob(kind):
            path.rename(several / name / path.name)
    assert _slides(import_dataset("geojson", several, tmp_path / "below")) == wanted
    apart = import_dataset("geojson", [several / "outlines", several / "pictures"], tmp_path / "apart")
    assert _slides(apart) == wanted


def test_two_files_belong_together_whatever_they_are_called(picture: Path, tmp_path: Path):
    path = _save(tmp_path, NUCLEI[:1], "other.geojson")
    for k, pair in enumerate(([picture, path], [path, picture])):
        assert _slides(import_dataset("geojson", pair, tmp_path / f"ds{k}")) == {"field": 1}


def test_pairs_that_are_none(several: Path, picture: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    alone = _save(tmp_path, NUCLEI, "one.geojson")

    def refused(source: Path | list[Path], words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            import_dataset("geojson", source, tmp_path / "ds")
        assert len(str(caught.value)) < 600
        assert not (tmp_path / "ds").exists()

    refused(tmp_path / "empty", "There is no GeoJSON")
    refused(picture, "There is no GeoJSON")
    refused([picture] * 9, r"and 6 more: There is no GeoJSON.*IMAGE GEOJSON")
    refused(alone, "There is no image")
    refused([several, alone], r"There is no image for one\.geojson")
    twice = _save(several, NUCLEI, "b.1.png.geojson")
    refused(several, r"b\.1\.geojson and b\.1\.png\.geojson both belong to b\.1\.png")
    twice.unlink()
    (several / "a.png").unlink()
    refused(several, r"There is no image for a\.png\.geojson")
