"""Boxes: tight, jittered, never reversed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fixtures.object_masks import masks, rectangle, seeds
from histoseed.errors import InputError
from histoseed.prompting.simulate import jittered_box, tight_box


@settings(max_examples=50, deadline=None)
@given(masks(), seeds)
def test_without_jitter_the_box_is_tight(mask, seed):
    x0, y0, x1, y1 = jittered_box(mask, 0.0, np.random.default_rng(seed))
    assert (x0, y0, x1, y1) == tight_box(mask)
    rows, columns = np.nonzero(mask)
    assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@settings(max_examples=50, deadline=None)
@given(masks(), st.floats(0, 100), seeds)
def test_any_jitter_leaves_a_box_on_the_object(mask, reach, seed):
    box = jittered_box(mask, reach, np.random.default_rng(seed))
    tight = np.array(tight_box(mask), float)
    extent = np.tile(tight[2:] - tight[:2], 2)
    outward = (np.array(box) - tight) * (-1, -1, 1, 1)
    assert box[0] < box[2]
    assert box[1] < box[3]
    assert (outward <= reach + 1e-9).all()
    assert (-outward <= np.minimum(reach, 0.4 * extent) + 1e-9).all()
    y, x = np.nonzero(mask)
    assert ((x + 0.5 >= box[0]) & (x + 0.5 <= box[2]) & (y + 0.5 >= box[1]) & (y + 0.5 <= box[3])).any()


@settings(max_examples=50, deadline=None)
@given(masks(), st.floats(0, 50), seeds)
def test_a_box_is_cut_to_the_slide(mask, reach, seed):
    height, width = mask.shape
    x0, y0, x1, y1 = jittered_box(mask, reach, np.random.default_rng(seed), limits=(0, 0, width, height))
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


def test_sides_move_uniformly_and_on_their_own():
    mask = rectangle((100, 100), 30, 30, 70, 70)
    rng = np.random.default_rng(0)
    moves = np.array([jittered_box(mask, 4.0, rng) for _ in range(2000)]) - tight_box(mask)
    assert min(stats.kstest(moves[:, side], stats.uniform(-4, 8).cdf).pvalue for side in range(4)) > 0.001
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.1


def test_series_over_the_jitter_are_paired():
    mask = rectangle((100, 100), 30, 30, 70, 70)
    one, three = (np.array(jittered_box(mask, reach, np.random.default_rng(7))) for reach in (1.0, 3.0))
    np.testing.assert_allclose(three - tight_box(mask), 3 * (one - tight_box(mask)))


def test_a_box_that_shows_only_a_hole_is_drawn_again():
    ring = np.zeros((101, 101), bool)
    ring[0, :] = ring[-1, :] = ring[:, 0] = ring[:, -1] = True
    for seed in range(300):
        x0, y0, x1, y1 = jittered_box(ring, 40.0, np.random.default_rng(seed))
        assert min(x0, y0) <= 0.5 or max(x1, y1) >= 100.5


@pytest.mark.parametrize("mask", [np.zeros((3, 3), bool), np.ones((3, 3), int), np.ones(3, bool)])
def test_what_is_no_object(mask):
    with pytest.raises(InputError):
        jittered_box(mask, 1.0, np.random.default_rng(0))
