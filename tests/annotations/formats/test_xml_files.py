"""XML is read safely, with limits, and written so that it is read back."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.annotations.formats.xml_files import (
    attributes,
    decimals,
    first_tag,
    flag,
    position,
    walk_xml,
    write_xml,
)
from histoseed.errors import AnnotationError, LimitError, OutputError
from histoseed.settings import Settings


@pytest.fixture
def xml(tmp_path):
    """Writes bytes or text to a file and returns its path."""

    def write(content, name="a.xml"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def walk(path, settings=None, **options):
    options = {"root": "r", "opened": ["a"], "closed": ["b"], **options}
    return [(event, e.tag, dict(e.attrib)) for event, e in walk_xml(path, settings or Settings(), **options)]


def test_elements_come_in_the_order_of_the_file(xml):
    path = xml('<r><a n="1"><b n="2"/><c/></a><b n="3"/></r>')
    assert walk(path) == [("start", "a", {"n": "1"}), ("end", "b", {"n": "2"}), ("end", "b", {"n": "3"})]


def test_an_ended_element_holds_its_children_until_the_next_is_asked_for(xml):
    path = xml("<r><b><c/><c/></b><b/></r>")
    counts, seen = [], []
    for _, element in walk_xml(path, Settings(), root="r", closed=["b"]):
        counts.append(len(element))
        seen.append(element)
    assert counts == [2, 0]
    assert len(seen[0]) == 0


BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><r><a n="&b;"/></r>'
EXTERNAL = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>'
PARAMETER = '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/x.dtd">%p;]><r/>'
REMOTE = '<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><r/>'
PLAIN = "<!DOCTYPE r><r/>"


@pytest.mark.parametrize("text", [BOMB, EXTERNAL, PARAMETER, REMOTE, PLAIN])
def test_type_declarations_and_all_that_need_them_are_refused(xml, text):
    path = xml(text)
    with pytest.raises(AnnotationError, match="document type declaration") as info:
        walk(path)
    assert info.value.where == str(path)
    assert "Remove it" in info.value.fix


def test_an_entity_without_declaration_is_damage(xml):
    with pytest.raises(AnnotationError, match=r"line 2, column 4 .*undefined entity"):
        walk(xml("<r>\n<b>&x;</b></r>"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<r>\n<b>\n</r>", r"damaged in line 3, column 3 \(mismatched tag\)"),
        ("<r><b/>", "damaged in line 1.*no element found"),
        ("hello", "damaged in line 1, column 1"),
        ("<r/><r/>", "junk after document element"),
        (b"<r>\xff</r>", "not well-formed"),
        ('<?xml version="1.0" encoding="no-such-code"?><r/>', "unknown encoding"),
        ('<?xml version="1.0" encoding="shift_jis"?><r/>', "multi-byte encodings"),
        ("<other/>", "begins with <other>, not with <r>"),
        ("", "file is empty"),
        (" \n", "no element found"),
    ],
)
def test_damaged_and_other_files(xml, content, words):
    path = xml(content)
    with pytest.raises(AnnotationError, match=words) as info:
        walk(path)
    assert info.value.where == str(path)


def test_absent_files_and_folders(tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        walk(tmp_path / "absent.xml")
    with pytest.raises(AnnotationError, match="cannot be read"):
        walk(tmp_path)


def test_the_limit_of_annotation_files_holds_for_xml(xml):
    path = xml("<r><b/></r>")
    size = path.stat().st_size
    assert walk(path, Settings(max_geojson_bytes=size)) == [("end", "b", {})]
    with pytest.raises(LimitError, match="of an annotation file") as info:
        walk(path, Settings(max_geojson_bytes=size - 1))
    assert "HISTOSEED_MAX_GEOJSON_BYTES" in info.value.fix


def test_deep_nesting_does_no_harm(xml):
    path = xml("<r>" + "<a>" * 200_000 + "</a>" * 200_000 + "</r>")
    assert len(walk(path)) == 200_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_xml_announces(xml, encoding):
    path = xml('<r><b n="é"/></r>'.encode(encoding))
    assert walk(path) == [("end", "b", {"n": "é"})]


@pytest.mark.parametrize(
    ("content", "tag"),
    [
        ("<Annotations a='1'/>", "Annotations"),
        ('\ufeff<?xml version="1.0"?>\n<!-- a > b -->\n<?x y?><ASAP_Annotations>', "ASAP_Annotations"),
        ("<!DOCTYPE Annotations><Annotations/>", "Annotations"),
        ("<?" * 2000, None),
        ("{}", None),
        ("", None),
        (b"\x89PNG\r\n", None),
    ],
)
def test_the_first_tag(xml, content, tag):
    assert first_tag(xml(content)) == tag


def test_the_first_tag_of_what_is_no_file(tmp_path):
    assert first_tag(tmp_path) is None
    assert first_tag(tmp_path / "absent") is None


@pytest.mark.parametrize(("x", "value"), [("1.5", 1.5), ("1,5", 1.5), ("-2", -2.0), (" 3 ", 3.0), ("1e3", 1000.0)])
def test_positions(x, value):
    assert position(Element("V", X=x, Y="0"), "here") == (value, 0.0)


@pytest.mark.parametrize("x", ["nan", "inf", "-inf", "1e10", "", "a", "1,234.5", None])
def test_positions_that_are_none(x):
    element = Element("V", Y="0") if x is None else Element("V", X=x, Y="0")
    with pytest.raises(AnnotationError, match="X") as info:
        position(element, "a.xml, region 3")
    assert info.value.where == "a.xml, region 3"


@pytest.mark.parametrize(
    ("text", "value"), [(None, False), ("", False), ("0", False), ("1", True), ("True", True), ("false", False)]
)
def test_flags(text, value):
    assert flag(Element("e") if text is None else Element("e", f=text), "f", "here") is value


def test_a_flag_that_is_none():
    with pytest.raises(AnnotationError, match="f='2' is neither 0 nor 1"):
        flag(Element("e", f="2"), "f", "here")


@given(st.floats(-1e9, 1e9))
def test_decimals_keep_four_places(value):
    text = decimals(value)
    assert abs(float(text) - value) <= 0.5e-4 * 1.001
    assert "e" not in text
    assert text != "-0"
    assert not ("." in text and text.endswith(("0", ".")))


XML_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]).filter(lambda c: c >= " " or c in "\t\n\r"))


@given(text=XML_TEXT.filter(lambda text: not set("\ufffe\uffff") & set(text)))
def test_attributes_are_read_back(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("xml") / "a.xml"
    write_xml(path, ["<r>", f"<b {attributes({'n': text}, where='class')}/>", "</r>"], overwrite=False)
    assert walk(path) == [("end", "b", {"n": text})]


@pytest.mark.parametrize("text", ["\0", "a\x0b", "\ufffe", "half \ud800"])
def test_what_xml_cannot_hold_is_refused(text):
    with pytest.raises(AnnotationError, match="XML cannot hold") as info:
        attributes({"Name": text}, where="class")
    assert info.value.where == "class"


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.xml"

    def lines():
        yield "<r>"
        raise AnnotationError("no")

    with pytest.raises(AnnotationError, match="no"):
        write_xml(path, lines(), overwrite=False)
    assert list(tmp_path.iterdir()) == []
    write_xml(path, ["<r/>"], overwrite=False)
    assert path.read_bytes() == b'<?xml version="1.0" encoding="UTF-8"?>\n<r/>\n'
    with pytest.raises(OutputError, match="--overwrite"):
        write_xml(path, ["<r></r>"], overwrite=False)
    with pytest.raises(OutputError, match="folder"):
        write_xml(tmp_path, ["<r/>"], overwrite=True)
    write_xml(path, ["<r></r>"], overwrite=True)
    assert Path(path).read_text().endswith("<r></r>\n")
