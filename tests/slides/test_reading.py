"""Reading a region: exact at stored resolutions, seamless and well placed between them, white outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histoseed.errors import LimitError, SlideError, UnknownMppError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides import open_slide
from histoseed.slides.base import Facts, snapped_downsample
from histoseed.slides.plain_reader import PlainSlide
from histoseed.slides.protocol import Level, Slide
from histoseed.slides.resolution import Resolution
from histoseed.slides.source import Source


def slide_of(pixels: np.ndarray, mpp: float | None = 0.25, **limits: int) -> PlainSlide:
    height, width = pixels.shape[:2]
    facts = Facts("plain", "test", (Level(width, height, 1.0),), Resolution(mpp, "metadata"), {})
    return PlainSlide(Source(Path("memory"), b"", None, Settings(**limits)), facts, pixels)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_a_region_at_level_0_is_a_slice(tissue):
    with slide_of(tissue) as slide:
        got = slide.read(Region(17, 30, 200, 101))
        assert isinstance(slide, Slide)
        assert np.array_equal(got, tissue[30:131, 17:217])
        assert got.flags.writeable
        assert got.flags.c_contiguous
        assert np.array_equal(slide.read(Region(17, 30, 200, 101, mpp=0.25)), got)


def test_outside_the_slide_is_white(tissue):
    with slide_of(tissue) as slide:
        got = slide.read(Region(-10, -20, 500, 400))
        expected = np.full((400, 500, 3), 255, np.uint8)
        expected[20:320, 10:431] = tissue
        assert np.array_equal(got, expected)
        assert (slide.read(Region(421, 0, 30, 30)) == 255).all()
        assert (slide.read(Region(-1e6, -1e6, 30, 30, mpp=1.7)) == 255).all()


@pytest.mark.parametrize(("mpp", "kernel"), [(0.5, "HAMMING"), (0.61, "HAMMING"), (1.9, "HAMMING"), (0.11, "BICUBIC")])
def test_the_whole_slide_resampled_is_pillows_resize(tissue, mpp, kernel):
    """A side that is a whole number of output pixels, so that Pillow's box is the picture."""
    factor = mpp / 0.25
    height, width = 100, 120
    box = (0, 0, width * factor, height * factor)
    if box[2] > 421 or box[3] > 300:
        height, width = int(300 / factor), int(421 / factor)
        box = (0, 0, width * factor, height * factor)
    expected = np.asarray(Image.fromarray(tissue).resize((width, height), Image.Resampling[kernel], box=box))
    with slide_of(tissue) as slide:
        got = slide.read(Region(0, 0, box[2], box[3], mpp=mpp))
    assert difference(got, expected) <= 1


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_two_adjacent_reads_are_one_read(tissue_memory, data):
    slide = tissue_memory
    mpp = data.draw(st.sampled_from([None, 0.25, 0.5, 0.75]) | st.floats(0.1, 3.0))
    scale = 1.0 if mpp is None else mpp / 0.25
    x, y = (data.draw(st.floats(-40, 250).map(lambda v: round(v, 2))) for _ in range(2))
    width, height = data.draw(st.integers(2, 90)), data.draw(st.integers(2, 60))
    cut = data.draw(st.integers(1, width - 1))
    whole = slide.read(Region(x, y, width * scale, height * scale, mpp))
    left = slide.read(Region(x, y, cut * scale, height * scale, mpp))
    right = slide.read(Region(x + cut * scale, y, (width - cut) * scale, height * scale, mpp))
    # Pillow's boxes are single precision and it rounds between its two passes: now and then a pixel differs by one
    joined = np.hstack([left, right])
    assert difference(joined, whole) <= 2
    if scale in {1, 2, 3} and x.is_integer() and y.is_integer():
        assert np.array_equal(joined, whole)


@settings(deadline=None, max_examples=60)
@given(scale=st.floats(0.3, 12.0), shift=st.floats(-5, 5))
def test_pixels_lie_where_the_region_says(ramp, scale, shift):
    """On a ramp of one grey value a pixel, a symmetric filter gives the position of the output pixel's centre."""
    count = int(150 / scale)
    got = ramp.read(Region(50 + shift, 20, count * scale, 4 * scale, mpp=0.25 * scale))[..., 0]
    expected = 50 + shift + (np.arange(count) + 0.5) * scale - 0.5
    # half a grey value for rounding, and what the cut of the digital kernel costs
    assert np.abs(got.astype(float) - expected).max() < 0.8


@settings(deadline=None, max_examples=60)
@given(scale=st.floats(0.2, 20), x=st.floats(-30, 30), y=st.floats(-30, 30))
def test_the_border_is_not_frayed(scale, x, y):
    """A slide of one colour has only that colour inside and white outside, at any resolution."""
    with slide_of(np.full((90, 70, 3), 100, np.uint8)) as slide:
        got = slide.read(Region(x, y, 130, 130, mpp=min(0.25 * scale, 100)))
    rows = y + (np.arange(got.shape[0]) + 0.5) * scale
    columns = x + (np.arange(got.shape[1]) + 0.5) * scale
    inside = ((rows >= 0) & (rows < 90))[:, None] & ((columns >= 0) & (columns < 70))[None]
    near = (np.abs(rows[:, None] - 90) < 1e-6) | (np.abs(columns[None] - 70) < 1e-6)
    near |= (np.abs(rows[:, None]) < 1e-6) | (np.abs(columns[None]) < 1e-6)
    assert ((got == np.where(inside, 100, 255)[..., None]).all(-1) | near).all()


def test_large_reads_are_done_in_bands_without_a_trace(tissue, monkeypatch):
    with slide_of(tissue) as slide:
        expected = slide.read(Region(3.5, 1.2, 390, 280, mpp=0.7))
        fetched = []
        fetch = slide._fetch
        monkeypatch.setattr(slide, "_fetch", lambda *a: fetched.append(a) or fetch(*a))
        monkeypatch.setattr("histoseed.slides.base._BAND_PIXELS", 10_000)
        got = slide.read(Region(3.5, 1.2, 390, 280, mpp=0.7))
    assert len(fetched) > 5
    assert max(a[3] * a[4] for a in fetched) < 20_000
    assert difference(got, expected) <= 2


def test_unknown_resolution(tissue):
    with slide_of(tissue, mpp=None) as slide:
        assert slide.read(Region(0, 0, 9, 9)).shape == (9, 9, 3)
        with pytest.raises(UnknownMppError, match="--mpp"):
            slide.read(Region(0, 0, 9, 9, mpp=0.5))


def test_a_region_beyond_the_limit(tissue):
    with slide_of(tissue, max_pixels=10_000) as slide:
        assert slide.read(Region(0, 0, 100, 100)).shape == (100, 100, 3)
        with pytest.raises(LimitError, match="max_pixels"):
            slide.read(Region(0, 0, 101, 100))
        with pytest.raises(LimitError):
            slide.read(Region(0, 0, 1e12, 1e12))


def test_a_closed_slide(tissue):
    slide = slide_of(tissue)
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read(Region(0, 0, 9, 9))


@settings(deadline=None, max_examples=60)
@given(full=st.integers(1000, 100_000), factor=st.sampled_from([2, 3, 4, 8, 16, 32]), kept=st.booleans())
def test_downsamples_are_whole_numbers_where_they_can_be(full, factor, kept):
    level = -(-full // factor) if kept else full // factor
    assert snapped_downsample((full, full + 7), (level, -(-(full + 7) // factor))) == factor


@pytest.fixture(scope="session")
def tissue_memory(tissue):
    return slide_of(tissue)


@pytest.fixture(scope="session")
def ramp():
    values = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (200, 256, 3))
    return slide_of(np.ascontiguousarray(values))


def test_open_slide_takes_text_paths(save, tissue):
    with open_slide(str(save(tissue)), mpp=0.5) as slide:
        assert (slide.mpp, slide.mpp_source, slide.size) == (0.5, "user", (421, 300))
        assert slide.read(Region(0, 0, 421, 300, mpp=1.0)).shape == (150, 210, 3)
