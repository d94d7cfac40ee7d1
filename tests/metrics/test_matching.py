"""Matching against dense solvers and exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from histoseed.errors import InputError, LimitError, UnknownMppError
from histoseed.metrics import DetectionStatistics, detection_f1, match_points, max_weight_matching
from histoseed.metrics import matching as matching_module

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5).map(
    lambda rows: np.array(rows, dtype=float).reshape(-1, 2)
)


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_gain_is_found(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 60, 2)
    dense = np.where(rng.random((n, m)) < 0.12, rng.random((n, m)), 0)
    if seed % 2:
        dense = np.round(dense, 1)  # many ties
    rows, columns = np.nonzero(dense)
    edges = max_weight_matching(rows, columns, dense[rows, columns])
    assert len(set(rows[edges])) == len(set(columns[edges])) == len(edges)
    best = linear_sum_assignment(-dense)
    assert dense[rows[edges], columns[edges]].sum() == pytest.approx(dense[best].sum())


def test_no_edges_give_no_pairs():
    nothing = np.empty(0, dtype=np.int64)
    assert max_weight_matching(nothing, nothing, np.empty(0)).tolist() == []


def best_pairing(truth, predicted, radius):
    """Most pairs, then least distance, by trying every one-to-one pairing."""
    near = np.linalg.norm(truth[:, None] - predicted[None], axis=-1)
    best = (0, 0.0)
    for size in range(1, min(len(truth), len(predicted)) + 1):
        for rows in itertools.combinations(range(len(truth)), size):
            for columns in itertools.permutations(range(len(predicted)), size):
                distances = near[list(rows), list(columns)]
                if (distances <= radius + 1e-9).all():
                    best = min(best, (-size, distances.sum()))
    return -best[0], best[1]


@given(points, points, st.sampled_from([1.0, 2.0, 2.5]))
@settings(max_examples=60, deadline=None)
def test_most_pairs_and_then_least_distance(truth, predicted, radius):
    rows, columns = match_points(truth, predicted, radius)
    size, distance = best_pairing(truth, predicted, radius)
    assert len(rows) == len(set(columns.tolist())) == size
    assert np.linalg.norm(truth[rows] - predicted[columns], axis=-1).sum() == pytest.approx(distance)


def test_one_pair_more_outweighs_any_distance():
    """A chain of ten pairs at the very radius, or nine at distance zero."""
    truth, predicted = [[[10.0 * (k + shift), 0.0] for k in range(10)] for shift in (0, 1)]
    rows, columns = match_points(truth, predicted, 10.0)
    assert rows.tolist() == columns.tolist() == list(range(10))


def test_hovernet_pairing_can_lose_a_pair():
    truth, predicted = [[0.0, 0.0], [4.0, 0.0]], [[3.0, 0.0], [90.0, 0.0]]
    # Least total distance pairs 0-3 and 4-90 (89) rather than 0-90 and 4-3 (91): then 4-90 is too far apart.
    assert [side.tolist() for side in match_points(truth, predicted, 1.0, matching="least-distance")] == [[], []]
    assert [side.tolist() for side in match_points(truth, predicted, 1.0)] == [[1], [0]]


@pytest.mark.parametrize("matching", ["most-pairs", "least-distance"])
def test_the_radius_itself_still_pairs(matching):
    truth, predicted = [[0.1, 0.1]], [[0.1 + 3 * 0.6, 0.1 + 3 * 0.8]]
    assert len(match_points(truth, predicted, 3.0, matching=matching)[0]) == 1
    assert len(match_points(truth, predicted, 2.999, matching=matching)[0]) == 0


def test_points_that_cannot_be_matched_are_refused(monkeypatch):
    with pytest.raises(InputError, match="radius"):
        match_points([[0, 0]], [[0, 0]], 0)
    with pytest.raises(InputError, match="nearest"):
        match_points([[0, 0]], [[0, 0]], 1, matching="nearest")
    monkeypatch.setattr(matching_module, "_MOST_CELLS", 3)
    with pytest.raises(LimitError, match="2 x 2"):
        match_points(np.zeros((2, 2)), np.zeros((2, 2)), 1, matching="least-distance")


def square(size, *corners):
    image = np.zeros((40, 40), dtype=np.int32)
    for label, (y, x) in enumerate(corners, 1):
        image[y : y + size, x : x + size] = label
    return image


def test_the_radius_is_in_micrometres():
    truth, predicted = square(4, (10, 10)), square(4, (10, 20))
    # 10 pixels apart: 2.5 um at 0.25 microns per pixel, 5 um at 0.5.
    assert detection_f1(truth, predicted, mpp=0.25).f1 == 1
    assert detection_f1(truth, predicted, mpp=0.5).f1 == 0
    assert detection_f1(truth, predicted, mpp=0.5, radius_um=5).f1 == 1


def test_detection_needs_a_believable_resolution():
    image = square(4, (10, 10))
    for mpp in (None, 0.0, 2000.0, float("nan")):
        with pytest.raises(UnknownMppError, match="micrometres"):
            detection_f1(image, image, mpp=mpp)


def test_empty_sides():
    empty, full = square(4), square(4, (0, 0))
    assert np.isnan(detection_f1(empty, empty, mpp=0.25)).all()
    assert detection_f1(empty, full, mpp=0.25)[:2] == (0, 0)
    assert np.isnan(detection_f1(empty, full, mpp=0.25).recall)


def test_statistics_add():
    total = DetectionStatistics(1, 2, 3) + DetectionStatistics(4, 0, 1)
    assert total == DetectionStatistics(5, 2, 4)
    assert total.score().f1 == pytest.approx(10 / 16)
