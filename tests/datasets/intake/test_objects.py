"""Outlines at the border of their image."""

import numpy as np
import shapely

from histoseed.annotations import Instances
from histoseed.datasets.intake.objects import class_by_majority, clipped, outlines
from histoseed.wording import agreed


def test_objects_are_cut_at_the_border():
    shapes = [shapely.box(-5, 2, 5, 6), shapely.box(2, 2, 4, 4), shapely.box(30, 30, 40, 40), shapely.Point(10, 10)]
    cut, remarks = clipped(Instances.build(shapes, kind=["polygon", "box", "polygon", "point"]), (20, 10))
    expected = [shapely.box(0, 2, 5, 6), shapely.box(2, 2, 4, 4), shapely.Point(10, 10)]
    assert shapely.equals(cut.geometry, expected).all()
    assert cut.kind.tolist() == ["polygon", "box", "point"]
    assert [(r.count, "cut" in r.text) for r in remarks] == [(1, True), (1, False)]


def test_an_outline_that_only_touches_a_corner_is_left_out():
    touching = Instances.build([shapely.Polygon([(20, 10), (25, 10), (25, 15)]), shapely.box(20, 0, 30, 5)])
    cut, remarks = clipped(touching, (20, 10))
    assert len(cut) == 0
    assert remarks[0].count == 2


def test_an_outline_in_two_parts_stays_one_object():
    comb = shapely.Polygon([(2, 8), (2, 12), (10, 12), (10, 8), (8, 8), (8, 11), (4, 11), (4, 8)])
    cut, _ = clipped(Instances.build([comb]), (20, 10))
    assert cut.geometry[0].geom_type == "MultiPolygon"
    assert cut.geometry[0].area == 8


def test_outlines_are_closed_repaired_or_left_out():
    rings = [
        np.array([(0, 0), (4, 0), (4, 4)], float),
        np.array([(0, 0), (4, 0), (0, 4), (4, 4)], float),
        np.array([(0, 0), (4, 0), (0, 0)], float),
        np.array([(0, 0), (1, 1), (2, 2)], float),
        None,
    ]
    shapes, lost, remarks = outlines(rings)
    assert lost.tolist() == [False, False, True, True, True]
    assert shapes[0].area == 8
    assert shapes[1].is_valid
    assert [agreed(remark.text, remark.count) for remark in remarks] == [
        "2 outlines of less than three different vertices were left out",
        "1 outline that crosses itself was repaired",
        "1 outline without area was left out",
    ]


def test_classes_by_vote():
    labels = np.array([[1, 1, 1, 2, 2, 5, 5, 0]])
    types = np.array([[1, 1, 2, 1, 2, 0, 9, 1]])
    classes, remarks = class_by_majority(labels, types, {1: "a", 2: "b", 9: None}, "x.mat")
    assert classes == {1: "a", 2: "a", 5: None}
    assert [remark.count for remark in remarks] == [2, 1, 1]
