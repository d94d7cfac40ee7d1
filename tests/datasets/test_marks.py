"""Points and boxes: read with their patch, cut with it, written with it."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.datasets import (
    DatasetInfo,
    DatasetWriter,
    Marks,
    annotated_crops,
    crop_patch,
    named_classes,
    object_ids,
    read_dataset,
)


@pytest.fixture
def mixed(tmp_path):
    """One outline, one box, two points; the box goes on beyond the patch."""
    shapes = [shapely.box(2, 2, 8, 8), shapely.box(20, 10, 26, 18), shapely.Point(5.5, 20.5), shapely.Point(30, 30)]
    names, kinds = ["a", "b", "a", None], ["polygon", "box", "point", "point"]
    with DatasetWriter(tmp_path / "d", DatasetInfo(name="d", classes=named_classes(["a", "b"]))) as writer:
        objects = Instances.build(shapes, class_name=names, kind=kinds, id=object_ids("d", "p", 4))
        writer.add("p", np.full((32, 40, 3), 200, np.uint8), objects, mpp=0.5)
    return read_dataset(tmp_path / "d", verify=True)


def test_a_patch_has_its_marks_beside_its_labels(mixed):
    patch = mixed.patch("p")
    assert len(patch.label_ids) == 1
    assert patch.marks.points.tolist() == [[5.5, 20.5], [30.0, 30.0]]
    assert patch.marks.point_classes.tolist() == [1, 0]
    assert patch.marks.boxes.tolist() == [[20.0, 10.0, 26.0, 18.0]]
    assert patch.marks.box_classes.tolist() == [2]
    assert patch.marks.centres.tolist() == [[5.5, 20.5], [30.0, 30.0], [23.0, 14.0]]
    assert patch.marks.class_ids.tolist() == [1, 0, 2]
    assert [crop.objects for crop in annotated_crops(mixed, 100.0)] == [4]


def test_a_crop_takes_its_marks_along(mixed):
    crop = crop_patch(mixed.patch("p"), 4, 8, 20)
    assert crop.marks.points.tolist() == [[1.5, 12.5]]
    assert crop.marks.boxes.tolist() == [[16.0, 2.0, 22.0, 10.0]]
    assert len(crop.marks.inside(20, 20)) == 2
    assert len(crop_patch(mixed.patch("p"), 0, 0, 4).marks) == 0


def test_marks_are_written_with_their_patch(mixed, tmp_path):
    for name in ("one", "two"):
        with DatasetWriter(tmp_path / name, mixed.info) as writer:
            writer.add_patch(replace(mixed.patch("p"), patch_id="q"))
    again = read_dataset(tmp_path / "one", verify=True)
    patch, before = again.patch("q"), mixed.patch("p")
    for name in ("points", "point_classes", "boxes", "box_classes"):
        np.testing.assert_array_equal(getattr(patch.marks, name), getattr(before.marks, name))
    np.testing.assert_array_equal(patch.labels > 0, before.labels > 0)
    tables = [(tmp_path / name / "instances.parquet").read_bytes() for name in ("one", "two")]
    assert tables[0] == tables[1]


places = st.lists(st.tuples(st.floats(0, 31.9), st.floats(0, 39.9)), max_size=6)


@given(places, st.integers(0, 31), st.integers(0, 39))
def test_only_marks_outside_of_the_ignored_count(points, x, y):
    marks = Marks(points=np.array(points).reshape(-1, 2), point_classes=np.zeros(len(points), np.int32))
    ignore = np.zeros((40, 32), bool)
    ignore[: y + 1, : x + 1] = True
    kept = marks.outside(ignore).points.tolist()
    assert kept == [list(p) for p in points if not (int(p[0]) <= x and int(p[1]) <= y)]
    assert marks.outside(None) is marks
