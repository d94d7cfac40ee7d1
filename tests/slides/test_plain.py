"""PNG, JPEG and their like: every pixel mode against Pillow and numpy, and what is not decoded."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from histoseed.errors import LimitError, SlideError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides import open_slide

WHOLE = Region(0, 0, 421, 300)


def read_whole(path):
    with open_slide(path) as slide:
        width, height = slide.size
        return slide.read(Region(0, 0, width, height)), slide.notes


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.jp2"])
def test_lossless_formats(save, tissue, name):
    options = {"irreversible": False} if name.endswith("jp2") else {}
    got, notes = read_whole(save(tissue, name, **options))
    assert np.array_equal(got, tissue)
    assert notes == []


def test_lossless_webp(save, tissue):
    assert np.array_equal(read_whole(save(tissue, "a.webp", lossless=True))[0], tissue)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_as_pillow_decodes_it(save, tissue, mode):
    path = save(Image.fromarray(tissue).convert(mode), "a.jpg")
    got, notes = read_whole(path)
    assert np.array_equal(got, np.asarray(Image.open(path).convert("RGB")))
    assert len(notes) == (mode != "RGB")


def test_the_name_does_not_matter(save, tissue, tmp_path):
    path = save(tissue, "a.png")
    for name in ("a.tif", "a.svs", "a", "a.jpg"):
        other = path.rename(tmp_path / name)
        with open_slide(other) as slide:
            assert (slide.reader, slide.vendor) == ("plain", "png")
        path = other


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_without_alpha(save, tissue, mode):
    picture = Image.fromarray(tissue).convert(mode)
    got, notes = read_whole(save(picture))
    assert np.array_equal(got, np.asarray(picture.convert("RGB")))
    assert notes == ["Palette colours were converted to RGB." if mode == "P" else "Grey was converted to RGB."]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(save, tissue, mode):
    picture = Image.fromarray(tissue).convert(mode)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 421).astype(np.uint8), (300, 1)))
    picture.putalpha(alpha)
    got, notes = read_whole(save(picture))
    expected = Image.new("RGBA", picture.size, "white")
    expected.alpha_composite(picture.convert("RGBA"))
    assert np.abs(got.astype(int) - np.asarray(expected.convert("RGB"))).max() <= 1
    assert "Transparent pixels were laid over white." in notes


def test_transparent_colours_of_a_palette(save):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((3, 4), 1)
    got, notes = read_whole(save(picture, transparency=b"\x00\xff"))
    assert (got[0, 0] == 255).all()
    assert got[4, 3].tolist() == [200, 100, 50]
    assert len(notes) == 2


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_sixteen_bit_grey(save, tissue, bits):
    grey = tissue[..., 0].astype(np.uint16) << (bits - 8)
    grey[0, 0] = (1 << bits) - 1
    got, notes = read_whole(save(grey))
    assert np.array_equal(got[1:], np.repeat(tissue[1:, :, :1], 3, -1))
    assert notes[-1] == "Grey was converted to RGB."
    assert (f"{bits}-bit values were reduced to 8 bits." in notes) == (bits > 8)


def test_sixteen_bit_colour(tmp_path, tissue):
    path = tmp_path / "deep.png"
    path.write_bytes(imagecodecs.png_encode(tissue.astype(np.uint16) * 257))
    got, notes = read_whole(path)
    assert np.array_equal(got, tissue)
    assert notes == ["16-bit values were reduced to 8 bits."]


def test_an_exif_orientation_is_told_and_not_applied(save, tissue):
    exif = Image.Exif()
    exif[274] = 6
    with open_slide(save(tissue, "a.jpg", exif=exif)) as slide:
        assert slide.size == (421, 300)
        assert "orientation (6)" in slide.notes[0]


def test_an_animation_gives_its_first_frame(save, tissue):
    frames = [Image.fromarray(tissue), Image.fromarray(255 - tissue)]
    got, notes = read_whole(save(frames[0], "a.png", save_all=True, append_images=frames[1:]))
    assert np.array_equal(got, tissue)
    assert notes == ["The first of 2 frames is read."]


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000))
    with pytest.raises(LimitError, match=r"60000 x 60000 pixels is more than max_pixels"):
        open_slide(path)


def test_our_limit_holds_and_not_pillows(save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = save(np.zeros((40, 50, 3), np.uint8))
    assert read_whole(path)[0].shape == (40, 50, 3)
    with pytest.raises(LimitError):
        open_slide(path, settings=Settings(max_pixels=1999))
    open_slide(path, settings=Settings(max_pixels=2000)).close()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.webp", "a.jp2"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_truncated(save, tissue, name, kept):
    path = save(tissue, name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(SlideError):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_damaged_bytes_give_pixels_or_a_clear_error(save, tissue, name):
    """Whatever bytes flip, nothing but our own errors comes out."""
    options = {"compression": "tiff_lzw"} if name == "a.tif" else {}
    path = save(Image.fromarray(tissue[:60, :80]), name, **options)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    random = np.random.default_rng(1)
    outcomes = set()
    for _ in range(150):
        broken = data.copy()
        # half of the flips hit the headers
        places = random.integers(4, 300 if random.random() < 0.5 else len(data), size=random.integers(1, 6))
        broken[places % len(data)] = random.integers(0, 256, len(places))
        path.write_bytes(broken.tobytes())
        try:
            with open_slide(path, settings=Settings(max_pixels=10**6)) as slide:
                width, height = slide.size
                slide.read(Region(0, 0, min(width, 200), min(height, 200)))
            outcomes.add("read")
        except (SlideError, LimitError) as error:
            outcomes.add(error.where)
    assert outcomes == {"read", str(path)}


def test_floats_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(10, 10))

    def decode(stream: io.BytesIO) -> Image.Image:
        return Image.new("F", (10, 10))

    monkeypatch.setitem(__import__("histoseed.slides.plain_reader", fromlist=["x"])._DECODERS, "png", decode)
    with pytest.raises(SlideError, match="floating-point"):
        open_slide(path)


def test_an_empty_alpha_channel_is_no_transparency(save, tissue):
    picture = Image.fromarray(tissue).convert("RGBA")
    picture.putalpha(0)
    got, notes = read_whole(save(picture))
    assert np.array_equal(got, tissue)
    assert notes == ["The fourth channel is empty and was dropped."]
