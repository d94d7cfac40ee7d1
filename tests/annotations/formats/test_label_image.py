"""Label images: outlines along pixel edges, and every loss of drawing is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from histoseed.annotations import Instances
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions
from histoseed.annotations.formats.drawing import on_pixel_edges
from histoseed.errors import AnnotationError, InputError, LimitError
from histoseed.settings import Settings

FORM = FORMATS["labels"]
READ = ReadOptions(settings=Settings())


def write(
    path: Path, *shapes: shapely.Geometry, size: tuple[int, int] | None = (12, 8), **columns: object
) -> list[str]:
    return FORM.write(path, [AnnotatedImage("a.png", size, Instances.build(list(shapes), **columns))], WriteOptions())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".npy"])
def test_other_libraries_read_what_is_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, shapely.box(1, 1, 4, 3), shapely.box(6, 2, 11, 8) - shapely.box(7, 3, 8, 4))
    expected = np.zeros((8, 12), np.uint16)
    expected[1:3, 1:4] = 1
    expected[2:8, 6:11] = 2
    expected[3, 7] = 0
    if suffix == ".npy":
        found = np.load(path, allow_pickle=False)
    elif suffix == ".png":
        with Image.open(path) as image:
            found = np.asarray(image)
    else:
        found = tifffile.imread(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)
    images, said = FORM.read(path, READ)
    assert (images[0].name, images[0].size, said) == ("a", (12, 8), [])
    assert images[0].instances.geometry[1].equals(shapely.box(6, 2, 11, 8) - shapely.box(7, 3, 8, 4))
    assert images[0].instances.kind.tolist() == ["polygon", "polygon"]


def test_ids_are_the_same_at_every_reading_and_in_every_file_type(tmp_path: Path) -> None:
    ids = []
    for suffix in (".png", ".tif", ".npy"):
        write(tmp_path / f"a{suffix}", shapely.box(1, 1, 4, 3), shapely.box(6, 2, 11, 8))
        ids.append(FORM.read(tmp_path / f"a{suffix}", READ)[0][0].instances.id.tolist())
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 2


def test_classes_of_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 1, 0], [0, 7, 300]]))
    images, said = FORM.read(tmp_path / "a.npy", ReadOptions(settings=Settings(), classes={"1": "rosé", "300": "b"}))
    assert images[0].instances.class_name.tolist() == ["rosé", None, "b"]
    assert said == [f"{tmp_path / 'a.npy'}: 1 label stands in no class (7)."]


def test_every_loss_of_drawing_is_told(tmp_path: Path) -> None:
    said = write(
        tmp_path / "a.tif",
        shapely.box(0, 0, 4, 4),
        shapely.box(2, 2, 6, 6),
        shapely.box(3, 3, 5, 5),
        shapely.box(10, 5, 20, 7),
        shapely.box(8.5, 0.5, 9.1, 2),
        shapely.box(30, 30, 40, 40),
        shapely.Polygon([(0, 5), (2, 5), (0, 7)]),
        shapely.box(0, 0, 3, 3),
        shapely.Point(1, 1),
        kind=["polygon"] * 7 + ["box", "point"],
    )
    # Of the second square 2 x 2 pixels lie on the first one, the third lies on it altogether; beside (8.5, 0.5) no
    # pixel has its centre.
    assert said == [
        "labels: 1 box is left out.",
        "labels: 1 point is left out.",
        "labels: the ids of 9 objects are not kept.",
        "labels: 2 outlines leave the image and are cut at its border.",
        "labels: the borders of 2 outlines move to the edges of pixels.",
        "labels: 8 pixels are lost where outlines overlap; later ones lie on top.",
        "labels: 1 outline is lost, since no pixel is left to it.",
    ]


def test_outlines_that_run_along_pixel_edges() -> None:
    step = shapely.Polygon([(0, 0), (3, 0), (3, 2), (1, 2), (1, 4), (0, 4)])
    slant = shapely.Polygon([(0, 0), (3, 0), (3, 3)])
    holed = shapely.box(0, 0, 9, 9) - shapely.box(2, 2, 3, 3.5)
    pair = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    shapes = [step, slant, holed, pair, shapely.box(-3, -4, 0, 0)]
    assert on_pixel_edges(shapes).tolist() == [True, False, False, True, True]
    assert on_pixel_edges([]).tolist() == []


def test_more_objects_than_a_png_can_number(tmp_path: Path) -> None:
    rows, columns = np.divmod(np.arange(65_536), 512)
    shapes = shapely.box(columns, rows, columns + 1, rows + 1)
    with pytest.raises(InputError, match="A PNG holds numbers up to 65535, and there are 65536"):
        write(tmp_path / "a.png", *shapes, size=(512, 128))
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a.npy", *shapes, size=(512, 128))
    assert np.load(tmp_path / "a.npy").dtype == np.uint32


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PNG, TIFF or NPY"):
        write(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="--size W,H or --image IMAGE"):
        write(tmp_path / "a.tif", size=None)
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        write(tmp_path / "a.tif", size=(200_000, 200_000))
    assert not list(tmp_path.iterdir())


def test_limits_and_damage_of_reading(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", shapely.box(1, 1, 4, 3))
    for limits in (Settings(max_pixels=95), Settings(max_vertices=4)):
        with pytest.raises(LimitError, match="HISTOSEED_MAX"):
            FORM.read(tmp_path / "a.tif", ReadOptions(settings=limits))
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "b.png")
    with pytest.raises(AnnotationError, match=r"b\.png: This is a colour image"):
        FORM.read(tmp_path / "b.png", READ)


def test_conversions_of_the_reader_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 3), bool))
    assert "a mask of one bit" in FORM.read(tmp_path / "a.npy", READ)[1][0]
