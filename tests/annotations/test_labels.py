"""Objects <-> label image."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histoseed.annotations import FlattenReport, Instances, instances_from_labels, labels_from_instances
from histoseed.errors import InputError

LABELS = arrays(np.int32, (8, 11), elements=st.sampled_from([0, 0, 3, 4, 900]))


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_there_and_back_only_numbers_anew(labels):
    table = instances_from_labels(labels)
    again, report = labels_from_instances(table, labels.shape)
    present = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(again, np.searchsorted(np.append(0, present), labels))
    assert again.dtype == np.int32
    assert report == FlattenReport(0, 0, 0)


def test_classes_sources_and_ids_follow_ascending_labels():
    labels = np.array([[7, 0, 2, 5]])
    table = instances_from_labels(labels, class_of={2: "a", 7: "b", 9: "c"}, source="me", id=["x", "y", "z"])
    assert table.class_name.tolist() == ["a", None, "b"]
    assert table.source.tolist() == ["me"] * 3
    assert table.id.tolist() == ["x", "y", "z"]
    assert table.bounds()[:, 0].tolist() == [2, 3, 0]


def test_what_overlaps_cost_is_reported():
    table = Instances.build(
        [
            shapely.box(0, 0, 2, 2),  # drawn over whole: 4 pixels
            shapely.box(0, 0, 3, 3),  # loses one pixel
            shapely.box(2, 2, 5, 5),
            shapely.box(4.6, 0.6, 4.9, 0.9),  # without a pixel centre
            shapely.box(20, 20, 30, 30),  # out of the image
            shapely.box(0, 4, 1, 5),
            shapely.Point(1, 1),
        ],
        kind=["polygon"] * 5 + ["box", "point"],
    )
    labels, report = labels_from_instances(table, (5, 6))
    assert report == FlattenReport(pixels_lost=5, objects_lost=3, not_drawn=2)
    assert np.bincount(labels.ravel()).tolist() == [13, 0, 8, 9]
    assert str(report).startswith("5 pixels and 3 objects lost")
    assert str(FlattenReport(1, 1, 1)) == (
        "1 pixel and 1 object lost where outlines overlap or leave the image; 1 box or point not drawn."
    )


def test_no_objects():
    labels, report = labels_from_instances(Instances.empty(), (3, 4))
    assert labels.shape == (3, 4)
    assert not labels.any()
    assert report == FlattenReport(0, 0, 0)


def test_negative_labels_are_an_error():
    with pytest.raises(InputError, match="negative"):
        instances_from_labels(np.array([[-1]]))
