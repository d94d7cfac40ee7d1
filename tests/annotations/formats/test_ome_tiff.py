"""OME-TIFF label images: tifffile reads what is written, and units of the pixel size are understood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile

from histoseed.annotations import Instances
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions
from histoseed.errors import AnnotationError, LimitError
from histoseed.settings import Settings

FORM = FORMATS["ome-tiff"]
READ = ReadOptions(settings=Settings())
LABELS = np.array([[0, 3, 3], [200, 0, 7]], np.uint16)


def ome(path: Path, labels: np.ndarray = LABELS, **metadata: object) -> Path:
    tifffile.imwrite(path, labels, ome=True, photometric="minisblack", metadata={"axes": "YX"} | metadata)
    return path


def test_tifffile_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    shapes = [shapely.box(1, 1, 4, 3), shapely.box(6, 2, 11, 8)]
    said = FORM.write(path, [AnnotatedImage("rosé <1>.svs", (12, 8), Instances.build(shapes), 0.2525)], WriteOptions())
    assert said == ["ome-tiff: the ids of 2 objects are not kept."]
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.series[0].axes == "YX"
        labels = file.asarray()
        assert 'PhysicalSizeX="0.2525" PhysicalSizeXUnit="\u00b5m"' in file.ome_metadata
        resolution = file.pages[0].get_resolution("MICROMETER")
    assert labels.dtype == np.uint16
    assert labels.shape == (8, 12)
    assert np.bincount(labels.ravel()).tolist() == [60, 6, 30]
    assert 1 / resolution[0] == pytest.approx(0.2525, rel=1e-6)
    images, said = FORM.read(path, READ)
    assert (images[0].name, images[0].size, images[0].mpp) == ("rosé <1>.svs", (12, 8), 0.2525)
    assert said == []


@pytest.mark.parametrize(
    ("x", "unit", "mpp"),
    [
        (0.25, None, 0.25),
        (0.25, "\u00b5m", 0.25),
        (0.25, "\u03bcm", 0.25),
        (250.0, "nm", 0.25),
        (0.00025, "mm", 0.25),
        (2500.0, "\u00c5", 0.25),
        (0.00001, "in", 0.254),
        (0.25, "pixel", None),
        (0.25, "reference frame", None),
    ],
)
def test_units_of_the_pixel_size(tmp_path: Path, x: float, unit: str | None, mpp: float | None) -> None:
    facts = {f"PhysicalSize{axis}": x for axis in "XY"}
    facts |= {} if unit is None else {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    images, said = FORM.read(ome(tmp_path / "a.ome.tif", **facts), READ)
    assert images[0].mpp == (None if mpp is None else pytest.approx(mpp))
    assert said == []


@pytest.mark.parametrize("sides", [(0.25, 0.5), (0.0, 0.0), (1e4, 1e4), (-0.25, -0.25)])
def test_a_pixel_size_that_is_not_believed(tmp_path: Path, sides: tuple[float, float]) -> None:
    facts = dict(zip(("PhysicalSizeX", "PhysicalSizeY"), sides, strict=True))
    images, said = FORM.read(ome(tmp_path / "a.ome.tif", **facts), READ)
    assert images[0].mpp is None
    assert "is not believed" in said[0]


def test_a_pixel_that_is_almost_square(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", PhysicalSizeX=0.25, PhysicalSizeY=0.251)
    assert FORM.read(path, READ)[0][0].mpp == pytest.approx(0.2505, abs=1e-4)


def test_a_file_that_says_nothing_about_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "case.1.ome.tiff"
    sizes = "SizeX='3' SizeY='2' SizeC='1' SizeZ='1' SizeT='1'"
    pixels = f"<Pixels DimensionOrder='XYCZT' Type='uint16' {sizes}><TiffData IFD='0'/></Pixels>"
    xml = f"<?xml version='1.0'?><OME><Image>{pixels}</Image></OME>"
    tifffile.imwrite(path, LABELS, ome=False, description=xml, metadata=None)
    images, said = FORM.read(path, READ)
    assert (images[0].name, images[0].size, images[0].mpp, said) == ("case.1", (3, 2), None, [])
    assert len(images[0].instances) == 3


def test_several_images(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for _ in range(2):
            writer.write(LABELS, metadata={"axes": "YX", "Name": "first"})
    images, said = FORM.read(tmp_path / "a.ome.tif", READ)
    assert (len(images), images[0].name) == (1, "first")
    assert "only the first of 2 images was read" in said[0]


def test_several_planes_are_refused(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", np.stack([LABELS] * 5), axes="ZYX")
    with pytest.raises(AnnotationError, match=r"colour image|one plane"):
        FORM.read(path, READ)


def test_a_tiff_that_is_no_ome_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", LABELS, ome=False, metadata=None)
    with pytest.raises(AnnotationError, match="no OME-TIFF"):
        FORM.read(tmp_path / "a.ome.tif", READ)
    with pytest.raises(AnnotationError, match="no OME-TIFF"):
        FORM.read(tmp_path / "absent.ome.tif", READ)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><OME>&a;</OME>', "cannot be read"),
        ("<OME><Image></OME>", "cannot be read"),
        ("<OME></OME>", "describes no image"),
        ("<OME><Image Name='a'/></OME>", "describes no image"),
    ],
)
def test_xml_that_is_not_trusted(tmp_path: Path, xml: str, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", LABELS, ome=False, description=xml, metadata=None)
    with pytest.raises(AnnotationError, match=message):
        FORM.read(tmp_path / "a.ome.tif", READ)


def test_names_that_xml_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="XML cannot hold"):
        FORM.write(tmp_path / "a.ome.tif", [AnnotatedImage("a\x01", (3, 3), Instances.empty())], WriteOptions())
    assert not list(tmp_path.iterdir())


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        FORM.read(ome(tmp_path / "a.ome.tif"), ReadOptions(settings=Settings(max_pixels=5)))
    image = AnnotatedImage("a", (10, 10), Instances.empty())
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        FORM.write(tmp_path / "b.ome.tif", [image], WriteOptions(settings=Settings(max_pixels=99)))
