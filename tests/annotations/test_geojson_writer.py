"""QuPath GeoJSON, written, and read again."""

import errno
import json
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histoseed.annotations import (
    GeoJsonWriter,
    Instances,
    class_color,
    geojson_writer,
    instances_from_labels,
    read_geojson,
    write_geojson,
)
from histoseed.errors import AnnotationError, InputError, OutputError

NAMES = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
LABELS = arrays(np.int32, (9, 9), elements=st.sampled_from([0, 1, 2, 5]))


def table(**columns):
    return Instances.build([shapely.box(0, 0, 4, 4)], id=["5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c11"], **columns)


def same(first, second):
    assert second.id.tolist() == first.id.tolist()
    assert shapely.equals_exact(second.geometry, first.geometry).all()
    for name in ("class_name", "kind", "source", "locked", "measurements"):
        assert getattr(second, name).tolist() == getattr(first, name).tolist(), name
    for name in ("score", "quality"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))


def test_the_field_contract(tmp_path):
    write_geojson(
        tmp_path / "a.geojson",
        table(class_name="Tumor: Positive", score=0.75, source="model", locked=True, measurements=[{"Area": 16.0}]),
        object_type="detection",
    )
    assert json.loads((tmp_path / "a.geojson").read_text()) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": "5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c11",
                "geometry": {"type": "Polygon", "coordinates": [[[4, 0], [4, 4], [0, 4], [0, 0], [4, 0]]]},
                "properties": {
                    "objectType": "detection",
                    "classification": {
                        "names": ["Tumor", "Positive"],
                        "color": [int(class_color("Tumor: Positive")[i : i + 2], 16) for i in (1, 3, 5)],
                    },
                    "isLocked": True,
                    "measurements": {"Area": 16.0, "histoseed: score": 0.75},
                    "metadata": {"histoseed: source": "model"},
                },
            }
        ],
    }


@settings(max_examples=60, deadline=None)
@given(LABELS, st.data())
def test_label_outlines_come_back_exactly(tmp_path_factory, labels, data):
    path = tmp_path_factory.mktemp("round") / "a.geojson"
    outlines = instances_from_labels(labels)
    n = len(outlines)

    def column(values):
        return data.draw(st.lists(values, min_size=n, max_size=n))

    unit = st.just(np.nan) | st.floats(0, 1)
    first = Instances.build(
        outlines.geometry,
        id=outlines.id,
        class_name=column(NAMES),
        source=column(NAMES),
        score=column(unit),
        quality=column(unit),
        locked=np.array(column(st.booleans()), dtype=bool),
        measurements=column(
            st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.floats(-1e9, 1e9), max_size=2)
        ),
    )
    write_geojson(path, first)
    second, warnings = read_geojson(path)
    assert not warnings
    same(first, second)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=5))
def test_coordinates_have_two_decimals_and_no_more_digits_than_needed(tmp_path_factory, xy):
    path = tmp_path_factory.mktemp("digits") / "a.geojson"
    write_geojson(path, Instances.build(shapely.points(xy), kind="point"))
    back, _ = read_geojson(path)
    np.testing.assert_array_equal(back.centroids(), np.round(xy, 2))
    text = path.read_text()
    for position in json.loads(text, parse_float=str, parse_int=str)["features"]:
        for number in position["geometry"]["coordinates"]:
            assert "e" not in number
            assert len(number.partition(".")[2]) <= 2
            assert "." not in number or not number.endswith("0")


def test_kinds_are_kept_and_a_reshaped_box_is_an_outline(tmp_path):
    path = tmp_path / "a.geojson"
    first = Instances.build([shapely.box(1, 1, 3, 5), shapely.Point(2, 2.5)], kind=["box", "point"])
    write_geojson(path, first)
    same(first, read_geojson(path)[0])
    path.write_text(path.read_text().replace("[3,5]", "[3,6]"))
    second, warnings = read_geojson(path)
    assert second.kind.tolist() == ["polygon", "point"]
    assert "reshaped" in warnings[0]


def test_colours_come_back_and_missing_ones_are_always_the_same(tmp_path):
    write_geojson(tmp_path / "a.geojson", table(class_name="A", colors={"A": "#0a0b0c"}))
    write_geojson(tmp_path / "b.geojson", table(class_name="A"))
    assert read_geojson(tmp_path / "a.geojson")[0].colors == {"A": "#0a0b0c"}
    assert read_geojson(tmp_path / "b.geojson")[0].colors == {"A": class_color("A")}


def test_numbers_that_json_cannot_hold_are_left_out(tmp_path):
    write_geojson(tmp_path / "a.geojson", table(measurements=[{"a": np.nan, "b": np.inf, "c": 1.5}]))
    assert read_geojson(tmp_path / "a.geojson")[0].measurements[0] == {"c": 1.5}


def test_half_a_surrogate_pair_does_not_break_the_file(tmp_path):
    write_geojson(tmp_path / "a.geojson", table(class_name="a\ud800"))
    assert read_geojson(tmp_path / "a.geojson")[0].class_name.tolist() == ["a?"]


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_a_stream_equals_one_piece_and_bytes_are_stable(tmp_path, monkeypatch, name):
    geometry = [shapely.box(i, 0, i + 1, 2.5) for i in range(10)]
    rows = Instances.build(geometry, class_name="A", id=[str(uuid.UUID(int=i)) for i in range(10)])
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    write_geojson(tmp_path / "one" / name, rows)
    monkeypatch.setattr(geojson_writer, "_ROWS_AT_ONCE", 3)
    with GeoJsonWriter(tmp_path / "two" / name) as writer:
        writer.write(rows.select(range(4)))
        writer.write(Instances.empty())
        writer.write(rows.select(range(4, 10)))
        assert writer.count == 10
    data = (tmp_path / "one" / name).read_bytes()
    assert data == (tmp_path / "two" / name).read_bytes()
    assert data.startswith(b"\x1f\x8b") == name.endswith(".gz")
    same(rows, read_geojson(tmp_path / "two" / name)[0])


def test_no_objects_are_a_valid_file(tmp_path):
    write_geojson(tmp_path / "a.geojson", Instances.empty())
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    assert len(read_geojson(tmp_path / "a.geojson")[0]) == 0


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        write_geojson(path, table())
    assert path.read_text() == "precious"
    write_geojson(path, table(), overwrite=True)
    assert len(read_geojson(path)[0]) == 1


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine"), FileNotFoundError("a slide")])
def test_an_interruption_leaves_nothing_and_passes_through(tmp_path, name, error):
    path = tmp_path / name
    path.write_text("old")

    def interrupted():
        with GeoJsonWriter(path, overwrite=True) as writer:
            writer.write(table())
            raise error

    with pytest.raises(type(error)) as caught:
        interrupted()
    assert caught.value is error
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


class FullDisk:
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    def overflow():
        with GeoJsonWriter(tmp_path / "a.geojson") as writer:
            writer._stream = FullDisk()
            writer.write(table())

    with pytest.raises(OutputError, match="disk is full"):
        overflow()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_at_the_last_byte(tmp_path):
    def overflow():
        with GeoJsonWriter(tmp_path / "a.geojson") as writer:
            writer.write(table())
            writer._stream = FullDisk()

    with pytest.raises(OutputError, match="disk is full"):
        overflow()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="'nucleus'"):
        GeoJsonWriter(tmp_path / "a.geojson", object_type="nucleus")
    with pytest.raises(OutputError, match="not open"):
        GeoJsonWriter(tmp_path / "a.geojson").write(table())
    with np.errstate(invalid="ignore"):
        bad = [shapely.Polygon(), shapely.Point(), shapely.Point(1, np.inf)]
    for row, kind in zip(bad, ("polygon", "point", "point"), strict=True):
        with pytest.raises(AnnotationError, match="object 0"):
            write_geojson(tmp_path / "a.geojson", Instances.build([row], kind=kind))
    assert not list(tmp_path.iterdir())


def test_real_files_come_back(shared_data, tmp_path):
    folder = shared_data / "annotation_format_fixtures"
    files = [*(folder / "qupath_geojson").glob("*.json"), *(folder / "qupath_geojson_advanced").glob("*.json")]
    assert len(files) == 10
    for number, file in enumerate(files):
        first, _ = read_geojson(file)
        write_geojson(tmp_path / f"{number}.geojson", first)
        second, warnings = read_geojson(tmp_path / f"{number}.geojson")
        assert not warnings
        same(first, second)
