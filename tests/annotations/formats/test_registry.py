"""Which format a file is in, and what the documentation says about each."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from histoseed.annotations.formats import FORMATS, Feature, detect, file_stems, format_of_name, named_format
from histoseed.annotations.formats.base import Statement
from histoseed.annotations.formats.json_heads import json_head
from histoseed.errors import AnnotationError, InputError

ROOT = Path(__file__).parents[3]

NAMES = (
    "geojson", "coco", "asap", "aperio", "cytomine", "labels", "labelme", "stardist", "ome-tiff", "geoparquet",
    "spatialdata",
)  # fmt: skip


def test_the_table() -> None:
    assert tuple(FORMATS) == NAMES
    for name, one in FORMATS.items():
        assert one.name == name
        assert one.holds <= set(get_args(Feature))
        assert one.states <= set(get_args(Statement))
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in one.suffixes)
        assert list(one.suffixes) == sorted(one.suffixes, key=len, reverse=True)
        assert set(one.suffixes) <= set(one.endings)
        assert one.file_suffix in (*one.endings, "")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"type": "FeatureCollection", "features": []}, "geojson"),
        ([{"type": "Feature", "geometry": None}], "geojson"),
        ({"info": {"type": "x", "features": 1}, "images": [{"id": 1}]}, "coco"),
        ({"categories": [], "annotations": []}, "coco"),
        ({"version": "5", "shapes": [{"label": "images"}]}, "labelme"),
        ({"imageData": "A" * 100_000, "shapes": []}, "labelme"),
        ({"images": [{"id": 1, "file_name": 'a"}]{', "x": "\\"}] * 4000, "annotations": []}, "coco"),
    ],
)
@pytest.mark.parametrize("file", ["a.json", "a", "a.xml"])
def test_json_files_are_told_apart_by_their_keys(tmp_path: Path, content: object, name: str, file: str) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    assert detect(tmp_path / file) is FORMATS[name]


def test_a_byte_order_mark_and_a_zip(tmp_path: Path) -> None:
    text = json.dumps({"images": [], "annotations": []})
    (tmp_path / "a").write_text("\ufeff" + text, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        archive.writestr("x.json", text)
        archive.writestr("readme.txt", "hello")
    assert {detect(tmp_path / name).name for name in "ab"} == {"coco"}


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x1f\x8b broken", b"PK\x03\x04 broken", b"3", b'"{"'])
def test_files_that_are_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert json_head(tmp_path / "a") is None
    assert json_head(tmp_path / "absent") is None


def test_the_suffix_decides_where_the_content_says_nothing(tmp_path: Path) -> None:
    for file, name in {"a.geojson": "geojson", "a.OME.TIF": "ome-tiff", "a.npy": "labels", "a.tif": "labels"}.items():
        (tmp_path / file).write_bytes(b"damaged")
        assert detect(tmp_path / file) is FORMATS[name]


def test_the_content_goes_before_the_suffix(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "a.json", "PNG")
    assert detect(tmp_path / "a.json") is FORMATS["labels"]


@pytest.mark.parametrize(
    ("file", "data", "what", "listed"),
    [
        ("a.txt", b"some text", "No annotation format is recognised", "geojson, coco, asap"),
        ("a.json", b"{}", "No annotation format is recognised", "geojson, coco, cytomine, labelme"),
        ("a.json", b"", "No annotation format is recognised", "geojson, coco, cytomine, labelme"),
        ("a.xml", b"<Unknown/>", "No annotation format is recognised", "asap, aperio"),
    ],
)
def test_what_is_not_recognised(tmp_path: Path, file: str, data: bytes, what: str, listed: str) -> None:
    (tmp_path / file).write_bytes(data)
    with pytest.raises(InputError, match=what) as caught:
        detect(tmp_path / file)
    assert caught.value.where == str(tmp_path / file)
    assert f"--from FORMAT; one of {listed}" in str(caught.value.fix)


BOMB = b"""<!-- x --><!DOCTYPE a [ <!ENTITY b "c"> <!ENTITY d "&b;&b;&b;&b;"> ]>"""


@pytest.mark.parametrize("head", [b'<?xml version="1.0"?>\n' + BOMB, b"\xef\xbb\xbf " + BOMB, BOMB.lower()])
@pytest.mark.parametrize("body", [b"<ASAP_Annotations>&d;</ASAP_Annotations>", b"<Annotations/>", b"<x>&d;</x>", b""])
def test_entities_are_refused_before_a_format_is_asked_for(tmp_path: Path, head: bytes, body: bytes) -> None:
    (tmp_path / "a.xml").write_bytes(head + body)
    with pytest.raises(AnnotationError, match="document type declaration") as caught:
        detect(tmp_path / "a.xml")
    assert caught.value.where == str(tmp_path / "a.xml")


def test_a_doctype_within_a_comment_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<!-- <!DOCTYPE a> --><Annotations/>")
    assert detect(tmp_path / "a.xml").name == "aperio"


def test_files_of_other_programs_are_called_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"id": "1", "slideId": "2", "content": [], "persistentId": 3}))
    with pytest.raises(InputError, match=r"Sectra.*not read"):
        detect(tmp_path / "a.json")


def test_real_sectra_files_are_not_taken_for_another_format(shared_data: Path) -> None:
    files = sorted((shared_data / "annotation_format_fixtures" / "sectra").glob("*.json"))
    assert len(files) == 2
    for path in files:
        with pytest.raises(InputError, match="Sectra"):
            detect(path)


def test_folders_that_are_not_recognised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No annotation format is recognised"):
        detect(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        detect(tmp_path / "absent")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.geojson", "geojson"),
        ("a.b.GEOJSON.GZ", "geojson"),
        ("a.png", "labels"),
        ("a.ome.tiff", "ome-tiff"),
        ("a.zarr", "spatialdata"),
    ],
)
def test_the_name_of_the_output(file: str, name: str) -> None:
    assert format_of_name(file) is FORMATS[name]


@pytest.mark.parametrize(
    ("file", "listed"),
    [("a.json", "geojson, coco, cytomine, labelme"), ("a", "geojson, coco"), ("a.xml", "asap, aperio")],
)
def test_names_that_do_not_tell(file: str, listed: str) -> None:
    with pytest.raises(InputError) as caught:
        format_of_name(file, "--to")
    assert f"--to FORMAT; one of {listed}" in str(caught.value.fix)
    with pytest.raises(InputError) as caught:
        format_of_name(file)
    offered = str(caught.value.fix).removeprefix("Let its name end in one of ").removesuffix(".").split(", ")
    assert ".geojson" in offered
    assert all(format_of_name(f"a{suffix}") for suffix in offered)


def test_a_wrong_name_offers_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"--from: There is no annotation format 'qeojson'\. Fix: Did you mean geojson"
    ):
        named_format("qeojson", "--from")
    with pytest.raises(InputError, match="Use one of geojson, coco"):
        named_format("?", "--to")


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.png", "b.ome.tif", "c.1"], ["a", "b", "c.1"]),
        (["x/a.png", "y\\a.tif"], ["x_a", "y_a"]),
        (["../../etc/passwd", "C:\\x\\y.svs", "/a/.."], ["passwd", "y", "image"]),
        (['a:b*"c".png', "ä\x00.png", ".png"], ["a_b__c_", "ä_", "image"]),
        (["é" * 300], ["é" * 100]),
    ],
)
def test_file_names_out_of_image_names(names: list[str], stems: list[str]) -> None:
    assert file_stems(names) == stems


def test_the_formats_are_documented() -> None:
    """``docs/formats.md`` holds a table of the registry: suffixes, several images or one, and what survives."""
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \| (.*) \| (.*) \| (one|several) \|$", text, re.MULTILINE)
    assert listed == [
        (
            name,
            one.about.rstrip("."),
            ", ".join(f"`{suffix}`" for suffix in one.suffixes) or "folder",
            "several" if one.many else "one",
        )
        for name, one in FORMATS.items()
    ]
    features = (*get_args(Feature), *get_args(Statement))
    head = f"| format | {' | '.join(features)} |"
    assert head in text
    rows = re.findall(r"^\| `([\w-]+)` \|((?: (?:yes|-) \|)+)$", text, re.MULTILINE)
    assert rows == [
        (name, "".join(f" {'yes' if feature in one.holds | one.states else '-'} |" for feature in features))
        for name, one in FORMATS.items()
    ]
