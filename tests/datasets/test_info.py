"""dataset.json: round trip, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.datasets.info import FORMAT_VERSION, ClassInfo, DatasetInfo, named_classes, read_info
from histoseed.errors import DatasetError

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_names = st.lists(_texts.filter(lambda t: t and t == t.strip()), unique=True, max_size=5)


@given(
    classes=_names,
    regions=_names,
    name=_texts.filter(str.strip),
    stain=st.none() | _texts,
    notes=st.lists(_texts, max_size=3),
)
def test_json_round_trip(classes: list[str], regions: list[str], name: str, stain: str | None, notes: list[str]):
    info = DatasetInfo(
        name=name,
        classes=named_classes(classes),
        region_classes=named_classes(regions),
        stain=stain,
        notes=tuple(notes),
        known_problems=tuple(notes),
    )
    assert DatasetInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_the_json_key_is_colour():
    assert DatasetInfo(name="x", classes=(ClassInfo("a", "#010203"),)).to_json()["classes"] == [
        {"name": "a", "colour": "#010203"}
    ]


def test_class_index_starts_at_one():
    assert DatasetInfo(name="x", classes=named_classes(["b", "a"])).class_index() == {"b": 1, "a": 2}


def _good() -> dict:
    return DatasetInfo(name="x", classes=named_classes(["a"])).to_json()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "Update histoseed"),
        ({"format_version": "1"}, "format_version"),
        ({"format_version": True}, "format_version"),
        ({"name": None}, "'name'"),
        ({"name": " "}, "needs a name"),
        ({"classes": None}, "'classes'"),
        ({"classes": [{"name": "a"}]}, "classes[0]"),
        ({"classes": [{"name": "a", "colour": "red"}]}, "#rrggbb"),
        ({"classes": [{"name": "a", "colour": 7}]}, "#rrggbb"),
        ({"classes": [{"name": "a", "colour": "#000000"}] * 2}, "listed twice"),
        ({"classes": [{"name": " a", "colour": "#000000"}]}, "class name"),
        ({"notes": "text"}, "'notes'"),
        ({"licence": 3}, "'licence'"),
    ],
)
def test_a_broken_key_is_named(tmp_path: Path, change: dict, word: str):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(_good() | change))
    with pytest.raises(DatasetError) as caught:
        read_info(path)
    assert word in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        read_info(path)


def test_unknown_keys_are_passed_over():
    assert DatasetInfo.from_json(_good() | {"later": 1}).name == "x"
