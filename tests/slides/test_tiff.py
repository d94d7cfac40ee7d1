"""TIFF in all its layouts, against the arrays that were stored."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histoseed.errors import LimitError, SlideError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides import open_slide
from histoseed.slides.tiff_pages import Page, SegmentCache

LAYOUTS = {
    "raw": {},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "big-endian-deflate": {"byteorder": ">", "compression": "zlib"},
    "lzw": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib"},
    "planar": {"planarconfig": "separate", "compression": "zlib"},
    "planar-raw": {"planarconfig": "separate", "tile": None},
    "one-strip": {"tile": None, "rowsperstrip": 300, "compression": "lzw"},
    "raw-strips": {"tile": None, "rowsperstrip": 17},
    "subifds": {"subifds": True, "compression": "zlib"},
    "ome-subifds": {"subifds": True, "compression": "zlib", "ome": True, "metadata": {"axes": "YXS"}},
    "webp": {"compression": "webp", "compressionargs": {"level": 100, "lossless": True}},
    "strips": {"tile": None, "rowsperstrip": 17, "compression": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_level_of_every_layout(pyramid, tissue, layout):
    path, levels = pyramid(tissue, **LAYOUTS[layout])
    with open_slide(path, mpp=0.25) as slide:
        assert slide.reader == "tiff"
        assert [(level.width, level.height) for level in slide.levels] == [a.shape[1::-1] for a in levels]
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert slide.notes == []
        for level, pixels in zip(slide.levels, levels, strict=True):
            step = level.downsample
            x, y, width, height = 11, 5, pixels.shape[1] - 13, pixels.shape[0] - 9
            got = slide.read(Region(x * step, y * step, width * step, height * step, mpp=0.25 * step))
            assert np.array_equal(got, pixels[y : y + height, x : x + width])


def test_a_pyramid_of_uneven_steps(pyramid, tissue, tmp_path):
    path = tmp_path / "uneven.tif"
    levels = [np.ascontiguousarray(tissue[::step, ::step]) for step in (1, 4, 20)]
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(levels):
            writer.write(level, tile=(64, 64), photometric="rgb", subfiletype=int(number > 0), metadata=None)
    with open_slide(path) as slide:
        assert [(level.width, level.height) for level in slide.levels] == [a.shape[1::-1] for a in levels]


def test_the_best_level_is_read_and_no_other(pyramid, tissue, monkeypatch):
    path, _ = pyramid(tissue)
    with open_slide(path, mpp=0.25) as slide:
        used = []
        fetch = slide._fetch
        monkeypatch.setattr(slide, "_fetch", lambda level, *rest: used.append(level) or fetch(level, *rest))
        for mpp in (0.1, 0.25, 0.4, 0.499, 0.5, 0.9, 1.0, 3.0):
            slide.read(Region(0, 0, 200, 200, mpp=mpp))
        # 0.499 is served by the level at 0.5: one per cent is nothing
        assert used == [0, 0, 0, 1, 1, 1, 2, 2]


def test_jpeg_tiles_are_decoded_as_pillow_decodes_them(pyramid, tissue):
    path, levels = pyramid(tissue, compression="jpeg", compressionargs={"level": 90}, count=1)
    with open_slide(path) as slide, Image.open(path) as oracle:
        got = slide.read(Region(0, 0, 421, 300)).astype(int)
        assert np.abs(got - np.asarray(oracle.convert("RGB"))).max() <= 2
        assert np.abs(got - levels[0]).mean() < 8


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_rectangle_of_a_page(page_and_pixels, data):
    page, pixels = page_and_pixels
    x, y = data.draw(st.integers(0, 420)), data.draw(st.integers(0, 299))
    width, height = data.draw(st.integers(1, 421 - x)), data.draw(st.integers(1, 300 - y))
    got, absent = page.read(x, y, width, height)
    assert absent is None
    assert np.array_equal(got, pixels[y : y + height, x : x + width])


def test_only_the_tiles_that_are_needed_are_read(pyramid, tissue, monkeypatch):
    path, _ = pyramid(tissue, count=1, compression="zlib")
    with open_slide(path) as slide:
        page = slide._pages[0]
        read = []
        load = page._bytes
        monkeypatch.setattr(page, "_bytes", lambda offset, count: read.append(offset) or load(offset, count))
        slide.read(Region(130, 70, 20, 20))
        slide.read(Region(130, 70, 30, 30))
        assert len(read) == 1


def test_the_cache_of_segments_is_bounded():
    cache = SegmentCache(limit=100)
    for number in range(9):
        cache.put((0, number), np.zeros(30, np.uint8))
    assert [cache.get((0, n)) is not None for n in range(9)] == [False] * 6 + [True] * 3
    cache.put((1, 0), np.zeros(500, np.uint8))
    assert cache.get((1, 0)) is not None
    assert cache.get((0, 8)) is None


def test_sparse_tiles_are_white(tmp_path):
    path = tmp_path / "sparse.tif"
    tile = np.full((64, 64, 3), 9, np.uint8)
    tifffile.imwrite(
        path,
        iter([tile, None, None, tile]),
        shape=(128, 128, 3),
        dtype=np.uint8,
        tile=(64, 64),
        photometric="rgb",
        compression="zlib",
        metadata=None,
    )
    with open_slide(path) as slide:
        got = slide.read(Region(0, 0, 128, 128))
    assert (got[:64, :64] == 9).all()
    assert (got[64:, 64:] == 9).all()
    assert (got[:64, 64:] == 255).all()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">", "tile": None}])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_sixteen_bit_values_keep_their_used_bits(pyramid, tissue, bits, options):
    wide = (tissue.astype(np.uint16) << (bits - 8)) + 1
    wide[:100, :100] = (1 << bits) - 1
    path, _ = pyramid(wide, **options)
    with open_slide(path, mpp=0.25) as slide:
        got = slide.read(Region(100, 100, 300, 150))
        assert f"{bits}-bit" in slide.notes[0]
    assert np.array_equal(got, tissue[100:250, 100:400])


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey(tmp_path, tissue, photometric):
    path = tmp_path / "grey.tif"
    grey = tissue[..., 0]
    tifffile.imwrite(path, grey, photometric=photometric, tile=(64, 64), compression="zlib", metadata=None)
    with open_slide(path) as slide:
        got = slide.read(Region(0, 0, 421, 300))
        assert slide.notes == ["Grey was converted to RGB."]
    expected = grey if photometric == "minisblack" else 255 - grey
    assert np.array_equal(got, np.repeat(expected[..., None], 3, -1))


def test_palette_against_pillow(tmp_path, tissue):
    path = tmp_path / "palette.tif"
    picture = Image.fromarray(tissue).quantize(50)
    picture.save(path)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 421, 300)), np.asarray(picture.convert("RGB")))
        assert "Palette" in slide.notes[0]


def test_cmyk_against_pillow(tmp_path, tissue):
    path = tmp_path / "cmyk.tif"
    inks = np.dstack([tissue, tissue[..., 0] // 3])
    picture = Image.merge("CMYK", [Image.fromarray(inks[..., k]) for k in range(4)])
    picture.save(path)
    with open_slide(path) as slide:
        got = slide.read(Region(0, 0, 421, 300)).astype(int)
        assert "CMYK" in slide.notes[0]
    assert np.abs(got - np.asarray(picture.convert("RGB"))).max() <= 1


def test_bilevel(tmp_path):
    path = tmp_path / "bits.tif"
    bits = np.random.default_rng(0).random((40, 50)) > 0.5
    Image.fromarray(bits).save(path)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 50, 40))[..., 1], np.where(bits, 255, 0))
        assert slide.notes == ["1-bit values were stretched to 8 bits.", "Grey was converted to RGB."]


@pytest.mark.parametrize("extrasample", ["unassalpha", "assocalpha", "unspecified"])
def test_alpha(tmp_path, tissue, extrasample):
    path = tmp_path / "alpha.tif"
    alpha = np.zeros((300, 421), np.uint8)
    alpha[:, 100:200], alpha[:, 200:] = 128, 255
    colour = tissue if extrasample != "assocalpha" else (tissue * (alpha[..., None] / 255)).astype(np.uint8)
    tifffile.imwrite(path, np.dstack([colour, alpha]), photometric="rgb", extrasamples=[extrasample], metadata=None)
    with open_slide(path) as slide:
        got = slide.read(Region(0, 0, 421, 300)).astype(int)
        notes = " ".join(slide.notes)
    if extrasample == "unspecified":
        assert np.array_equal(got, tissue)
        assert "dropped" in notes
        return
    expected = tissue * (alpha[..., None] / 255) + 255 - alpha[..., None]
    assert np.abs(got - expected).max() <= 1
    assert "over white" in notes


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((20, 20, 3), np.float32), {"photometric": "rgb"}, "floating-point"),
        (np.zeros((20, 20), np.int16), {"photometric": "minisblack"}, "signed"),
        (np.zeros((20, 20), np.uint32), {"photometric": "minisblack"}, "32-bit"),
        (np.zeros((5, 20, 20), np.uint8), {"photometric": "minisblack"}, "5 pages that are not RGB"),
        (np.zeros((20, 20, 7), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "7 channels"),
        (np.zeros((20, 20, 3), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "3 channels"),
        (np.zeros((20, 20, 3), np.uint8), {"photometric": "cielab"}, "CIELAB"),
    ],
)
def test_what_is_no_picture(tmp_path, array, options, message):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, metadata=None, **options)
    with pytest.raises(SlideError, match=message):
        open_slide(path)


def test_a_stack_of_rgb_pages_gives_the_first(tmp_path, tissue):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([tissue, tissue // 2, tissue // 3]), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 421, 300)), tissue)
        assert slide.notes == ["The first of 3 pages of equal size is read."]


def test_a_compressed_strip_beyond_the_limit(tmp_path, tissue):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(
        path, np.zeros((2000, 2000, 3), np.uint8), photometric="rgb", compression="zlib", rowsperstrip=2000
    )
    with pytest.raises(LimitError, match="max_pixels"):
        open_slide(path, settings=Settings(max_pixels=1_000_000))
    tifffile.imwrite(path, np.zeros((2000, 2000, 3), np.uint8), photometric="rgb", compression="zlib", rowsperstrip=100)
    with open_slide(path, settings=Settings(max_pixels=1_000_000)) as slide:
        assert slide.read(Region(0, 0, 900, 900)).shape == (900, 900, 3)


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
def test_truncated(pyramid, tissue, compression):
    path, _ = pyramid(tissue, compression=compression, count=2)
    data = path.read_bytes()
    for kept in (5, 20, len(data) // 2, len(data) - 300):
        path.write_bytes(data[:kept])
        with pytest.raises(SlideError):
            open_slide(path)


def test_an_orientation_tag_is_told_and_not_applied(tmp_path, tissue):
    path = tmp_path / "turned.tif"
    tifffile.imwrite(path, tissue, photometric="rgb", metadata=None, extratags=[(274, "H", 1, 6, True)])
    with open_slide(path) as slide:
        assert slide.size == (421, 300)
        assert "orientation" in slide.notes[0]


@pytest.fixture(scope="module", params=["tiles", "strips", "raw", "planar"])
def page_and_pixels(request, tmp_path_factory, tissue):
    path = tmp_path_factory.mktemp("page") / "a.tif"
    options = {
        "tiles": {"tile": (48, 80), "compression": "zlib"},
        "strips": {"rowsperstrip": 7, "compression": "lzw"},
        "raw": {"rowsperstrip": 7},
        "planar": {"planarconfig": "separate", "tile": (64, 32), "compression": "zlib"},
    }[request.param]
    stored = np.moveaxis(tissue, -1, 0) if request.param == "planar" else tissue
    tifffile.imwrite(path, stored, photometric="rgb", metadata=None, **options)
    with tifffile.TiffFile(path) as tiff:
        yield Page(tiff.pages[0], name=0, cache=SegmentCache(), max_pixels=10**6), tissue
