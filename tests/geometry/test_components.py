"""Components and holes against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from histoseed.geometry import components, fill_holes, largest_component

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, shape))


@settings(max_examples=60, deadline=None)
@given(MASKS, st.sampled_from([4, 8]))
def test_components_are_those_of_scipy(mask, connectivity):
    labels, areas = components(mask, connectivity=connectivity)
    wanted, n = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    assert len(areas) == n + 1
    assert areas[0] == (~mask).sum()
    pairs = set(zip(labels[mask].tolist(), wanted[mask].tolist(), strict=True))
    assert len(pairs) == n
    for label in range(1, n + 1):
        assert areas[label] == (labels == label).sum()


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_the_largest_component(mask):
    wanted, n = ndimage.label(mask)  # numbered in reading order
    areas = ndimage.sum_labels(mask, wanted, range(1, n + 1))
    expected = wanted == 1 + np.argmax(areas) if n else mask
    np.testing.assert_array_equal(largest_component(mask), expected)


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_all_holes_are_those_of_scipy(mask):
    np.testing.assert_array_equal(fill_holes(np.pad(mask, 1), np.inf)[1:-1, 1:-1], ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize(("largest", "filled"), [(4, False), (4.1, True)])
def test_only_holes_of_fewer_pixels_are_filled(largest, filled):
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    assert fill_holes(mask, largest).all() == filled
