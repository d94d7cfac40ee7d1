"""Pairs in images/ and masks/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from histoseed.annotations import Instances
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions, detect
from histoseed.errors import AnnotationError, InputError, OutputError
from histoseed.settings import Settings

FORM = FORMATS["stardist"]
READ = ReadOptions(settings=Settings())


def pair(folder: Path, stem: str, labels: np.ndarray, suffix: str = ".tif") -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", labels.shape[::-1]).save(folder / "images" / f"{stem}{suffix}")
    tifffile.imwrite(folder / "masks" / f"{stem}.tif", labels)


RING = np.array([[5, 5, 5, 0], [5, 0, 5, 9], [5, 5, 5, 9]], np.uint16)


def test_pairs_are_read_and_holes_stay(tmp_path: Path) -> None:
    pair(tmp_path, "b", RING)
    pair(tmp_path, "a", np.zeros((2, 3), np.uint8), ".png")
    images, said = FORM.read(tmp_path, READ)
    assert [(one.name, one.size, len(one.instances)) for one in images] == [("a.png", (3, 2), 0), ("b.tif", (4, 3), 2)]
    ring = images[1].instances.geometry[0]
    assert ring.area == 8  # specification 16.7: StarDist fills holes; nothing is altered here
    assert len(ring.interiors) == 1
    assert said == [f"{tmp_path}: 1 object has holes; StarDist fills them when it trains, here they are kept."]
    assert detect(tmp_path) is FORM


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (RING.astype(np.float32), "whole numbers stored as float32"),  # specification 16.7: float and RGB are errors
        (np.repeat(RING[..., None], 3, axis=2).astype(np.uint8), "equal colour channels"),
        (np.stack([RING, RING + 1, RING], axis=-1).astype(np.uint8), "colour image"),
    ],
)
def test_masks_that_are_no_labels(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    pair(tmp_path, "a", RING)
    tifffile.imwrite(tmp_path / "masks" / "a.tif", labels)
    with pytest.raises(AnnotationError, match=rf"a\.tif: .*{message}"):
        FORM.read(tmp_path, READ)


def test_all_missing_partners_are_named(tmp_path: Path) -> None:
    for stem in "abcd":
        pair(tmp_path, stem, RING)
    (tmp_path / "masks" / ".DS_Store").write_text("x")
    for stem in "bd":
        (tmp_path / "masks" / f"{stem}.tif").unlink()
    with pytest.raises(AnnotationError, match=r"2 images have no mask: b, d\."):
        FORM.read(tmp_path, READ)
    for stem in "bd":
        pair(tmp_path, stem, RING)
    (tmp_path / "images" / "a.tif").unlink()
    with pytest.raises(AnnotationError, match=r"1 mask has no image: a\."):
        FORM.read(tmp_path, READ)
    Image.new("RGB", (4, 3)).save(tmp_path / "images" / "b.png")
    with pytest.raises(AnnotationError, match=r"b\.png and b\.tif have the same stem"):
        FORM.read(tmp_path, READ)


def test_masks_without_any_image(tmp_path: Path) -> None:
    pair(tmp_path, "a", RING)
    (tmp_path / "images" / "a.tif").unlink()
    images, said = FORM.read(tmp_path, READ)
    assert images[0].name == "a.tif"
    assert said[0] == f"{tmp_path}: there are no images beside the masks."


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no pair of folders") as caught:
        FORM.read(tmp_path, READ)
    assert "images/ and masks/" in str(caught.value.fix)
    pair(tmp_path / "train", "a", RING)
    with pytest.raises(AnnotationError, match="no pair of folders") as caught:
        FORM.read(tmp_path, READ)
    assert str(tmp_path / "train") in str(caught.value.fix)
    (tmp_path / "train" / "masks" / "a.tif").unlink()
    with pytest.raises(AnnotationError, match="There is no mask"):
        FORM.read(tmp_path / "train", READ)


def images_of(*names: str) -> list[AnnotatedImage]:
    table = Instances.build([shapely.box(1, 1, 4, 3), shapely.box(2, 2, 5, 6)])
    pixels = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    return [AnnotatedImage(name, (12, 8), table, pixels=lambda: pixels) for name in names]


def test_images_are_written_beside_their_masks(tmp_path: Path) -> None:
    said = FORM.write(tmp_path / "out", images_of("x/a.png", "y/a.png", "..\\b.svs"), WriteOptions())
    names = ["b.tif", "x_a.tif", "y_a.tif"]
    for folder in ("images", "masks"):
        assert sorted(path.name for path in (tmp_path / "out" / folder).iterdir()) == names
    image = tifffile.imread(tmp_path / "out" / "images" / "b.tif")
    mask = tifffile.imread(tmp_path / "out" / "masks" / "b.tif")
    assert (image.shape, image.dtype, image[0, 1, 2]) == ((8, 12, 3), np.uint8, 5)
    assert (mask.dtype, np.bincount(mask.ravel()).tolist()) == (np.uint16, [80, 4, 12])
    assert said == [
        "stardist: the ids of 6 objects are not kept.",
        "stardist: 6 pixels are lost where outlines overlap; later ones lie on top.",
    ]


def test_images_that_are_not_at_hand_are_told(tmp_path: Path) -> None:
    image = AnnotatedImage("a.png", (12, 8), Instances.empty())
    said = FORM.write(tmp_path / "out", [image], WriteOptions())
    assert said == ["stardist: 1 image is not at hand; put it in images/, named like the masks."]
    assert not list((tmp_path / "out" / "images").iterdir())


def test_two_images_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 images would get a file of the same name"):
        FORM.write(tmp_path / "out", images_of("a.png", "A.tif"), WriteOptions())
    assert not list(tmp_path.iterdir())


def test_replacing_costs_nobody_anything(tmp_path: Path) -> None:
    FORM.write(tmp_path / "out", images_of("a.png", "b.png"), WriteOptions())
    with pytest.raises(OutputError, match="not empty"):
        FORM.write(tmp_path / "out", images_of("a.png"), WriteOptions())
    with pytest.raises(OutputError, match=r"2 files in the folder would be lost, among them images/b\.tif"):
        FORM.write(tmp_path / "out", images_of("a.png"), WriteOptions(overwrite=True))
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2
    FORM.write(tmp_path / "out", images_of("a.png", "b.png", "c.png"), WriteOptions(overwrite=True))
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
