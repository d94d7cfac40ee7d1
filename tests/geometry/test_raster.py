"""Polygons -> label image, against shapely asked pixel by pixel."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.geometry import PixelSpans, paint_spans, pixel_spans, polygons_to_label, raster

SHAPE = (13, 17)
COORDINATE = st.floats(-6, 22, allow_nan=False, width=32)
QUARTERS = st.integers(-8, 80).map(lambda value: value / 4)


def centres(shape):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return x, y


@st.composite
def polygons(draw, coordinate=COORDINATE):
    """Valid polygons of any form, with holes and parts: what make_valid makes of random vertices."""
    xy = draw(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12))
    shape = shapely.make_valid(shapely.Polygon(xy))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.box(1, 1, 4, 4)


@settings(max_examples=200, deadline=None)
@given(polygons())
def test_a_pixel_is_inside_when_its_centre_is(polygon):
    x, y = centres(SHAPE)
    decided = shapely.distance(polygon.boundary, shapely.points(x, y)) > 1e-6
    drawn = polygons_to_label([polygon], SHAPE) == 1
    np.testing.assert_array_equal(drawn[decided], shapely.contains_xy(polygon, x, y)[decided])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(QUARTERS, QUARTERS), min_size=4, max_size=15, unique=True))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(xy):
    """Vertices at quarters lie on pixel centres often; each centre still belongs to exactly one triangle."""
    triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(xy)))
    if not len(triangles):
        return
    shape = (30, 30)
    spans = pixel_spans(triangles, shape)
    claims = np.zeros(shape[0] * shape[1], dtype=int)
    for start, length in zip(spans.start, spans.length, strict=True):
        claims[start : start + length] += 1
    x, y = centres(shape)
    hull = shapely.union_all(triangles)
    inside = shapely.contains_xy(hull, x, y) & (shapely.distance(hull.boundary, shapely.points(x, y)) > 1e-6)
    assert claims.max() <= 1
    assert (claims.reshape(shape)[inside] == 1).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(polygons(), min_size=1, max_size=4))
def test_later_polygons_are_drawn_over_earlier_ones(shapes):
    expected = np.zeros(SHAPE, dtype=np.int32)
    for number, shape in enumerate(shapes, start=1):
        expected[polygons_to_label([shape], SHAPE) == 1] = number
    np.testing.assert_array_equal(polygons_to_label(shapes, SHAPE), expected)


def test_painting_in_small_steps_changes_nothing(monkeypatch):
    shapes = [shapely.Point(8, 6).buffer(5), shapely.Point(11, 7).buffer(4), shapely.box(0, 0, 3, 13)]
    whole = polygons_to_label(shapes, SHAPE)
    monkeypatch.setattr(raster, "_PIXELS_AT_ONCE", 4)
    np.testing.assert_array_equal(polygons_to_label(shapes, SHAPE), whole)


def test_areas_count_pixels_before_anything_is_drawn_over():
    spans = pixel_spans([shapely.box(0, 0, 4, 4), shapely.box(2, 2, 4, 4), shapely.box(50, 50, 60, 60)], (5, 5))
    assert isinstance(spans, PixelSpans)
    assert spans.areas(3).tolist() == [16, 4, 0]
    assert np.bincount(paint_spans(spans, np.array([1, 2, 3]), (5, 5)).ravel()).tolist() == [9, 12, 4]


def test_outlines_far_outside_cost_nothing_and_fill_what_they_cover():
    huge = shapely.box(-1e9, -1e9, 1e9, 1e9)
    assert (polygons_to_label([huge], SHAPE) == 1).all()
    assert (polygons_to_label([shapely.box(1e9, 1e9, 2e9, 2e9)], SHAPE) == 0).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0)])
def test_images_without_pixels(shape):
    assert polygons_to_label([shapely.box(0, 0, 2, 2)], shape).shape == shape


def test_points_lines_and_collections():
    collection = shapely.GeometryCollection([shapely.Point(1, 1), shapely.MultiPolygon([shapely.box(0, 0, 2, 1)])])
    labels = polygons_to_label([shapely.Point(3.5, 3.5), collection, shapely.LineString([(0, 0), (4, 4)])], (4, 4))
    assert np.argwhere(labels == 2).tolist() == [[0, 0], [0, 1]]
    assert set(np.unique(labels)) == {0, 2}


def test_no_polygons():
    assert not polygons_to_label([], SHAPE).any()


def test_labels_that_do_not_fit():
    with pytest.raises(InputError, match="do not fit uint8"):
        polygons_to_label([shapely.box(0, 0, 1, 1)], SHAPE, ids=[300], dtype=np.uint8)
    with pytest.raises(InputError, match="1 polygons and ids of shape"):
        polygons_to_label([shapely.box(0, 0, 1, 1)], SHAPE, ids=[1, 2])


def test_coordinates_that_are_not_finite():
    with np.errstate(invalid="ignore"):
        bad = shapely.Polygon([(0, 0), (np.nan, 1), (1, 1)])
    with pytest.raises(InputError, match="polygon 1: "):
        polygons_to_label([shapely.box(0, 0, 1, 1), bad], SHAPE)
