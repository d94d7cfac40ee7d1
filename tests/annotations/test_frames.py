"""Objects <-> polars table."""

import numpy as np
import polars as pl
import pytest
import shapely

from histoseed.annotations import FRAME_SCHEMA, Instances, instances_from_frame, instances_to_frame
from histoseed.errors import AnnotationError


@pytest.fixture
def table():
    holed = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (1, 2), (2, 2), (2, 1)]])
    many = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2)])
    return Instances.build(
        [holed, many, shapely.box(0, 0, 2, 3), shapely.Point(5, 6)],
        class_name=["a", None, "b", "a"],
        kind=["polygon", "polygon", "box", "point"],
        score=[0.1, np.nan, 0.2, np.nan],
        quality=[np.nan, 1, 0, np.nan],
        source=["x", None, None, "y"],
        locked=[True, False, False, True],
        measurements=[{"Fläche": 15.5, "void": np.nan}, {}, {"n": 1.0}, {}],
    )


def test_there_and_back_through_parquet(table, tmp_path):
    instances_to_frame(table).write_parquet(tmp_path / "a.parquet")
    again = instances_from_frame(pl.read_parquet(tmp_path / "a.parquet"), colors={"a": "#000000"})
    assert shapely.equals_exact(again.geometry, table.geometry).all()
    for name in ("id", "class_name", "kind", "source", "locked"):
        assert getattr(again, name).tolist() == getattr(table, name).tolist(), name
    np.testing.assert_array_equal(again.score, table.score)
    np.testing.assert_array_equal(again.quality, table.quality)
    assert again.measurements[1:].tolist() == table.measurements[1:].tolist()
    assert again.measurements[0]["Fläche"] == 15.5
    assert np.isnan(again.measurements[0]["void"])
    assert again.colors == {"a": "#000000"}


def test_what_is_unknown_is_null_and_what_follows_is_computed(table):
    frame = instances_to_frame(table)
    assert dict(frame.schema) == dict(FRAME_SCHEMA)
    assert frame["area_px"].to_list() == [15, 2, 6, None]
    assert frame["score"].to_list() == [0.1, None, 0.2, None]
    assert frame.select("x0", "y0", "x1", "y1").row(1) == (0, 0, 2, 2)
    assert frame.select("centroid_x", "centroid_y").row(3) == (5, 6)
    assert frame["measurements"].to_list()[1] is None


def test_no_objects():
    frame = instances_to_frame(Instances.empty())
    assert dict(frame.schema) == dict(FRAME_SCHEMA)
    assert len(instances_from_frame(frame)) == 0


def test_other_columns_may_be_absent(table):
    again = instances_from_frame(instances_to_frame(table).select("instance_id", "geometry", "kind"))
    assert again.kind.tolist() == table.kind.tolist()
    assert np.isnan(again.score).all()
    assert not again.locked.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("geometry"), "geometry: The column is missing"),
        (lambda frame: frame.drop("instance_id"), "instance_id: The column is missing"),
        (lambda frame: frame.with_columns(geometry=pl.lit(b"no wkb")), "damaged, or nested deeper"),
        (lambda frame: frame.with_columns(score=pl.lit("high")), "wrong type"),
        (lambda frame: frame.with_columns(measurements=pl.lit("[1]")), "row 0: The measurements"),
        (lambda frame: frame.with_columns(measurements=pl.lit("{")), "row 0: The measurements"),
        (lambda frame: frame.with_columns(instance_id=pl.lit("one")), "same id"),
        (lambda frame: frame.with_columns(kind=pl.lit("mask")), "Unknown kind"),
    ],
)
def test_tables_that_do_not_fit(table, change, message):
    with pytest.raises(AnnotationError, match=message):
        instances_from_frame(change(instances_to_frame(table)))
