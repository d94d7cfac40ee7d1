"""Which objects are shown, and what is drawn of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.benchmarking.prompted.cases import CASE_COLORS, CASE_GAP, CASE_SIDE, choose_cases, draw_case
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.metrics.answers import AnswerRows
from histoseed.pictures.colors import rgb
from histoseed.prompting import MaskPrompt, Prompt


def rows_of(dice):
    dice = np.asarray(dice, np.float64)
    table = np.column_stack([dice, dice, dice, dice])
    names = np.full(len(dice), "a", dtype=object)
    size = np.ones(len(dice))
    return AnswerRows(names, names, size, table, table, table, size, np.zeros(len(dice), bool))


def panels(strip, side=CASE_SIDE):
    return [strip[:, i * (side + CASE_GAP) : i * (side + CASE_GAP) + side] for i in range(4)]


def painted(panel, name):
    """Pixels of the exact colour of something that is drawn."""
    return (panel == rgb(CASE_COLORS[name])).all(-1)


@pytest.fixture
def scene():
    """A grey picture, a truth and an answer beside it."""
    truth, answer = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    truth[40:80, 60:100], answer[40:80, 70:110] = True, True
    return np.full((120, 160, 3), 128, np.uint8), truth, answer


@given(dice=st.lists(st.floats(0, 1), max_size=30), seed=st.integers(0, 9), counts=st.tuples(*[st.integers(0, 4)] * 3))
def test_each_object_is_shown_once_and_the_worst_are_the_worst(dice, seed, counts):
    random, median, worst = counts
    shown = choose_cases(rows_of(dice), seed, random=random, median=median, worst=worst)
    chosen = [case.row for case in shown]
    assert len(set(chosen)) == len(chosen) == min(len(dice), sum(counts))
    assert shown == choose_cases(rows_of(dice), seed, random=random, median=median, worst=worst)
    before = {case.row for case in shown if case.kind != "worst"}
    left = sorted(value for i, value in enumerate(dice) if i not in before)
    lowest = [dice[case.row] for case in shown if case.kind == "worst"]
    assert lowest == left[: len(lowest)]


def test_the_median_and_the_draw():
    dice = np.linspace(0, 1, 101)
    shown = choose_cases(rows_of(dice), 3)
    kinds = [case.kind for case in shown]
    assert kinds == ["random"] * 3 + ["median"] * 2 + ["worst"] * 3
    assert all(abs(dice[case.row] - 0.5) <= 0.02 for case in shown if case.kind == "median")
    drawn = {tuple(case.row for case in choose_cases(rows_of(dice), seed)[:3]) for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize("bad", [{"seed": -1}, {"seed": 0, "worst": -1}])
def test_negative_numbers_are_refused(bad):
    with pytest.raises(InputError, match="negative"):
        choose_cases(rows_of([0.5]), **bad)


def test_each_panel_shows_its_own(scene):
    image, truth, answer = scene
    inside, outside = np.array([[80.5, 60.5]]), np.array([[104.0, 60.0]])
    prompt = Prompt(box=(58.0, 38.0, 103.0, 82.0), positive=inside, negative=outside)
    strip = draw_case(image, truth, answer, prompt)
    assert strip.shape == (CASE_SIDE, 4 * CASE_SIDE + 3 * CASE_GAP, 3)
    plain, true, said, answered = panels(strip)
    assert (plain == 128).all()
    drawn = [{name for name in CASE_COLORS if painted(panel, name).any()} for panel in (plain, true, said, answered)]
    assert drawn == [set(), {"truth"}, {"prompt", "not here"}, {"truth", "answer"}]


def test_outlines_lie_where_the_objects_are(scene):
    image, truth, answer = scene
    *_, answered = panels(draw_case(image, truth, answer, None, side=176), 176)
    columns = {name: np.flatnonzero(painted(answered, name).any(0)) for name in ("truth", "answer")}
    # The truth spans x 60 to 100 and the answer 70 to 110; the crop is 1.6 times what both span, so a pixel is 2.2.
    assert np.ptp(columns["answer"]) == pytest.approx(40 * 2.2, abs=3)
    assert columns["answer"].max() - columns["truth"].max() == pytest.approx(10 * 2.2, abs=3)


def test_an_empty_answer_and_no_prompt_are_drawn_too(scene):
    image, truth, answer = scene
    plain, true, said, answered = panels(draw_case(image, truth, np.zeros_like(answer), None))
    assert (said == plain).all()
    assert (answered == true).all()


def test_prompts_are_in_level_0_pixels(scene):
    image, truth, answer = scene
    logits = np.full((20, 20), 4.0, np.float32)
    near = Prompt(box=(60.0, 40.0, 100.0, 80.0), mask=MaskPrompt(logits, Region(60, 40, 40, 40)))
    far = Prompt(box=(1120.0, 2080.0, 1200.0, 2160.0), mask=MaskPrompt(logits, Region(1120, 2080, 80, 80)))
    here = draw_case(image, truth, answer, near)
    there = draw_case(image, truth, answer, far, origin=(1000.0, 2000.0), step=2.0)
    assert (here == there).all()


def test_a_point_far_outside_does_not_make_the_object_small(scene):
    image, truth, answer = scene
    near = draw_case(image, truth, answer, Prompt(box=(60.0, 40.0, 100.0, 80.0)))
    beyond = Prompt(box=(60.0, 40.0, 100.0, 80.0), negative=np.array([[5.0, 5.0]]))
    assert (panels(draw_case(image, truth, answer, beyond))[1] == panels(near)[1]).all()


def test_an_object_at_the_border_is_not_cut():
    truth = np.zeros((40, 60), bool)
    truth[0:30, 50:60] = True
    *_, answered = panels(draw_case(np.full((40, 60, 3), 90, np.uint8), truth, truth, None))
    assert painted(answered, "answer").any()


def test_masks_of_another_shape_are_refused(scene):
    image, truth, answer = scene
    with pytest.raises(InputError, match="answer is bool of"):
        draw_case(image, truth, answer[:-1], None)
    with pytest.raises(InputError, match="truth is int"):
        draw_case(image, truth.astype(int), answer, None)
