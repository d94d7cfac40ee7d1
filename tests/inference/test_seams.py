"""What two tiles say about one nucleus becomes one nucleus."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from histoseed.geometry import Region
from histoseed.inference import MARGIN, Field, TileGrid
from histoseed.inference.objects import TileObjects
from histoseed.inference.seams import FieldObjects, resolve_seams

WIDTH, HEIGHT = 512, 200
GRID = TileGrid(Field.over(Region(0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT), 0.25, 0.25), 352)
SEAM = GRID[0].core[2]


def tile(index: int, shapes: list[shapely.Geometry]) -> TileObjects:
    """A tile that reports these shapes; it owns those whose centroid is in its core."""
    x0, y0, x1, y1 = GRID[index].core
    centroid = shapely.get_coordinates(shapely.centroid(shapes)).reshape(-1, 2)
    x, y = centroid.T
    geometry = np.empty(len(shapes), dtype=object)
    geometry[:] = shapes
    return TileObjects(
        index=index,
        geometry=geometry,
        area=shapely.area(geometry).astype(np.int64),
        centroid=centroid,
        score=np.full(len(shapes), 0.5 + index / 10, np.float32),
        probabilities=np.empty((len(shapes), 0), np.float32),
        owned=(x >= x0) & (x < x1) & (y >= y0) & (y < y1),
        tissue=0,
    )


def resolved(*shapes: list[shapely.Geometry]) -> FieldObjects:
    tiles = [tile(k, list(own)) for k, own in enumerate(shapes)]
    rows = list(resolve_seams(tiles, GRID, least_area=20))
    assert len(rows) == 1
    return rows[0]


def bounds(objects: FieldObjects) -> list[list[float]]:
    return shapely.bounds(objects.geometry).tolist()


def test_the_grid_of_these_tests_has_two_tiles() -> None:
    assert len(GRID) == GRID.columns == 2
    assert MARGIN < SEAM < WIDTH - MARGIN


def test_an_object_seen_by_both_stays_with_its_owner() -> None:
    nucleus = box(SEAM - 20, 50, SEAM + 2, 70)
    found = resolved([nucleus], [nucleus])
    assert len(found) == 1
    assert found.score.tolist() == [0.5]


def test_of_two_owned_versions_the_larger_stays() -> None:
    found = resolved([box(SEAM - 12, 50, SEAM + 10, 70)], [box(SEAM - 10, 50, SEAM + 14, 70)])
    assert bounds(found) == [[SEAM - 10, 50, SEAM + 14, 70]]


def test_a_merged_pair_replaces_the_half_that_the_other_tile_owns() -> None:
    left, right = box(SEAM - 20, 50, SEAM, 70), box(SEAM, 50, SEAM + 16, 70)
    found = resolved([left | right], [left, right])
    assert bounds(found) == [[SEAM - 20, 50, SEAM + 16, 70]]


def test_an_object_that_nobody_owns_is_taken_over_once() -> None:
    """Each tile believes the centroid to be on the other side."""
    first, second = box(SEAM - 9, 50, SEAM + 10, 70), box(SEAM - 10, 50, SEAM + 9, 70)
    found = resolved([first], [second])
    assert len(found) == 1
    assert found.area.tolist() == [19 * 20]


def test_a_spare_object_is_left_out_where_owned_ones_cover_it() -> None:
    spare = box(SEAM - 10, 50, SEAM + 20, 70)  # the first tile merged two nuclei
    halves = [box(SEAM, 50, SEAM + 20, 70)]
    found = resolved([spare], halves)
    assert bounds(found) == [[SEAM, 50, SEAM + 20, 70]]


def test_neighbours_that_overlap_are_parted_in_favour_of_the_earlier_tile() -> None:
    left, right = box(SEAM - 20, 50, SEAM + 1, 70), box(SEAM - 1, 50, SEAM + 20, 70)
    found = resolved([left], [right])
    assert bounds(found) == [[SEAM - 20, 50, SEAM + 1, 70], [SEAM + 1, 50, SEAM + 20, 70]]
    assert found.area.tolist() == [21 * 20, 19 * 20]


def test_what_is_left_of_a_parted_object_is_one_piece_and_not_too_small() -> None:
    bar = box(SEAM - 40, 58, SEAM + 30, 60)
    found = resolved([bar], [box(SEAM, 40, SEAM + 9, 80)])  # the bar cuts it into two pieces of 18 rows and 20 rows
    assert bounds(found) == [[SEAM - 40, 58, SEAM + 30, 60], [SEAM, 60, SEAM + 9, 80]]
    assert len(resolved([bar], [box(SEAM, 57, SEAM + 9, 62)])) == 1  # 2 rows of 9 pixels are too small


def test_objects_of_one_tile_are_never_compared() -> None:
    twins = [box(20, 50, 40, 70), box(21, 50, 41, 70)]
    assert len(resolved(twins, [])) == 2


@given(seed=st.integers(0, 100_000))
def test_no_pixel_has_two_owners_and_no_owned_area_is_lost(seed: int) -> None:
    """Random boxes that both tiles see with a jitter of a pixel or two."""
    rng = np.random.default_rng(seed)
    first, second, nuclei = [], [], []
    for y in range(0, HEIGHT - 20, 22):  # rows apart, so that nuclei themselves never overlap
        x = SEAM - 14 + rng.integers(-12, 12)
        nuclei.append(box(x, y + 2, x + 22, y + 18))
        for own in (first, second):
            jitter = rng.integers(-2, 3, 4)
            own.append(box(x + jitter[0], y + 2 + jitter[1], x + 22 + jitter[2], y + 18 + jitter[3]))
    found = resolved(first, second)
    assert len(found) == len(nuclei)
    assert shapely.area(shapely.union_all(found.geometry)) == shapely.area(found.geometry).sum() == found.area.sum()
    for nucleus in nuclei:
        assert max(shapely.area(shapely.intersection(found.geometry, nucleus))) > 0.5 * nucleus.area


def test_rows_are_resolved_across_their_seam() -> None:
    field = Field.over(Region(0, 0, 200, 512), (200, 512), 0.25, 0.25)
    grid = TileGrid(field, 352)
    assert (grid.rows, grid.columns) == (2, 1)
    seam = grid[0].core[3]
    shapes = [box(50, seam - 12, 70, seam + 10), box(50, seam - 10, 70, seam + 14), box(90, seam - 9, 110, seam + 10)]
    owned = [[True, False], [True, False]]
    tiles = []
    for k, own in enumerate(([shapes[0], shapes[2]], [shapes[1], shapes[2]])):
        geometry = np.empty(2, dtype=object)
        geometry[:] = own
        area = shapely.area(geometry).astype(np.int64)
        empty = np.empty((2, 0), np.float32)
        tiles.append(
            TileObjects(k, geometry, area, np.zeros((2, 2)), np.zeros(2, np.float32), empty, np.array(owned[k]), 0)
        )
    found = [shape for row in resolve_seams(tiles, grid, 20) for shape in row.geometry]
    assert len(found) == 2
    assert {tuple(shape.bounds) for shape in found} == {(50, seam - 10, 70, seam + 14), (90, seam - 9, 110, seam + 10)}
