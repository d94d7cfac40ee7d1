"""GeoParquet: geopandas reads what is written, and what geopandas writes is read."""

import json
import struct

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from histoseed.annotations import FRAME_SCHEMA, Instances
from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, WriteOptions
from histoseed.annotations.formats.geoparquet import FORMAT
from histoseed.errors import AnnotationError, LimitError
from histoseed.settings import Settings

BOX = shapely.box(1, 2, 3, 4)
HOLED = shapely.box(0, 0, 30, 30).difference(shapely.box(10, 10, 20, 20))
PAIR = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 7.125)])


def everything():
    return Instances.build(
        [HOLED, PAIR, BOX, shapely.Point(1.0625, 2)],
        kind=["polygon", "polygon", "box", "point"],
        class_name=["tumour", "A: B", None, "tumour"],
        score=[0.1, np.nan, 1, 0],
        quality=[np.nan, 0.3, 0, 1],
        source=["é", None, "b", None],
        locked=[True, False, True, False],
        measurements=[{"area": 1e-9}, {}, {"n": 3}, {}],
        colors={"tumour": "#c80000", "A: B": "#010203"},
    )


def write(path, table, size=(64, 48), mpp=0.25, **given):
    return FORMAT.write(path, [AnnotatedImage("a.svs", size, table, mpp)], WriteOptions(**given))


def read(path, **settings):
    (image,), said = FORMAT.read(path, ReadOptions(settings=Settings(**settings)))
    return image, said


@pytest.fixture
def geo(tmp_path):
    """Writes a GeoDataFrame with geopandas and returns the path."""

    def work(shapes, columns=None, crs=None, **given):
        path = tmp_path / "a.parquet"
        geopandas.GeoDataFrame(columns or {}, geometry=shapes, crs=crs).to_parquet(path, **given)
        return path

    return work


def test_geopandas_reads_every_column_of_what_is_written(tmp_path):
    table = everything()
    assert write(tmp_path / "a.parquet", table) == []
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs is None
    assert set(frame.columns) == set(FRAME_SCHEMA)
    assert all(a.equals_exact(b, 0) for a, b in zip(frame.geometry, table.geometry, strict=True))
    assert frame.instance_id.tolist() == table.id.tolist()
    assert frame.class_name.tolist() == table.class_name.tolist()
    assert frame.kind.tolist() == table.kind.tolist()
    assert frame.source.tolist() == table.source.tolist()
    assert frame.locked.tolist() == table.locked.tolist()
    np.testing.assert_array_equal(frame.score, table.score)
    np.testing.assert_array_equal(frame.quality, table.quality)
    assert json.loads(frame.measurements[0]) == {"area": 1e-9}
    np.testing.assert_allclose(frame.geometry.bounds, frame[["x0", "y0", "x1", "y1"]])
    np.testing.assert_allclose(frame.geometry.area[:3], frame.area_px[:3])


def test_the_metadata_are_those_of_the_standard(tmp_path):
    """https://geoparquet.org/releases/v1.1.0/: required keys, types in order of name, no reference system."""
    write(tmp_path / "a.parquet", everything())
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert column == {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Point", "Polygon"],
        "crs": None,
        "bbox": [0.0, 0.0, 30.0, 30.0],
    }
    kinds = {field.name: field.type for field in pq.read_schema(tmp_path / "a.parquet")}
    assert (kinds["geometry"], kinds["class_name"]) == (pa.binary(), pa.string())


def test_exact_round_trip(tmp_path):
    table = everything()
    write(tmp_path / "a.geoparquet", table)
    image, said = read(tmp_path / "a.geoparquet")
    assert said == []
    assert (image.name, image.size, image.mpp) == ("a.svs", (64, 48), 0.25)
    found = image.instances
    for name in ("id", "class_name", "kind", "source", "locked", "measurements"):
        assert getattr(found, name).tolist() == getattr(table, name).tolist(), name
    np.testing.assert_array_equal(found.score, table.score)
    np.testing.assert_array_equal(found.quality, table.quality)
    assert all(a.equals_exact(b, 0) for a, b in zip(found.geometry, table.geometry, strict=True))
    assert found.colors == table.colors


def test_an_empty_table(tmp_path):
    write(tmp_path / "a.parquet", Instances.empty(), size=None, mpp=None)
    image, said = read(tmp_path / "a.parquet")
    assert (len(image.instances), image.size, image.mpp, said) == (0, None, None, [])
    assert len(geopandas.read_parquet(tmp_path / "a.parquet")) == 0


def test_many_rows_come_in_order(tmp_path):
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(3000)]
    table = Instances.build(shapes)
    write(tmp_path / "a.parquet", table)
    assert read(tmp_path / "a.parquet")[0].instances.id.tolist() == table.id.tolist()


@pytest.mark.parametrize("name", ["class_name", "class", "classification"])
@pytest.mark.parametrize("categories", [False, True])
def test_what_geopandas_writes_is_read(geo, name, categories):
    classes = pd.Series(["a", None, "b"], dtype="category" if categories else None)
    path = geo([HOLED, PAIR, shapely.Point(1, 2)], {name: classes, "score": [0.5, None, 1], "note": ["x", "y", "z"]})
    assert FORMAT.sniff(path)
    image, said = read(path)
    table = image.instances
    assert all(a.equals_exact(b, 0) for a, b in zip(table.geometry, [HOLED, PAIR, shapely.Point(1, 2)], strict=True))
    assert table.kind.tolist() == ["polygon", "polygon", "point"]
    assert table.class_name.tolist() == ["a", None, "b"]
    np.testing.assert_array_equal(table.score, [0.5, np.nan, 1])
    assert said == ["Columns that were not read: note."]
    assert (image.name, image.size, image.mpp) == ("a", None, None)


def test_ids_of_others(geo):
    given = "5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c11"
    path = geo([BOX, BOX, BOX], {"id": [given, "7", given]})
    ids = [read(path)[0].instances.id.tolist() for _ in range(2)]
    assert ids[0] == ids[1]
    assert ids[0][0] == given
    assert len(set(ids[0])) == 3
    numbers = read(geo([BOX, BOX], {"id": [1, 2]}))[0].instances.id
    assert len(set(numbers)) == 2


def test_columns_of_another_type_are_left_and_told(geo):
    image, said = read(geo([BOX], {"class": [[1, 2]], "score": ["high"]}))
    assert image.instances.class_name.tolist() == [None]
    assert np.isnan(image.instances.score).all()
    assert said == ["Columns that were not read: class, score."]


def test_another_name_of_the_geometry(tmp_path):
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[BOX]).rename_geometry("outline")
    frame.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0].instances.geometry[0].equals(BOX)


@pytest.mark.parametrize("number", [4326, 3857])
def test_places_on_earth_are_no_pixels(geo, number):
    with pytest.raises(AnnotationError, match=r"reference system 'WGS 84.*, no pixels"):
        read(geo([BOX], crs=number))


def with_metadata(path, change):
    """The same file with other metadata of GeoParquet."""
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    change(geo)
    metadata = {**table.schema.metadata, b"geo": json.dumps(geo).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def test_what_says_nothing_about_degrees_is_read_with_a_warning(geo):
    path = with_metadata(geo([BOX]), lambda geo: geo["columns"]["geometry"].pop("crs"))
    image, said = read(path)
    assert len(image.instances) == 1
    assert said == ["The file does not say that its coordinates are no degrees; they were read as pixels."]


def test_a_reference_system_of_an_instrument_is_told(geo):
    system = {"type": "EngineeringCRS", "name": "pixels of a slide"}
    path = with_metadata(geo([BOX]), lambda geo: geo["columns"]["geometry"].update(crs=system))
    _, said = read(path)
    assert said == ["The reference system 'pixels of a slide' was not read; the coordinates were read as pixels."]


@pytest.mark.parametrize(
    "change",
    [
        lambda geo: geo.pop("primary_column"),
        lambda geo: geo.update(primary_column="other"),
        lambda geo: geo.update(columns=3),
        lambda geo: geo["columns"]["geometry"].pop("encoding"),
    ],
)
def test_damaged_metadata(geo, change):
    with pytest.raises(AnnotationError, match="metadata of GeoParquet are damaged"):
        read(with_metadata(geo([BOX]), change))


def test_other_encodings_are_refused_with_what_to_do(geo):
    with pytest.raises(AnnotationError, match="'polygon'; only WKB") as info:
        read(geo([BOX], geometry_encoding="geoarrow"))
    assert 'geometry_encoding="WKB"' in info.value.fix


def test_rows_that_are_no_objects_are_left_out(geo):
    line, bow = shapely.LineString([(0, 0), (1, 1)]), shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
    image, said = read(geo([BOX, None, shapely.Polygon(), line, bow]))
    assert [shape.area for shape in image.instances.geometry] == [4, 8]
    assert said == [
        "A row without an outline, or with one without area, was left out (2 rows: 1, 2).",
        "A LineString is no object and was left out (1 row: 3).",
        "An outline that crosses itself was repaired (1 row: 4).",
    ]


def with_nan(value):
    xy = shapely.get_coordinates(BOX)
    xy[2, 0] = value
    return shapely.set_coordinates(BOX, xy)


@pytest.mark.parametrize("value", [np.nan, np.inf, -2e9])
def test_coordinates_that_no_image_has(geo, value):
    path = geo([BOX], {})
    table = pq.read_table(path)
    bad = pa.array([shapely.to_wkb(with_nan(value))], pa.binary())
    pq.write_table(table.set_column(0, "geometry", bad), path)
    with pytest.raises(AnnotationError, match="no place in an image") as info:
        read(path)
    assert info.value.where == f"{path}, row 0"


def test_nested_collections_do_not_end_the_process(geo):
    path = geo([BOX])
    deep = struct.pack("<BII", 1, 6, 1) * 1_000_000 + shapely.to_wkb(BOX)
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "geometry", pa.array([deep], pa.binary())), path)
    with pytest.raises(AnnotationError, match="nested deeper"):
        read(path)


def test_limits(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, everything())
    assert len(read(path, max_objects=4, max_vertices=10)[0].instances) == 4
    with pytest.raises(LimitError, match="more than 3 objects"):
        read(path, max_objects=3)
    with pytest.raises(LimitError, match="10 vertices"):
        read(path, max_vertices=9)
    with pytest.raises(LimitError, match="more than 100 bytes"):
        read(path, max_geojson_bytes=100)


@pytest.mark.parametrize("stored", [True, False])
def test_a_small_file_that_unpacks_to_much_is_stopped(tmp_path, stored):
    """Equal outlines are stored once, so a file of kilobytes may hold much more."""
    outline = shapely.to_wkb(shapely.Polygon(np.random.default_rng(0).random((5_000, 2))))
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000, np.int32)), pa.array([outline], pa.binary()))
    geo = {"version": "1.1.0", "primary_column": "geometry"}
    geo["columns"] = {"geometry": {"encoding": "WKB", "geometry_types": [], "crs": None}}
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, pa.schema({"geometry": column.type}), store_schema=stored) as writer:
        writer.write_table(pa.table({"geometry": column}))
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
    assert path.stat().st_size < 200_000
    with pytest.raises(LimitError, match="Unpacked, the file holds more than 10000000 bytes"):
        read(path, max_geojson_bytes=10_000_000)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"hello", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_damaged_and_other_files(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match="no Parquet file, or it is damaged"):
        read(path)
    assert not FORMAT.sniff(path)


def test_texts_that_are_none(tmp_path):
    """pyarrow does not look at them, and polars ends in a panic of its own."""
    path = tmp_path / "a.parquet"
    write(path, everything())
    table = pq.read_table(path)
    names = pa.array([b"\xff\xfe"] * 4, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("class_name"), "class_name", names), path)
    with pytest.raises(AnnotationError, match="UTF8"):
        read(path)
    write(path, everything(), overwrite=True)
    path.write_bytes(path.read_bytes().replace(b"quality", b"qual\xff\xffy"))
    with pytest.raises(AnnotationError, match="utf-8"):
        read(path)
    assert not FORMAT.sniff(path)


def test_what_is_no_geoparquet(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(AnnotationError, match="no 'geo' in its metadata"):
        read(tmp_path / "a.parquet")
    assert not FORMAT.sniff(tmp_path / "a.parquet")
    assert not FORMAT.sniff(tmp_path)
    with pytest.raises(AnnotationError, match="no such file"):
        read(tmp_path / "absent")
    with pytest.raises(AnnotationError):
        read(tmp_path)


def test_a_file_of_ours_that_somebody_changed(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, everything())
    table = pq.read_table(path)
    moved = table.column("geometry").to_pylist()
    moved[2] = shapely.to_wkb(shapely.Polygon([(0, 0), (5, 1), (4, 4)]))
    changed = table.set_column(table.schema.get_field_index("geometry"), "geometry", pa.array(moved, pa.binary()))
    pq.write_table(changed, path)
    image, said = read(path)
    assert image.instances.kind.tolist() == ["polygon", "polygon", "polygon", "point"]
    assert said == ["A box was reshaped since and is read as an outline (1 row: 2)."]
    text = pa.array(["a"] * 4)
    pq.write_table(table.set_column(table.schema.get_field_index("score"), "score", text), path)
    with pytest.raises(AnnotationError, match="wrong type"):
        read(path)
