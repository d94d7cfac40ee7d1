"""Units: what they may name, and that equal work has one identity."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.executor_units import draw, unmarked
from histoseed.errors import InputError
from histoseed.inference.executors import Unit, unit_function
from histoseed.inference.executors.unit import check_units, resolve

PATH = "fixtures.executor_units:draw"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_the_id_is_the_hash_of_function_and_arguments() -> None:
    text = '{"arguments":{"seed":1},"function":"fixtures.executor_units:draw"}'
    unit = Unit.of(draw, {"seed": 1})
    assert unit.id == hashlib.sha256(text.encode()).hexdigest()
    assert unit.key == unit.id[:20]
    assert unit.function == PATH


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_the_id_knows_neither_order_nor_key_nor_needs_and_survives_json(arguments: dict[str, object]) -> None:
    unit = Unit.of(draw, arguments)
    turned = Unit.of(draw, dict(reversed(arguments.items())), key="other", needs={"GPU": 1})
    again = Unit.from_json(json.loads(json.dumps(turned.as_json())))
    assert unit.id == turned.id == again.id
    assert again == turned


def test_other_work_has_another_id() -> None:
    ids = {Unit.of(draw, {"seed": 1}).id, Unit.of(draw, {"seed": 2}).id, Unit("k", "a.b:c", {"seed": 1}).id}
    assert len(ids) == 3


def test_keys_of_a_table_may_be_numbers() -> None:
    unit = Unit.of(draw, {"table": {2: "b", 10: "a"}})
    assert unit.arguments == {"table": {"2": "b", "10": "a"}}
    assert unit.key == unit.id[:20]


@pytest.mark.parametrize("key", ["", "a/b", "..", ".hidden", "a b", "a\n", "x" * 200])
def test_a_key_is_a_plain_file_name(key: str) -> None:
    with pytest.raises(InputError, match="plain file name"):
        Unit(key, PATH, {})


@pytest.mark.parametrize("path", ["draw", "os.system", "a:b:c", "a b:c", "a:b()", ":c", "a:"])
def test_a_function_stands_as_module_and_name(path: str) -> None:
    with pytest.raises(InputError, match="'package"):
        Unit("k", path, {})


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, float("nan"), b"x"])
def test_arguments_are_json(value: object) -> None:
    with pytest.raises(InputError, match="no JSON"):
        Unit.of(draw, {"value": value})
    with pytest.raises(InputError, match="no JSON"):
        Unit("k", PATH, {"value": value})


def test_a_unit_is_made_of_marked_functions_of_modules_only() -> None:
    @unit_function
    def inner(folder: Path) -> None: ...

    with pytest.raises(InputError, match="@unit_function"):
        Unit.of(unmarked, {})
    with pytest.raises(InputError, match="can be imported"):
        Unit.of(inner, {})


def test_only_marked_functions_are_found() -> None:
    assert resolve(PATH) is draw
    for path, words in [
        ("os:system", "not marked"),
        ("fixtures.executor_units:unmarked", "not marked"),
        ("fixtures.executor_units:drew", "cannot import"),
        ("no_such_package.units:draw", "cannot import"),
    ]:
        with pytest.raises(InputError, match=words):
            resolve(path)


def test_no_two_units_leave_one_record() -> None:
    check_units([Unit("a", PATH, {}), Unit("b", PATH, {})])
    with pytest.raises(InputError, match="same key"):
        check_units([Unit("a", PATH, {}), Unit("A", PATH, {})])
