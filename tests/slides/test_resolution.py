"""Microns per pixel: believed, not believed, given by the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.geometry.regions import known_mpp
from histoseed.slides import open_slide
from histoseed.slides.resolution import resolve_mpp

HERE = Path("slide.svs")
WHITE = np.full((32, 48, 3), 255, np.uint8)


def stated(path: Path, *, user: float | None = None) -> tuple[float | None, str, str]:
    with open_slide(path, mpp=user) as slide:
        return slide.mpp, slide.mpp_source, " ".join(slide.notes)


@settings(deadline=None)
@given(st.floats(), st.floats())
def test_what_is_not_believable_is_unknown(x, y):
    got = resolve_mpp(x, y, user=None, where=HERE)
    if known_mpp(x) is None or known_mpp(y) is None:
        assert (got.mpp, got.source) == (None, "unknown")
        assert "not believable" in got.notes[0]
    else:
        assert got.mpp == pytest.approx((x + y) / 2)
        assert got.source == "metadata"
        assert bool(got.notes) == (abs(x - y) >= 0.01 * (x + y) / 2)


def test_the_user_wins_and_is_told():
    got = resolve_mpp(0.5, 0.5, user=0.25, where=HERE)
    assert (got.mpp, got.source) == (0.25, "user")
    assert "0.5" in got.notes[0]
    assert resolve_mpp(0.2525, 0.2525, user=0.25, where=HERE).notes == ()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), 1000.0])
def test_the_user_too_can_be_wrong(value):
    with pytest.raises(InputError, match=r"outside 0\.05 to 100"):
        resolve_mpp(None, None, user=value, where=HERE)


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((40_000, 40_000), "CENTIMETER", 0.25),
        ((50_800, 50_800), "INCH", 0.5),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((28.34, 28.34), "CENTIMETER", None),
        ((10, 10), "CENTIMETER", None),
        ((40_000, 40_000), "NONE", None),
        ((1e9, 1e9), "CENTIMETER", None),
    ],
)
def test_resolution_tags(tmp_path, resolution, unit, expected):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, WHITE, photometric="rgb", resolution=resolution, resolutionunit=unit, metadata=None)
    mpp, source, notes = stated(path)
    assert mpp == (None if expected is None else pytest.approx(expected, rel=1e-4))
    assert source == ("unknown" if expected is None else "metadata")
    assert ("ignored" in notes) == (expected is None and unit != "NONE")


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, WHITE, photometric="rgb", resolution=(40_000, 20_000), resolutionunit="CENTIMETER", metadata=None
    )
    mpp, _, notes = stated(path)
    assert mpp == pytest.approx(0.375)
    assert "not square" in notes


@pytest.mark.parametrize(
    ("size", "unit", "expected"), [(0.25, "µm", 0.25), (250.0, "nm", 0.25), (0.0005, "mm", 0.5), (5, "pixel", None)]
)
def test_ome_metadata(tmp_path, size, unit, expected):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": size, "PhysicalSizeXUnit": unit, "PhysicalSizeY": size, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(path, WHITE, photometric="rgb", metadata={"axes": "YXS", **sizes}, ome=True)
    with open_slide(path) as slide:
        assert slide.vendor == "ome-tiff"
        assert slide.mpp == (None if expected is None else pytest.approx(expected))


def test_imagej_metadata(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, WHITE, imagej=True, resolution=(4.0, 4.0), metadata={"unit": "um", "axes": "YXS"})
    assert stated(path)[:2] == (pytest.approx(0.25), "metadata")


def test_an_aperio_description_in_an_exported_crop(tmp_path):
    path = tmp_path / "a.tif"
    text = "Aperio Image Library v11.2.1|AppMag = 20|MPP = 0.4990|Left = 25.69"
    tifffile.imwrite(path, WHITE, photometric="rgb", description=text, metadata=None)
    assert stated(path)[:2] == (0.499, "metadata")


@pytest.mark.parametrize(
    ("name", "options"), [("a.png", {"dpi": (25_400, 25_400)}), ("a.jpg", {"dpi": (50_800, 50_800)})]
)
def test_a_printing_density_is_no_resolution(save, name, options):
    assert stated(save(WHITE, name, **options))[:2] == (None, "unknown")
