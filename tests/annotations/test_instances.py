"""The table of objects."""

import uuid

import numpy as np
import pytest
import shapely

from histoseed.annotations import Instances, new_ids
from histoseed.errors import AnnotationError

SQUARE, POINT = shapely.box(0, 0, 2, 4), shapely.Point(5, 6)


def test_one_value_stands_for_every_row_and_the_rest_is_empty():
    table = Instances.build([SQUARE, SQUARE], class_name="nucleus", score=0.5, locked=True)
    assert table.class_name.tolist() == ["nucleus", "nucleus"]
    assert table.score.tolist() == [0.5, 0.5]
    assert table.locked.tolist() == [True, True]
    assert np.isnan(table.quality).all()
    assert table.source.tolist() == [None, None]
    assert table.measurements[0] is not table.measurements[1]


def test_bounds_and_centroids_of_every_kind():
    table = Instances.build([SQUARE, POINT], kind=["box", "point"])
    assert table.bounds().tolist() == [[0, 0, 2, 4], [5, 6, 5, 6]]
    assert table.centroids().tolist() == [[1, 2], [5, 6]]
    assert Instances.empty().bounds().shape == (0, 4)
    assert Instances.empty().centroids().shape == (0, 2)


def test_select_by_mask_and_by_index_keeps_rows_together():
    table = Instances.build([SQUARE, POINT, SQUARE], kind=["polygon", "point", "box"], class_name=["a", "b", None])
    assert table.select(table.kind == "point").class_name.tolist() == ["b"]
    turned = table.select([2, 0])
    assert turned.id.tolist() == [table.id[2], table.id[0]]
    assert turned.kind.tolist() == ["box", "polygon"]
    assert len(table.select([])) == 0


def test_concatenate_is_the_reverse_of_select():
    table = Instances.build([SQUARE, POINT], kind=["polygon", "point"], colors={"a": "#010203"})
    again = Instances.concatenate([table.select([0]), table.select([1])])
    assert again.id.tolist() == table.id.tolist()
    assert again.colors == table.colors
    assert len(Instances.concatenate([])) == 0


def test_moved_there_and_back():
    table = Instances.build([SQUARE, POINT], kind=["polygon", "point"])
    there = table.moved(10, -3, scale=2)
    assert there.bounds().tolist() == [[10, -3, 14, 5], [20, 9, 20, 9]]
    assert there.moved(-5, 1.5, scale=0.5).bounds().tolist() == table.bounds().tolist()


def test_classes_are_sorted_and_leave_out_the_unclassified():
    assert Instances.build([POINT] * 3, kind="point", class_name=["b", None, "a"]).classes() == ["a", "b"]


def test_new_ids_are_uuids_and_follow_their_generator():
    first, second = new_ids(3, np.random.default_rng(1)), new_ids(3, np.random.default_rng(1))
    assert first.tolist() == second.tolist()
    assert len({*first, *new_ids(3)}) == 6
    assert {uuid.UUID(value).version for value in [*first, *new_ids(2)]} == {4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_name": ["a"]}, "'class_name' has 1 rows, geometry has 2"),
        ({"score": [0.1, 0.2, 0.3]}, "'score' has shape"),
        ({"measurements": [{}]}, "'measurements' has 1 rows"),
        ({"kind": "mask"}, "Unknown kind"),
        ({"kind": "point"}, "row 0: A point cannot be a Polygon"),
        ({"id": ["a", "a"]}, "same id"),
    ],
)
def test_columns_that_do_not_fit(arguments, message):
    with pytest.raises(AnnotationError, match=message):
        Instances.build([SQUARE, SQUARE], **arguments)


def test_geometry_that_is_none():
    with pytest.raises(AnnotationError, match="row 1: A polygon cannot be a NoneType"):
        Instances.build([SQUARE, None])


def test_a_table_is_not_a_sequence():
    with pytest.raises(TypeError):
        list(Instances.build([SQUARE]))
