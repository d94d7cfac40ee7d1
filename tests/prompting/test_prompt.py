"""Prompts: what cannot be answered is refused by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from histoseed.errors import InputError, LimitError
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt, check_prompt

SIZE = (200, 100)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"box": (50, 10, 20, 30)}, "reversed"),
        ({"box": (10, 10, 10, 30)}, "no extent"),
        ({"box": (10, 10, math.nan, 30)}, "not finite"),
        ({"box": (10, 10, math.inf, 30)}, "not finite"),
        ({"box": (200, 10, 220, 30)}, "outside the slide of 200 x 100"),
        ({"box": (-20, -20, 0, 30)}, "outside the slide"),
        ({"positive": np.array([[201.0, 5.0]])}, "outside the slide"),
        ({"positive": np.array([[np.nan, 5.0]])}, "not a finite number"),
        ({"positive": np.array([1.0, 5.0])}, "shape"),
        ({"box": (10, 10, 20, 20), "positive": np.array([[21.0, 15.0]])}, r"\(21, 15\) lies outside the box"),
        ({"negative": np.array([[5.0, 5.0]])}, "needs a box, a positive point or a mask"),
        ({}, "needs a box"),
        ({"mask": MaskPrompt(np.zeros((3, 4, 1), np.float32), Region(0, 0, 4, 3))}, "shape"),
        ({"mask": MaskPrompt(np.full((3, 4), np.nan, np.float32), Region(0, 0, 4, 3))}, "not finite"),
        ({"mask": MaskPrompt(np.full((3, 4), -1, np.float32), Region(0, 0, 4, 3))}, "needs a box"),
    ],
)
def test_bad_prompts_are_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_prompt(Prompt(id="17", **given), SIZE)
    assert caught.value.where == "prompt 17"


def test_too_many_points() -> None:
    with pytest.raises(LimitError, match="10,000 points"):
        check_prompt(Prompt(positive=np.full((10_000, 2), 5.0)), SIZE)


def test_what_lies_inside() -> None:
    assert Prompt(box=(1, 2, 3, 4)).extent() == (1, 2, 3, 4)
    assert Prompt(positive=np.array([[5.0, 6.0], [1.0, 9.0]])).extent() == (1, 6, 5, 9)
    logits = np.full((10, 10), -3, np.float32)
    logits[2:4, 5:8] = 3
    mask = MaskPrompt(logits, Region(100, 50, 20, 20))
    assert Prompt(mask=mask).extent() == (110, 54, 116, 58)


def test_a_box_may_stick_out_of_the_slide() -> None:
    prompt = Prompt(box=(-5, -5, 20, 20), positive=np.array([[3.0, 3.0]]), negative=np.array([[-4.0, 3.0]]))
    assert check_prompt(prompt, SIZE) is prompt
