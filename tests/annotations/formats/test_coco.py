"""COCO JSON: pycocotools is the oracle of what is written and of run lengths."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as oracle
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools.coco import COCO

from histoseed.annotations import Instances
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions
from histoseed.annotations.formats.coco_rle import outline_to_runs, pack_runs, runs_to_outline, unpack_runs
from histoseed.errors import AnnotationError, InputError, LimitError
from histoseed.geometry import label_to_polygons, polygons_to_label
from histoseed.settings import Settings

FORM = FORMATS["coco"]
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]


def document(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A COCO file of one image of 40 x 30 pixels and two categories; annotations get ids from 1 on."""
    base = {"image_id": 7, "category_id": 90, "iscrowd": 0}
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 90, "name": "tumour"}, {"id": 3, "name": "stroma"}],
        "annotations": [{"id": i, **base, **one} for i, one in enumerate(annotations, start=1)],
    } | changes


def read(tmp_path: Path, content: Any, **options: Any) -> tuple[list[AnnotatedImage], list[str]]:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    return FORM.read(path, ReadOptions(settings=options.pop("limits", Settings()), **options))


def objects(tmp_path: Path, *annotations: dict[str, Any], **options: Any) -> tuple[Instances, list[str]]:
    images, said = read(tmp_path, document(*annotations), **options)
    return images[0].instances, said


def opened(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def disc(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


# Reading


def test_polygons_boxes_points_and_run_lengths(tmp_path: Path) -> None:
    mask = disc(30, 40, 15, 20, 6)
    packed = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    loose = [int(n) for n in np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=~mask[0, 0], append=2)))]
    assert sum(loose) == 30 * 40
    found, said = objects(
        tmp_path,
        {"segmentation": [SQUARE], "bbox": [0, 0, 1, 1], "score": 0.5},  # a stored box is not trusted
        {"segmentation": [SQUARE, [30, 5, 35, 5, 35, 9]], "category_id": 3},
        {"segmentation": {"size": [30, 40], "counts": loose}},
        {"segmentation": {"size": [30, 40], "counts": packed["counts"].decode()}},
        {"segmentation": [], "bbox": [1, 2, 10.5, 4]},
        {"keypoints": [7.5, 8.25, 2], "num_keypoints": 1},
    )
    assert found.kind.tolist() == ["polygon"] * 4 + ["box", "point"]
    assert found.class_name.tolist() == ["tumour", "stroma"] + ["tumour"] * 4
    assert found.geometry[0].equals(shapely.box(10, 10, 20, 20))
    assert shapely.area(found.geometry[1]) == 110.0
    for row in (2, 3):
        np.testing.assert_array_equal(polygons_to_label([found.geometry[row]], (30, 40)) > 0, mask)
        assert found.geometry[row].area == mask.sum()
    assert found.bounds()[4].tolist() == [1, 2, 11.5, 6]
    assert found.geometry[5].equals(shapely.Point(7.5, 8.25))
    assert found.score[0] == 0.5
    assert np.isnan(found.score[1:]).all()
    assert said == []


def test_several_images_and_ids_of_any_kind(tmp_path: Path) -> None:
    content = {
        "images": [
            {"id": "b", "file_name": "train/b.png", "width": 40, "height": 30},
            {"id": 0, "file_name": "a.png", "width": 50, "height": 20},
            {"id": 2.5, "file_name": "empty.png"},
        ],
        "categories": [{"id": "x-1", "name": "1"}, {"id": 1, "name": "rosé"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 1, "segmentation": [SQUARE]},
            {"id": "q", "image_id": "b", "category_id": "x-1", "segmentation": [SQUARE]},
            {"id": 5, "image_id": "b", "segmentation": [SQUARE]},
        ],
    }
    images, said = read(tmp_path, content)
    assert [(one.name, one.size, len(one.instances)) for one in images] == [
        ("train/b.png", (40, 30), 2),
        ("a.png", (50, 20), 1),
        ("empty.png", None, 0),
    ]
    assert images[0].instances.class_name.tolist() == ["1", None]
    assert images[1].instances.class_name.tolist() == ["rosé"]
    assert said == []


def test_a_number_is_never_taken_for_a_class(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="annotation 1: There is no category with the id 4") as caught:
        objects(tmp_path, {"segmentation": [SQUARE], "category_id": 4})
    assert "--classes" in str(caught.value.fix)
    found, _ = objects(tmp_path, {"segmentation": [SQUARE], "category_id": 4}, classes={"4": "lymphocyte"})
    assert found.class_name.tolist() == ["lymphocyte"]
    found, _ = objects(tmp_path, {"segmentation": [SQUARE]}, classes={"90": "other"})
    assert found.class_name.tolist() == ["tumour"]  # the file's own names go before


def test_crowds_count_for_nothing(tmp_path: Path) -> None:
    found, said = objects(tmp_path, {"segmentation": [SQUARE], "iscrowd": 1}, {"segmentation": [SQUARE]})
    assert found.class_name.tolist() == ["Ignore*", "tumour"]
    assert len(said) == 1
    assert "counts for nothing" in said[0]
    assert "not as 'tumour' (1 annotation: 1)" in said[0]


def test_colours_of_categories(tmp_path: Path) -> None:
    categories = [
        {"id": 90, "name": "tumour", "color": [200, 0, 10]},
        {"id": 3, "name": "stroma", "color": "#00C8FF"},
        {"id": 4, "name": "plain", "color": "red"},
    ]
    images, _ = read(tmp_path, document({"segmentation": [SQUARE]}, categories=categories))
    assert images[0].instances.colors == {"tumour": "#c8000a", "stroma": "#00c8ff"}


def test_what_is_repaired_or_left_out_is_said(tmp_path: Path) -> None:
    found, said = objects(
        tmp_path,
        {"segmentation": [[0, 0, 10, 10, 10, 0, 0, 10]]},
        {"segmentation": [[0, 0, 10, 10]]},
        {"segmentation": [[0, 0, 5, 5, 10, 10]]},
        {"segmentation": SQUARE},
        {"segmentation": [SQUARE, [1, 1, 2, 2]]},
        {"segmentation": {"size": [30, 40], "counts": [1200]}},
        {"bbox": [3, 3, 0, 4]},
        {"segmentation": [SQUARE], "keypoints": [1, 1, 2]},
        {"bbox": [3, 3, 4, 4], "keypoints": [1, 1, 2, 2, 2, 2]},
        {"segmentation": [SQUARE], "attributes": {"occluded": True}, "caption": ""},
    )
    assert said == [
        "An outline of less than three vertices was left out (1 annotation: 2).",
        "A part of less than three vertices was left out (1 annotation: 5).",
        "The key points of an outline were left out (1 annotation: 8).",
        "The key points of a box were left out (1 annotation: 9).",
        "The field 'attributes' was left out (1 annotation: 10).",
        "An outline that crosses itself was repaired (1 annotation: 1).",
        "An outline without area was left out (3 annotations: 3, 6, 7).",
    ]
    assert found.kind.tolist() == ["polygon", "polygon", "polygon", "polygon", "box", "polygon"]
    assert found.geometry[0].is_valid


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"image_id": 8, "segmentation": [SQUARE]}, "no image with the id 8"),
        ({"image_id": None, "segmentation": [SQUARE]}, "An id is a number or a text, not 'None'"),
        ({"image_id": True, "segmentation": [SQUARE]}, "An id is a number or a text"),
        ({"category_id": [1], "segmentation": [SQUARE]}, "An id is a number or a text"),
        ({}, "neither a segmentation"),
        ({"bbox": [1, 2, 3]}, "neither a segmentation"),
        ({"bbox": [1, 2, -3, 4]}, "The box is -3 x 4"),
        ({"segmentation": [[0, 0, 5, 5, 9]]}, "5 numbers are no list of x and y"),
        ({"segmentation": [[0, 0, 5, "5"]]}, "A segmentation is a list of polygons"),
        ({"segmentation": [[0, 0, 5, None, 4, 4]]}, "A segmentation is a list of polygons"),
        ({"segmentation": "SQUARE"}, "A segmentation is a list of polygons"),
        ({"segmentation": [[0, 0, 5, 1e12, 4, 4]]}, "no place in an image"),
        ({"segmentation": [[0, 0, 5, float("nan"), 4, 4]]}, "no place in an image"),
        ({"segmentation": [[0, 0, 5, 10**400, 4, 4]]}, "A segmentation is a list of polygons"),
        ({"segmentation": [[0, 0, 5, 10**18, 4, 4]]}, "no place in an image"),
        ({"segmentation": [SQUARE], "score": 10**400}, "no number"),
        ({"segmentation": [SQUARE], "histoseed": {"quality": 10**400}}, "'quality' of 'histoseed' is no number"),
        ({"segmentation": [SQUARE], "histoseed": {"measurements": {"a": 10**400}}}, "measurement 'a' is no number"),
        ({"segmentation": [SQUARE], "iscrowd": 2}, "iscrowd is '2'"),
        ({"segmentation": [SQUARE], "score": "high"}, "no number"),
        ({"keypoints": [1, 2]}, "key points are not one"),
        ({"segmentation": {"size": [30], "counts": [1200]}}, r"The size of run lengths is \[height, width\]"),
        ({"segmentation": {"size": [40, 30], "counts": [1200]}}, "of 30 x 40 pixels, the image has 40 x 30"),
        ({"segmentation": {"size": [30, 40], "counts": [1199]}}, "do not fill an image of 30 rows and 40 columns"),
        ({"segmentation": {"size": [30, 40], "counts": [600, 601]}}, "do not fill"),
        ({"segmentation": {"size": [30, 40], "counts": [1200, 2**60]}}, "a text or a list of whole numbers"),
        ({"segmentation": {"size": [30, 40], "counts": [1300, -100]}}, "a text or a list of whole numbers"),
        ({"segmentation": {"size": [30, 40], "counts": [1200.0]}}, "a text or a list of whole numbers"),
        ({"segmentation": {"size": [30, 40], "counts": None}}, "a text or a list of whole numbers"),
        ({"segmentation": {"size": [30, 40], "counts": ""}}, "do not fill"),
        ({"segmentation": {"size": [30, 40], "counts": "p"}}, "damaged"),
        ({"segmentation": {"size": [30, 40], "counts": "é0"}}, "damaged"),
        ({"segmentation": {"size": [30, 40], "counts": "PPPPPPPPPPPPPPP0"}}, "damaged"),
        ({"segmentation": [SQUARE], "histoseed": 3}, "'histoseed' is no object"),
        ({"segmentation": [SQUARE], "histoseed": {"id": 3}}, "'id' of 'histoseed' is no text"),
        ({"segmentation": [SQUARE], "histoseed": {"kind": "blob"}}, "no kind 'blob'"),
        ({"segmentation": [SQUARE], "histoseed": {"quality": True}}, "'quality' of 'histoseed' is no number"),
        ({"segmentation": [SQUARE], "histoseed": {"measurements": {"a": "b"}}}, "measurement 'a' is no number"),
        ({"segmentation": [SQUARE], "histoseed": {"outline": [3]}}, "a list of polygons"),
        ({"segmentation": [SQUARE], "histoseed": {"outline": [[[[1, 2], [3]]]]}}, r"An outline is a list of \[x, y\]"),
    ],
)
def test_annotations_that_make_no_sense(tmp_path: Path, annotation: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=f"a.json, annotation 2: .*{message}"):
        objects(tmp_path, {"segmentation": [SQUARE]}, annotation)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "no list of images"),
        ({"categories": {}}, "'categories' is no list"),
        ({"annotations": {}}, "'annotations' is no list"),
        ({"annotations": [3]}, "annotation number 0: This is no object"),
        ({"images": [3]}, "image 0: The entry is no object"),
        ({"images": [{"id": 1}, {"id": 1.0}]}, "image 1: The id 1.0 stands on an earlier image too"),
        ({"images": [{"file_name": "a"}]}, "image 0: An id is a number or a text, not 'None'"),
        ({"images": [{"id": 7, "file_name": 5}]}, "image 7: The file name of the image is 5"),
        ({"images": [{"id": 7, "width": 5}]}, "image 7: Width and height of the image are 5 and None"),
        ({"images": [{"id": 7, "width": 5, "height": 0}]}, "Width and height"),
        ({"images": [{"id": 7, "histoseed": {"mpp": -1}}]}, "microns per pixel are -1"),
        ({"categories": [{"id": 1, "name": ""}]}, "category 1: The name of the category is ''"),
        ({"categories": [{"id": 1, "name": 4}]}, "The name of the category is 4"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, document(**changes))


@pytest.mark.parametrize("content", ["", "{", "[]", '[{"image_id": 1, "category_id": 1, "score": 0.5}]', "3"])
def test_files_that_are_no_coco(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(AnnotationError, match=r"a\.json"):
        FORM.read(tmp_path / "a.json", ReadOptions(settings=Settings()))


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Settings(max_geojson_bytes=50), "MAX_GEOJSON_BYTES"),
        (Settings(max_objects=1), "MAX_OBJECTS"),
        (Settings(max_vertices=4), "MAX_VERTICES"),
        (Settings(max_pixels=100), "MAX_PIXELS"),
    ],
)
def test_limits(tmp_path: Path, limits: Settings, name: str) -> None:
    segmentation = {"size": [30, 40], "counts": [300, 600, 300]}
    with pytest.raises(LimitError, match=name):
        objects(tmp_path, {"segmentation": segmentation}, {"segmentation": [SQUARE]}, limits=limits)


def test_run_lengths_of_a_huge_image_cost_only_their_object(tmp_path: Path) -> None:
    side = 2**30
    image = {"id": 7, "file_name": "a.svs", "width": 2, "height": side}
    content = document({"segmentation": {"size": [side, 2], "counts": [5, 3, 2 * side - 8]}}, images=[image])
    with pytest.raises(LimitError):
        read(tmp_path, content)
    content["images"][0] |= {"width": side, "height": 2}
    content["annotations"][0]["segmentation"] = {"size": [2, side], "counts": [6, 4, 2 * side - 10]}
    assert read(tmp_path, content)[0][0].instances.bounds().tolist() == [[3, 0, 5, 2]]


# Run lengths


@settings(max_examples=200, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 1)))
def test_run_lengths_against_pycocotools(mask: np.ndarray) -> None:
    size = (mask.shape[0], mask.shape[1])
    packed = oracle.encode(np.asfortranarray(mask))
    runs = unpack_runs(packed["counts"].decode(), size, "here")
    np.testing.assert_array_equal(np.repeat(np.arange(len(runs)) % 2, runs).reshape(size[::-1]).T, mask)
    outline = runs_to_outline(runs, size, "here", Settings())
    if not mask.any():
        assert outline is None
        return
    assert outline.equals(label_to_polygons(mask)[1][0])
    again = outline_to_runs(outline, size, "here", Settings())
    assert pack_runs(again, size)["counts"] == packed["counts"].decode()


@pytest.mark.parametrize("shape", [shapely.box(-5, -5, -1, -1), shapely.box(100, 2, 120, 4), shapely.box(2, 2, 2.1, 3)])
def test_outlines_without_a_pixel(shape: shapely.Polygon) -> None:
    assert outline_to_runs(shape, (30, 40), "here", Settings()).tolist() == [1200]


def test_an_outline_over_the_border_is_cut() -> None:
    runs = outline_to_runs(shapely.box(-5, -5, 2, 500), (30, 40), "here", Settings())
    assert runs.tolist() == [0, 60, 1140]


def test_too_many_pixels_for_run_lengths() -> None:
    with pytest.raises(InputError, match="32 bits"):
        outline_to_runs(shapely.box(0, 0, 1, 1), (2**16, 2**16), "here", Settings())
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        outline_to_runs(shapely.box(0, 0, 20, 20), (30, 40), "here", Settings(max_pixels=399))


# Writing


def table() -> Instances:
    ring = shapely.box(5, 5, 15, 15) - shapely.box(8, 8, 12, 12)
    pair = shapely.MultiPolygon([shapely.box(20, 2, 25, 6), shapely.Polygon([(28, 2), (36.5, 2), (32, 9.25)])])
    return Instances.build(
        [ring, pair, shapely.box(1, 20, 9, 28), shapely.Point(30.5, 20.5), shapely.box(12, 18, 20, 26)],
        kind=["polygon", "polygon", "box", "point", "polygon"],
        class_name=["rosé", "stroma", None, "rosé", "Ignore*"],
        score=[0.5, np.nan, np.nan, np.nan, np.nan],
        colors={"rosé": "#c80000", "unused": "#010203"},
    )


def written(tmp_path: Path, *images: AnnotatedImage, **options: Any) -> tuple[Path, list[str]]:
    path = tmp_path / "out.json"
    return path, FORM.write(path, images, WriteOptions(**options))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools itself
def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    objects = table()
    path, _ = written(tmp_path, AnnotatedImage("a.png", (40, 30), objects), AnnotatedImage("b.png", (8, 9), objects))
    coco = opened(path)
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in coco.loadImgs(coco.getImgIds())] == [
        (1, "a.png", 40, 30),
        (2, "b.png", 8, 9),
    ]
    names = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    assert names == {1: "Ignore*", 2: "rosé", 3: "stroma", 4: "unused", 5: "unclassified"}
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [one["id"] for one in annotations] == [1, 2, 3, 4, 5]  # specification 16.2: id 0 breaks some scorers
    assert coco.getAnnIds(imgIds=[2]) == [6, 7, 8, 9, 10]
    assert [names[one["category_id"]] for one in annotations] == ["rosé", "stroma", "unclassified", "rosé", "Ignore*"]
    assert [one["iscrowd"] for one in annotations] == [0, 0, 0, 0, 1]
    assert coco.getAnnIds(imgIds=[1], iscrowd=True) == [5]
    for row in (0, 4):
        drawn = polygons_to_label([objects.geometry[row]], (30, 40)) > 0
        np.testing.assert_array_equal(coco.annToMask(annotations[row]) > 0, drawn)
        assert annotations[row]["area"] == drawn.sum() == oracle.area(annotations[row]["segmentation"])
    mask = coco.annToMask(annotations[1]) > 0
    drawn = polygons_to_label([objects.geometry[1]], (30, 40)) > 0
    assert (mask & drawn).sum() / (mask | drawn).sum() > 0.8  # pycocotools draws the border too
    assert annotations[1]["bbox"] == [20, 2, 16.5, 7.25]
    assert annotations[2]["bbox"] == [1, 20, 8, 8]
    assert annotations[2]["segmentation"] == []
    assert annotations[3]["keypoints"] == [30.5, 20.5, 2]
    assert annotations[0]["score"] == 0.5
    cats = {one["name"]: one for one in coco.loadCats(coco.getCatIds())}
    assert cats["rosé"]["color"] == [200, 0, 0]


def test_run_lengths_that_are_not_exact_are_told_and_come_back_exact(tmp_path: Path) -> None:
    shape = shapely.Point(15, 15).buffer(9) - shapely.Point(15, 15).buffer(3)
    image = AnnotatedImage("a.png", (40, 30), Instances.build([shape]))
    path, said = written(tmp_path, image)
    assert len(said) == 1
    assert "1 outline is written as run lengths of whole pixels" in said[0]
    found = FORM.read(path, ReadOptions(settings=Settings()))[0][0].instances
    assert shapely.hausdorff_distance(found.geometry[0], shape) < 1e-3

    content = json.loads(path.read_text())
    mask = disc(30, 40, 10, 10, 5)
    packed = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
    content["annotations"][0]["segmentation"]["counts"] = packed["counts"].decode()
    images, said = read(tmp_path, content)
    assert "The run lengths were changed since" in said[0]
    assert images[0].instances.geometry[0].area == mask.sum()
    assert images[0].instances.id[0] == image.instances.id[0]


def test_an_outline_with_a_hole_outside_the_image_is_not_lost(tmp_path: Path) -> None:
    shape = shapely.box(60, 60, 80, 80) - shapely.box(65, 65, 70, 70)
    path, said = written(tmp_path, AnnotatedImage("a.png", (40, 30), Instances.build([shape])))
    assert len(said) == 1
    assert FORM.read(path, ReadOptions(settings=Settings()))[0][0].instances.geometry[0].equals(shape)


def test_a_class_called_unclassified_is_another_one(tmp_path: Path) -> None:
    objects = Instances.build([shapely.box(0, 0, 5, 5)] * 2, class_name=["unclassified", None])
    path, _ = written(tmp_path, AnnotatedImage("a.png", (40, 30), objects))
    names = [one["name"] for one in json.loads(path.read_text())["categories"]]
    assert len(set(names)) == 2
    found = FORM.read(path, ReadOptions(settings=Settings()))[0][0].instances
    assert found.class_name.tolist() == ["unclassified", None]


def test_ids_of_categories_can_be_chosen(tmp_path: Path) -> None:
    objects = Instances.build([shapely.box(0, 0, 5, 5)] * 3, class_name=["a", "b", "c"])
    path, _ = written(tmp_path, AnnotatedImage("a.png", (40, 30), objects), classes={"b": "1", "c": "17"})
    assert {c["name"]: c["id"] for c in json.loads(path.read_text())["categories"]} == {"a": 2, "b": 1, "c": 17}
    for classes in ({"b": "x"}, {"b": "1", "c": "1"}):
        with pytest.raises(InputError, match="categor"):
            written(tmp_path, AnnotatedImage("a.png", (40, 30), objects), classes=classes, overwrite=True)
    assert {c["name"]: c["id"] for c in json.loads(path.read_text())["categories"]} == {"a": 2, "b": 1, "c": 17}


def test_colours_that_differ_between_images_are_told(tmp_path: Path) -> None:
    one, two = (
        Instances.build([shapely.box(0, 0, 5, 5)], class_name="a", colors={"a": c}) for c in ("#111111", "#222222")
    )
    _, said = written(tmp_path, AnnotatedImage("a.png", (9, 9), one), AnnotatedImage("b.png", (9, 9), two))
    assert said == ["coco: the class 'a' has several colours; the first is kept."]


def test_the_size_of_the_image_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image 'a\.png': .*--size W,H or --image"):
        written(tmp_path, AnnotatedImage("a.png", None, table()))
    assert not list(tmp_path.iterdir())


def test_numbers_that_json_does_not_know_survive(tmp_path: Path) -> None:
    values = {"a": np.inf, "b": -np.inf, "c": np.nan, "d": 1.5}
    objects = Instances.build([shapely.box(0, 0, 5, 5)], measurements=[values])
    path, said = written(tmp_path, AnnotatedImage("a.png", (40, 30), objects))
    assert said == []
    np.testing.assert_equal(
        dict(FORM.read(path, ReadOptions(settings=Settings()))[0][0].instances.measurements[0]), values
    )


def test_half_a_surrogate_pair_does_not_stop_a_conversion(tmp_path: Path) -> None:
    objects = Instances.build([shapely.box(0, 0, 5, 5)], class_name="a\ud800")
    path, _ = written(tmp_path, AnnotatedImage("a.png", (40, 30), objects))
    assert FORM.read(path, ReadOptions(settings=Settings()))[0][0].instances.class_name.tolist() == ["a?"]
