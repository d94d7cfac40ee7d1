"""Slides in the look of a reference: what the fit looks at, and what is recoloured."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histoseed.errors import UnknownMppError
from histoseed.geometry import Region
from histoseed.slides import (
    MacenkoStain,
    NoStain,
    ReinhardStain,
    Slide,
    StainedSlide,
    fit_stain,
    normalised,
    open_slide,
    slide_look,
)

REFERENCE = MacenkoStain((0.6509, 0.7010, 0.2904), (0.1, 0.95, 0.2958), (2.0, 1.0))
LOOK = ReinhardStain((-1.2, -0.15, 0.05), (0.4, 0.1, 0.02))


def tissue(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: blocks of 8 pixels, each a mixture of two stains."""
    rng = np.random.default_rng(seed)
    both = rng.uniform(0.3, [1.8, 1.1], (height // 8 + 1, width // 8 + 1, 2))
    both[rng.random(both.shape[:2]) < 0.15, 1] = 0
    both[rng.random(both.shape[:2]) < 0.3, 0] = 0
    both = both.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    vectors = np.array([[0.50, 0.76, 0.42], [0.22, 0.80, 0.56]])
    return np.rint(256 * np.exp(-both @ vectors) - 1).clip(0, 255).astype(np.uint8)


@pytest.fixture
def field(save: Callable[..., Path]) -> Path:
    """300 x 200 pixels of tissue."""
    return save(tissue(200, 300))


def test_a_small_slide_is_fitted_by_all_its_pixels_at_one_micrometre(field: Path) -> None:
    with open_slide(field, mpp=0.5) as slide:
        coarse = slide.read(Region(0, 0, 300, 200, mpp=1.0))
        assert slide_look(slide, "macenko") == fit_stain("macenko", coarse.reshape(-1, 3))
    with open_slide(field, mpp=2.0) as slide:  # coarser than that: as it is
        assert slide_look(slide, "reinhard") == fit_stain("reinhard", tissue(200, 300).reshape(-1, 3))


def test_a_large_slide_is_fitted_by_windows_with_tissue_only(save: Callable[..., Path]) -> None:
    """Four square millimetres, three of them glass or ink: the same look as the tissue alone."""
    whole = np.full((1024, 1024, 3), 243, np.uint8)
    part = tissue(512, 512)
    whole[:512, :512] = part
    whole[600:900, 600:900] = (40, 70, 190)
    with open_slide(save(whole, "whole.png"), mpp=2.0) as large, open_slide(save(part, "part.png"), mpp=2.0) as small:
        seen, alone = slide_look(large, "macenko"), slide_look(small, "macenko")
    assert isinstance(seen, MacenkoStain)
    assert isinstance(alone, MacenkoStain)
    for name in ("haematoxylin", "eosin", "strengths"):
        np.testing.assert_allclose(getattr(seen, name), getattr(alone, name), rtol=0.02, atol=0.005)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_an_empty_slide_is_left_as_it_is(method: str, save: Callable[..., Path]) -> None:
    path = save(np.full((1100, 1000, 3), 244, np.uint8))
    with open_slide(path, mpp=1.5) as slide:
        assert isinstance(slide_look(slide, method), NoStain)
        same = normalised(slide, REFERENCE if method == "macenko" else LOOK)
        region = Region(10, 20, 30, 40)
        np.testing.assert_array_equal(same.read(region), slide.read(region))
        assert "not normalised" in same.notes[-1]


@pytest.mark.parametrize("reference", [REFERENCE, LOOK])
def test_a_stained_slide_is_a_slide(reference: MacenkoStain | ReinhardStain, field: Path) -> None:
    with normalised(open_slide(field, mpp=0.5), reference) as slide:
        assert isinstance(slide, StainedSlide)
        assert isinstance(slide, Slide)
        plain = slide.original
        names = ("path", "size", "mpp", "mpp_source", "levels", "vendor", "reader", "properties", "notes")
        assert all(getattr(slide, name) == getattr(plain, name) for name in names)
        whole = slide.read(Region(0, 0, 300, 200))
        np.testing.assert_array_equal(whole, slide.colours.apply(plain.read(Region(0, 0, 300, 200))))
        assert np.abs(whole.astype(int) - plain.read(Region(0, 0, 300, 200))).max() > 10
        np.testing.assert_array_equal(slide.read(Region(37, 11, 100, 80)), whole[11:91, 37:137])
        assert (slide.read(Region(-5, -5, 5, 5)) == 255).all()
        elsewhere = pickle.loads(pickle.dumps(slide))
        np.testing.assert_array_equal(elsewhere.read(Region(0, 0, 300, 200)), whole)
        elsewhere.close()


def test_without_a_reference_nothing_is_wrapped(field: Path) -> None:
    with open_slide(field) as slide:
        assert normalised(slide, None) is slide


def test_the_resolution_must_be_known(field: Path) -> None:
    with open_slide(field) as slide, pytest.raises(UnknownMppError):
        normalised(slide, REFERENCE)


def test_real_tissue_has_two_stains_and_its_parts_agree(shared_data: Path) -> None:
    """Sixteen slides of four organs and seven centres; quarters of 125 um are within 8 degrees of the whole."""
    paths = sorted((shared_data / "monuseg16" / "images").glob("*.png"))
    assert len(paths) == 16
    for path in paths:
        with open_slide(path, mpp=0.25) as slide:
            whole = slide_look(slide, "macenko")
            pixels = slide.read(Region(0, 0, 500, 500, mpp=1.0))
        part = fit_stain("macenko", pixels.reshape(-1, 3))
        assert isinstance(whole, MacenkoStain), path.name
        assert isinstance(part, MacenkoStain), path.name
        for name in ("haematoxylin", "eosin"):
            angle = np.degrees(np.arccos(np.dot(getattr(whole, name), getattr(part, name)).clip(-1, 1)))
            assert angle < 8, (path.name, name)
        assert np.dot(whole.haematoxylin, whole.eosin) < np.cos(np.radians(14))
