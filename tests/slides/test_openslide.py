"""Whole-slide files: against OpenSlide itself and the facts known of real slides."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histoseed.errors import DependencyError, SlideError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides import load_openslide, open_slide
from histoseed.slides.openslide_reader import bounds_of, wrap_handle
from histoseed.slides.source import Source


@pytest.fixture
def real(shared_data: Path) -> Path:
    return shared_data / "wsi_fixtures"


FACTS = {
    "real/CMU-1-Small-Region.svs": ("openslide", "aperio", (2220, 2967), 0.499, 1),
    "real/TCGA-CR-7395-01A-01-TS1.svs": ("openslide", "aperio", (4443, 3567), None, 2),
    "real/BRACS_1640_N_3_cropped.tiff": ("tiff", "generic-tiff", (650, 743), None, 3),
    "real/multiframe_camelyon_challenge_image.dcm": ("openslide", "dicom", (1152, 700), 28.9685, 1),
    "real/kidney-48-5.tif": ("tiff", "generic-tiff", (1493, 901), None, 1),
    "real/cytomine_test-image.tiff": ("tiff", "generic-tiff", (896, 862), None, 1),
    "tiny/boxes.tiff": ("tiff", "generic-tiff", (300, 250), None, 4),
    "tiny/small.svs": ("openslide", "aperio", (16, 16), 0.499, 1),
    "tiny/boxes_0.dcm": ("openslide", "dicom", (16, 16), 0.499, 1),
}


@pytest.mark.parametrize("name", FACTS)
def test_real_slides(real, name):
    reader, vendor, size, mpp, levels = FACTS[name]
    with open_slide(real / name) as slide:
        assert (slide.reader, slide.vendor, slide.size, len(slide.levels)) == (reader, vendor, size, levels)
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
        assert slide.mpp_source == ("unknown" if mpp is None else "metadata")
        assert slide.read(Region(-3, -3, 12, 12)).shape == (12, 12, 3)


REFUSED = {
    "real/small_dicom.dcm": "dicom and cannot open it",
    "real/small_vectra.qptiff": "not RGB",
    "tiny/broken.svs": "openslide: .*; tiff: not a TIFF file; plain: not a PNG",
    "tiny/unopenable.tiff": "52479",
}


@pytest.mark.parametrize("name", REFUSED)
def test_real_files_that_cannot_be_used(real, name):
    with pytest.raises(SlideError, match=REFUSED[name]):
        open_slide(real / name)


def test_a_slide_that_breaks_while_it_is_read(real):
    with open_slide(real / "tiny/unreadable.svs") as slide, pytest.raises(SlideError, match="damaged"):
        slide.read(Region(0, 0, 16, 16))


def test_any_file_of_a_dicom_series_opens_the_slide(real):
    files = sorted((real / "cytomine_dicom").glob("*.dcm"))
    assert len(files) == 4
    with open_slide(real / "real/CMU-1-Small-Region.svs") as original:
        expected = original.read(Region(900, 900, 64, 64)).astype(int)
    for path in files:
        with open_slide(path) as slide:
            assert (slide.size, slide.vendor) == ((2220, 2967), "dicom")
            # the same tissue, compressed once more
            assert np.abs(slide.read(Region(900, 900, 64, 64)) - expected).mean() < 10


def test_level_0_is_what_openslide_reads(real):
    path = real / "real/CMU-1-Small-Region.svs"
    oracle = openslide.OpenSlide(path)
    with open_slide(path) as slide:
        for x, y in ((0, 0), (1000, 2000), (2100, 2900)):
            expected = np.asarray(oracle.read_region((x, y), 0, (100, 60)))
            got = slide.read(Region(x, y, 100, 60))
            assert np.array_equal(got[expected[..., 3] == 255], expected[expected[..., 3] == 255][:, :3])
            assert (got[expected[..., 3] == 0] == 255).all()
    oracle.close()


def test_the_tiff_reader_and_openslide_agree(real):
    path = real / "tiny/boxes.tiff"
    oracle = openslide.OpenSlide(path)
    with open_slide(path, mpp=0.25) as slide:
        for level, (width, height) in enumerate(oracle.level_dimensions):
            expected = np.asarray(oracle.read_region((0, 0), level, (width, height)))[..., :3]
            step = slide.levels[level].downsample
            got = slide.read(Region(0, 0, width * step, height * step, mpp=0.25 * step))
            assert np.abs(got.astype(int) - expected).max() <= 3
    oracle.close()


def test_a_level_whose_ratio_is_no_whole_number_has_no_seams(real):
    """OpenSlide says 2.0005 of a halving; the pixels must not depend on the rectangle they are read in."""
    path = real / "real/TCGA-CR-7395-01A-01-TS1.svs"
    with open_slide(path, mpp=0.25) as slide:
        whole = slide.read(Region(1000, 1000, 1400, 800, mpp=0.5))
        parts = [slide.read(Region(1000 + x, 1000, 350, 800, mpp=0.5)) for x in range(0, 1400, 350)]
        assert np.array_equal(np.hstack(parts), whole)
        corner = slide.read(Region(0, 0, 400, 400, mpp=0.5))
        assert slide.levels[1].downsample == 2.0
    with tifffile.TiffFile(path) as tiff:
        stored = tiff.series[0].levels[1].asarray()
    assert np.abs(corner.astype(int) - stored[:200, :200]).mean() < 1
    assert np.abs(whole.astype(int) - stored[500:900, 500:1200]).mean() < 8


def test_no_associated_image_is_reachable(real):
    with open_slide(real / "real/CMU-1-Small-Region.svs") as slide:
        assert not [name for name in dir(slide) if "associated" in name or "label" in name or "macro" in name]


class FakeHandle:
    """Answers like an OpenSlide handle over an array, with a whole-number pyramid."""

    def __init__(self, pixels: np.ndarray, properties: dict[str, str], steps: tuple[int, ...] = (1,)) -> None:
        self.properties = properties
        self.arrays = [pixels[::step, ::step] for step in steps]
        self.dimensions = pixels.shape[1::-1]
        self.level_dimensions = [array.shape[1::-1] for array in self.arrays]
        self.level_downsamples = [float(step) for step in steps]
        self.closed = False

    def read_region(self, location, level, size):
        step = int(self.level_downsamples[level])
        x, y = location[0] // step, location[1] // step
        return Image.fromarray(np.ascontiguousarray(self.arrays[level][y : y + size[1], x : x + size[0]]))

    def close(self):
        self.closed = True


def wrapped(pixels, properties, steps=(1,)):
    handle = FakeHandle(pixels, properties, steps)
    return wrap_handle(Source(Path("a.mrxs"), b"", None, Settings()), handle, "mirax"), handle


@pytest.fixture
def opaque(tissue):
    return np.dstack([tissue, np.full(tissue.shape[:2], 255, np.uint8)])


def bounds(x, y, width, height):
    return {
        f"openslide.bounds-{key}": str(value)
        for key, value in zip(("x", "y", "width", "height"), (x, y, width, height), strict=True)
    }


def test_the_corner_of_the_bounds_is_the_origin(opaque):
    """MIRAX: most of level 0 is empty; the scan is a rectangle inside."""
    slide, handle = wrapped(
        opaque, {**bounds(40, 60, 200, 120), "openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}, (1, 4)
    )
    assert slide.size == (200, 120)
    assert [(level.width, level.height) for level in slide.levels] == [(200, 120), (50, 30)]
    assert np.array_equal(slide.read(Region(10, 20, 50, 40)), opaque[80:120, 50:100, :3])
    assert np.array_equal(slide.read(Region(40, 20, 80, 40, mpp=1.0)), opaque[80:120:4, 80:160:4, :3])
    # beyond the bounds it is white, whatever the file holds there
    assert (slide.read(Region(-30, 0, 30, 30)) == 255).all()
    assert (slide.read(Region(200, 0, 30, 30)) == 255).all()
    assert slide.properties["openslide.bounds-x"] == "40"
    assert "(40, 60)" in slide.notes[0]
    slide.close()
    assert handle.closed


@given(st.integers(-50, 500), st.integers(-50, 500), st.integers(-5, 500), st.integers(-5, 500))
@settings(deadline=None)
def test_bounds_stay_inside_level_0(x, y, width, height):
    got = bounds_of(bounds(x, y, width, height), (300, 200))
    assert 0 <= got.x < got.x + got.width <= 300
    assert 0 <= got.y < got.y + got.height <= 200


def test_bounds_that_are_no_numbers_are_left_out():
    assert bounds_of({**bounds(1, 2, 3, 4), "openslide.bounds-x": "x"}, (300, 200)).width == 300


@pytest.mark.parametrize(("colour", "expected"), [(None, 255), ("000000", 0), ("nonsense", 255)])
def test_transparent_pixels_lie_on_the_background(opaque, colour, expected):
    opaque[:50, :50, 3] = 0
    slide, _ = wrapped(opaque, {} if colour is None else {"openslide.background-color": colour})
    got = slide.read(Region(0, 0, 100, 100))
    assert (got[:50, :50] == expected).all()
    assert np.array_equal(got[50:, 50:], opaque[50:100, 50:100, :3])


def test_an_objective_power_is_a_hint_and_no_resolution(opaque):
    slide, _ = wrapped(opaque, {"openslide.objective-power": "20"})
    assert slide.mpp is None
    assert "20x" in slide.notes[-1]


@pytest.mark.parametrize("version", ["4.0.0", "3.4.1", "4.0", "4.0.0-rc1"])
def test_an_old_library_is_refused(monkeypatch, version):
    monkeypatch.setitem(sys.modules, "openslide", types.SimpleNamespace(__library_version__=version))
    with pytest.raises(DependencyError, match=r"openslide-bin>=4\.0\.1"):
        load_openslide()


@pytest.mark.parametrize("version", ["4.0.1", "4.0.10", "4.1.0", "5.0.0"])
def test_a_new_library_is_taken(monkeypatch, version):
    monkeypatch.setitem(sys.modules, "openslide", types.SimpleNamespace(__library_version__=version))
    assert load_openslide().__library_version__ == version


def test_a_missing_library_stops_no_plain_image(monkeypatch, save, tissue, real):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with open_slide(save(tissue)) as slide:
        assert slide.reader == "plain"
    with pytest.raises(DependencyError, match="cannot be loaded"):
        open_slide(real / "tiny/small.svs")
