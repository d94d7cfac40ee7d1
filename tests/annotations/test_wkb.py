"""Well-known binary is read, and what would end the process is refused."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations.wkb import shapes_from_wkb
from histoseed.errors import AnnotationError

HOLED = shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [shapely.box(2, 2, 4, 4).exterior])
SHAPES = [
    shapely.Point(1, 2),
    shapely.LineString([(0, 0), (1, 1)]),
    HOLED,
    shapely.MultiPoint([(0, 0), (1, 1)]),
    shapely.MultiLineString([[(0, 0), (1, 1)], [(2, 2), (3, 3)]]),
    shapely.MultiPolygon([HOLED, shapely.box(20, 20, 21, 21)]),
    shapely.Polygon(),
    shapely.MultiPolygon(),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.geom_type)
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
def test_all_flavours_are_read(shape, order, flavor):
    raised = shapely.set_srid(shapely.force_3d(shape, 5.0), 4326)
    for one in (shape, raised):
        blob = shapely.to_wkb(one, byte_order=order, flavor=flavor, include_srid=flavor == "extended")
        (found,) = shapes_from_wkb([blob], "here")
        assert found.equals(shape)
        assert not found.has_z


def test_coordinates_may_be_nan():
    xy = shapely.get_coordinates(shapely.box(0, 0, 1, 1))
    xy[2] = np.nan
    blob = shapely.to_wkb(shapely.set_coordinates(shapely.box(0, 0, 1, 1), xy))
    (found,) = shapes_from_wkb([blob], "here")
    np.testing.assert_array_equal(shapely.get_coordinates(found), xy)


def test_null_stays_none():
    assert shapes_from_wkb([None, shapely.to_wkb(SHAPES[0])], "here")[0] is None
    assert shapes_from_wkb([], "here").shape == (0,)


def nested(code: int, depth: int) -> bytes:
    return struct.pack("<BII", 1, code, 1) * depth + shapely.to_wkb(shapely.box(0, 0, 1, 1))


@pytest.mark.parametrize("code", [4, 5, 6, 7, 1006, 0x80000006])
def test_deep_nesting_is_refused(code):
    with pytest.raises(AnnotationError, match="nested deeper") as info:
        shapes_from_wkb([shapely.to_wkb(shapely.Point(0, 0)), nested(code, 1_000_000)], "a.parquet")
    assert info.value.where == "a.parquet, row 1"


def test_deep_nesting_after_a_good_member_is_refused():
    deep = nested(6, 1_000_000)
    polygon = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    with pytest.raises(AnnotationError, match="nested deeper"):
        shapes_from_wkb([struct.pack("<BII", 1, 6, 2) + polygon + deep], "here")


def test_it_is_the_library_that_needs_this():
    """Where this fails, shapely has learnt to refuse it and the check can go."""
    code = (
        "import struct, shapely; "
        "shapely.from_wkb(struct.pack('<BII', 1, 6, 1) * 1_000_000 + shapely.to_wkb(shapely.Point(0, 0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode < 0


@pytest.mark.parametrize(
    "blob", [b"", b"\x02", b"\x01\x03", b"hello world", struct.pack("<BI", 1, 99), nested(6, 0)[:30]]
)
def test_damaged_bytes(blob):
    with pytest.raises(AnnotationError, match=r"damaged|no well-known binary"):
        shapes_from_wkb([blob], "here")


@given(data=st.data())
def test_any_change_gives_a_geometry_or_an_error_of_ours(data):
    blob = bytearray(shapely.to_wkb(SHAPES[5]))
    for at in data.draw(st.lists(st.integers(0, len(blob) - 1), min_size=1, max_size=6)):
        blob[at] = data.draw(st.integers(0, 255))
    try:
        shapes_from_wkb([bytes(blob)], "here")
    except AnnotationError:
        return
