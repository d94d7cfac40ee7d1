"""Windows that share a region out: every point once, nothing leaves the slide, a margin around every core."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from histoseed.geometry import Region
from histoseed.prompting import WindowPolicy
from histoseed.prompting.tiles import MARGIN, region_tiles, tile_side

FINE = WindowPolicy(side=512, mpp=0.25)
FREE = WindowPolicy(side=1024)


def test_the_side_follows_the_model_and_the_resolution() -> None:
    assert tile_side(0.25, FINE) == 512
    assert tile_side(0.5, FINE) == 256
    assert tile_side(None, FINE) == 512
    assert tile_side(0.5, FREE) == 1024
    assert tile_side(0.5, FREE, window_um=100) == 200
    assert tile_side(0.5, FREE, window_um=0.1) == FREE.min_px


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(16, 700), st.floats(0, 1), st.floats(0, 1), st.data())
def test_every_point_lies_in_one_core(
    width: int, height: int, side: int, a: float, b: float, data: st.DataObject
) -> None:
    x, y = int(a * (width - 1)), int(b * (height - 1))
    region = Region(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    tiles = region_tiles(region, (width, height), 0.25, FINE, side=side)
    rng = np.random.default_rng(0)
    points = rng.uniform((region.x, region.y), (region.x + region.width, region.y + region.height), (40, 2))
    assert (np.sum([tile.holds(points) for tile in tiles], 0) == 1).all()
    for tile in tiles:
        seen, core = tile.window.region, tile.core
        assert 0 <= seen.x <= seen.x + seen.width <= width
        assert 0 <= seen.y <= seen.y + seen.height <= height
        assert tile.window.covers((core.x, core.y, core.x + core.width, core.y + core.height))
        for low, high, before, after, limit in (
            (seen.x, seen.x + seen.width, core.x, core.x + core.width, width),
            (seen.y, seen.y + seen.height, core.y, core.y + core.height, height),
        ):
            least = MARGIN * min(side, limit) - 1  # windows begin on whole pixels
            assert low == 0 or before - low >= least
            assert high == limit or high - after >= least


def test_a_slide_smaller_than_a_window_is_one_window() -> None:
    (tile,) = region_tiles(Region(10, 20, 50, 60), (100, 90), None, FREE, side=1024)
    assert tile.window.region == Region(0, 0, 100, 90)
    assert tile.window.shape == (90, 100)
    assert tile.core == Region(10, 20, 50, 60)
