"""Sampling by cells and tissues: the formula, and draws that follow it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.datasets import Marks
from histoseed.errors import InputError
from histoseed.training import Picture, TrainingPlan, picture_weights, sampling_weights
from histoseed.training.balance import draw_index

images = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=3, max_size=3), st.sampled_from("abc")), min_size=1, max_size=12
)


@given(images)
def test_without_gamma_all_are_alike(rows):
    cells, tissues = zip(*rows, strict=True)
    np.testing.assert_allclose(sampling_weights(cells, tissues, 0.0), 1 / len(rows))


@given(images, st.floats(0.01, 1))
def test_it_is_the_published_formula(rows, gamma):
    cells, tissues = zip(*rows, strict=True)
    count = len(rows)
    per_class = [sum(row[c] for row in cells) for c in range(3)]
    total = sum(per_class)
    tissue = [count / (gamma * tissues.count(t) + (1 - gamma) * count) for t in tissues]
    cell = [
        (1 - gamma) + gamma * sum(total / (gamma * per_class[c] + (1 - gamma) * total) for c in range(3) if row[c])
        for row in cells
    ]
    if max(cell) == 0:
        cell = [0.0] * count
    weight = np.array(
        [t / max(tissue) + (c / max(cell) if max(cell) else 0) for t, c in zip(tissue, cell, strict=True)]
    )
    np.testing.assert_allclose(sampling_weights(cells, tissues, gamma), weight / weight.sum())


def picture(classes, organ="", points=()):
    labels = np.zeros((8, 8), np.int32)
    labels[0, : len(classes)] = range(1, len(classes) + 1)
    marks = Marks(points=np.ones((len(points), 2)), point_classes=np.array(points, np.int32))
    return Picture(np.zeros((8, 8, 3), np.uint8), labels, np.array([0, *classes]), organ=organ, marks=marks)


def test_pictures_with_a_rare_class_come_more_often():
    common, rare, rare_point = picture([1, 1]), picture([1, 2]), picture([1], points=[2])
    weights = picture_weights([common] * 6 + [rare, rare_point], 2, 0.85)
    assert weights[0] == weights[5] < weights[6] == weights[7]
    assert picture_weights([common, rare], 2, 0.0) is None
    rng = np.random.default_rng(0)
    drawn = np.bincount([draw_index(rng, 8, weights) for _ in range(4000)], minlength=8) / 4000
    np.testing.assert_allclose(drawn, weights, atol=0.02)


def test_rare_organs_come_more_often():
    weights = picture_weights([picture([1], "breast")] * 3 + [picture([1], "colon")], 1, 0.85)
    assert weights[3] > weights[0]


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_weight_outside_of_0_to_1_is_refused(value):
    with pytest.raises(InputError, match="--balance"):
        TrainingPlan(balance=value)
