"""Robustness index: embeddings whose index is known, brute force, and what cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.metrics import Block, crossed_blocks, nearest_others, neighbour_kinds, robustness_index
from histoseed.metrics.robustness import balanced_accuracy


def crossed(cases: int = 3, each: int = 4, names: str = "ab", places: str = "xy") -> tuple[list[str], ...]:
    """Classes, centres and cases of a full design: every case has one class and one centre."""
    rows = [(n, p, f"{n}{p}{c}") for n in names for p in places for c in range(cases) for _ in range(each)]
    return tuple([row[i] for row in rows] for i in range(3))


def one_hot(names: list[str]) -> np.ndarray:
    return (np.array(names)[:, None] == sorted(set(names))).astype(float)


def test_embeddings_of_biology_alone() -> None:
    """Same-class neighbours only, 8 of the same centre and 12 of the other: SO / (SO + 0) = 1 and (8 + 12) / 8."""
    classes, centres, cases = crossed()
    noise = np.random.default_rng(0).normal(0, 1e-3, (48, 2))
    found = robustness_index(one_hot(classes) + noise, classes, centres, cases, k=20, resamples=50)
    assert found.pathorob.value == 1
    assert found.dejong.value == pytest.approx(20 / 8)
    assert found.accuracy == 1
    assert found.blocks == ((Block(("a", "b"), ("x", "y")), (48 * 8, 48 * 12, 0, 0)),)
    assert found.samples == 48


def test_embeddings_of_the_centre_alone() -> None:
    classes, centres, cases = crossed()
    noise = np.random.default_rng(0).normal(0, 1e-3, (48, 2))
    found = robustness_index(one_hot(centres) + noise, classes, centres, cases, k=20, resamples=50)
    assert found.pathorob.value == 0
    assert found.dejong.value == pytest.approx(8 / 20)
    assert found.centre_accuracy == 1
    assert found.accuracy < 0.6


@pytest.mark.parametrize(("biology", "pathorob"), [(2.0, 1.0), (0.5, 0.0)])
def test_embeddings_of_both_follow_the_stronger(biology: float, pathorob: float) -> None:
    """All 8 SS come first, then all 12 of the stronger side; with k = 8 + 6 exactly six of those."""
    classes, centres, cases = crossed()
    rows = np.concatenate([biology * one_hot(classes), one_hot(centres)], axis=1)
    found = robustness_index(rows, classes, centres, cases, k=14, resamples=50)
    assert found.pathorob.value == pathorob
    assert found.dejong.value == pytest.approx(14 / 8 if pathorob else 8 / 14)


def test_embeddings_of_nothing_are_at_chance() -> None:
    classes, centres, cases = crossed(cases=10, each=20)
    rows = np.random.default_rng(1).normal(size=(800, 16))
    found = robustness_index(rows, classes, centres, cases, k=51, resamples=200)
    # Own cases are left out, so that SS and OO are a tenth rarer than SO and OS.
    assert found.pathorob.value == pytest.approx(0.5, abs=0.03)
    assert found.dejong.value == pytest.approx(1.0, abs=0.03)
    assert found.pathorob.low < 0.5 < found.pathorob.high
    assert found.dejong.low < 1 < found.dejong.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 9))
def test_against_brute_force(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    rows = rng.normal(size=(n, 3))
    classes = rng.choice(["a", "b"], n).tolist()
    centres = rng.choice(["x", "y"], n).tolist()
    cases = [f"{c}{rng.integers(0, 3)}" for c in centres]
    points = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    counts = np.zeros((n, 4), int)
    right = []
    for i in range(n):
        others = [j for j in range(n) if cases[j] != cases[i]]
        near = sorted(others, key=lambda j, i=i: -float(points[i] @ points[j]))[:k]
        for j in near:
            counts[i, 2 * (classes[i] != classes[j]) + (centres[i] != centres[j])] += 1
        votes = {name: sum(classes[j] == name for j in near) for name in "ab"}
        right.append(votes[classes[i]] > votes["ab".replace(classes[i], "")] if votes["a"] != votes["b"] else None)
    neighbours = nearest_others(rows, cases, k)
    np.testing.assert_array_equal(neighbour_kinds(neighbours, classes, centres), counts)
    if k % 2 and len(set(classes)) == 2 and None not in right:
        recalls = [np.mean([r for r, c in zip(right, classes, strict=True) if c == name]) for name in "ab"]
        assert balanced_accuracy(neighbours, classes) == pytest.approx(np.mean(recalls))
    if len(crossed_blocks(classes, centres)) == 1:
        same_class, same_centre = counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]
        found = robustness_index(rows, classes, centres, cases, k=k, resamples=2)
        if counts[:, 1:3].sum():
            assert found.pathorob.value == pytest.approx(counts[:, 1].sum() / counts[:, 1:3].sum())
        if same_centre.sum():
            assert found.dejong.value == pytest.approx(same_class.sum() / same_centre.sum())


def test_length_and_turning_of_embeddings_change_nothing() -> None:
    classes, centres, cases = crossed(cases=4)
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(64, 5)) + one_hot(classes) @ rng.normal(size=(2, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    scaled = (rows * rng.uniform(0.1, 9, (64, 1))) @ turn
    same = [robustness_index(r, classes, centres, cases, resamples=20) for r in (rows, scaled)]
    assert same[0] == same[1]


def test_k_is_the_one_that_predicts_the_class_best() -> None:
    classes, centres, cases = crossed(cases=5, each=5)
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(100, 6)) + one_hot(classes) @ rng.normal(size=(2, 6))
    found = robustness_index(rows, classes, centres, cases, resamples=10)
    neighbours = nearest_others(rows, cases, 99)
    scores = {n: balanced_accuracy(neighbours[:, :n], classes) for n in (1, 3, 5, 7, 9, *range(11, 92, 10))}
    assert found.accuracy == max(scores.values())
    assert found.k == min(n for n, score in scores.items() if score == found.accuracy)


def test_blocks_are_averaged() -> None:
    """Three classes in two centres: three blocks, each as if it stood alone."""
    classes, centres, cases = crossed(names="abc", each=6)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(108, 4)) + one_hot(classes) @ rng.normal(size=(3, 4))
    whole = robustness_index(rows, classes, centres, cases, k=7, resamples=10)
    parts = []
    for pair in ("ab", "ac", "bc"):
        at = [i for i, name in enumerate(classes) if name in pair]
        parts.append(
            robustness_index(
                rows[at], [classes[i] for i in at], [centres[i] for i in at], [cases[i] for i in at], k=7, resamples=2
            )
        )
    assert [block.classes for block, _ in whole.blocks] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert whole.pathorob.value == pytest.approx(np.mean([p.pathorob.value for p in parts]))
    assert whole.dejong.value == pytest.approx(np.mean([p.dejong.value for p in parts]))
    assert whole.accuracy == pytest.approx(np.mean([p.accuracy for p in parts]))


def test_own_cases_are_no_neighbours() -> None:
    neighbours = nearest_others(np.ones((4, 2)), ["a", "a", "b", "b"], 3)
    assert neighbours.tolist() == [[2, 3, -1], [2, 3, -1], [0, 1, -1], [0, 1, -1]]


@pytest.mark.parametrize(
    ("classes", "centres"),
    [("aabb", "xyxx"), ("aaaa", "xxyy"), ("aabb", "xxxx"), ("aabb", "xxyy")],
    ids=["a cell is empty", "one class", "one centre", "class and centre are one"],
)
def test_what_is_not_crossed_is_refused(classes: str, centres: str) -> None:
    with pytest.raises(InputError, match="cannot be told apart"):
        robustness_index(np.eye(4), list(classes), list(centres), list("1234"))


def test_a_case_alone_has_no_neighbours() -> None:
    with pytest.raises(InputError, match="another case"):
        robustness_index(np.eye(4), list("aabb"), list("xyxy"), ["s"] * 4)
    with pytest.raises(InputError, match="at most 3"):
        robustness_index(np.eye(4), list("aabb"), list("xyxy"), list("1234"), k=5)
