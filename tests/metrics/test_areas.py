"""Scores of areas against closed forms, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.metrics import AREAS, AreaAccumulator, area_confusion, area_dice, paired_area_intervals

CLASSES = ("a", "b")


def images(seed: int, count: int = 1, side: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 3, (side, side)) for _ in range(count)]


def filled(seeds: list[int], groups: list[str] | None = None) -> AreaAccumulator:
    scores = AreaAccumulator(CLASSES)
    for k, seed in enumerate(seeds):
        truth, predicted = images(seed, 2)
        scores.update(truth, predicted, group="" if groups is None else groups[k], patch_id=f"p{k}")
    return scores


def test_one_image_by_hand():
    truth = np.array([[1, 1, 1, 2], [0, 0, 2, 2]])
    predicted = np.array([[1, 1, 2, 2], [1, 0, 2, 0]])
    scores = AreaAccumulator(CLASSES).update(truth, predicted).compute()
    assert scores.protocol == AREAS
    assert scores["dice_a"] == scores["dice_pooled_a"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["iou_a"] == pytest.approx(2 / 4)
    assert scores["dice_b"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["iou"] == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert scores["accuracy"] == pytest.approx(5 / 8)
    assert (scores["pixels_a"], scores["pixels_b"], scores["pixels"]) == (3, 3, 8)


def test_means_over_images_and_pooled_pixels_differ_as_they_should():
    small, large = np.ones((1, 2), int), np.ones((1, 8), int)
    scores = AreaAccumulator(["a"]).update(small, small).update(large, np.zeros((1, 8), int)).compute()
    assert scores["dice"] == pytest.approx((1 + 0) / 2)
    assert scores["dice_pooled"] == pytest.approx(2 * 2 / (10 + 2))
    assert scores["iou_pooled"] == pytest.approx(2 / 10)


def test_a_class_counts_only_where_a_side_has_it():
    truth, predicted = np.array([[1, 1]]), np.array([[1, 1]])
    scores = AreaAccumulator(CLASSES).update(truth, predicted).update(truth * 0, predicted * 0).compute()
    assert scores["dice_a"] == 1.0
    assert scores["dice_b"] is None
    assert scores["dice"] == 1.0
    invented = AreaAccumulator(CLASSES).update(truth, np.array([[1, 2]])).compute()
    assert invented["dice_b"] == 0.0


def test_background_is_in_no_mean_but_its_pixels_count_as_errors():
    truth, predicted = np.array([[0, 0, 0, 1]]), np.array([[1, 0, 0, 1]])
    scores = AreaAccumulator(["a"]).update(truth, predicted).compute()
    assert scores["dice"] == pytest.approx(2 / 3)
    assert not any("background" in key for key in scores)


@given(st.integers(0, 500))
def test_the_ignore_area_does_not_count(seed):
    truth, predicted = images(seed, 2)
    ignore = np.random.default_rng(seed + 1).random(truth.shape) < 0.4
    other = np.where(ignore, 2 - predicted, predicted)
    tables = [area_confusion(truth, p, 2, ignore=ignore) for p in (predicted, other)]
    assert (tables[0] == tables[1]).all()
    assert tables[0].sum() == (~ignore).sum()


@given(st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_scores_lie_between_nothing_and_all(seeds):
    scores = filled(seeds).compute()
    for key in ("dice", "iou", "dice_pooled", "iou_pooled", "accuracy"):
        assert 0 <= scores.number(key) <= 1
        assert scores.number("iou") <= scores.number("dice")
    same = AreaAccumulator(CLASSES)
    for seed in seeds:
        same.update(images(seed)[0], images(seed)[0])
    assert same.compute()["dice_pooled"] == 1.0


def test_dice_is_the_f1_of_pixels():
    truth, predicted = images(3, 2)
    tp = ((truth == 1) & (predicted == 1)).sum()
    fp = ((truth != 1) & (predicted == 1)).sum()
    fn = ((truth == 1) & (predicted != 1)).sum()
    scores = AreaAccumulator(CLASSES).update(truth, predicted).compute()
    assert scores["dice_a"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert scores["iou_a"] == pytest.approx(tp / (tp + fp + fn))


def test_intervals_draw_whole_groups():
    scores = filled([1, 1, 2, 2], ["x", "x", "y", "y"])
    found = scores.intervals(n=200)
    assert found["dice"].n_groups == 2
    one, two = (filled([seed]).compute().number("dice") for seed in (1, 2))
    assert found["dice"].low == pytest.approx(min(one, two), abs=1e-9)
    assert found["dice"].high == pytest.approx(max(one, two), abs=1e-9)
    assert math.isnan(filled([1, 2], ["x", "x"]).intervals(n=10)["dice"].low)


def test_differences_are_paired_by_name():
    ours, theirs = filled([1, 2, 3]), AreaAccumulator(CLASSES)
    for k in (2, 0, 1):
        truth, predicted = images([1, 2, 3][k], 2)
        theirs.update(truth, predicted, patch_id=f"p{k}")
    found = paired_area_intervals(ours, theirs, n=50)
    assert (found["dice"].low, found["dice"].high) == (0, 0)
    with pytest.raises(InputError, match="same images"):
        paired_area_intervals(ours, filled([1, 2]))
    with pytest.raises(InputError, match="other classes"):
        paired_area_intervals(ours, AreaAccumulator(["a"]))


def test_nothing_at_all_is_undefined():
    assert math.isnan(area_dice(np.zeros((3, 3), int)))
    nowhere = np.ones((2, 2), bool)
    scores = AreaAccumulator(CLASSES).update(np.ones((2, 2), int), np.ones((2, 2), int), ignore=nowhere).compute()
    assert scores["dice"] is None
    assert scores["accuracy"] is None
    assert scores["n_without_truth"] == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "different shapes"),
        (np.full((1, 1), 3), np.zeros((1, 1), int), "truth holds the class 3"),
        (np.zeros((1, 1), int), np.full((1, 1), -1), "prediction holds the class -1"),
    ],
)
def test_images_that_cannot_be_compared(truth, predicted, message):
    with pytest.raises(InputError, match=message):
        AreaAccumulator(CLASSES).update(truth, predicted)


@pytest.mark.parametrize("classes", [(), ("a", "a"), ("pooled",), ("pooled_a",), ("",)])
def test_names_that_cannot_be_keys(classes):
    with pytest.raises(InputError):
        AreaAccumulator(classes)
