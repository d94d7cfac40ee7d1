"""How many clicks an object takes."""

import numpy as np
import pytest

from fixtures.object_masks import disc, rectangle
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting import Prompt, check_prompt
from histoseed.prompting.simulate import ClickRun, mean_clicks, noc

SQUARE = rectangle((40, 40), 10, 10, 30, 30)
REGION = Region(400, 800, 80, 80)


def test_a_model_that_gets_better_click_by_click():
    """Rows of the square appear five at a time: IoU 0.25, 0.5, 0.75, 1."""

    def predict(prompt):
        assert check_prompt(prompt, (1000, 1000)) is prompt
        return rectangle((40, 40), 10, 10, 30, 10 + 5 * len(prompt.positive))

    run = noc(SQUARE, predict, REGION)
    assert run.ious == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert (run.needed(0.5), run.needed(0.8), run.needed(0.9)) == (2, 4, 4)
    assert all(click.positive for click in run.clicks)
    assert mean_clicks([run, run], 0.8) == (4.0, 0)


def test_a_model_that_ignores_clicks_never_sees_a_pixel_twice():
    seen = []

    def predict(prompt):
        seen.append(prompt)
        return np.zeros((40, 40), bool)

    run = noc(SQUARE, predict, REGION)
    assert (run.needed(0.8), run.needed(0.9), run.reached(0.8)) == (20, 20, False)
    assert len(run.clicks) == len({(c.x, c.y) for c in run.clicks}) == len(seen) == 20
    assert len(np.unique(seen[-1].positive, axis=0)) == 20
    assert mean_clicks([run], 0.9) == (20.0, 1)


def test_it_ends_where_every_wrong_pixel_was_clicked():
    speck = rectangle((5, 5), 2, 2, 3, 3)
    run = noc(speck, lambda _: np.zeros((5, 5), bool), Region(0, 0, 5, 5))
    assert len(run.clicks) == 1
    assert run.needed(0.8) == 20


def test_from_a_box():
    """A first answer that is good enough takes no click."""
    start = Prompt(box=(420, 820, 460, 860))
    assert noc(SQUARE, lambda _: SQUARE, REGION, start=start).needed(0.9) == 0
    prompts = []

    def predict(prompt):
        prompts.append(prompt)
        return SQUARE if len(prompt.negative) else rectangle((40, 40), 10, 10, 40, 40)

    run = noc(SQUARE, predict, REGION, start=start)
    assert run.needed(0.9) == 1
    assert not run.clicks[0].positive
    assert [p.box for p in prompts] == [start.box] * 2


def test_thresholds_and_caps():
    good = disc(18, 40)
    run = noc(disc(19, 40), lambda _: good, Region(0, 0, 40, 40), until=0.8)
    assert run.needed(0.8) == 1
    assert len(run.clicks) == 1
    capped = noc(SQUARE, lambda _: np.zeros((40, 40), bool), REGION, most=3)
    assert capped.needed(0.8) == len(capped.clicks) == 3
    assert np.isnan(mean_clicks([], 0.8).clicks)


def test_a_run_that_gets_worse_again_keeps_its_first_success():
    assert ClickRun((0.0, 0.85, 0.4, 0.95), ()).needed(0.8) == 1


@pytest.mark.parametrize("answer", [np.zeros((3, 3), bool), np.zeros((40, 40), np.uint8), np.zeros((40, 40))])
def test_an_answer_of_another_form(answer):
    with pytest.raises(InputError, match="after 1 click"):
        noc(SQUARE, lambda _: answer, REGION)
