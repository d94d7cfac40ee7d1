"""Rings, boxes, ellipses, holes and ids, from the vertices of a file."""

import math
import time
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.annotations.formats.outlines import (
    box_of,
    check_written,
    cut_holes,
    ellipse_of,
    has_area,
    outline_of,
    stable_ids,
)
from histoseed.errors import AnnotationError

SIDE = st.floats(0.5, 5000)


def test_outlines_may_be_closed_or_open():
    square = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]
    for vertices in (square, [*square, square[0]]):
        shape, repaired = outline_of(vertices)
        assert shape.equals(shapely.box(0, 0, 4, 4))
        assert not repaired


@pytest.mark.parametrize("vertices", [[], [(1.0, 1.0)], [(0.0, 0.0), (1.0, 1.0), (0.0, 0.0)]])
def test_less_than_three_different_vertices_are_no_outline(vertices):
    assert outline_of(vertices) == (None, False)


def test_what_crosses_itself_is_repaired_and_what_has_no_area_is_none():
    shape, repaired = outline_of([(0.0, 0.0), (4.0, 4.0), (4.0, 0.0), (0.0, 4.0)])
    assert repaired
    assert shape.is_valid
    assert shape.area == 8
    assert outline_of([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]) == (None, False)


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), width=SIDE, height=SIDE, data=st.data())
def test_boxes_by_two_corners_or_four_in_any_order(x, y, width, height, data):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    expected = shapely.box(x, y, x + width, y + height)
    assert box_of(data.draw(st.permutations(corners))).equals(expected)
    assert box_of([*corners, corners[0]]).equals(expected)
    assert box_of([corners[0], corners[2]]).equals(expected)
    assert box_of([corners[3], corners[1]]).equals(expected)


@pytest.mark.parametrize(
    "vertices",
    [
        [(0, 0), (4, 0)],
        [(0, 0), (4, 4), (4, 0)],
        [(0, 0), (4, 1), (4, 4), (0, 4)],
        [(2, 0), (4, 2), (2, 4), (0, 2)],
        [(0, 0), (2, 0), (4, 0), (4, 4), (0, 4)],
    ],
)
def test_what_is_no_box(vertices):
    assert box_of(vertices) is None


@given(width=SIDE, height=SIDE)
def test_ellipses_lie_on_the_ellipse_and_lose_little(width, height):
    shape = ellipse_of(shapely.box(10, 20, 10 + width, 20 + height))
    a, b = width / 2, height / 2
    x, y = (shapely.get_coordinates(shape) - (10 + a, 20 + b)).T
    np.testing.assert_allclose((x / a) ** 2 + (y / b) ** 2, 1, rtol=1e-9)
    area = math.pi * a * b
    assert 0 <= area - shape.area <= 0.03 * area
    if (
        min(a, b) > 20
    ):  # closed form: an n-gon inscribed in an ellipse loses at most the sagitta along the circumference
        assert area - shape.area <= 0.05 * 2 * math.pi * max(a, b)


def test_a_hole_is_cut_from_all_outlines_around_it():
    outer, inner, apart = shapely.box(0, 0, 30, 30), shapely.box(5, 5, 25, 25), shapely.box(40, 0, 50, 10)
    hole = shapely.box(10, 10, 12, 12)
    (one, two, three), homeless = cut_holes([outer, inner, apart], [hole])
    assert homeless == []
    assert (one.area, two.area) == (30 * 30 - 4, 20 * 20 - 4)
    assert three is apart


def test_an_island_in_a_hole_is_not_cut_whatever_its_size():
    outer, hole, island = shapely.box(0, 0, 30, 30), shapely.box(5, 5, 25, 25), shapely.box(6, 6, 24, 24)
    (one, two), homeless = cut_holes([outer, island], [hole])
    assert (one.area, homeless) == (900 - 400, [])
    assert two is island


def test_a_hole_in_an_island_in_a_hole():
    outlines = [shapely.box(0, 0, 30, 30), shapely.box(6, 6, 24, 24)]
    (one, two), homeless = cut_holes(outlines, [shapely.box(5, 5, 25, 25), shapely.box(10, 10, 20, 20)])
    assert (one.area, two.area, homeless) == (500, 324 - 100, [])


def test_a_hole_over_the_edge_is_a_hole_and_one_outside_is_none():
    outline = shapely.box(0, 0, 10, 10)
    (cut,), homeless = cut_holes([outline], [shapely.box(7, 4, 11, 6), shapely.box(20, 20, 22, 22)])
    assert (cut.area, homeless) == (100 - 6, [1])
    (same,), homeless = cut_holes([outline], [shapely.box(9, 4, 12, 6)])  # a third of it
    assert same is outline
    assert homeless == [0]


def test_a_hole_of_the_size_of_the_outline_is_not_taken_for_its_hole():
    outline = shapely.box(0, 0, 10, 10)
    (same,), homeless = cut_holes([outline], [shapely.box(0, 0, 10, 10)])
    assert (same.area, homeless) == (100, [0])


def test_holes_that_cover_an_outline_leave_nothing():
    (gone,), homeless = cut_holes([shapely.box(0, 0, 10, 10)], [shapely.box(0, 0, 5, 10), shapely.box(5, 0, 10, 10)])
    assert gone is None
    assert homeless == []


def test_a_hole_that_splits_an_outline():
    (cut,), _ = cut_holes([shapely.box(0, 0, 10, 10)], [shapely.box(4, -1, 6, 11)])
    assert cut.geom_type == "MultiPolygon"
    assert cut.area == 80


def test_owners_restrict_what_is_cut():
    outlines = [shapely.box(0, 0, 10, 10), shapely.box(-5, -5, 20, 20)]
    hole = shapely.box(2, 2, 4, 4)
    (one, two), homeless = cut_holes(outlines, [hole], {0: [0]})
    assert (one.area, homeless) == (96, [])
    assert two is outlines[1]
    cut, homeless = cut_holes(outlines, [hole], {0: []})
    assert homeless == [0]
    assert cut == outlines


def test_nothing_to_cut():
    assert cut_holes([], []) == ([], [])
    assert cut_holes([], [shapely.box(0, 0, 1, 1)]) == ([], [0])


def test_only_polygons_have_area():
    line = shapely.LineString([(0, 0), (1, 1)])
    assert has_area(line) is None
    assert has_area(shapely.Polygon()) is None
    mixed = shapely.GeometryCollection([line, shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    assert has_area(mixed).equals(shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)]))


def test_ids_are_kept_made_and_never_given_twice():
    given_id = "5E1F6A52-3d0f-4f5c-9d3e-0a8f6a0d7c11"
    shapes = [shapely.Point(i % 2, 0) for i in range(6)]
    ids = stable_ids([given_id, given_id, "7", "7", None, None], shapes)
    assert ids[0] == given_id.lower()
    assert len(set(ids)) == 6
    assert all(str(uuid.UUID(one)) == one for one in ids)
    assert ids == stable_ids([given_id, given_id, "7", "7", None, None], shapes)
    assert stable_ids(["7"], [shapely.Point(0, 0)]) == [ids[2]]
    assert stable_ids(["8"], [shapely.Point(0, 0)]) != [ids[2]]


def test_ids_of_many_equal_outlines_take_no_quadratic_time():
    shapes = [shapely.Point(0, 0)] * 20_000
    start = time.perf_counter()
    assert len(set(stable_ids([None] * len(shapes), shapes))) == len(shapes)
    assert time.perf_counter() - start < 20  # trying all earlier numbers anew would take half an hour


def with_vertex(x, y):
    xy = shapely.get_coordinates(shapely.box(0, 0, 4, 4))
    xy[2] = x, y
    return shapely.set_coordinates(shapely.box(0, 0, 4, 4), xy)


@pytest.mark.parametrize("bad", [shapely.Polygon(), with_vertex(4, math.nan), with_vertex(-math.inf, 4)])
def test_what_cannot_be_written(bad):
    table = Instances.build([shapely.box(0, 0, 1, 1), bad])
    with pytest.raises(AnnotationError, match=r"Object 1 .*empty or has a coordinate that is not finite"):
        check_written(table, "a.xml")
