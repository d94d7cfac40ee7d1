"""Points on the object and beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from scipy.spatial.distance import cdist

from fixtures.object_masks import disc, inside, masks, rectangle, seeds
from histoseed.errors import InputError
from histoseed.prompting.simulate import depth_inside, negative_points, positive_points, tight_box


def centres(mask):
    return np.argwhere(mask)[:, ::-1] + 0.5


@settings(max_examples=50, deadline=None)
@given(masks())
def test_the_depth_is_exact_to_the_border_of_the_crop(mask):
    exact = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(depth_inside(mask), exact, rtol=1e-6)


def test_a_mask_without_background_is_deepest_in_its_middle():
    assert depth_inside(np.ones((5, 7), bool))[2].tolist() == [1, 2, 3, 3, 3, 2, 1]


@settings(max_examples=50, deadline=None)
@given(masks(), st.integers(0, 40), st.sampled_from([0.0, 1.0, 4.0, 300.0]), seeds)
def test_positive_points_are_distinct_pixels_of_the_object(mask, count, power, seed):
    points = positive_points(mask, count, np.random.default_rng(seed), power=power)
    assert points.shape == (min(count, mask.sum()), 2)
    assert inside(mask, points).all()
    assert len(np.unique(points, axis=0)) == len(points)


@settings(max_examples=50, deadline=None)
@given(masks(), seeds, st.data())
def test_positive_points_lie_in_the_box(mask, seed, data):
    height, width = mask.shape
    x0, x1 = sorted(data.draw(st.tuples(st.floats(-2, width + 2), st.floats(-2, width + 2))))
    y0, y1 = sorted(data.draw(st.tuples(st.floats(-2, height + 2), st.floats(-2, height + 2))))
    points = positive_points(mask, mask.size, np.random.default_rng(seed), box=(x0, y0, x1, y1))
    at = centres(mask)
    within = ((at >= (x0, y0)) & (at <= (x1, y1))).all(1)
    assert sorted(points.tolist()) == sorted(at[within].tolist())


def test_positive_points_follow_the_fourth_power_of_the_distance():
    mask = rectangle((9, 11), 2, 2, 7, 7)  # depths 1, 2 and 3
    depth = np.minimum(np.minimum(*np.mgrid[1:6, 1:6]), np.minimum(*np.mgrid[5:0:-1, 5:0:-1]))
    rng = np.random.default_rng(3)
    drawn = np.concatenate([positive_points(mask, 1, rng) for _ in range(4000)]).astype(int) - 2
    seen = np.bincount(depth[drawn[:, 1], drawn[:, 0]], minlength=4)[1:]
    weight = np.array([(depth == d).sum() * d**4 for d in (1, 2, 3)])
    assert stats.chisquare(seen, weight / weight.sum() * 4000).pvalue > 0.001


def test_an_object_of_one_pixel_has_one_point():
    mask = rectangle((5, 5), 3, 1, 4, 2)
    assert positive_points(mask, 5, np.random.default_rng(0)).tolist() == [[3.5, 1.5]]


def test_a_power_that_makes_no_sense():
    for power in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="power"):
            positive_points(disc(4), 1, np.random.default_rng(0), power=power)


@settings(max_examples=80, deadline=None)
@given(masks(), st.integers(0, 20), st.floats(0, 6), st.floats(0, 4), st.booleans(), seeds)
def test_negative_points_keep_off_the_object(mask, count, apart, grow, boxed, seed):
    box = tight_box(mask) if boxed else None
    points = negative_points(mask, count, np.random.default_rng(seed), box=box, apart=apart, grow=grow)
    free = centres(~mask)
    allowed = cdist(free, centres(mask)).min(1) >= apart - 1e-6
    if boxed:
        off = np.maximum(np.maximum(np.subtract(box[:2], free), free - box[2:]), 0)
        allowed &= np.hypot(*off.T) <= grow
    assert len(points) == min(count, allowed.sum())  # fewer where there is less room, never an error
    assert np.isfinite(points).all()
    assert {tuple(p) for p in points.tolist()} <= {tuple(p) for p in free[allowed].tolist()}
    assert len(np.unique(points, axis=0)) == len(points)


def test_negative_points_are_uniform():
    mask = rectangle((4, 6), 2, 1, 5, 3)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([negative_points(mask, 3, rng) for _ in range(1500)]).astype(int)
    seen = np.zeros(mask.shape)
    np.add.at(seen, (drawn[:, 1], drawn[:, 0]), 1)
    assert stats.chisquare(seen[~mask]).pvalue > 0.001


@pytest.mark.parametrize("apart", [0.0, 50.0])
def test_no_room_for_negative_points_is_no_error(apart):
    """The published code divides by zero here, and stops."""
    filled = rectangle((20, 20), 5, 5, 15, 12)
    full = np.ones((8, 8), bool)
    rng = np.random.default_rng(0)
    assert negative_points(filled, 5, rng, box=tight_box(filled), apart=apart).shape == (0, 2)
    assert negative_points(full, 5, rng, apart=apart).shape == (0, 2)
    assert negative_points(full, 5, rng, box=(20, 20, 30, 30), apart=apart).shape == (0, 2)
