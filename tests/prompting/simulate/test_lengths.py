"""Lengths: text, units, and what they measure in pixels of a mask."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError, UnknownMppError
from histoseed.prompting.simulate import Length, ObjectSizes

SIZES = ObjectSizes(diameter=30.0, longest=40.0, step=2.0, mpp=0.25)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1e6).map(lambda v: float(f"{v:g}")), st.sampled_from(["um", "px", "%", "w"]))
def test_text_and_back(value, unit):
    assert Length.parse(str(Length(value, unit))) == Length(value, unit)


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("1um", 2.0),  # 4 level-0 pixels, 2 of the mask
        ("3px", 1.5),
        ("10%", 3.0),
        ("1024w", 80.0),  # the whole window is twice the longer side
        ("0px", 0.0),
    ],
)
def test_what_a_length_measures(text, pixels):
    assert Length.parse(text).pixels(SIZES) == pytest.approx(pixels)


@pytest.mark.parametrize("text", ["", "1", "um", "-1um", "1 mm", "nan um", "1um2", "1e999px"])
def test_text_that_is_no_length(text):
    with pytest.raises(InputError):
        Length.parse(text)


@pytest.mark.parametrize(("value", "unit"), [(-1.0, "um"), (float("nan"), "um"), (float("inf"), "px"), (1.0, "mm")])
def test_numbers_that_are_no_length(value, unit):
    with pytest.raises(InputError):
        Length(value, unit)


def test_micrometres_need_a_resolution():
    with pytest.raises(UnknownMppError, match="1um"):
        Length(1, "um").pixels(ObjectSizes(30.0, 40.0))
    assert Length(10, "%").pixels(ObjectSizes(30.0, 40.0)) == 3.0
