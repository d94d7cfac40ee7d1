"""Regions of a slide and believable resolutions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.geometry import MPP_RANGE, Region, known_mpp


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.floats(0.1, 4), st.floats(0.1, 4))
def test_shape_follows_from_extent_and_resolution(width, height, slide_mpp, mpp):
    rows, columns = Region(0, 0, width, height, mpp).shape(slide_mpp)
    assert rows == max(1, round(height * (slide_mpp / mpp)))
    assert columns == max(1, round(width * (slide_mpp / mpp)))


@pytest.mark.parametrize(("mpp", "slide_mpp"), [(None, 0.25), (0.5, None), (None, None)])
def test_without_a_resolution_pixels_stay_as_they_are(mpp, slide_mpp):
    assert Region(3, 4, 10.4, 5, mpp).shape(slide_mpp) == (5, 10)


@pytest.mark.parametrize(
    "values",
    [(0, 0, 0, 1), (0, 0, 1, -1), (math.nan, 0, 1, 1), (0, math.inf, 1, 1), (0, 0, 1, 1, 0.0), (0, 0, 1, 1, math.nan)],
)
def test_regions_that_are_none(values):
    with pytest.raises(InputError):
        Region(*values)


@pytest.mark.parametrize("value", [*MPP_RANGE, 0.25, 1])
def test_believable_resolutions(value):
    assert known_mpp(value) == value


@pytest.mark.parametrize("value", [0.0, -1, 0.049, 100.1, math.inf, math.nan, None])
def test_nonsense_resolutions_count_as_unknown(value):
    assert known_mpp(value) is None
