"""The next click: in the middle of the largest error, never twice on a pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fixtures.object_masks import disc, masks, rectangle, seeds
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting import Prompt, Window, check_prompt
from histoseed.prompting.simulate import Click, next_click, with_click


@st.composite
def pairs(draw):
    truth = draw(masks())
    prediction = draw(st.binary(min_size=truth.size, max_size=truth.size))
    return truth, (np.frombuffer(prediction, np.uint8) % 2 == 1).reshape(truth.shape)


def parts(error):
    labels, count = ndimage.label(error, np.ones((3, 3)))
    return [labels == k for k in range(1, count + 1)]


@settings(max_examples=100, deadline=None)
@given(pairs())
def test_the_click_lies_deepest_in_a_largest_error(pair):
    truth, prediction = pair
    click = next_click(truth, prediction)
    errors = parts(truth & ~prediction) + parts(prediction & ~truth)
    if not errors:
        assert click is None
        return
    largest = max(part.sum() for part in errors)
    hit = [part for part in errors if part[click.y, click.x]]
    assert len(hit) == 1
    assert hit[0].sum() == largest
    depth = ndimage.distance_transform_edt(np.pad(hit[0], 1))[1:-1, 1:-1]
    assert depth[click.y, click.x] == pytest.approx(depth.max())
    assert click.positive == truth[click.y, click.x]
    if click.positive:
        assert any(part.sum() == largest for part in parts(truth & ~prediction))
    else:  # of equal errors the missed one is clicked on
        assert all(part.sum() < largest for part in parts(truth & ~prediction))
    assert click == next_click(truth, prediction)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.none() | seeds)
def test_every_wrong_pixel_is_clicked_once_where_a_model_ignores_clicks(pair, seed):
    truth, prediction = pair
    rng = None if seed is None else np.random.default_rng(seed)
    clicks = []
    while (click := next_click(truth, prediction, clicks, rng)) is not None:
        clicks.append(click)
        assert click.positive == truth[click.y, click.x] != prediction[click.y, click.x]
        assert len(clicks) <= truth.size
    assert len({(c.x, c.y) for c in clicks}) == len(clicks) == (truth != prediction).sum()


def test_the_first_click_is_the_middle_of_the_object():
    assert next_click(disc(20, 61, at=(30.5, 25.5)), np.zeros((61, 61), bool)) == Click(30, 25, positive=True)


def test_too_much_is_clicked_away():
    truth, prediction = rectangle((30, 60), 2, 2, 12, 12), rectangle((30, 60), 2, 2, 55, 25)
    assert not next_click(truth, prediction).positive
    assert next_click(truth, truth) is None


def test_a_second_click_in_the_same_error_falls_elsewhere():
    truth, nothing = rectangle((40, 40), 5, 5, 30, 30), np.zeros((40, 40), bool)
    first = next_click(truth, nothing)
    second = next_click(truth, nothing, [first])
    assert np.hypot(first.x - second.x, first.y - second.y) > 5


def test_a_drawn_click_prefers_the_middle():
    truth, nothing = disc(15, 41), np.zeros((41, 41), bool)
    drawn = [next_click(truth, nothing, (), np.random.default_rng(seed)) for seed in range(200)]
    distance = [np.hypot(c.x + 0.5 - 20.5, c.y + 0.5 - 20.5) for c in drawn]
    # For a density ~ r (R - r)^4 the mean is R / 3.5.
    assert np.mean(distance) == pytest.approx(15 / 3.5, rel=0.15)
    assert len(set(drawn)) > 50


def test_clicks_join_a_prompt_in_level_0_pixels():
    window = Window(Region(100, 200, 40, 80), (20, 10))
    prompt = with_click(Prompt(), Click(3, 4, positive=True), window)
    prompt = with_click(prompt, Click(0, 0, positive=False), window)
    assert prompt.positive.tolist() == [[114, 218]]
    assert prompt.negative.tolist() == [[102, 202]]
    boxed = with_click(Prompt(box=(100, 200, 110, 210), id="3"), Click(3, 4, positive=True), window)
    assert boxed.box == (100, 200, 114, 218)  # who clicks outside their box has seen that it is too small
    assert check_prompt(boxed, (200, 300)).id == "3"
    assert with_click(boxed, Click(9, 19, positive=False), window).box == boxed.box


@pytest.mark.parametrize("prediction", [np.zeros((4, 5), bool), np.zeros((4, 4)), np.zeros((4, 4, 1), bool)])
def test_masks_that_cannot_be_compared(prediction):
    with pytest.raises(InputError, match="next click"):
        next_click(np.ones((4, 4), bool), prediction)
