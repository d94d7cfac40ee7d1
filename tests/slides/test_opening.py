"""Opening and closing: what cannot be opened, what is left behind, threads and processes."""

from __future__ import annotations

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from histoseed.errors import SlideError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides import READERS, open_slide


def test_no_such_file(tmp_path):
    with pytest.raises(SlideError, match="no such file"):
        open_slide(tmp_path / "absent.svs")


def test_a_folder(tmp_path):
    with pytest.raises(SlideError, match=r"folder.*\.mrxs"):
        open_slide(tmp_path)


def test_an_empty_file(tmp_path):
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(SlideError, match="0 bytes"):
        open_slide(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_block(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(SlideError, match="regular file"):
        open_slide(path)


def test_a_file_that_must_not_be_read(save, tissue, monkeypatch):
    path = save(tissue)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SlideError, match="must not be read"):
        open_slide(path)


def test_a_path_with_a_nul():
    with pytest.raises(SlideError):
        open_slide("a\0b.png")


@pytest.mark.parametrize(
    "content",
    [b"hello, this is text\n", b"GIF89a" + bytes(50), bytes(200), b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"],
)
def test_what_is_no_image(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(SlideError):
        open_slide(path)


def test_every_reader_gives_its_reason(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello, this is text\n")
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert all(f"{name}: " in caught.value.what for name in READERS)


@pytest.fixture
def files(pyramid, save, tissue):
    """One file for each reader, and two plain ones."""
    aperio, _ = pyramid(tissue, compression="jpeg", description="Aperio Image Library v1|AppMag = 40|MPP = 0.2500")
    tiff, _ = pyramid(tissue, compression="zlib")
    return [aperio, tiff, save(tissue), save(tissue, "a.jpg")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc lists the open files on Linux only")
def test_no_file_stays_open(files, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(files[1].read_bytes()[:5000])
    channels = tmp_path / "channels.tif"
    tifffile.imwrite(channels, np.zeros((5, 30, 30), np.uint8), photometric="minisblack")

    def open_files():
        return sorted(link.name for link in Path("/proc/self/fd").iterdir())

    def cycle():
        for path in files:
            with open_slide(path) as slide:
                slide.read(Region(0, 0, 16, 16))
        for path in (broken, channels):
            with pytest.raises(SlideError):
                open_slide(path)

    cycle()  # libraries open their own things once
    before = open_files()
    for _ in range(3):
        cycle()
    assert open_files() == before


def test_slides_are_opened_read_only(pyramid, tissue):
    path, _ = pyramid(tissue)
    path.chmod(0o444)
    content = path.read_bytes()
    with open_slide(path) as slide:
        slide.read(Region(0, 0, 100, 100))
    assert path.read_bytes() == content


def test_each_file_finds_its_reader(files):
    found = []
    for path in files:
        with open_slide(path) as slide:
            found.append((slide.reader, slide.vendor, slide.mpp))
    assert found == [
        ("openslide", "aperio", 0.25),
        ("tiff", "generic-tiff", None),
        ("plain", "png", None),
        ("plain", "jpeg", None),
    ]


def test_a_slide_pickles_to_its_path(files, monkeypatch):
    limits = Settings(max_pixels=90_000_000)
    region = Region(3, 4, 10, 10, mpp=0.5)
    for path in files:
        with open_slide(path, mpp=0.3, settings=limits) as slide, pickle.loads(pickle.dumps(slide)) as twin:
            assert (twin.path, twin.mpp, twin.mpp_source) == (slide.path, 0.3, "user")
            assert twin._settings == limits
            assert np.array_equal(twin.read(region), slide.read(region))


def test_threads_may_share_a_slide(files):
    for path in files[:2]:
        with open_slide(path) as slide, ThreadPoolExecutor(4) as pool:
            regions = [Region(x, y, 50, 50) for x in range(0, 350, 50) for y in range(0, 250, 50)]
            alone = [slide.read(region) for region in regions]
            together = pool.map(slide.read, regions * 3)
            assert all(np.array_equal(a, b) for a, b in zip(alone * 3, together, strict=True))
