"""ASAP's XML: real files, files as others write them, written and read again."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.annotations.formats.asap import FORMAT, read_asap_shapes
from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, WriteOptions
from histoseed.errors import AnnotationError, LimitError
from histoseed.settings import Settings

READ = ReadOptions(settings=Settings())
SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]


def shape(vertices, kind="Polygon", group="None", name="Annotation 0", orders=None, **attributes):
    stated = "".join(f' {key}="{value}"' for key, value in attributes.items())
    places = range(len(vertices)) if orders is None else orders
    inner = "".join(
        f'<Coordinate{"" if order is None else f" Order={chr(34)}{order}{chr(34)}"} X="{x}" Y="{y}"/>'
        for order, (x, y) in zip(places, vertices, strict=True)
    )
    return (
        f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58"{stated}>'
        f"<Coordinates>{inner}</Coordinates></Annotation>"
    )


def group(name, part_of="None", color="#64FE2E"):
    return f'<Group Name="{name}" PartOfGroup="{part_of}" Color="{color}"><Attributes/></Group>'


@pytest.fixture
def asap(tmp_path):
    """Writes shapes and groups to a file and returns its path."""

    def write(*shapes, groups=()):
        path = tmp_path / "a.xml"
        path.write_text(
            f"<ASAP_Annotations><Annotations>{''.join(shapes)}</Annotations>"
            f"<AnnotationGroups>{''.join(groups)}</AnnotationGroups></ASAP_Annotations>"
        )
        return path

    return write


def shapes_of(path, settings=None):
    return read_asap_shapes(path, settings or Settings())


def one(path):
    (found,), said = shapes_of(path)
    return found, said


@pytest.fixture
def real(shared_data):
    """Files that ASAP wrote."""
    return lambda name: shapes_of(shared_data / "annotation_format_fixtures" / "asap" / name)


def test_a_real_polygon(real):
    (found,), said = real("asap-polygon.xml")
    assert said == []
    assert (found.name, found.kind, found.group, found.group_path) == ("Annotation 0", "polygon", None, ())
    assert found.color == "#f4fa58"
    xy = shapely.get_coordinates(found.geometry)[:-1].tolist()
    assert sorted(xy) == sorted(
        [
            [22851.3281, 16551.1797],
            [22693.1875, 16669.7832],
            [22911.5078, 16710.6367],
            [22934.3516, 16636.3984],
            [23067.4531, 16621.4629],
            [22954.1191, 16565.2363],
        ]
    )


def test_a_real_dot_and_a_real_set_of_points(real):
    (dot,), _ = real("asap-dot.xml")
    assert (dot.kind, dot.geometry) == ("point", shapely.Point(23071.5605, 16831.0098))
    points, said = real("asap-pointset.xml")
    assert said == []
    assert [one.name for one in points] == ["Annotation 0"] * 5
    assert [one.kind for one in points] == ["point"] * 5
    assert points[3].geometry == shapely.Point(22828.0449, 16681.2051)


def test_real_files_become_tables_and_round_trip(shared_data, tmp_path):
    for number, path in enumerate(sorted((shared_data / "annotation_format_fixtures" / "asap").iterdir())):
        assert FORMAT.sniff(path)
        (image,), _ = FORMAT.read(path, READ)
        assert image.name == path.stem
        out = tmp_path / f"{number}.xml"
        assert FORMAT.write(out, [image], WriteOptions()) == []
        again = FORMAT.read(out, READ)[0][0].instances
        assert again.id.tolist() == image.instances.id.tolist()
        for before, after in zip(image.instances.geometry, again.geometry, strict=True):
            assert before.equals(after)


def test_vertices_are_put_in_the_order_of_numbers(asap):  # specification 16.3
    square = [(0, 0), (10, 0), (10, 10), (0, 10)]
    shuffled = [square[i] for i in (3, 1, 2, 0)]
    found, said = one(asap(shape(shuffled, orders=[30, 9, 10.5, 1])))
    assert (found.geometry.area, said) == (100, [])
    texts = one(asap(shape(shuffled, orders=["30", "9", "10,5", "1"])))[0]
    assert texts.geometry.area == 100
    unordered, _ = one(asap(shape(square, orders=[None] * 4)))
    assert unordered.geometry.area == 100


@given(st.permutations(range(12)))
def test_any_order_of_the_file_gives_the_same_outline(tmp_path_factory, order):
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    xy = np.column_stack([50 + 20 * np.cos(angle), 50 + 20 * np.sin(angle)])
    path = tmp_path_factory.mktemp("a") / "a.xml"
    text = shape([tuple(xy[i]) for i in order], orders=order)
    path.write_text(f"<ASAP_Annotations><Annotations>{text}</Annotations></ASAP_Annotations>")
    assert one(path)[0].geometry.equals(shapely.Polygon(xy))


@pytest.mark.parametrize("orders", [[0, 1, None, 3], [0, 1, "x", 3], [0, 1, "nan", 3], [0, 1, "inf", 3]])
def test_orders_that_are_none(asap, orders):
    with pytest.raises(AnnotationError, match="An Order is") as info:
        shapes_of(asap(shape(SQUARE), shape(SQUARE, orders=orders, name="bad")))
    assert info.value.where.endswith("annotation 1 ('bad')")


def test_decimal_commas(asap):  # specification 16.3
    found, _ = one(asap(shape([("0,5", "0"), ("10,5", "0"), ("10,5", "10,25")])))
    assert found.geometry.bounds == (0.5, 0, 10.5, 10.25)


def test_rectangles_are_boxes_unless_they_are_turned(asap):
    found, said = one(asap(shape(SQUARE, "Rectangle")))
    assert (found.kind, found.geometry.bounds, said) == ("box", (0, 0, 10, 10), [])
    found, said = one(asap(shape([(5, 0), (10, 5), (5, 10), (0, 5)], "Rectangle", name="r")))
    assert (found.kind, found.geometry.area) == ("polygon", 50)
    assert said == ["A rectangle that is none was read as the outline through its corners (1 annotation: 0 ('r'))."]


def test_splines_are_read_as_their_control_points(asap):
    found, said = one(asap(shape(SQUARE, "Spline", name="s")))
    assert (found.kind, found.geometry.area) == ("polygon", 100)
    assert said == ["A spline was read as the outline through its control points (1 annotation: 0 ('s'))."]


@pytest.mark.parametrize(
    ("vertices", "kind"), [([], "Dot"), ([], "PointSet"), ([(1, 1), (2, 2)], "Polygon"), ([], "Spline")]
)
def test_what_encloses_nothing_is_left_out_and_told(asap, vertices, kind):
    (found,), said = shapes_of(asap(shape(vertices, kind, name="lost"), shape(SQUARE)))
    assert found.geometry.area == 100
    assert len(said) == 1
    assert "left out (1 annotation: 0 ('lost'))" in said[0]


def test_measurements_are_left_out(asap):
    found, said = shapes_of(asap(shape([(1, 1), (2, 2)], "Measurement", name="m")))
    assert found == []
    assert said == ["A measurement encloses nothing and was left out (1 annotation: 0 ('m'))."]


def test_types_in_any_case_and_unknown_ones(asap):
    assert one(asap(shape(SQUARE, "POLYGON")))[0].kind == "polygon"
    with pytest.raises(AnnotationError, match="no type 'Cloud'"):
        shapes_of(asap(shape(SQUARE, "Cloud")))


def test_outlines_that_cross_themselves_are_repaired(asap):
    found, said = one(asap(shape([(0, 0), (4, 4), (4, 0), (0, 4)], name="bow")))
    assert found.geometry.area == 8
    assert said == ["An outline that crosses itself was repaired (1 annotation: 0 ('bow'))."]


def test_groups_paths_and_colours(asap):  # specification 16.3
    path = asap(
        shape(SQUARE, group="inner"),
        shape(SQUARE, group="outer"),
        shape(SQUARE, group="undefined"),
        shape(SQUARE),
        groups=[group("inner", "middle", "#00FF00"), group("middle", "outer"), group("outer", color="red")],
    )
    found, said = shapes_of(path)
    assert said == []
    assert [one.group for one in found] == ["inner", "outer", "undefined", None]
    assert [one.group_path for one in found] == [("outer", "middle", "inner"), ("outer",), ("undefined",), ()]
    assert [one.color for one in found] == ["#00ff00", "#f4fa58", "#f4fa58", "#f4fa58"]
    (image,), said = FORMAT.read(path, READ)
    assert image.instances.class_name.tolist() == ["inner", "outer", "undefined", None]
    assert image.instances.colors["inner"] == "#00ff00"
    assert said == ["The class is 'inner'; the groups around it were not read (1 shape: Annotation 0)."]


@pytest.mark.parametrize(
    "groups",
    [[group("a", "a")], [group("a", "b"), group("b", "a")], [group("a", "b"), group("b", "c"), group("c", "b")]],
)
def test_groups_in_a_circle_are_an_error(asap, groups):
    with pytest.raises(AnnotationError, match="in a circle") as info:
        shapes_of(asap(shape(SQUARE, group="a"), groups=groups))
    assert "PartOfGroup" in info.value.fix


def test_groups_that_contradict_each_other_or_have_no_name(asap):
    with pytest.raises(AnnotationError, match="defined twice"):
        shapes_of(asap(groups=[group("a"), group("a", "b")]))
    with pytest.raises(AnnotationError, match="no name"):
        shapes_of(asap(groups=[group("")]))
    assert shapes_of(asap(groups=[group("a"), group("a")])) == ([], [])


HOLE = [(2, 2), (4, 2), (4, 4), (2, 4)]


@pytest.mark.parametrize("name", ["holes", "Hole", "HOLES"])
def test_a_group_of_holes_is_cut_from_what_is_around(asap, name):  # specification 16.3
    path = asap(shape(HOLE, group=name, name="h"), shape(SQUARE, group="Tumor"), groups=[group("Tumor"), group(name)])
    found, said = one(path)
    assert (found.group, found.geometry.area) == ("Tumor", 96)
    assert said == [f"A shape of the group {name!r} was cut from the outlines around it (1 annotation: 0 ('h'))."]


def test_a_group_of_holes_inside_a_group_is_cut_from_that_group_alone(asap):
    big = [(-5, -5), (40, -5), (40, 40), (-5, 40)]
    path = asap(
        shape(big, group="Tissue"),
        shape(SQUARE, group="Tumor"),
        shape(HOLE, group="holes"),
        groups=[group("Tissue"), group("Tumor"), group("holes", "Tumor")],
    )
    (tissue, tumor), _ = shapes_of(path)
    assert (tissue.geometry.area, tumor.geometry.area) == (45 * 45, 96)


def test_camelyon_groups_are_left_to_the_caller(asap):  # specification 14
    groups = [group(name) for name in ("Tumor", "_0", "_1", "_2", "Exclusion")]
    names = ["Tumor", "_0", "_2", "Exclusion"]
    found, said = shapes_of(asap(*(shape(SQUARE, group=name) for name in names), groups=groups))
    assert [one.group for one in found] == names
    assert [one.geometry.area for one in found] == [100] * 4
    assert said == []


def test_holes_without_outline_and_outlines_without_rest(asap):
    found, said = shapes_of(asap(shape(HOLE, group="holes", name="h")))
    assert found == []
    assert said == ["A hole with no outline around it was left out (1 annotation: 0 ('h'))."]
    halves = [
        shape([(0, 0), (5, 0), (5, 10), (0, 10)], group="holes"),
        shape([(5, 0), (10, 0), (10, 10), (5, 10)], group="holes"),
    ]
    found, said = shapes_of(asap(shape(SQUARE, name="gone"), *halves))
    assert found == []
    assert "An outline that its holes cover was left out (1 annotation: 0 ('gone'))." in said


def test_a_rectangle_with_a_hole_is_no_box(asap):
    found, _ = one(asap(shape(SQUARE, "Rectangle", group="a"), shape(HOLE, group="holes")))
    assert (found.kind, found.geometry.area) == ("polygon", 96)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (shape([("a", 0), (1, 1), (2, 0)], name="bad"), "X='a' is no place"),
        (shape([(0, "1e12"), (1, 1), (2, 0)], name="bad"), "Y='1e12' is no place"),
        (shape(SQUARE, name="bad", histoseed_id="x", histoseed_row="-1"), "histoseed_row"),
    ],
)
def test_shapes_that_cannot_be_understood(asap, bad, words):
    path = asap(shape(SQUARE), bad)
    with pytest.raises(AnnotationError, match=words) as info:
        shapes_of(path)
    assert info.value.where == f"{path}, annotation 1 ('bad')"


def test_limits(asap):
    path = asap(shape(SQUARE), shape([(1, 1), (2, 2), (3, 3)], "PointSet"))
    assert len(shapes_of(path, Settings(max_objects=4, max_vertices=4))[0]) == 4
    with pytest.raises(LimitError, match="more than 3 objects"):
        shapes_of(path, Settings(max_objects=3))
    with pytest.raises(LimitError, match="4 vertices"):
        shapes_of(path, Settings(max_vertices=3))


HOLED = shapely.box(0, 0, 30, 30).difference(shapely.box(10, 10, 20, 20))


def write(path, table):
    return FORMAT.write(path, [AnnotatedImage("a.svs", None, table)], WriteOptions())


def test_holes_and_parts_stay_with_their_object_among_others_that_overlap(tmp_path):
    island = shapely.MultiPolygon([HOLED, shapely.box(12, 12, 18, 18)])
    shapes = [HOLED, shapely.box(-5, -5, 40, 40), island, shapely.box(11, 11, 19, 19)]
    table = Instances.build(shapes, class_name=["a", "a", None, "holes"], locked=[True, False, True, False])
    assert write(tmp_path / "a.xml", table) == []
    found = FORMAT.read(tmp_path / "a.xml", READ)[0][0].instances
    assert found.id.tolist() == table.id.tolist()
    assert found.class_name.tolist() == table.class_name.tolist()
    assert found.locked.tolist() == table.locked.tolist()
    for before, after in zip(table.geometry, found.geometry, strict=True):
        assert before.equals(after)


def test_others_find_the_holes_by_the_group(tmp_path):
    """Read as if our marks were not there, the group of holes says the same."""
    write(tmp_path / "a.xml", Instances.build([HOLED, shapely.box(50, 50, 60, 60)], class_name=["Tumor", "b"]))
    text = (tmp_path / "a.xml").read_text()
    assert 'PartOfGroup="holes"' in text
    (tmp_path / "b.xml").write_text(text.replace("histoseed_", "someone_"))
    found, said = shapes_of(tmp_path / "b.xml")
    assert [(one.group, one.geometry.area) for one in found] == [("Tumor", 800), ("b", 100)]
    assert len(said) == 1


def test_without_holes_there_is_no_group_of_holes(tmp_path):
    write(tmp_path / "a.xml", Instances.build([shapely.box(0, 0, 1, 1)], class_name="a"))
    assert "holes" not in (tmp_path / "a.xml").read_text()


def test_a_class_that_asap_takes_for_none_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="'None' cannot be written") as info:
        write(tmp_path / "a.xml", Instances.build([shapely.box(0, 0, 1, 1)], class_name="None"))
    assert "Rename" in info.value.fix
    assert list(tmp_path.iterdir()) == []


def test_what_another_program_adds_comes_after_what_was_written(tmp_path):
    table = Instances.build([shapely.box(i, 0, i + 1, 1) for i in range(3)], class_name="a")
    write(tmp_path / "a.xml", table)
    text = (tmp_path / "a.xml").read_text()
    added = text.replace("<Annotations>", "<Annotations>" + shape(SQUARE, group="new"))
    (tmp_path / "a.xml").write_text(added)
    found = FORMAT.read(tmp_path / "a.xml", READ)[0][0].instances
    assert found.id.tolist()[:3] == table.id.tolist()
    assert found.class_name.tolist() == ["a", "a", "a", "new"]


def test_parts_that_were_moved_over_each_other_are_one_outline(tmp_path):
    pair = shapely.MultiPolygon([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)])
    write(tmp_path / "a.xml", Instances.build([pair]))
    text = (tmp_path / "a.xml").read_text().replace('X="20"', 'X="5"')
    (tmp_path / "a.xml").write_text(text)
    (found,) = FORMAT.read(tmp_path / "a.xml", READ)[0][0].instances.geometry
    assert found.is_valid
    assert found.equals(shapely.box(0, 0, 30, 10))


def test_recognised_by_its_root(asap, tmp_path):
    assert FORMAT.sniff(asap())
    (tmp_path / "b.xml").write_text("<Annotations/>")
    assert not FORMAT.sniff(tmp_path / "b.xml")
    assert not FORMAT.sniff(tmp_path)
