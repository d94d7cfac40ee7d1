"""Logits to masks: pixel-exact, within the slide, coarse where the object is large."""

from __future__ import annotations

import numpy as np
import pytest

from histoseed.geometry import Region
from histoseed.prompting import Candidate
from histoseed.prompting.masks import mask_of


def square(side: int, cells: int = 16) -> np.ndarray:
    logits = np.full((cells, cells), -6, np.float32)
    low = (cells - side) // 2
    logits[low : low + side, low : low + side] = 6
    return logits


def test_cells_of_one_pixel_are_pixels() -> None:
    """A w x w square has the area w * w: tracing loses nothing."""
    for side in (2, 4, 10):
        found = mask_of(Candidate(square(side), Region(100, 40, 16, 16), 0.9), (200, 200))
        assert found.area == side**2
        outline = found.polygon()
        assert outline is not None
        assert outline.area == side**2
        low = (16 - side) // 2
        assert outline.bounds == (100 + low, 40 + low, 100 + low + side, 40 + low + side)


def test_a_disc_keeps_its_area_at_every_scale() -> None:
    y, x = np.mgrid[:64, :64] + 0.5
    logits = (20 - np.hypot(x - 32, y - 32)).astype(np.float32)
    for side in (32, 64, 200, 1000, 5000):
        found = mask_of(Candidate(logits, Region(0.25, 0.25, side, side), 1), (10_000, 10_000))
        true = np.pi * (20 / 64 * side) ** 2
        assert found.area == pytest.approx(true, rel=0.03)
        assert found.mask.size <= 600**2
        outline = found.polygon()
        assert outline is not None
        assert outline.is_valid
        assert outline.area == found.area


def test_nothing_lies_beyond_the_slide() -> None:
    full = np.full((8, 8), 5, np.float32)
    found = mask_of(Candidate(full, Region(-10, -10, 40, 40), 1), (20, 15))
    assert (found.x, found.y, found.mask.shape, found.area) == (0, 0, (15, 20), 300)
    away = mask_of(Candidate(full, Region(500, 500, 40, 40), 1), (20, 15))
    assert away.area == 0
    assert away.polygon() is None


def test_no_object_is_an_answer() -> None:
    found = mask_of(Candidate(np.full((8, 8), -1, np.float32), Region(0, 0, 8, 8), 0.1), (20, 20))
    assert found.polygon() is None
    assert found.area == 0


def test_holes_and_parts_are_kept() -> None:
    logits = np.full((16, 16), -6, np.float32)
    logits[2:9, 2:9] = 6
    logits[5, 5] = -6
    logits[12:14, 12:14] = 6
    outline = mask_of(Candidate(logits, Region(0, 0, 16, 16), 1), (16, 16)).polygon()
    assert outline is not None
    assert outline.geom_type == "MultiPolygon"
    assert outline.area == 49 - 1 + 4
