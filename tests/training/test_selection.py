"""Which crops are annotated next: nested, spread over slides and over what is to be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.training import diverse_order, nested_draw, select_crops, uncertain_order

BLOBS = np.eye(6)[:, :6]


def blobs(counts: list[int], seed: int = 0, spread: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 6) around as many axes as there are counts, and the axis of each."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(counts)), counts)
    return BLOBS[kind] + rng.normal(0, spread, (len(kind), 6)), kind


@settings(max_examples=30, deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcd"), min_size=2, max_size=30),
    seed=st.integers(0, 99),
    how=st.sampled_from(["random", "diverse", "uncertain"]),
    data=st.data(),
)
def test_orders_are_nested_and_slides_take_turns(groups: list[str], seed: int, how: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    n = len(groups)
    features, uncertainty = rng.normal(size=(n, 4)), rng.random(n)
    objects = rng.integers(0, 12, n)
    facts = {"features": features, "uncertainty": uncertainty}
    whole = select_crops(how, groups, objects, n, seed, **facts)
    assert sorted(whole) == list(range(n))
    count = data.draw(st.integers(1, n))
    assert select_crops(how, groups, objects, count, seed, **facts) == whole[:count]
    assert (objects[whole] >= 5).tolist() == sorted((objects >= 5).tolist(), reverse=True)
    if how != "uncertain":  # there, turns are taken within a third of the candidates
        rich = [groups[i] for i in whole if objects[i] >= 5]
        slides = len(set(rich))
        assert len(set(rich[:slides])) == slides


def test_random_is_the_draw_that_it_always_was() -> None:
    groups, objects = list("aabbccdd"), [9, 9, 9, 0, 9, 9, 2, 9]
    assert select_crops("random", groups, objects, 5, 3) == nested_draw(groups, objects, 5, 3)


@pytest.mark.parametrize("seed", range(5))
def test_diverse_sees_every_kind_of_tissue_before_it_sees_one_twice(seed: int) -> None:
    """One kind is fifty times as frequent: a random draw of five rarely finds the others."""
    features, kind = blobs([100, 2, 2, 2, 2])
    chosen = diverse_order(features, ["a"] * len(kind), 5, seed)
    assert sorted(kind[chosen]) == [0, 1, 2, 3, 4]


def test_diverse_goes_where_nothing_is_annotated_yet() -> None:
    features, kind = blobs([20, 20, 20])
    chosen = diverse_order(features, ["a"] * 60, 1, 0, known=BLOBS[[0, 2]])
    assert kind[chosen].tolist() == [1]


def test_diverse_prefers_what_stands_for_many_over_an_outlier() -> None:
    """Of two directions that are equally new, the one where many others lie."""
    features, kind = blobs([30, 30, 1])
    chosen = [kind[diverse_order(features, ["a"] * 61, 1, seed, known=BLOBS[[0]])[0]] for seed in range(20)]
    assert chosen.count(1) >= 18


def test_only_the_direction_of_an_embedding_counts() -> None:
    features, _ = blobs([4, 4, 4])
    scaled = features * np.random.default_rng(1).uniform(0.1, 10, (12, 1))
    groups = ["a", "b"] * 6
    assert diverse_order(features, groups, 12, 0) == diverse_order(scaled, groups, 12, 0)
    unsure = np.arange(12.0)
    assert uncertain_order(unsure, features, groups, 12) == uncertain_order(unsure, scaled, groups, 12)


def test_uncertain_takes_the_most_uncertain_third_first() -> None:
    rng = np.random.default_rng(0)
    unsure = rng.permutation(30) / 30
    chosen = uncertain_order(unsure, rng.normal(size=(30, 5)), ["a"] * 30, 30)
    tiers = np.argsort(np.argsort(-unsure))[chosen] // 10
    assert tiers.tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_uncertain_does_not_ask_twice_for_the_same() -> None:
    """The five most uncertain are copies; the next two kinds are a little less uncertain."""
    features, kind = blobs([5, 1, 1, 14], spread=1e-4)
    unsure = np.array([1.0] * 5 + [0.9, 0.8] + [0.1] * 14)
    chosen = uncertain_order(unsure, features, ["a"] * 21, 3)
    assert sorted(kind[chosen]) == [0, 1, 2]


def test_uncertain_leaves_an_odd_one_for_later() -> None:
    """Equally uncertain: the crop that is like others comes before the lone one."""
    features, kind = blobs([8, 1])
    assert kind[uncertain_order(np.ones(9), features, ["a"] * 9, 1)].tolist() == [0]


def test_uncertain_keeps_away_from_what_is_annotated() -> None:
    features, kind = blobs([6, 6])
    chosen = uncertain_order(np.ones(12), features, ["a"] * 12, 1, known=BLOBS[[0]])
    assert kind[chosen].tolist() == [1]


def test_the_slide_with_the_best_candidate_begins() -> None:
    features = np.random.default_rng(0).normal(size=(6, 3))
    unsure = [0.1, 0.2, 0.9, 0.8, 0.1, 0.1]
    chosen = uncertain_order(unsure, np.ones_like(features), ["a", "a", "b", "b", "c", "c"], 2)
    assert chosen == [2, 3]  # both of the most uncertain third are of one slide


def test_uncertain_against_its_definition() -> None:
    """Brute force over one slide: the first lowers the weighted sum of squared distances most, then the second."""
    rng = np.random.default_rng(2)
    features, unsure = rng.normal(size=(30, 5)), rng.random(30)
    points = features / np.linalg.norm(features, axis=1, keepdims=True)
    squared = ((points[:, None] - points[None]) ** 2).sum(2)
    pool = np.argsort(-unsure)[:10]
    first = min(pool, key=lambda i: (unsure * squared[i]).sum())
    second = min(set(pool) - {first}, key=lambda i: (unsure * np.minimum(squared[first], squared[i])).sum())
    assert uncertain_order(unsure, features, ["a"] * 30, 2) == [first, second]


def test_copies_and_single_candidates_are_no_error() -> None:
    same = np.ones((4, 3))
    assert sorted(diverse_order(same, list("aabb"), 4, 0)) == [0, 1, 2, 3]
    assert sorted(uncertain_order(np.zeros(4), same, list("aabb"), 4)) == [0, 1, 2, 3]
    assert diverse_order(same[:1], ["a"], 1, 0) == uncertain_order([1.0], same[:1], ["a"], 1) == [0]
    assert diverse_order(np.zeros((3, 2)), ["a"] * 3, 3, 0, known=np.zeros((1, 2)))


@pytest.mark.parametrize("how", ["diverse", "uncertain"])
def test_what_cannot_be_chosen_is_an_error(how: str) -> None:
    facts = {"features": np.eye(3), "uncertainty": np.ones(3)}
    for count in (0, 4):
        with pytest.raises(InputError, match="there are 3"):
            select_crops(how, ["a"] * 3, [9] * 3, count, 0, **facts)
    with pytest.raises(InputError, match="embeddings"):
        select_crops(how, ["a"] * 3, [9] * 3, 1, 0, uncertainty=np.ones(3))


def test_uncertain_needs_a_model_and_names_are_checked() -> None:
    with pytest.raises(InputError, match="unsure"):
        select_crops("uncertain", ["a"] * 3, [9] * 3, 1, 0, features=np.eye(3))
    with pytest.raises(InputError, match="greedy"):
        select_crops("greedy", ["a"] * 3, [9] * 3, 1, 0)
