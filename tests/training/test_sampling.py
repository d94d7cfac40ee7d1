"""The draw of few patches: nested, spread over slides, rich crops first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.training import nested_draw

candidates = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), min_size=1, max_size=20)


@given(candidates, st.integers(0, 5))
def test_draws_are_nested_and_complete(rows, seed):
    groups, objects = zip(*rows, strict=True)
    whole = nested_draw(groups, objects, len(rows), seed)
    assert sorted(whole) == list(range(len(rows)))
    for count in range(1, len(rows)):
        assert nested_draw(groups, objects, count, seed) == whole[:count]


@given(candidates, st.integers(0, 5))
def test_slides_take_turns(rows, seed):
    groups, _ = zip(*rows, strict=True)
    names = set(groups)
    drawn = nested_draw(groups, [10] * len(rows), len(names), seed)
    assert {groups[i] for i in drawn} == names


@given(candidates, st.integers(0, 5))
def test_poor_crops_come_last(rows, seed):
    groups, objects = zip(*rows, strict=True)
    order = [objects[i] >= 5 for i in nested_draw(groups, objects, len(rows), seed)]
    assert order == sorted(order, reverse=True)


def test_seeds_differ():
    draws = {tuple(nested_draw("a" * 10, [9] * 10, 3, seed)) for seed in range(6)}
    assert len(draws) > 1


@pytest.mark.parametrize("count", [0, 4])
def test_too_many_or_none_is_an_error(count):
    with pytest.raises(InputError, match="--patches"):
        nested_draw(["a"] * 3, [1, 2, 3], count, 0)
