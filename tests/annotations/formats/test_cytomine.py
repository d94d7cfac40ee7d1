"""Cytomine's annotations: real answers of a server, tables and lists in many shapes, written and read again."""

import gzip
import json
import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, WriteOptions
from histoseed.annotations.formats.cytomine import FORMAT
from histoseed.errors import AnnotationError, InputError, LimitError
from histoseed.settings import Settings

SIZE = (100, 80)
SQUARE = "POLYGON ((10 70, 20 70, 20 60, 10 60, 10 70))"
"""In Cytomine's frame; of an image 80 pixels high it is the box 10, 10, 20, 20."""


def options(size=SIZE, classes=(), **settings):
    return ReadOptions(settings=Settings(**settings), size=size, classes=dict(classes))


@pytest.fixture
def file(tmp_path):
    """Writes a JSON value or text to a file and returns its path."""

    def write(content, name="a.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def read(path, **given):
    (image,), said = FORMAT.read(path, options(**given))
    return image.instances, said


@pytest.fixture
def real(shared_data):
    folder = shared_data / "annotation_format_fixtures" / "cytomine"
    return lambda name: folder / f"cytomine-{name}.txt"


HEIGHT = 30_000
"""The height of the slide of the real files is not recorded; any that holds them shows the same."""


@pytest.mark.parametrize("name", ["circle", "freehand-polygon", "polygon", "rectangle"])
def test_real_outlines_have_the_area_and_centroid_that_the_server_states(real, name):
    stated = json.loads(real(name).read_text())["annotation"]
    table, said = read(real(name), size=(40_000, HEIGHT))
    assert said == []
    assert table.kind.tolist() == ["polygon"]
    assert table.geometry[0].area == pytest.approx(stated["area"], rel=1e-6)
    assert table.geometry[0].length == pytest.approx(stated["perimeter"], rel=1e-3)  # the server rounds it
    x, y = stated["centroid"]["x"], stated["centroid"]["y"]
    np.testing.assert_allclose(table.centroids(), [[x, HEIGHT - y]])


def test_a_real_point(real):
    table, _ = read(real("point"), size=(40_000, HEIGHT))
    assert (table.kind[0], table.geometry[0]) == ("point", shapely.Point(27646, HEIGHT - 19349.34375))


@pytest.mark.parametrize("name", ["line", "freehand-line"])
def test_real_lines_are_left_out(real, name):
    table, said = read(real(name), size=(40_000, HEIGHT))
    number = json.loads(real(name).read_text())["annotation"]["id"]
    assert len(table) == 0
    assert said == [f"A LineString encloses nothing and was left out (1 annotation: {number})."]


def test_all_real_files_are_recognised(shared_data):
    files = sorted((shared_data / "annotation_format_fixtures").rglob("*"))
    known = [path.name for path in files if path.is_file() and FORMAT.sniff(path)]
    assert known == [path.name for path in files if path.name.startswith("cytomine-")]
    assert len(known) == 7


def test_the_origin_is_the_bottom_left_corner(file):  # specification 16.5
    table, _ = read(file([{"location": SQUARE}]))
    assert table.geometry[0].equals(shapely.box(10, 10, 20, 20))


@pytest.mark.parametrize("content", [[{"location": SQUARE}], f'id,location\n1,"{SQUARE}"\n'])
def test_without_the_height_it_is_refused(file, content):  # specification 16.5
    with pytest.raises(AnnotationError, match="height is not known") as info:
        FORMAT.read(file(content), options(size=None))
    assert "--size" in info.value.fix
    assert "--image" in info.value.fix


RECORD = {"id": 7, "location": SQUARE, "term": [12], "image": 3}


@pytest.mark.parametrize(
    "content",
    [[RECORD], RECORD, {"annotation": RECORD}, {"collection": [RECORD], "size": 1}, {"annotation": [RECORD]}],
)
def test_json_in_all_shapes(file, content):
    table, _ = read(file(content), classes={"12": "tumour"})
    assert table.geometry[0].equals(shapely.box(10, 10, 20, 20))
    assert table.class_name.tolist() == ["tumour"]


def test_packed_json(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps([RECORD]).encode()))
    assert len(read(tmp_path / "a.json.gz", classes={"12": "a"})[0]) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables(file, separator, mark):
    rows = [["Id", "Area", "Location", "Term"], ["7", "100", f'"{SQUARE}"', '"[12]"'], ["8", "", '"POINT (5 75)"', ""]]
    path = file(mark + "\n".join(separator.join(row) for row in rows) + "\n", "a.csv")
    assert FORMAT.sniff(path)
    table, said = read(path, classes={"12": "tumour"})
    assert table.geometry[0].equals(shapely.box(10, 10, 20, 20))
    assert table.geometry[1] == shapely.Point(5, 5)
    assert table.class_name.tolist() == ["tumour", None]
    assert said == []


def test_outlines_of_many_vertices_fit_into_a_table(file):
    """A field may be longer than the limits of common readers of tables."""
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = shapely.Polygon(np.column_stack([50 + 20 * np.cos(angle), 40 + 20 * np.sin(angle)]))
    text = shapely.to_wkt(circle, rounding_precision=12)
    assert len(text) > 500_000
    table, _ = read(file(f'id,location\n1,"{text}"\n', "a.csv"))
    assert table.geometry[0].area == pytest.approx(math.pi * 400, rel=1e-6)


def test_the_column_is_found_by_what_is_in_it(file):  # specification 16.5
    for name in ("wkt", "geometry", "Outline of it"):
        table, _ = read(file([{"id": 1, name: SQUARE, "note": "a POLYGON (("}]))
        assert len(table) == 1


def test_no_column_or_several(file):
    with pytest.raises(AnnotationError, match=r"No column holds outlines.*the columns are id, note") as info:
        read(file([{"id": 1, "note": "none"}]))
    assert "showWKT" in info.value.fix
    with pytest.raises(AnnotationError, match="columns a, b all hold outlines"):
        read(file([{"a": SQUARE, "b": SQUARE}]))
    table, _ = read(file([{"a": "POINT (1 1)", "location": SQUARE}]))
    assert table.kind.tolist() == ["polygon"]


def test_annotations_of_several_images_are_refused(file):
    records = [{"id": i, "location": SQUARE, "image": i} for i in (1, 2)]
    with pytest.raises(AnnotationError, match=r"belong to 2 images \(1, 2"):
        read(file(records))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([12], "tumour"),
        (["12"], "tumour"),
        (12, "tumour"),
        ("12", "tumour"),
        ("[12]", "tumour"),
        ([], None),
        (None, None),
        ("", None),
        ("[]", None),
        ([12, 13], "tumour: necrosis"),
        ("12;13", "tumour: necrosis"),
        ("[13, 12]", "necrosis: tumour"),
        ("stroma", "stroma"),
        ("['stroma']", "stroma"),
    ],
)
def test_terms_become_names(file, value, names):  # specification 16.5
    table, _ = read(file([{"location": SQUARE, "term": value}]), classes={"12": "tumour", "13": "necrosis"})
    assert table.class_name.tolist() == [names]


def test_several_terms_are_told(file):
    _, said = read(file([{"id": 5, "location": SQUARE, "term": [1, 2]}]), classes={"1": "a", "2": "b"})
    assert said == ["Several terms were joined to one class (1 annotation: 5)."]


def test_a_number_without_a_name_among_names_is_an_error(file):
    path = file([{"id": 5, "location": SQUARE, "term": [14]}])
    with pytest.raises(AnnotationError, match="term 14 has no name") as info:
        read(path, classes={"12": "tumour"})
    assert info.value.where == f"{path}, annotation 5"
    assert "12 (tumour)" in info.value.fix


def test_numbers_without_any_names_are_told(file):
    table, said = read(file([{"id": 5, "location": SQUARE, "term": [14]}]))
    assert table.class_name.tolist() == ["14"]
    assert said == ["Terms are numbers and were read as class names; give their names (1 annotation: 5)."]


@pytest.mark.parametrize("value", [[1.5], {"id": 1}, [[1]], [True]])
def test_terms_that_are_none(file, value):
    with pytest.raises(AnnotationError, match=r"no numbers or names|no name"):
        read(file([{"location": SQUARE, "term": value}]), classes={"1": "a"})


@pytest.mark.parametrize(
    ("text", "kinds", "area"),
    [
        ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0)), ((10 10, 14 10, 14 14, 10 10)))", ["polygon"], 16),
        ("POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1))", ["polygon"], 80),
        ("POLYGON Z ((0 0 1, 4 0 1, 4 4 1, 0 0 1))", ["polygon"], 8),
        ("polygon((0 0,4 0,4 4,0 0))", ["polygon"], 8),
        ("MULTIPOINT ((1 1), (2 2))", ["point", "point"], 0),
        ("GEOMETRYCOLLECTION (POINT (1 1), POLYGON ((0 0, 4 0, 4 4, 0 0)))", ["polygon"], 8),
        ("POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))", ["polygon"], 8),
        ("POLYGON EMPTY", [], 0),
        ("LINEARRING (0 0, 4 0, 4 4, 0 0)", [], 0),
        ("GEOMETRYCOLLECTION (POINT (1 1))", [], 0),
        ("", [], 0),
    ],
)
def test_well_known_texts(file, text, kinds, area):
    table, said = read(file([{"location": SQUARE}, {"location": text}]))
    assert table.kind.tolist() == ["polygon", *kinds]
    assert sum(shape.area for shape in table.geometry) == 100 + area
    assert len(said) == (not kinds) + ("COLLECTION" in text and bool(kinds)) + ("4 4, 4 0, 0 4" in text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("POLYGON ((0 0, 4 0, 4 4))", "no well-known text"),
        ("POLYGON ((0 0, 4 0", "no well-known text"),
        ("POLYGON ((0 0, nan 4, 4 4, 0 0))", "no place in an image|no well-known text"),
        ("POLYGON ((0 0, 1e300 4, 4 4, 0 0))", "no place in an image"),
        ("GEOMETRYCOLLECTION (" * 500_000 + "POINT (0 0)" + ")" * 500_000, "inside a collection"),
    ],
    ids=["open", "cut off", "nan", "far", "nested"],
)
def test_texts_that_cannot_be_read(file, text, words):
    path = file([{"id": 9, "location": text}])
    with pytest.raises(AnnotationError, match=words) as info:
        read(path)
    assert info.value.where == f"{path}, annotation 9"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "file is empty|neither JSON nor a table"),
        ("[1]", "Annotation 0 is no object"),
        ('{"collection": 3}', "Annotation 0 is no object"),
        ("[{", "not JSON"),
        ("a,b\n1,2,3\n", "neither JSON nor a table"),
        ('id,location\n1,"POLYGON', "neither JSON nor a table|no well-known text"),
        ("a,b\n1,2\n", "No column holds outlines"),
    ],
)
def test_damaged_and_other_files(file, content, words):
    path = file(content)
    with pytest.raises(AnnotationError, match=words) as info:
        read(path)
    assert str(path) in info.value.where


def test_a_table_without_rows_is_an_empty_one(file):
    path = file("id,location\n", "a.csv")
    assert len(read(path)[0]) == 0


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,location\n1,\xff\xfe\n")
    with pytest.raises(AnnotationError):
        read(tmp_path / "a.csv")
    with pytest.raises(AnnotationError, match="no such file"):
        read(tmp_path / "absent")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read(tmp_path)


def test_limits(file):
    path = file([{"location": SQUARE}] * 3)
    assert len(read(path, max_objects=3, max_vertices=5)[0]) == 3
    with pytest.raises(LimitError, match="more than 2 objects"):
        read(path, max_objects=2)
    with pytest.raises(LimitError, match="5 vertices"):
        read(path, max_vertices=4)
    with pytest.raises(LimitError):
        read(path, max_geojson_bytes=50)
    with pytest.raises(LimitError, match="of an annotation file"):
        read(file(f'id,location\n1,"{SQUARE}"\n', "a.csv"), max_geojson_bytes=50)


def test_a_wrong_height_is_noticed(file):
    table, said = read(file([{"location": SQUARE}]), size=(100, 65))
    assert len(table) == 1
    assert said == ["1 annotation reaches out of an image of 100 x 65 pixels; is it the right one?"]


def test_ids_are_the_same_at_every_reading(file):
    path = file([{"id": 5, "location": SQUARE}, {"id": 5, "location": SQUARE}, {"location": SQUARE}])
    ids = [read(path)[0].id.tolist() for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def write(path, table, size=SIZE, **given):
    return FORMAT.write(path, [AnnotatedImage("a.svs", size, table, 0.5)], WriteOptions(**given))


def test_what_a_server_sees_in_a_file_of_ours(tmp_path):
    """The keys that Cytomine has, for readers that know nothing of ours."""
    table = Instances.build(
        [shapely.box(10, 10, 20, 20), shapely.Point(5, 5), shapely.box(0, 0, 1, 1)],
        kind=["polygon", "point", "polygon"],
        class_name=["b", "a", None],
    )
    assert write(tmp_path / "a.json", table, classes={"b": "2"}) == []
    document = json.loads((tmp_path / "a.json").read_text())
    first, second, third = document["collection"]
    assert document["size"] == 3
    assert shapely.from_wkt(first["location"]).equals(shapely.from_wkt(SQUARE))
    assert shapely.from_wkt(second["location"]) == shapely.Point(5, 75)
    assert [record["term"] for record in (first, second, third)] == [[2], [1], []]


def test_the_server_needs_nothing_of_ours_to_be_read(tmp_path):
    write(tmp_path / "a.json", Instances.build([shapely.box(10, 10, 20, 20)], class_name="b"))
    document = json.loads((tmp_path / "a.json").read_text())
    bare = [{key: record[key] for key in ("location", "term")} for record in document["collection"]]
    (tmp_path / "b.json").write_text(json.dumps(bare))
    table, _ = read(tmp_path / "b.json", classes={"1": "b"})
    assert table.geometry[0].equals(shapely.box(10, 10, 20, 20))
    assert table.class_name.tolist() == ["b"]


@given(x=st.floats(0, 99), y=st.floats(0, 79), width=st.floats(0.5, 50), height=st.floats(0.5, 50))
def test_turned_over_twice_is_where_it_was(tmp_path_factory, x, y, width, height):
    path = tmp_path_factory.mktemp("a") / "a.json"
    box = shapely.box(x, y, x + width, y + height)
    write(path, Instances.build([box], kind="box"))
    (image,), _ = FORMAT.read(path, options(size=None))
    np.testing.assert_allclose(image.instances.bounds()[0], box.bounds, atol=1e-4)
    assert (image.size, image.name, image.mpp) == (SIZE, "a.svs", 0.5)


def test_a_box_that_was_reshaped_is_an_outline(tmp_path):
    write(tmp_path / "a.json", Instances.build([shapely.box(10, 10, 20, 20)], kind="box"))
    text = (tmp_path / "a.json").read_text()
    assert read(tmp_path / "a.json")[0].kind.tolist() == ["box"]
    (tmp_path / "a.json").write_text(text.replace("20 60", "25 60"))
    assert read(tmp_path / "a.json")[0].kind.tolist() == ["polygon"]


def test_a_size_that_contradicts_the_file(tmp_path):
    write(tmp_path / "a.json", Instances.build([shapely.box(10, 10, 20, 20)]))
    with pytest.raises(AnnotationError, match=r"\(100, 80\) pixels large, not \(50, 50\)"):
        read(tmp_path / "a.json", size=(50, 50))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"width": "100"},
        {"height": None},
        {"image": None},
        {"mpp": "x"},
        {"colors": []},
        {"colors": {"a": "red"}},
        {"terms": []},
        {"terms": {"1": 2}},
    ],
)
def test_what_others_do_to_our_key_is_noticed(tmp_path, change):
    write(tmp_path / "a.json", Instances.build([shapely.box(10, 10, 20, 20)]))
    document = json.loads((tmp_path / "a.json").read_text())
    document["histoseed"] |= change
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(AnnotationError) as info:
        read(tmp_path / "a.json")
    assert "histoseed" in info.value.fix
    (tmp_path / "a.json").write_text(json.dumps(document | {"histoseed": 3}))
    with pytest.raises(AnnotationError):
        read(tmp_path / "a.json")


def test_numbers_of_terms(tmp_path):
    table = Instances.build([shapely.box(i, 0, i + 1, 1) for i in range(3)], class_name=["a", "b", "c"])
    write(tmp_path / "a.json", table, classes={"b": "1", "unused": "2"})
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["histoseed"]["terms"] == {"2": "a", "1": "b", "3": "c"}
    for classes, words in (
        ({"a": "x"}, "no whole number"),
        ({"a": "-1"}, "no whole number"),
        ({"a": "1", "b": "1"}, "Two classes"),
    ):
        with pytest.raises(InputError, match=words):
            write(tmp_path / "b.json", table, classes=classes)
    assert not (tmp_path / "b.json").exists()


def test_what_cannot_be_written(tmp_path):
    table = Instances.build([shapely.box(0, 0, 1, 1)])
    with pytest.raises(InputError, match="as JSON"):
        write(tmp_path / "a.csv", table)
    with pytest.raises(InputError, match="width and height"):
        write(tmp_path / "a.json", table, size=None)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_not_taken_for_it(file):
    assert not FORMAT.sniff(file('{"type": "FeatureCollection", "features": []}'))
    assert not FORMAT.sniff(file("x,y\n1,2\n", "a.csv"))
    assert not FORMAT.sniff(file("POLYGON ((0 0, 1 1, 1 0, 0 0))\n", "a.txt"))
    assert not FORMAT.sniff(file("").parent)
