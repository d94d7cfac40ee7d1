"""QuPath GeoJSON of all versions, read."""

import gzip
import json
import uuid
import zipfile

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histoseed.annotations import read_geojson, write_geojson
from histoseed.errors import AnnotationError, LimitError
from histoseed.settings import Settings

from .conftest import feature, polygon

SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]
HOLE = [(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]
BOW_TIE = [(0, 0), (4, 4), (4, 0), (0, 4), (0, 0)]


def read_one(geojson, *args, **properties):
    table, warnings = read_geojson(geojson([feature(*args, **properties)]))
    assert len(table) == 1
    return table, warnings


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: {"type": "FeatureCollection", "features": [f]},
        lambda f: [f],
        lambda f: f,
    ],
)
def test_three_top_levels(geojson, wrap):
    table, warnings = read_geojson(geojson(wrap(feature())))
    assert shapely.equals(table.geometry[0], shapely.box(0, 0, 4, 4))
    assert table.id.tolist() == [feature()["id"]]
    assert not warnings


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_packed_files_and_byte_order_marks(tmp_path, mark):
    text = (mark + json.dumps([feature()])).encode()
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/a.geojson", text)
    (tmp_path / "a.json").write_bytes(text)
    for name in ("a.geojson.gz", "a.zip", "a.json"):
        assert len(read_geojson(tmp_path / name)[0]) == 1


@pytest.mark.parametrize(
    ("classification", "name", "color"),
    [
        ({"name": "Tumor", "color": [200, 0, 10]}, "Tumor", "#c8000a"),
        ({"name": "Nucleus", "colorRGB": -4689085}, "Nucleus", "#b87343"),
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "Tumor: Positive", "#010203"),
        ({"name": "Tumor: Positive"}, "Tumor: Positive", None),
        ("Stroma", "Stroma", None),
        ({"name": "lower Case kept", "color": "red"}, "lower Case kept", None),
        ({"name": "half \ud800 pair"}, "half ? pair", None),
        (None, None, None),
        ({}, None, None),
        ("", None, None),
    ],
)
def test_classifications_of_all_versions(geojson, classification, name, color):
    table, _ = read_one(geojson, classification=classification)
    assert table.class_name.tolist() == [name]
    assert table.colors == ({} if color is None else {name: color})


@pytest.mark.parametrize("classification", [3, {"name": 3}, {"names": "A"}, {"names": [1]}, ["A"]])
def test_classifications_that_are_none(geojson, classification):
    with pytest.raises(AnnotationError, match=r"feature 0 .*5e1f6a52.*class"):
        read_one(geojson, classification=classification)


@pytest.mark.parametrize(
    "measurements", [{"Area": 3, "Ratio": "NaN"}, [{"name": "Area", "value": 3}, {"name": "Ratio", "value": "NaN"}]]
)
def test_measurements_of_all_versions(geojson, measurements):
    table, _ = read_one(geojson, measurements=measurements)
    assert table.measurements[0]["Area"] == 3.0
    assert np.isnan(table.measurements[0]["Ratio"])


def test_measurements_that_are_no_numbers_are_said(geojson):
    table, warnings = read_one(geojson, measurements={"Area": 3, "Mood": "good", "Void": None})
    assert table.measurements[0] == {"Area": 3.0}
    assert len(warnings) == 2


def test_lock_and_holes_and_parts(geojson):
    many = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [[(5, 5), (6, 5), (6, 6), (5, 5)]]]}
    table, warnings = read_one(geojson, many, isLocked=True)
    assert table.locked.tolist() == [True]
    assert table.geometry[0].geom_type == "MultiPolygon"
    assert table.geometry[0].area == 15.5
    assert not warnings


def test_a_third_coordinate_is_dropped(geojson):
    table, _ = read_one(geojson, polygon([(0, 0, 9), (4, 0, 9), (4, 4), (0, 0, 9)]))
    assert table.geometry[0].area == 8
    assert not shapely.has_z(table.geometry[0])


def test_points_are_points_and_multipoints_several(geojson):
    table, warnings = read_geojson(
        geojson(
            [
                feature({"type": "Point", "coordinates": [1.5, 2]}, classification="A"),
                feature({"type": "MultiPoint", "coordinates": [[3, 4], [5, 6]]}, id=str(uuid.uuid4())),
                feature(id=str(uuid.uuid4())),
            ]
        )
    )
    assert table.kind.tolist() == ["point", "point", "point", "polygon"]
    assert table.centroids()[:3].tolist() == [[1.5, 2], [3, 4], [5, 6]]
    assert len(set(table.id)) == 4
    assert not warnings


@pytest.mark.parametrize("kind", ["LineString", "MultiLineString"])
def test_lines_are_named_and_left_out(geojson, kind):
    table, warnings = read_geojson(
        geojson([feature(), feature({"type": kind, "coordinates": [[1, 2], [3, 4]]}, id="l")])
    )
    assert len(table) == 1
    (warning,) = warnings
    assert kind in warning
    assert "1 ('l')" in warning


@pytest.mark.parametrize("geometry", [{"type": "Polygon", "coordinates": []}, {"type": "Point", "coordinates": []}])
def test_empty_geometries_are_left_out_and_said(geojson, geometry):
    table, warnings = read_geojson(geojson([feature(geometry)]))
    assert len(table) == 0
    assert "empty" in warnings[0]


def test_a_feature_without_geometry_is_left_out_and_said(geojson):
    nothing = {"type": "Feature", "geometry": None, "properties": None}
    table, warnings = read_geojson(geojson([nothing, feature()]))
    assert len(table) == 1
    assert "without geometry" in warnings[0]


def test_collections_give_their_polygons(geojson):
    members = [polygon(SQUARE), polygon([(6, 6), (8, 6), (8, 8), (6, 6)]), {"type": "Point", "coordinates": [1, 1]}]
    table, warnings = read_one(geojson, {"type": "GeometryCollection", "geometries": members})
    assert table.geometry[0].area == 18
    assert "Point inside a GeometryCollection" in warnings[0]


def test_children_follow_their_parents(geojson):
    child = feature(polygon([(1, 1), (2, 1), (2, 2), (1, 1)]), id=str(uuid.uuid4()), objectType="detection")
    root = {"type": "Feature", "geometry": polygon(SQUARE), "properties": {"objectType": "root"}}
    root["properties"]["childObjects"] = [feature(childObjects=[child]), feature(id=str(uuid.uuid4()))]
    table, warnings = read_geojson(geojson(root))
    assert shapely.area(table.geometry).tolist() == [16, 0.5, 16]
    assert "'root'" in warnings[0]


def test_cells_have_a_boundary_and_a_nucleus(geojson):
    cell = feature(objectType="cell") | {"nucleusGeometry": polygon(HOLE)}
    path = geojson([cell, feature(id=str(uuid.uuid4()), objectType="cell")])
    assert shapely.area(read_geojson(path)[0].geometry).tolist() == [16, 16]
    assert shapely.area(read_geojson(path, nucleus=True)[0].geometry).tolist() == [1, 16]


def test_outlines_that_cross_themselves_are_repaired_and_said(geojson):
    table, warnings = read_one(geojson, polygon(BOW_TIE))
    assert shapely.is_valid(table.geometry).all()
    assert table.geometry[0].area == 8
    assert "crosses itself" in warnings[0]


def test_overlapping_parts_and_holes_outside_are_repaired(geojson):
    overlap = {"type": "MultiPolygon", "coordinates": [[SQUARE], [[(2, 2), (6, 2), (6, 6), (2, 6), (2, 2)]]]}
    assert read_one(geojson, overlap)[0].geometry[0].area == 28
    outside = polygon(SQUARE, [(3, 3), (6, 3), (6, 3.5), (3, 3.5), (3, 3)])
    assert read_one(geojson, outside)[0].geometry[0].area == 15.5


@pytest.mark.parametrize("ring", [[(0, 0), (1, 1), (0, 0)], [(0, 0), (4, 4), (2, 2), (0, 0)], [(1, 1)] * 4, [(1, 1)]])
def test_outlines_without_area_are_left_out_and_said(geojson, ring):
    table, warnings = read_geojson(geojson([feature(polygon(ring)), feature(id=str(uuid.uuid4()))]))
    assert shapely.area(table.geometry).tolist() == [16]
    assert len(warnings) == 1
    assert "left out" in warnings[0]


def test_a_hole_of_two_vertices_is_left_out_and_said(geojson):
    table, warnings = read_one(geojson, polygon(SQUARE, [(1, 1), (2, 2), (1, 1)], HOLE))
    assert table.geometry[0].area == 15
    assert "A hole" in warnings[0]


def test_rings_that_are_not_closed_are_closed(geojson):
    assert read_one(geojson, polygon(SQUARE[:-1]))[0].geometry[0].area == 16


def test_ids_that_are_no_uuid_get_one_that_stays_the_same(geojson):
    features = [feature(id="PathAnnotationObject"), feature(id="PathAnnotationObject"), feature(id=7), feature(id=None)]
    path = geojson(features)
    table, warnings = read_geojson(path)
    assert len({str(uuid.UUID(value)) for value in table.id}) == 4
    assert read_geojson(path)[0].id.tolist() == table.id.tolist()
    assert "no UUID" in warnings[0]
    assert "3 features" in warnings[0]
    assert "There is no id" in warnings[1]
    assert read_geojson(geojson(features[:1], "b.geojson"))[0].id[0] == table.id[0]


def test_an_id_that_stands_twice_is_said(geojson):
    table, warnings = read_geojson(geojson([feature(), feature()]))
    assert table.id[0] == feature()["id"] != table.id[1]
    assert "1 feature: 1 " in warnings[0]


POINT = '{"type": "Point", "coordinates": [1, 2]}'
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "bad", [(NAN, 1), (1, INF), (-1, 1), (1, -0.01), ("1", 1), (True, 1), (None, 1), (1,), [[1, 2]], 5, "ab", {}]
)
def test_bad_positions_name_the_feature(geojson, bad):
    good = feature(id=str(uuid.uuid4()))
    path = geojson([good, feature({"type": "Polygon", "coordinates": [[*SQUARE[:2], bad, SQUARE[0]]]}, id="culprit")])
    with pytest.raises(AnnotationError, match=r"a\.geojson, feature 1 \('culprit'\)"):
        read_geojson(path)


def test_numbers_beyond_every_float(geojson):
    text = json.dumps([feature(id="culprit")])
    for huge in ("1e999", "1" + "0" * 400, "-1e300"):
        with pytest.raises(AnnotationError, match=r"feature 0 \('culprit'\)"):
            read_geojson(geojson(text.replace("[4, 4]", f"[4, {huge}]")), allow_outside=True)
    assert len(read_geojson(geojson(text.replace("[4, 4]", "[4, 1e8]")))[0]) == 1


def test_coordinates_outside_the_image(geojson):
    path = geojson([feature(polygon([(-1, 0), (12, 0), (3, 3), (-1, 0)]))])
    with pytest.raises(AnnotationError, match=r"\(-1, 0\) is outside the image"):
        read_geojson(path)
    assert len(read_geojson(path, size=(10, 10), allow_outside=True)[0]) == 1
    path = geojson([feature(polygon([(1, 0), (12, 0), (3, 3), (1, 0)]))])
    assert len(read_geojson(path, size=(12, 3))[0]) == 1
    with pytest.raises(AnnotationError, match=r"\(12, 0\) is outside the image of 11 x 10 pixels"):
        read_geojson(path, size=(11, 10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("hello", "not JSON"),
        ('[{"type": "Feature"', "cut off"),
        ("{'type': 1}", "not JSON"),
        ("[" * 200_000, "not JSON|nested too deeply"),
        ("3", "int, not a FeatureCollection"),
        ("null", "NoneType, not a"),
        ('{"type": "Topology"}', "'Topology', not a"),
        ('{"type": "FeatureCollection", "features": {}}', "not a FeatureCollection"),
        ("[3]", "feature 0: This is no object of type Feature"),
        ('[{"type": "Polygon"}]', "feature 0: This is no object"),
        ('[{"type": "Feature", "properties": [1]}]', "properties are no object"),
        ('[{"type": "Feature", "geometry": 5}]', "geometry is no object"),
        ('[{"type": "Feature", "geometry": {"type": "Polygon"}}]', "no list of coordinates"),
        ('[{"type": "Feature", "geometry": {"type": "Blob", "coordinates": [1]}}]', "no geometry type 'Blob'"),
        ('[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [1, 2]}}]', "not nested"),
        ('[{"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[[1, 2]], 3]}}]', "not nested"),
        ('[{"type": "Feature", "geometry": {"type": "GeometryCollection"}}]', "no list of geometries"),
        (f'[{{"type": "Feature", "geometry": {POINT}, "properties": {{"measurements": [3]}}}}]', "measurements"),
    ],
)
def test_files_that_are_no_geojson(geojson, content, message):
    with pytest.raises(AnnotationError, match=message):
        read_geojson(geojson(content))


def test_files_that_are_absent_damaged_or_binary(tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        read_geojson(tmp_path / "absent.geojson")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_geojson(tmp_path)
    packed = gzip.compress(json.dumps([feature()] * 100).encode())
    for name, data in {
        "cut.gz": packed[:-20],
        "wrong.gz": packed[:30] + b"xxxx" + packed[34:],
        "cut.zip": b"PK\x03\x04 and no more",
        "picture.geojson": b"\x89PNG\r\n\x1a\n\xff\xfe",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AnnotationError):
            read_geojson(tmp_path / name)


def test_a_zip_of_two_files_is_ambiguous(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.geojson", "[]")
        archive.writestr("b.geojson", "[]")
    with pytest.raises(AnnotationError, match="2 JSON files"):
        read_geojson(tmp_path / "a.zip")


def test_limits(tmp_path, geojson):
    bomb = tmp_path / "bomb.geojson.gz"
    bomb.write_bytes(gzip.compress(b"[" + b" " * 1_000_000 + b"]"))
    with pytest.raises(LimitError, match="HISTOSEED_MAX_GEOJSON_BYTES"):
        read_geojson(bomb, settings=Settings(max_geojson_bytes=100_000))
    path = geojson([feature(), feature(childObjects=[feature()])])
    assert len(read_geojson(path, settings=Settings(max_objects=3, max_vertices=5))[0]) == 3
    with pytest.raises(LimitError, match="HISTOSEED_MAX_OBJECTS"):
        read_geojson(path, settings=Settings(max_objects=2))
    with pytest.raises(LimitError, match=r"feature 0 .*HISTOSEED_MAX_VERTICES"):
        read_geojson(path, settings=Settings(max_vertices=4))


KEYS = ["type", "coordinates", "geometries", "classification", "name", "names", "color", "measurements", "value"]
KEYS += [
    "metadata",
    "histoseed: kind",
    "objectType",
    "childObjects",
    "plane",
    "z",
    "isLocked",
    "properties",
    "geometry",
]
WORDS = ["Feature", "Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "GeometryCollection", "box", "NaN"]
LEAF = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.sampled_from(WORDS)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=25,
)
RING = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=7)
GEOMETRY = (
    VALUE
    | st.fixed_dictionaries({"type": st.sampled_from(WORDS), "coordinates": VALUE})
    | st.fixed_dictionaries({"type": st.just("Polygon"), "coordinates": st.lists(RING, max_size=3)})
    | st.fixed_dictionaries({"type": st.just("MultiPolygon"), "coordinates": st.lists(st.lists(RING, max_size=3))})
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({"id": VALUE, "geometry": GEOMETRY, "properties": VALUE}), max_size=4))
def test_whatever_stands_in_a_feature_is_valid_objects_or_a_clear_error(geojson, features):
    path = geojson([{"type": "Feature", **feature} for feature in features])
    try:
        table, _ = read_geojson(path)
    except AnnotationError as error:
        told = str(error)
    else:
        told = "feature "
        assert shapely.is_valid(table.geometry).all()
        assert not shapely.is_empty(table.geometry).any()
    assert "feature " in told


def test_no_features(geojson):
    table, warnings = read_geojson(geojson("[]"))
    assert len(table) == 0
    assert not warnings


REAL = {  # kind and number of objects, and the bounds of all of them, read off the files
    "qupath_geojson/qupath-polygon.json": ("polygon", 1, (26215, 15345, 26637, 15705)),
    "qupath_geojson/qupath-rectangle.json": ("polygon", 1, (26268, 15298, 26478, 15474)),
    "qupath_geojson/qupath-point.json": ("point", 1, (26833.53, 15424.94, 26833.53, 15424.94)),
    "qupath_geojson/qupath-multipoint.json": ("point", 3, (26807.1, 15424.94, 26843.88, 15451.72)),
    "hoverfast_tcga_tile.geojson": ("polygon", 4, (24, 260, 457, 462)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared_data, name):
    kind, count, bounds = REAL[name]
    table, _ = read_geojson(shared_data / "annotation_format_fixtures" / name)
    assert table.kind.tolist() == [kind] * count
    assert shapely.total_bounds(table.geometry).tolist() == list(bounds)


@pytest.mark.parametrize("name", ["brush", "ellipse", "wand"])
def test_real_outlines_are_valid_as_they_are(shared_data, name):
    table, warnings = read_geojson(
        shared_data / "annotation_format_fixtures" / "qupath_geojson" / f"qupath-{name}.json"
    )
    assert table.kind.tolist() == ["polygon"]
    assert len(warnings) == 1  # the id of that time
    assert "UUID" in warnings[0]


def test_real_cells_with_classes(shared_data):
    folder = shared_data / "annotation_format_fixtures" / "qupath_geojson_advanced"
    table, _ = read_geojson(folder / "qupath-polygon-cell-classified.json")
    assert sorted(table.class_name) == ["Cell", "Cell", "Nucleus", "Nucleus"]
    assert table.colors["Nucleus"] == "#b87343"  # properties.color of the same file says [184, 115, 67]


@pytest.mark.parametrize(
    ("given_id", "name", "texts"),
    [
        ("user-2", 'left "one"', {"name": 'left "one"', "id": "user-2"}),
        (7, None, {"id": "7"}),
        ("PathDetectionObject", None, None),  # the type of the object, as QuPath 0.2 wrote it
        ("00000000-0000-4000-8000-000000000001", "cell", {"name": "cell"}),
        (None, "", None),
    ],
)
def test_names_and_ids_that_are_no_uuid_survive_twice(geojson, tmp_path, given_id, name, texts):
    table, _ = read_geojson(geojson([feature(name=name) | {"id": given_id}]))
    assert table.texts.tolist() == [texts]
    write_geojson(tmp_path / "again.geojson", table)
    again, warnings = read_geojson(tmp_path / "again.geojson")
    assert (again.texts.tolist(), again.id.tolist(), warnings) == ([texts], table.id.tolist(), [])
