"""labelme JSON: shapes as labelme writes them, folders, masks, groups."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from histoseed.annotations import Instances
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions
from histoseed.errors import AnnotationError, InputError, LimitError, OutputError
from histoseed.geometry import polygons_to_label
from histoseed.settings import Settings

FORM = FORMATS["labelme"]
READ = ReadOptions(settings=Settings())
TRIANGLE = [[1, 1], [9, 1], [9, 9]]


def shape(kind: Any, points: Any, label: Any = "tumour", **more: Any) -> dict[str, Any]:
    # specification 16.8
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | more


def document(*shapes: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": "5.2.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png", "imageData": None,
        "imageHeight": 30, "imageWidth": 40,
    } | changes  # fmt: skip


def read(
    tmp_path: Path, *shapes: Any, limits: Settings | None = None, **changes: Any
) -> tuple[AnnotatedImage, list[str]]:
    path = tmp_path / "b.json"
    path.write_text(json.dumps(document(*shapes, **changes)))
    images, said = FORM.read(path, ReadOptions(settings=limits or Settings()))
    assert len(images) == 1
    return images[0], said


def png(pixels: np.ndarray, mode: str | None = None) -> str:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_shapes_of_every_type(tmp_path: Path) -> None:
    image, said = read(
        tmp_path,
        shape("polygon", TRIANGLE),
        shape("rectangle", [[12, 8], [4, 2]]),  # specification 16.8: any corner order
        shape("rectangle", [[4, 8], [12, 2]], label="stroma"),
        shape("rectangle", [[4, 2], [12, 2], [12, 8], [4, 8]]),
        shape("circle", [[20, 15], [20, 25]]),
        shape("point", [[3.5, 4.25]]),
        shape("line", [[0, 0], [5, 5]]),
        shape("linestrip", [[0, 0], [5, 5], [9, 9]]),
        shape("cuboid", [[0, 0], [5, 5]]),
        shape("rectangle", [[4, 2], [12, 3], [11, 8], [4, 8]]),
        shape("oriented_rectangle", [[4, 2], [8, 4], [7, 6], [3, 4]]),
    )
    found = image.instances
    assert found.kind.tolist() == ["polygon", "box", "box", "box", "polygon", "point", "polygon", "polygon"]
    assert found.class_name.tolist() == ["tumour"] * 2 + ["stroma"] + ["tumour"] * 5
    assert found.geometry[7].area == 10
    assert all(box.equals(shapely.box(4, 2, 12, 8)) for box in found.geometry[1:4])
    circle = found.geometry[4]
    assert shapely.hausdorff_distance(circle, shapely.Point(20, 15).buffer(10, quad_segs=256)) < 0.1
    assert found.geometry[5].equals(shapely.Point(3.5, 4.25))
    assert (image.name, image.size, image.mpp) == ("a.png", (40, 30), None)
    assert said == [
        "A circle was read as a polygon (1 shape: 4 ('tumour')).",
        "A line encloses nothing and was left out (2 shapes: 6 ('tumour'), 7 ('tumour')).",
        "A shape of type 'cuboid' was left out (1 shape: 8 ('tumour')).",
        "A turned rectangle was read as an outline (2 shapes: 9 ('tumour'), 10 ('tumour')).",
    ]


@pytest.mark.parametrize(
    "corners", [[[10, 20], [18, 25]], [[10, 20], [19, 26]], [[18, 25], [10, 20]], [[9.6, 20.4], [18.4, 24.6]]]
)
@pytest.mark.parametrize("mode", [None, "1"])
def test_a_mask_whether_its_last_pixel_counts_in_or_not(tmp_path: Path, corners: Any, mode: str | None) -> None:
    pixels = np.zeros((6, 9), np.uint8)
    pixels[1:5, 2:8] = 255
    pixels[2, 4] = 0
    image, said = read(tmp_path, shape("mask", corners, mask=png(pixels, mode)))
    drawn = polygons_to_label(image.instances.geometry, (30, 40))
    np.testing.assert_array_equal(drawn[20:26, 10:19] > 0, pixels > 0)
    assert drawn.sum() == 23
    assert said == []


def test_a_group_is_one_object(tmp_path: Path) -> None:
    left, right = [[1, 1], [5, 1], [5, 5]], [[10, 1], [15, 1], [15, 5]]
    image, said = read(
        tmp_path,
        shape("polygon", left, group_id=3),
        shape("polygon", left, label="stroma", group_id=3),
        shape("point", [[2, 2]], group_id=3),
        shape("polygon", right, group_id=3),
        shape("polygon", right, group_id=4),
    )
    found = image.instances
    assert found.class_name.tolist() == ["tumour", "stroma", "tumour", "tumour"]
    assert [shapely.get_num_geometries(one) for one in found.geometry] == [2, 1, 1, 1]
    assert found.geometry[0].area == 18
    assert said == [
        "Outlines of one label and group_id were read as parts of one object (2 shapes: 0 ('tumour'), 3 ('tumour')).",
    ]


def test_what_a_shape_says_beside(tmp_path: Path) -> None:
    image, said = read(
        tmp_path,
        shape("polygon", TRIANGLE, flags={"locked": True, "difficult": True, "seen": False}),
        shape(None, TRIANGLE, description="odd", score=0.5) | {"shape_type": "polygon"},
        {"label": "", "points": TRIANGLE},  # files of old versions
    )
    assert image.instances.locked.tolist() == [True, False, False]
    assert image.instances.class_name.tolist() == ["tumour", "tumour", None]
    assert [sentence.partition(" (")[0] for sentence in said] == [
        "The flag 'difficult' was left out",
        "A description was left out",
        "The field 'score' was left out",
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [("..\\images\\a.png", "../images/a.png"), (None, "b"), ("", "b"), ("x/ä.tif", "x/ä.tif")],
)
def test_the_name_of_the_image(tmp_path: Path, path: str | None, name: str) -> None:
    assert read(tmp_path, imagePath=path)[0].name == name  # specification 16.8: back-slashes


def test_a_file_that_does_not_say_its_size(tmp_path: Path) -> None:
    assert read(tmp_path, imageHeight=None, imageWidth=None)[0].size is None


def test_outlines_without_area(tmp_path: Path) -> None:
    empty = png(np.zeros((3, 3), np.uint8))
    image, said = read(
        tmp_path,
        shape("polygon", [[1, 1], [2, 2]]),
        shape("rectangle", [[4, 4], [4, 9]]),
        shape("circle", [[4, 4], [4, 4]]),
        shape("mask", [[0, 0], [2, 2]], mask=empty),
    )
    assert len(image.instances) == 0
    assert "less than three vertices was left out (1 shape" in said[1]
    assert "without area was left out (3 shapes" in said[2]


GOOD = png(np.full((3, 3), 255, np.uint8))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "This is no object"),
        (shape("polygon", TRIANGLE, label=5), "The label is no text"),
        (shape(["polygon"], TRIANGLE), "The shape_type is no text"),
        (shape("polygon", []) | {"points": 5}, r"An outline is a list of"),
        (shape("polygon", None), r"An outline is a list of \[x, y\]"),
        (shape("polygon", [[1, 1], [2, "2"], [3, 3]]), r"An outline is a list of \[x, y\]"),
        (shape("polygon", [[1, 1], [2, float("inf")], [3, 3]]), "no place in an image"),
        (shape("polygon", TRIANGLE, group_id=[1]), "group_id is neither"),
        (shape("polygon", TRIANGLE, flags=[1]), "The flags are no object"),
        (shape("rectangle", TRIANGLE), "A shape of type rectangle has 2 or 4 points"),
        (shape("circle", [[1, 1]]), "A shape of type circle has 2 points"),
        (shape("point", TRIANGLE), "A shape of type point has 1 points"),
        (shape("mask", [[0, 0], [2, 2]]), "The mask is no PNG"),
        (shape("mask", [[0, 0], [2, 2]], mask="%%%"), "The mask is no base64"),
        (shape("mask", [[0, 0], [2, 2]], mask=base64.b64encode(b"GIF89a").decode()), "The mask is no PNG"),
        (shape("mask", [[0, 0], [2, 2]], mask=GOOD[:60]), "The mask is (no base64|damaged|no PNG)"),
        (shape("mask", [[0, 0], [5, 5]], mask=GOOD), "3 x 3 pixels, which do not fit its corners"),
        (shape("mask", [[0, 0], [2, 2]], mask=png(np.ones((3, 3, 3), np.uint8))), "a colour picture"),
        (shape("polygon", TRIANGLE, histoseed=[]), "'histoseed' is no object"),
    ],
)
def test_shapes_that_make_no_sense(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"b\.json, shape 1.*: .*{message}"):
        read(tmp_path, shape("polygon", TRIANGLE), wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": None}, "no list of shapes"),
        ({"imagePath": 5}, "The imagePath is '5'"),
        ({"imageHeight": "30"}, "imageWidth and imageHeight are 40 and '30'"),
        ({"imageHeight": None}, "imageWidth and imageHeight are 40 and None"),
        ({"histoseed": {"image": "a.png", "colors": [1]}}, "What histoseed wrote"),
        ({"histoseed": {"image": "a.png", "mpp": "x"}}, "What histoseed wrote"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"b\.json: .*{message}"):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Settings(max_geojson_bytes=20), "MAX_GEOJSON_BYTES"),
        (Settings(max_objects=1), "MAX_OBJECTS"),
        (Settings(max_vertices=3), "MAX_VERTICES"),
        (Settings(max_pixels=8), "MAX_PIXELS"),
    ],
)
def test_limits(tmp_path: Path, limits: Settings, name: str) -> None:
    with pytest.raises(LimitError, match=name):
        read(tmp_path, shape("mask", [[0, 0], [2, 2]], mask=GOOD), shape("polygon", TRIANGLE), limits=limits)


# Folders


def image(name: str, *shapes: Any, **columns: Any) -> AnnotatedImage:
    return AnnotatedImage(name, (40, 30), Instances.build(list(shapes), **columns), 0.5)


def test_a_folder_holds_several_images(tmp_path: Path) -> None:
    one, two = image("x/a.png", shapely.box(1, 1, 5, 5)), image("b.png")
    said = FORM.write(tmp_path / "out", [one, two], WriteOptions())
    assert said == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "b.json"]
    (tmp_path / "out" / "classes.json").write_text('{"1": "tumour"}')
    (tmp_path / "out" / "a.png").write_bytes(b"a picture")
    images, said = FORM.read(tmp_path / "out", READ)
    assert [(one.name, len(one.instances), one.mpp) for one in images] == [("x/a.png", 1, 0.5), ("b.png", 0, 0.5)]
    assert said == ["classes.json is no labelme file and was left out."]
    assert FORMATS["labelme"].sniff(tmp_path / "out")
    with pytest.raises(OutputError, match=r"2 files in the folder would be lost, among them a\.png") as caught:
        FORM.write(tmp_path / "out", [one, two], WriteOptions(overwrite=True))
    assert "remove them yourself" in str(caught.value)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"a picture"


def test_sentences_of_a_folder_name_the_file(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps(document(shape("line", [[0, 0], [5, 5]]))))
    images, said = FORM.read(tmp_path, READ)
    assert len(images) == 2
    assert [sentence[:8] for sentence in said] == ["a.json: ", "b.json: "]


def test_a_folder_without_labelme(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="holds no labelme file"):
        FORM.read(tmp_path, READ)


def test_one_file_holds_one_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds one image, and 2 are given"):
        FORM.write(tmp_path / "a.json", [image("a.png"), image("b.png")], WriteOptions())
    assert not list(tmp_path.iterdir())


# Writing


def test_what_labelme_finds_in_a_written_file(tmp_path: Path) -> None:
    ring = shapely.box(2, 3, 12, 13) - shapely.box(5, 6, 8, 9)
    pair = shapely.MultiPolygon([shapely.box(20, 2, 25, 6), shapely.box(28, 2, 30, 6)])
    objects = image(
        "a.png", ring, pair, shapely.box(1, 20, 9, 28), shapely.Point(30.5, 20.5),
        kind=["polygon", "polygon", "box", "point"], class_name=["a", "b", None, "b"],
        locked=[True, False, False, False],
    )  # fmt: skip
    FORM.write(tmp_path / "a.json", [objects], WriteOptions())
    content = json.loads((tmp_path / "a.json").read_text())
    assert {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} <= content.keys()
    assert (content["imagePath"], content["imageData"], content["imageHeight"], content["imageWidth"]) == (
        "a.png", None, 30, 40,
    )  # fmt: skip
    shapes = content["shapes"]
    assert [one["shape_type"] for one in shapes] == ["mask", "polygon", "polygon", "rectangle", "point"]
    assert [one["label"] for one in shapes] == ["a", "b", "b", "unclassified", "b"]
    assert [one["group_id"] for one in shapes] == [None, 1, 1, None, None]
    assert [one["flags"] for one in shapes] == [{"locked": True}, {}, {}, {}, {}]
    assert shapes[0]["points"] == [[2, 3], [11, 12]]
    with Image.open(io.BytesIO(base64.b64decode(shapes[0]["mask"]))) as mask:
        pixels = np.asarray(mask)
    expected = np.ones((10, 10), bool)
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(pixels > 0, expected)
    assert shapes[3]["points"] == [[1, 20], [9, 28]]
    assert shapes[4]["points"] == [[30.5, 20.5]]


def test_a_mask_that_is_not_exact_is_told_and_comes_back_exact(tmp_path: Path) -> None:
    ring = shapely.Point(15, 15).buffer(9) - shapely.Point(15, 15).buffer(3)
    said = FORM.write(tmp_path / "a.json", [image("a.png", ring)], WriteOptions())
    assert len(said) == 1
    assert "1 outline is written as masks of whole pixels" in said[0]
    images, _ = FORM.read(tmp_path / "a.json", READ)
    assert shapely.hausdorff_distance(images[0].instances.geometry[0], ring) < 1e-3

    content = json.loads((tmp_path / "a.json").read_text())
    with Image.open(io.BytesIO(base64.b64decode(content["shapes"][0]["mask"]))) as mask:
        pixels = np.asarray(mask)[:, :9]  # somebody erases the right half, and the box shrinks
    (x0, y0), (_, y1) = content["shapes"][0]["points"]
    content["shapes"][0] |= {"mask": png(pixels * 255), "points": [[x0, y0], [x0 + 8, y1]]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    images, said = FORM.read(tmp_path / "a.json", READ)
    assert "The mask was changed since" in said[0]
    assert images[0].instances.geometry[0].area == (pixels > 0).sum()


@pytest.mark.parametrize("size", [(40, 30), None])
@pytest.mark.parametrize("x", [-100, -5, 35, 100])
def test_a_hole_beyond_the_border_is_not_lost(tmp_path: Path, size: tuple[int, int] | None, x: int) -> None:
    ring = shapely.box(x, 5, x + 10, 15) - shapely.box(x + 2, 7, x + 5, 9)
    given = AnnotatedImage("a.png", size, Instances.build([ring]))
    FORM.write(tmp_path / "a.json", [given], WriteOptions())
    images, said = FORM.read(tmp_path / "a.json", READ)
    assert images[0].instances.geometry[0].equals(ring)
    assert said == []


def test_a_label_typed_over_unclassified_counts(tmp_path: Path) -> None:
    FORM.write(tmp_path / "a.json", [image("a.png", shapely.box(0, 0, 3, 3))], WriteOptions())
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace('"label": "unclassified"', '"label": "tumour"'))
    assert FORM.read(tmp_path / "a.json", READ)[0][0].instances.class_name.tolist() == ["tumour"]


def test_a_class_called_unclassified(tmp_path: Path) -> None:
    given = image("a.png", *[shapely.box(0, 0, 3, 3)] * 2, class_name=["unclassified", None])
    FORM.write(tmp_path / "a.json", [given], WriteOptions())
    assert FORM.read(tmp_path / "a.json", READ)[0][0].instances.class_name.tolist() == ["unclassified", None]
