"""Cores partition the region; windows are squares around them that a slide can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry.regions import Region
from histoseed.slides import open_slide, tile_grid


@settings(deadline=None, max_examples=40)
@given(
    width=st.floats(1, 400),
    height=st.floats(1, 400),
    mpp=st.none() | st.floats(0.1, 2),
    margin=st.integers(0, 12),
    core=st.integers(30, 90),
)
def test_cores_partition_the_region(width, height, mpp, margin, core):
    region = Region(3.7, -2, width, height, mpp)
    tiles = tile_grid(region, 0.25, core + 2 * margin, margin)
    covered = np.zeros(region.shape(0.25), int)
    for number, tile in enumerate(tiles):
        x0, y0, x1, y1 = tile.core
        covered[y0:y1, x0:x1] += 1
        assert tile.index == number
        assert (tile.window[0], tile.window[1]) == (x0 - margin, y0 - margin)
        assert tile.window[2] >= x1 + margin
        assert tile.window[3] >= y1 + margin
        assert tile.region.shape(0.25) == (core + 2 * margin, core + 2 * margin)
    assert (covered == 1).all()
    assert [(t.row, t.col) for t in tiles] == sorted({(t.row, t.col) for t in tiles})


@settings(deadline=None, max_examples=40)
@given(x=st.floats(0, 99.9), y=st.floats(0, 49.9))
def test_every_point_has_one_owner(x, y):
    assert sum(tile.owns(x, y) for tile in tile_grid(Region(0, 0, 100, 50), None, 32, 4)) == 1


@pytest.mark.parametrize("mpp", [None, 0.25, 0.5, 0.37])
def test_cores_read_one_by_one_are_the_region(save, tissue, mpp):
    region = Region(10, 20, 380, 250, mpp)
    with open_slide(save(tissue), mpp=0.25) as slide:
        whole = slide.read(region)
        joined = np.zeros_like(whole)
        for tile in tile_grid(region, slide.mpp, 96, 12):
            x0, y0, x1, y1 = tile.core
            seen = slide.read(tile.region)
            joined[y0:y1, x0:x1] = seen[12 : 12 + y1 - y0, 12 : 12 + x1 - x0]
    assert np.abs(joined.astype(int) - whole).max() <= (0 if mpp in {None, 0.25} else 2)


def test_what_cannot_be_tiled():
    with pytest.raises(InputError, match="leaves no core"):
        tile_grid(Region(0, 0, 10, 10), None, 16, 8)
    with pytest.raises(InputError):
        tile_grid(Region(0, 0, 10, 10), None, 16, -1)
    with pytest.raises(UnknownMppError):
        tile_grid(Region(0, 0, 10, 10, mpp=0.5), None, 16, 2)
