"""Power laws through learning curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from histoseed.errors import InputError
from histoseed.metrics import PowerLaw, expected_gain, fit_power_law

SIZES = [1, 2, 4, 8, 16]


@settings(max_examples=40, deadline=None)
@given(limit=st.floats(0.3, 1.0), share=st.floats(0.05, 0.9), rate=st.floats(0.1, 2.5))
def test_a_law_is_recovered(limit: float, share: float, rate: float) -> None:
    law = PowerLaw(limit, share * limit, rate)
    found = fit_power_law(SIZES, [law.at(n) for n in SIZES])
    np.testing.assert_allclose([found.at(n) for n in SIZES], [law.at(n) for n in SIZES], atol=2e-3)
    assert found.at(17) - found.at(16) == pytest.approx(law.at(17) - law.at(16), abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_law_is_closer(seed: int) -> None:
    """Against scipy's bounded least squares from several starts."""
    rng = np.random.default_rng(seed)
    y = np.clip(0.7 - 0.4 * np.array(SIZES) ** -0.6 + rng.normal(0, 0.03, 5), 0, 1)
    n = np.array(SIZES, float)
    mine = fit_power_law(SIZES, y)
    own = ((y - [mine.at(k) for k in SIZES]) ** 2).sum()
    best = min(
        least_squares(
            lambda p: y - (p[0] - p[1] * n ** -p[2]), start, bounds=([-1, 0, 0.05], [1, 50, 3])
        ).cost * 2
        for start in ([0.7, 0.3, 0.5], [0.9, 0.6, 0.1], [0.6, 0.2, 2.0])
    )  # fmt: skip
    assert own <= best * 1.01 + 1e-9


def test_a_curve_never_falls_and_never_passes_one() -> None:
    falling = fit_power_law(SIZES, [0.6, 0.5, 0.5, 0.4, 0.4])
    assert falling.loss == 0
    assert falling.at(1) == pytest.approx(0.48)
    steep = fit_power_law(SIZES, [0.1, 0.3, 0.5, 0.75, 0.99])
    assert steep.limit <= 1


def test_the_gain_is_that_of_the_law_and_its_interval_holds_it() -> None:
    law = PowerLaw(0.8, 0.4, 0.7)
    rng = np.random.default_rng(0)
    truth = np.array([law.at(n) for n in SIZES])
    scores = truth[:, None, None] + rng.normal(0, 0.02, (1, 3, 1)) + rng.normal(0, 0.05, (1, 1, 8))
    gain = expected_gain(SIZES, scores, 16)
    assert gain.value == pytest.approx(law.at(17) - law.at(16), abs=2e-3)
    assert gain.low <= gain.value <= gain.high
    noisy = expected_gain(SIZES, scores + rng.normal(0, 0.05, scores.shape), 16)
    assert noisy.high - noisy.low > gain.high - gain.low
    assert gain == expected_gain(SIZES, scores, 16)


def test_intervals_cover_as_often_as_they_say() -> None:
    """Forty experiments with independent noise: at least three of four intervals hold the true gain."""
    law = PowerLaw(0.8, 0.5, 0.8)
    truth = np.array([law.at(n) for n in SIZES])[:, None, None]
    true_gain = law.at(17) - law.at(16)
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = expected_gain(SIZES, truth + rng.normal(0, 0.04, (5, 4, 6)), 16, n=100, seed=seed)
        held += found.low <= true_gain <= found.high
    assert held >= 30


def test_missing_scores_are_left_out() -> None:
    scores = np.full((3, 2, 2), 0.5)
    scores[:, :, 1] = np.nan
    assert expected_gain([1, 2, 4], scores, 4, n=20).value == 0


def test_one_draw_says_nothing_about_how_sure_it_is() -> None:
    gain = expected_gain([1, 2, 4], np.array([0.3, 0.4, 0.45]).reshape(3, 1, 1), 4)
    assert gain.value > 0
    assert np.isnan([gain.low, gain.high]).all()


@pytest.mark.parametrize("sizes", [[1, 2], [2, 2, 2, 2], [0, 1, 2]])
def test_too_few_sizes_are_an_error(sizes: list[int]) -> None:
    with pytest.raises(InputError, match="3 sizes"):
        fit_power_law(sizes, [0.5] * len(sizes))
