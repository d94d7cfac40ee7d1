"""Fields and tiles: every pixel has one owner, every owner enough context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.inference import MARGIN, Field, TileGrid


def square(width: int, height: int) -> Field:
    return Field.over(Region(0, 0, width, height), (width, height), 0.25, 0.25)


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 700),
    tile=st.integers(224, 1100),
    stride=st.sampled_from([1, 8, 14, 16, 32]),
)
def test_cores_share_the_region_out_and_have_context(width: int, height: int, tile: int, stride: int) -> None:
    grid = TileGrid(square(width, height), tile, stride)
    owners = np.zeros((height, width), np.uint8)
    for k in range(len(grid)):
        t = grid[k]
        x0, y0, x1, y1 = t.core
        owners[y0:y1, x0:x1] += 1
        assert t.index == k
        assert t.row == k // grid.columns
        for at, side, low, high, length in ((t.x, t.width, x0, x1, width), (t.y, t.height, y0, y1, height)):
            assert at % stride == 0
            assert side % stride == 0
            assert side <= max(tile, stride)
            assert low >= at + MARGIN or low == at == 0
            assert high <= at + side - MARGIN or high == length
            assert at + side - length < stride  # little of it lies outside
    assert (owners == 1).all()


def test_all_windows_of_a_grid_have_one_size() -> None:
    grid = TileGrid(square(5000, 3000), 1024)
    assert len({(grid[k].width, grid[k].height) for k in range(len(grid))}) == 1
    assert len(grid) == grid.rows * grid.columns > 20


def test_a_tile_must_be_larger_than_its_margins() -> None:
    with pytest.raises(InputError, match="at least 224"):
        TileGrid(square(1000, 1000), 200)


def test_a_region_takes_context_from_the_slide_around_it() -> None:
    field = Field.over(Region(1000, 20, 400, 300), (5000, 5000), 0.5, 0.25)
    assert field.scale == 0.5
    assert field.inner == (MARGIN, 40, MARGIN + 800, 40 + 600)
    assert (field.width, field.height) == (800 + 2 * MARGIN, 40 + 600 + MARGIN)
    corner = field.to_level0(np.array([[MARGIN, 40.0]]), (5000, 5000))
    assert corner.tolist() == [[1000.0, 20.0]]
    read = field.region(MARGIN, 40, 800, 600)
    assert (read.x, read.y, read.width, read.height, read.mpp) == (1000.0, 20.0, 400.0, 300.0, 0.25)


def test_the_last_pixel_is_cut_at_the_border_of_the_slide() -> None:
    field = Field.over(Region(0, 0, 7, 7), (7, 7), 0.25, 0.5)  # 3.5 pixels, rounded to 4
    assert field.width == 4
    assert field.to_level0(np.array([[4.0, 1.0]]), (7, 7)).tolist() == [[7.0, 2.0]]


@pytest.mark.parametrize("region", [Region(100, 0, 10, 10), Region(-20, -20, 20, 20)])
def test_a_region_outside_the_slide_is_refused(region: Region) -> None:
    with pytest.raises(InputError, match="does not touch the slide"):
        Field.over(region, (100, 100), 0.25, 0.25)
