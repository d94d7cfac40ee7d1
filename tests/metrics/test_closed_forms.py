"""Scores whose value is known on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from histoseed.errors import InputError
from histoseed.metrics import (
    Overlap,
    PanopticStatistics,
    aji,
    aji_plus,
    contingency,
    dice,
    hausdorff95,
    hausdorff95_of_pairs,
    matched_pairs,
    panoptic_quality,
    prompted_overlap,
    r2_counts,
)


def test_a_perfect_prediction():
    image = np.arange(1, 10).reshape(3, 3).repeat(4, 0).repeat(4, 1)
    assert panoptic_quality(image, image) == (1, 1, 1)
    assert aji(image, image) == aji_plus(image, image) == dice(image, image) == 1
    assert hausdorff95(image, image) == 0


def test_empty_against_empty_is_undefined_and_one_empty_side_is_zero():
    empty, full = np.zeros((3, 3), int), np.ones((3, 3), int)
    for score in (aji, aji_plus, dice, hausdorff95, lambda a, b: panoptic_quality(a, b).pq):
        assert math.isnan(score(empty, empty))
    for score in (aji, aji_plus, dice, lambda a, b: panoptic_quality(a, b).pq, lambda a, b: panoptic_quality(a, b).sq):
        assert score(empty, full) == score(full, empty) == 0


def test_an_iou_of_exactly_one_half_is_no_pair():
    assert panoptic_quality(np.array([[1, 1]]), np.array([[1, 0]])).pq == 0
    assert panoptic_quality(np.array([[1, 1, 1]]), np.array([[1, 1, 0]])).pq == pytest.approx(2 / 3)


def test_shifted_squares():
    """n x n squares shifted by s: IoU = (n - s) / (n + s)."""
    truth, predicted = np.zeros((2, 40, 40), int)
    for label, (y, x) in enumerate([(0, 0), (0, 20), (20, 0), (20, 20)], 1):
        truth[y : y + 12, x : x + 12] = label
        predicted[y : y + 12, x + 3 : x + 15] = label
    iou = 9 / 15
    assert panoptic_quality(truth, predicted) == pytest.approx((iou, 1, iou))
    assert aji(truth, predicted) == pytest.approx(iou)
    assert aji_plus(truth, predicted) == pytest.approx(iou)
    assert dice(truth, predicted) == pytest.approx(9 / 12)
    assert hausdorff95(truth, predicted, mpp=0.5) == pytest.approx(1.5)


def test_pooled_quality_is_the_quality_of_the_sums():
    total = PanopticStatistics(2, 1, 0, 1.5) + PanopticStatistics(0, 0, 3, 0.0)
    assert total.quality() == pytest.approx((1.5 / 4, 2 / 4, 0.75))
    assert (Overlap(1, 2) + Overlap(2, 4)).ratio() == 0.5


def edge(mask):
    return mask & ~ndimage.binary_erosion(mask)


@pytest.mark.parametrize("seed", range(3))
def test_hausdorff_equals_distance_transforms(seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 3)
    truth = ndimage.label(noise > 0.02)[0]
    predicted = ndimage.label(ndimage.shift(noise, 1, order=1) > 0.03)[0]
    table = contingency(truth, predicted)
    pairs = matched_pairs(table)
    assert len(pairs) >= 3
    expected = []
    for pair in pairs:
        t = edge(truth == table.truth.labels[table.pair_truth[pair]])
        p = edge(predicted == table.predicted.labels[table.pair_predicted[pair]])
        forth = ndimage.distance_transform_edt(~p)[t]
        back = ndimage.distance_transform_edt(~t)[p]
        expected.append(max(np.percentile(forth, 95), np.percentile(back, 95)))
    np.testing.assert_allclose(hausdorff95_of_pairs(table), expected)
    np.testing.assert_allclose(hausdorff95_of_pairs(table, 0.25), np.multiply(expected, 0.25))


def test_r2():
    assert r2_counts([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert r2_counts([1, 2, 3], [2, 2, 2]) == 0
    assert r2_counts([1, 3], [3, 1]) == -3
    assert math.isnan(r2_counts([5], [5]))
    assert r2_counts([0, 0], [0, 1], constant="as-sklearn") == 0
    with pytest.raises(InputError, match="2"):
        r2_counts([1, 2], [1])


def test_prompted_answers_belong_to_their_prompt():
    truth = np.array([[1, 1, 2, 2, 0, 3]])
    swapped = np.array([[2, 2, 1, 1, 0, 0]])
    assert prompted_overlap(truth, swapped) == (0, 0, 0, 0)
    assert prompted_overlap(truth, truth) == (1, 1, 1, 1)
    half = np.array([[1, 0, 2, 2, 2, 9]])
    # objects: 1 of 2 pixels; 2 of 2 pixels and one too many; nothing
    expected = ((1 / 2 + 2 / 3) / 3, (2 / 3 + 4 / 5) / 3, (1 + 2 / 3) / 3, (1 / 2 + 1) / 3)
    assert prompted_overlap(truth, half) == pytest.approx(expected)
    assert np.isnan(prompted_overlap(np.zeros((1, 1), int), np.ones((1, 1), int))).all()
