"""Label image -> polygons: exact, valid, minimal, and back again."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from histoseed.errors import InputError
from histoseed.geometry import label_to_polygons, polygons_to_label

SHAPES = st.tuples(st.integers(0, 12), st.integers(0, 12))
FEW_LABELS = SHAPES.flatmap(lambda shape: arrays(np.int32, shape, elements=st.sampled_from([0, 1, 2, 7])))
MASKS = SHAPES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1)))


def union_of_pixels(labels, label):
    rows, columns = np.nonzero(labels == label)
    return shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))


def rings_of(geometry):
    return shapely.get_rings(shapely.get_parts(geometry))


@settings(max_examples=300, deadline=None)
@given(st.one_of(FEW_LABELS, MASKS))
def test_polygons_are_the_union_of_the_pixels(labels):
    ids, polygons = label_to_polygons(labels)

    assert ids.dtype == np.int64
    assert ids.tolist() == [label for label in np.unique(labels).tolist() if label]
    assert shapely.is_valid(polygons).all()
    for label, polygon in zip(ids, polygons, strict=True):
        assert polygon.area == (labels == label).sum()
        assert shapely.equals(polygon, union_of_pixels(labels, label))


@settings(max_examples=300, deadline=None)
@given(st.one_of(FEW_LABELS, MASKS))
def test_label_polygon_label_is_the_identity(labels):
    ids, polygons = label_to_polygons(labels)
    np.testing.assert_array_equal(polygons_to_label(polygons, labels.shape, ids), labels)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_rings_are_simple_minimal_and_oriented(mask):
    _, polygons = label_to_polygons(mask)
    for polygon in polygons:
        parts = shapely.get_parts(polygon)
        assert shapely.is_ccw(shapely.get_exterior_ring(parts)).all()
        for part in parts:
            assert not any(ring.is_ccw for ring in part.interiors)
        for ring in rings_of(polygon):
            assert ring.is_simple
            level = np.diff(shapely.get_coordinates(ring)[:, 1]) == 0
            assert (level != np.roll(level, 1)).all(), "two sides in a row run the same way"


def test_a_single_pixel():
    ids, polygons = label_to_polygons(np.array([[0, 0], [0, 3]]))
    assert ids.tolist() == [3]
    assert polygons[0].wkt == "POLYGON ((1 1, 2 1, 2 2, 1 2, 1 1))"


def test_pixels_that_meet_at_a_corner_are_two_parts():
    (polygon,) = label_to_polygons(np.eye(2, dtype=int))[1]
    assert polygon.geom_type == "MultiPolygon"
    assert [part.bounds for part in polygon.geoms] == [(0, 0, 1, 1), (1, 1, 2, 2)]


def test_a_hole_that_touches_the_outline_at_a_corner_stays_a_hole():
    (polygon,) = label_to_polygons(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]]))[1]
    assert polygon.geom_type == "Polygon"
    assert [hole.bounds for hole in polygon.interiors] == [(1, 1, 2, 2)]


def test_an_island_in_a_lake_in_an_island():
    labels = np.zeros((9, 9), dtype=int)
    labels[:] = 1
    labels[1:-1, 1:-1] = 0
    labels[3:-3, 3:-3] = 1
    labels[4, 4] = 0
    (polygon,) = label_to_polygons(labels)[1]
    assert sorted((part.bounds, len(part.interiors)) for part in polygon.geoms) == [
        ((0, 0, 9, 9), 1),
        ((3, 3, 6, 6), 1),
    ]


def test_holes_find_the_right_shell_of_several():
    ring = np.ones((5, 5), dtype=int)
    ring[1:-1, 1:-1] = 0
    labels = np.zeros((5, 23), dtype=int)
    for at in (0, 6, 12, 18):
        labels[:, at : at + 5] = ring
    (polygon,) = label_to_polygons(labels)[1]
    assert [(part.bounds[0], part.interiors[0].bounds[0]) for part in polygon.geoms] == [
        (0, 1),
        (6, 7),
        (12, 13),
        (18, 19),
    ]


def test_a_spiral_is_one_ring():
    labels = np.zeros((41, 41), dtype=int)
    i = j = 0
    labels[0, 0] = 1
    for turn, length in enumerate([40, 40, 40, *(n for n in range(38, 0, -2) for _ in range(2))]):
        di, dj = ((0, 1), (1, 0), (0, -1), (-1, 0))[turn % 4]
        for _ in range(length):
            i, j = i + di, j + dj
            labels[i, j] = 1
    (polygon,) = label_to_polygons(labels)[1]
    assert polygon.geom_type == "Polygon"
    assert not polygon.interiors
    np.testing.assert_array_equal(polygons_to_label([polygon], labels.shape), labels)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (4, 4)])
def test_nothing_gives_nothing(shape):
    ids, polygons = label_to_polygons(np.zeros(shape, dtype=np.uint16))
    assert len(ids) == len(polygons) == 0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int64, np.uint32])
def test_integer_types_and_memory_layouts(dtype):
    labels = np.zeros((6, 8), dtype=dtype)
    labels[1:3, 2:7] = 1
    for view in (labels, np.asfortranarray(labels), labels[::-1, ::-1]):
        ids, polygons = label_to_polygons(view)
        assert ids.tolist() == [1]
        assert polygons[0].area == 10


def test_large_numbers_that_skip():
    ids, _ = label_to_polygons(np.array([[2**32 - 1, 0, 5]], dtype=np.uint32))
    assert ids.tolist() == [5, 2**32 - 1]


def test_origin_and_scale_put_a_tile_into_its_slide():
    labels = np.array([[0, 1]])
    moved = label_to_polygons(labels, origin=(100, 200), scale=2.0)[1][0]
    assert moved.bounds == (102, 200, 104, 202)


@pytest.mark.parametrize("labels", [np.zeros((2, 2, 2), int), np.zeros((2, 2)), np.array([[-1, 2]])])
def test_what_is_no_label_image(labels):
    with pytest.raises(InputError):
        label_to_polygons(labels)


def test_real_label_images(shared_data):
    path = sorted((shared_data / "monuseg16" / "labels").glob("*.png"))[0]
    labels = np.asarray(Image.open(path)).astype(np.int32)
    ids, polygons = label_to_polygons(labels)
    assert len(ids) > 100
    assert shapely.is_valid(polygons).all()
    np.testing.assert_array_equal(polygons_to_label(polygons, labels.shape, ids), labels)
