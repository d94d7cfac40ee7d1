"""The statistics of the report against closed forms, published examples and other libraries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from histoseed.benchmarking.report.flips import EXACT_BLOCKS, holm, sign_flip, smallest_p
from histoseed.benchmarking.report.ranks import cliques, critical_difference, friedman
from histoseed.benchmarking.report.resampling import Resamples, estimate
from histoseed.benchmarking.report.variance import variance_components

# Demsar, JMLR 7 (2006), Table 6: areas under curves of four variants of C4.5 on 14 data sets.
# The paper ranks the last two of the thirteenth data set, both printed as 0.975, second and third.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_friedman_gives_the_published_example():
    found = friedman(DEMSAR)
    assert found.ranks.round(3).tolist() == [3.143, 2.000, 2.893, 1.964]
    assert round(found.chi2, 2) == 9.28
    assert round(found.f, 2) == 3.69
    assert found.p == pytest.approx(stats.f.sf(found.f, 3, 39))
    assert 0.01 < found.p < 0.05


@pytest.mark.parametrize(
    ("alpha", "values"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_critical_difference_has_the_published_q(alpha, values):
    """Demsar, Table 5(a), for 2 to 10 classifiers."""
    for k, q in enumerate(values, start=2):
        assert critical_difference(k, 1, alpha) / math.sqrt(k * (k + 1) / 6) == pytest.approx(q, abs=0.0011)
    assert round(critical_difference(4, 14), 2) == 1.25


def test_friedman_of_blocks_that_all_agree():
    agreeing = np.array([[3.0, 2.0, 1.0]] * 4)
    found = friedman(agreeing)
    assert math.isinf(found.f)
    assert found.p == pytest.approx((1 / 6) ** 3)
    assert friedman(np.ones((4, 3))).p == 1.0


@given(arrays(np.float64, (5, 4), elements=st.floats(0, 1), unique=True))
def test_friedman_without_ties_is_that_of_scipy(scores):
    assert friedman(scores).chi2 == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)


@given(st.lists(st.floats(1, 20), min_size=1, max_size=12), st.floats(0.01, 5))
def test_bars_join_exactly_what_is_not_told_apart(ranks, width):
    ranks = np.sort(np.array(ranks))
    bars = cliques(ranks, width)
    joined = {pair for first, last in bars for pair in itertools.combinations(range(first, last + 1), 2)}
    near = {(i, j) for i, j in itertools.combinations(range(len(ranks)), 2) if ranks[j] <= ranks[i] + width}
    assert joined == near
    assert not [a for a in bars for b in bars if a != b and b[0] <= a[0] and a[1] <= b[1]]


def test_sign_flip_is_the_exact_permutation_test_of_scipy(rng):
    differences = rng.normal(0.3, 1, (9, 4))
    expected = [
        stats.permutation_test(
            (column,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for column in differences.T
    ]
    assert sign_flip(differences) == pytest.approx(expected)


def test_sign_flip_by_hand():
    # Of the 8 patterns of 1, 2, 3 those that reach |sum| 4 or more are 6, 4 and their mirrors.
    assert sign_flip(np.array([[-1.0], [2.0], [3.0]])) == pytest.approx([4 / 8])
    # Weights 1, 1, 0: only two blocks count.
    assert sign_flip(np.array([[1.0], [1.0], [9.0]]), np.array([1.0, 1.0, 0.0])) == pytest.approx([0.5])


def test_sign_flip_leaves_unknown_blocks_out_and_says_nothing_of_none():
    p = sign_flip(np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, np.nan]]))
    assert p[0] == pytest.approx(0.5)
    assert math.isnan(p[1])


def test_sign_flip_beyond_exact_blocks_agrees_with_the_normal_approximation(rng):
    differences = rng.normal(0.25, 1, (60, 3))
    z = differences.sum(axis=0) / np.sqrt((differences**2).sum(axis=0))
    assert sign_flip(differences) == pytest.approx(2 * stats.norm.sf(np.abs(z)), abs=0.02)
    assert sign_flip(np.ones((60, 1)))[0] == smallest_p(60) == 1e-4


@settings(max_examples=20, deadline=None)
@given(st.integers(1, EXACT_BLOCKS))
def test_smallest_p_is_reached_where_all_blocks_agree(blocks):
    assert sign_flip(np.arange(1.0, blocks + 1)[:, None])[0] == smallest_p(blocks)


def test_sign_flip_keeps_its_level(rng):
    p = sign_flip(rng.normal(0, 1, (8, 2000)))
    assert np.mean(p <= 0.05) <= 0.06


def test_holm_counts_the_whole_family():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, math.nan, 0.02])[[0, 2]] == pytest.approx([0.02, 0.02])
    assert holm([0.01, 0.02], family=10) == pytest.approx([0.1, 0.18])
    assert holm([0.9, 0.8]).max() == 1.0
    assert holm([]).size == 0


def test_variance_components_by_hand():
    # Draw means 2 and 6: MS between = 2 * (2**2 + 2**2) / 1 = 16; MS within = (2 + 2) / 2 = 2; draw = (16 - 2) / 2.
    found = variance_components([[[1.0, 3.0], [5.0, 7.0]]])
    assert (found.draw, found.seed, found.both) == (7.0, 2.0, None)
    # Seeds that differ more than the draws: a negative estimate becomes 0.
    assert variance_components([[[0.0, 4.0], [1.0, 3.0]]]).draw == 0.0


def test_variance_components_of_unequal_numbers_of_seeds():
    # Sizes 1, 2, 3: n0 = (6 - 14 / 6) / 2 = 11 / 6 (Searle, Casella and McCulloch 1992, 3.6).
    draws = [[1.0], [2.0, 4.0], [5.0, 6.0, 10.0]]
    values = np.concatenate(draws)
    within = sum(((np.array(d) - np.mean(d)) ** 2).sum() for d in draws) / 3
    between = sum(len(d) * (np.mean(d) - values.mean()) ** 2 for d in draws) / 2
    found = variance_components([draws])
    assert found.seed == pytest.approx(within)
    assert found.draw == pytest.approx((between - within) / (11 / 6))


def test_variance_components_that_cannot_be_told_apart():
    one_seed = variance_components([[[1.0], [3.0]], [[5.0], [9.0]]])
    assert (one_seed.draw, one_seed.seed, one_seed.both) == (None, None, pytest.approx((2 + 8) / 2))
    one_draw = variance_components([[[1.0, 3.0, math.nan]]])
    assert (one_draw.draw, one_draw.seed, one_draw.both) == (None, 2.0, None)
    assert variance_components([[], [[math.nan]]]).both is None


def test_variance_components_find_what_was_put_in(rng):
    cells = [[list(m + d + rng.normal(0, 0.5, 3)) for d in rng.normal(0, 2, 4)] for m in rng.normal(0, 10, 400)]
    found = variance_components(cells)
    assert math.sqrt(found.draw) == pytest.approx(2, rel=0.06)
    assert math.sqrt(found.seed) == pytest.approx(0.5, rel=0.06)
    assert (found.draws, found.seeds) == (1200, 3200)


def test_resampling_over_draws_and_groups_has_the_variance_of_the_plug_in():
    # With additive effects, Var* = var(draws) / J + var(groups) / G, variances with 1 / n.
    draws, groups = np.array([0.0, 0.3, 0.9]), np.array([-0.5, 0.1, 0.2, 0.2])
    samples = Resamples(3, 4, 40_000, np.random.default_rng(1)).means(draws[:, None] + groups)
    assert samples.mean() == pytest.approx((draws[:, None] + groups).mean(), abs=0.01)
    assert samples.var() == pytest.approx(draws.var() / 3 + groups.var() / 4, rel=0.03)


def test_resampling_does_not_need_every_draw():
    resamples = Resamples(3, 2, 500, np.random.default_rng(0))
    one = np.array([[0.2, 0.4], [np.nan, np.nan], [np.nan, np.nan]])
    assert set(resamples.means(one).round(6)) == {0.2, 0.3, 0.4}
    assert np.isnan(resamples.means(np.full((3, 2), np.nan))).all()


def test_an_interval_stands_around_the_value_that_is_shown():
    samples = np.random.default_rng(0).normal(0.3, 0.1, 5000)
    found = estimate(0.5, samples)
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - 0.196, abs=0.01)
    assert found.high == pytest.approx(0.5 + 0.196, abs=0.01)
    assert math.isnan(estimate(math.nan, samples).low)
    assert math.isnan(estimate(0.5, np.full(10, np.nan)).low)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Crossed effects of draws and groups; the truth is 0.5."""
    rng = np.random.default_rng(11)
    held = 0
    for i in range(300):
        table = 0.5 + rng.normal(0, 0.1, (12, 1)) + rng.normal(0, 0.1, 25) + rng.normal(0, 0.05, (12, 25))
        samples = Resamples(12, 25, 400, np.random.default_rng(i)).means(table)
        found = estimate(float(table.mean()), samples)
        held += found.low <= 0.5 <= found.high
    assert 0.88 <= held / 300 <= 0.99
