"""Aperio XML and HALO's annotations: read as others write them, written and read again."""

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.annotations.formats.aperio import FORMAT, aperio_mpp, read_aperio_regions
from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, WriteOptions
from histoseed.errors import AnnotationError, InputError, LimitError
from histoseed.settings import Settings

READ = ReadOptions(settings=Settings())
SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]


def region(vertices, *, tag="Vertex", **attributes):
    stated = "".join(f' {name}="{value}"' for name, value in attributes.items())
    inner = "".join(f'<{tag} X="{x}" Y="{y}"/>' for x, y in vertices)
    return f"<Region{stated}><Vertices>{inner}</Vertices></Region>"


def layer(*regions, attribute=None, **attributes):
    stated = "".join(f' {name}="{value}"' for name, value in attributes.items())
    named = "" if attribute is None else f'<Attributes><Attribute Name="{attribute}" Id="0" Value=""/></Attributes>'
    return f"<Annotation{stated}>{named}<Regions><RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation>"


@pytest.fixture
def aperio(tmp_path):
    """Writes layers (or text) to a file and returns its path."""

    def write(*layers, mpp=None, name="a.xml"):
        path = tmp_path / name
        stated = "" if mpp is None else f' MicronsPerPixel="{mpp}"'
        path.write_text(f"<Annotations{stated}>{''.join(layers)}</Annotations>")
        return path

    return write


def regions_of(path, settings=None):
    return read_aperio_regions(path, settings or Settings())


def one(path):
    (found,), said = regions_of(path)
    return found, said


def classes_of(path):
    images, said = FORMAT.read(path, READ)
    return images[0].instances.class_name.tolist(), said


def test_everything_that_a_file_states(aperio):
    path = aperio(
        layer(region(SQUARE, Id="7", Type="0", Text="note", NegativeROA="0"), attribute="Epithelial", Id="3", Name="T"),
        layer(region(SQUARE, Id="1"), Name="U"),
    )
    (first, second), said = regions_of(path)
    assert first.geometry.equals(shapely.box(0, 0, 10, 10))
    assert (first.layer_id, first.layer_name, first.attribute) == ("3", "T", "Epithelial")
    assert (first.region_id, first.text, first.region_type, first.kind) == ("7", "note", "0", "polygon")
    assert (first.negative, first.repaired, first.color, first.own) == (False, False, None, None)
    assert (second.layer_id, second.layer_name, second.attribute, second.text) == ("", "U", "", "")
    assert said == []


def test_halo_writes_words_and_short_vertices(aperio):  # specification 16.4
    path = aperio(
        layer(
            region([(0, 0), (100, 0), (100, 100)], tag="V", Type="Polygon", HasEndcaps="0", NegativeROA="0"),
            region([(60, 20), (80, 20), (80, 40)], tag="V", Type="Polygon", HasEndcaps="0", NegativeROA="1"),
            Name="Tumor",
            Visible="True",
            LineColor="65535",
        ),
        name="a.annotations",
    )
    found, said = one(path)
    assert (found.geometry.area, found.region_type) == (5000 - 200, "Polygon")
    assert found.color == "#ffff00"  # red + 256 * green
    assert said == []


def test_colours_are_blue_green_red(aperio):  # specification 16.4
    for number, color in ((0xFF, "#ff0000"), (0xFF00, "#00ff00"), (0xFF0000, "#0000ff"), (-1, "#ffffff")):
        found, said = one(aperio(layer(region(SQUARE), LineColor=number)))
        assert (found.color, said) == (color, [])
    found, said = one(aperio(layer(region(SQUARE), LineColor="red")))
    assert found.color is None
    assert said == ["A colour that is no number was not read (1 region: layer 1 '')."]
    found, _ = one(aperio(layer(region(SQUARE), LineColor=2**40)))
    assert found.color is None


def test_the_resolution_of_the_file(aperio):
    for text, mpp in (("0.252", 0.252), ("0,5", 0.5), ("0", None), ("", None), ("nan", None), ("none", None)):
        path = aperio(layer(region(SQUARE)), mpp=text)
        assert aperio_mpp(path, Settings()) == mpp
        assert FORMAT.read(path, READ)[0][0].mpp == mpp
    assert aperio_mpp(aperio(layer(region(SQUARE))), Settings()) is None


def test_negative_regions_belong_to_their_layer(aperio):  # specification 16.4
    hole = region([(2, 2), (4, 2), (4, 4), (2, 4)], Id="9", NegativeROA="1")
    both = [region(SQUARE, Id="1"), hole]
    (cut, whole), said = regions_of(aperio(layer(*both), layer(region(SQUARE, Id="2"))))
    assert (cut.geometry.area, whole.geometry.area, said) == (96, 100, [])
    (cut,), said = regions_of(aperio(layer(*both[::-1])))
    assert (cut.geometry.area, said) == (96, [])
    (whole,), said = regions_of(aperio(layer(region(SQUARE)), layer(hole, Name="holes only")))
    assert whole.geometry.area == 100
    text = "A negative region with no outline of its layer around it was left out"
    assert said == [f"{text} (1 region: layer 2 'holes only', region 9)."]


def test_a_hole_in_a_box_makes_it_an_outline(aperio):
    box = region([(0, 0), (10, 10)], Type="1")
    found, _ = one(aperio(layer(box)))
    assert (found.kind, found.geometry.area) == ("box", 100)
    found, _ = one(aperio(layer(box, region([(2, 2), (4, 2), (4, 4)], NegativeROA="1"))))
    assert (found.kind, found.geometry.area) == ("polygon", 98)


def test_holes_that_leave_nothing(aperio):
    halves = [
        region([(0, 0), (5, 0), (5, 10), (0, 10)], NegativeROA="1"),
        region([(5, 0), (10, 10)], Type="1", NegativeROA="1"),
    ]
    found, said = one(aperio(layer(region(SQUARE, Id="5"), *halves)))
    assert found.geometry is None
    assert said == ["Negative regions cover the whole outline (1 region: layer 1 '', region 5)."]


@pytest.mark.parametrize("kind", ["1", "Rectangle", "rectangle"])
def test_rectangles_are_boxes(aperio, kind):
    for vertices in ([(1, 2), (5, 9)], [(5, 9), (1, 2)], [(1, 2), (5, 2), (5, 9), (1, 9)]):
        found, said = one(aperio(layer(region(vertices, Type=kind))))
        assert (found.kind, found.geometry.bounds, said) == ("box", (1, 2, 5, 9), [])


@pytest.mark.parametrize("kind", ["2", "Ellipse"])
def test_ellipses_stand_between_two_corners(aperio, kind):  # specification 16.4
    found, said = one(aperio(layer(region([(100, 100), (140, 120)], Type=kind))))
    assert (found.kind, said) == ("polygon", [])
    assert found.geometry.area == pytest.approx(math.pi * 20 * 10, rel=0.01)
    np.testing.assert_allclose(found.geometry.bounds, (100, 100, 140, 120), atol=0.2)


@pytest.mark.parametrize(("kind", "word"), [("1", "box"), ("2", "ellipse")])
def test_boxes_and_ellipses_that_are_none_become_outlines(aperio, kind, word):
    found, said = one(aperio(layer(region([(0, 0), (10, 1), (9, 10)], Type=kind, Id="4"))))
    assert (found.kind, found.geometry.area) == ("polygon", pytest.approx(45.5))
    assert said == [
        f"A {word} that is none was read as the outline through its vertices (1 region: layer 1 '', region 4)."
    ]


@pytest.mark.parametrize("kind", ["3", "5", "Arrow", "ruler", "Line"])
def test_arrows_and_rulers_are_left_out(aperio, kind):  # specification 16.4
    (found,), said = regions_of(aperio(layer(region([(0, 0), (5, 5)], Type=kind, Id="4"), region(SQUARE))))
    assert found.geometry.area == 100
    assert said == [
        f"A region of type {kind!r}, an arrow, line or ruler, was left out (1 region: layer 1 '', region 4)."
    ]


@pytest.mark.parametrize("kind", ["Pin", "Point"])
def test_pins_are_points(aperio, kind):
    found, _ = one(aperio(layer(region([(3, 4)], Type=kind))))
    assert (found.kind, found.geometry) == ("point", shapely.Point(3, 4))


@pytest.mark.parametrize(
    "vertices", [[], [(1, 1)], [(1, 1), (2, 2)], [(1, 1), (2, 2), (1, 1)], [(0, 0), (1, 1), (2, 2)]]
)
def test_what_is_no_outline_is_returned_without_geometry(aperio, vertices):
    path = aperio(layer(region(vertices, Id="8"), region(SQUARE), Name="T"))
    (none, square), said = regions_of(path)
    assert none.geometry is None
    assert square.geometry.area == 100
    assert len(said) == 1
    assert "region 8" in said[0]
    images, said = FORMAT.read(path, READ)
    assert len(images[0].instances) == 1
    assert any("left out" in sentence for sentence in said)


def test_negative_regions_that_enclose_nothing_are_left_out(aperio):
    pin, line = region([(3, 3)], Type="Pin", NegativeROA="1"), region([(3, 3), (4, 4)], NegativeROA="1", Id="2")
    (found,), said = regions_of(aperio(layer(region(SQUARE), pin, line)))
    assert found.geometry.area == 100
    assert any(
        sentence.startswith("A negative region that encloses nothing was left out (2 regions") for sentence in said
    )


def test_outlines_that_cross_themselves_are_repaired(aperio):
    found, said = one(aperio(layer(region([(0, 0), (4, 4), (4, 0), (0, 4)]))))
    assert found.repaired
    assert found.geometry.is_valid
    assert found.geometry.area == 8
    assert said == ["An outline that crosses itself was repaired (1 region: layer 1 '', region 1)."]


def test_a_third_coordinate_and_decimal_commas(tmp_path):
    path = tmp_path / "a.xml"
    vertices = "".join(f'<Vertex X="{x},5" Y="{y}" Z="3"/>' for x, y in SQUARE)
    path.write_text(
        f"<Annotations><Annotation><Regions><Region><Vertices>{vertices}</Vertices></Region></Regions></Annotation></Annotations>"
    )
    found, _ = one(path)
    assert found.geometry.bounds == (0.5, 0, 10.5, 10)


def test_attributes_may_stand_behind_the_regions(tmp_path):
    path = tmp_path / "a.xml"
    named = '<Attributes><Attribute Name=""/><Attribute Name="Lymphocyte"/></Attributes>'
    path.write_text(f"<Annotations><Annotation><Regions>{region(SQUARE)}</Regions>{named}</Annotation></Annotations>")
    assert one(path)[0].attribute == "Lymphocyte"


def test_where_the_class_stands(aperio):  # specification 16.4
    plain, noted = region(SQUARE), region(SQUARE, Text="macrophage")
    assert classes_of(aperio(layer(plain, Name="Tumor", attribute="Description"))) == (["Tumor"], [])
    assert classes_of(aperio(layer(plain, Name="", attribute="Epithelial"))) == (["Epithelial"], [])
    assert classes_of(aperio(layer(noted, attribute="Description"))) == (["macrophage"], [])
    assert classes_of(aperio(layer(plain, attribute="Description"))) == ([None], [])
    assert classes_of(aperio(layer(plain, Name="  "))) == ([None], [])


def test_other_texts_that_may_be_the_class_are_told(aperio):
    names, said = classes_of(aperio(layer(region(SQUARE, Text="b", Id="1"), Name="a", attribute="c", Id="2")))
    assert names == ["a"]
    assert said == [
        "The class is the layer's name; the layer's attribute was not read (1 region: layer 'a', region 1).",
        "The class is the layer's name; the region's text was not read (1 region: layer 'a', region 1).",
    ]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (region([(0, 0), ("x", 1), (2, 2)], Id="3"), "X='x' is no place"),
        (region([(0, 0), (1, "inf"), (2, 2)], Id="3"), "Y='inf' is no place"),
        (region(SQUARE, Id="3", Type="99"), "no region type '99'"),
        (region(SQUARE, Id="3", NegativeROA="maybe"), "neither 0 nor 1"),
        (region(SQUARE, Id="3", histoseed_id="a", histoseed_row="x"), "histoseed_row"),
    ],
)
def test_regions_that_cannot_be_understood(aperio, bad, words):
    path = aperio(layer(region(SQUARE)), layer(bad, Name="T"))
    with pytest.raises(AnnotationError, match=words) as info:
        regions_of(path)
    assert info.value.where == f"{path}, layer 2 'T', region 3"


@pytest.mark.parametrize("text", ["<Annotations>", "<Annotations><Annotation></Annotations>", "<Other/>", "", "{}"])
def test_damaged_and_other_files(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(AnnotationError) as info:
        regions_of(path)
    assert info.value.where == str(path)


def test_regions_outside_all_layers(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(f"<Annotations><Annotation/>{region(SQUARE)}</Annotations>")
    with pytest.raises(AnnotationError, match="outside all layers"):
        regions_of(path)


def test_layers_inside_layers(aperio):
    with pytest.raises(AnnotationError, match="inside a layer"):
        regions_of(aperio(f"<Annotation>{region(SQUARE)}{layer(region(SQUARE))}</Annotation>"))


def test_limits(aperio):
    path = aperio(layer(region(SQUARE), region(SQUARE)), layer(region(SQUARE)))
    assert len(regions_of(path, Settings(max_objects=3, max_vertices=4))[0]) == 3
    with pytest.raises(LimitError, match="more than 2 objects"):
        regions_of(path, Settings(max_objects=2))
    with pytest.raises(LimitError, match="4 vertices"):
        regions_of(path, Settings(max_vertices=3))


def test_ids_are_the_same_at_every_reading_and_differ(aperio):
    path = aperio(layer(region(SQUARE, Id="1"), region(SQUARE, Id="1")), layer(region(SQUARE, Id="1")))
    first, second = (FORMAT.read(path, READ)[0][0].instances.id.tolist() for _ in range(2))
    assert first == second
    assert len(set(first)) == 3


def table_of(shapes, **columns):
    return Instances.build(shapes, **columns)


def write(path, table, mpp=0.25):
    return FORMAT.write(path, [AnnotatedImage("a.svs", None, table, mpp)], WriteOptions())


HOLED = shapely.box(0, 0, 30, 30).difference(shapely.box(10, 10, 20, 20))


def test_holes_and_parts_stay_with_their_object_among_others_that_overlap(tmp_path):
    """A hole of one object lies in another one too: by the marks it is cut from its own alone."""
    island = shapely.MultiPolygon([HOLED, shapely.box(12, 12, 18, 18)])
    table = table_of([HOLED, shapely.box(-5, -5, 40, 40), island, shapely.box(11, 11, 19, 19)], class_name="a")
    write(tmp_path / "a.xml", table)
    found = FORMAT.read(tmp_path / "a.xml", READ)[0][0].instances
    assert found.id.tolist() == table.id.tolist()
    for before, after in zip(table.geometry, found.geometry, strict=True):
        assert before.equals(after)


def test_what_others_see_in_a_file_of_ours(tmp_path):
    """The elements that the format has, for readers that know nothing of our marks."""
    table = table_of(
        [HOLED, shapely.box(50, 50, 60, 70)], kind=["polygon", "box"], class_name=["a", None], colors={"a": "#010203"}
    )
    write(tmp_path / "a.xml", table)
    root = ET.parse(tmp_path / "a.xml").getroot()
    assert (root.tag, float(root.get("MicronsPerPixel"))) == ("Annotations", 0.25)
    layers = root.findall("Annotation")
    assert [one.get("Name") for one in layers] == ["a", ""]
    assert int(layers[0].get("LineColor")) == 0x030201  # specification 16.4
    shell, hole = layers[0].findall("Regions/Region")
    assert [shell.get(name) for name in ("Type", "NegativeROA", "Area", "Length")] == ["0", "0", "900", "120"]
    assert [hole.get(name) for name in ("Type", "NegativeROA", "Area", "Length")] == ["0", "1", "100", "40"]
    box = layers[1].find("Regions/Region")
    assert box.get("Type") == "1"
    corners = [(float(v.get("X")), float(v.get("Y"))) for v in box.iterfind("Vertices/Vertex")]
    assert sorted(corners) == [(50, 50), (50, 70), (60, 50), (60, 70)]
    ids = [r.get("Id") for r in root.iter("Region")]
    assert len(set(ids)) == len(ids)


def test_without_the_marks_the_outlines_are_read_as_those_of_others(tmp_path):
    table = table_of([HOLED, shapely.box(50, 50, 60, 70)], class_name=["a", "b"])
    write(tmp_path / "a.xml", table)
    root = ET.parse(tmp_path / "a.xml")
    for element in root.iter("Region"):
        for name in [name for name in list(element.attrib) if name.startswith("histoseed")]:
            del element.attrib[name]
    root.write(tmp_path / "b.xml")
    found = FORMAT.read(tmp_path / "b.xml", READ)[0][0].instances
    assert [g.area for g in found.geometry] == [800, 200]
    assert found.class_name.tolist() == ["a", "b"]
    assert not set(found.id) & set(table.id)


@given(order=st.permutations(range(6)))
def test_the_order_of_the_table_survives_layers(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("a") / "a.xml"
    names = ["b", "a", None, "b", None, "a"]
    table = table_of([shapely.box(i, 0, i + 1, 1) for i in order], class_name=[names[i] for i in order])
    write(path, table)
    found = FORMAT.read(path, READ)[0][0].instances
    assert found.id.tolist() == table.id.tolist()
    assert found.class_name.tolist() == table.class_name.tolist()


def test_a_table_of_points_gives_no_outlines_and_says_so(tmp_path):
    said = write(tmp_path / "a.xml", table_of([shapely.Point(1, 1)] * 2, kind="point"), mpp=None)
    assert said == ["aperio: 2 points are left out."]
    image = FORMAT.read(tmp_path / "a.xml", READ)[0][0]
    assert (len(image.instances), image.mpp) == (0, None)


def test_a_class_that_xml_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(AnnotationError, match="XML cannot hold"):
        write(tmp_path / "a.xml", table_of([shapely.box(0, 0, 1, 1)], class_name="a\0"))
    assert list(tmp_path.iterdir()) == []


def test_one_file_holds_one_image(tmp_path):
    image = AnnotatedImage("a", None, Instances.empty())
    with pytest.raises(InputError, match="one image"):
        FORMAT.write(tmp_path / "a.xml", [image, image], WriteOptions())


def test_recognised_by_its_root(aperio, tmp_path):
    assert FORMAT.sniff(aperio(layer(region(SQUARE))))
    (tmp_path / "b.xml").write_text("<ASAP_Annotations/>")
    assert not FORMAT.sniff(tmp_path / "b.xml")
    assert not FORMAT.sniff(tmp_path)
