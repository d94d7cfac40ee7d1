"""Numbered boxes: where they are drawn, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from histoseed.errors import InputError
from histoseed.pictures import numbered_boxes

BLUE = [0, 114, 178]


def test_lines_lie_on_the_borders_and_the_inside_is_untouched() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    before = picture.copy()
    drawn = numbered_boxes(picture, [[100, 80, 180, 140]], [7])
    np.testing.assert_array_equal(picture, before)
    assert drawn[100, 101].tolist() == BLUE
    assert drawn[81, 150].tolist() == BLUE
    np.testing.assert_array_equal(drawn[90:130, 110:170], before[90:130, 110:170])
    np.testing.assert_array_equal(drawn[150:, 190:], before[150:, 190:])
    assert (drawn[60:80, 100:125] == BLUE).all(-1).mean() > 0.3  # the number stands above


def test_boxes_at_the_border_and_tiny_ones_are_seen() -> None:
    picture = np.full((100, 100, 3), 255, np.uint8)
    drawn = numbered_boxes(picture, [[0, 0, 30, 30], [60.2, 60.2, 60.9, 60.9], [90, 90, 100, 100]], [1, 12, 345])
    assert drawn.shape == picture.shape
    for part in (drawn[:40, :40], drawn[45:70, 50:70], drawn[75:, 60:]):
        assert (part == BLUE).all(-1).sum() > 20
    np.testing.assert_array_equal(numbered_boxes(picture, np.zeros((0, 4)), []), picture)


def test_only_pictures_are_drawn_on() -> None:
    with pytest.raises(InputError, match="uint8"):
        numbered_boxes(np.zeros((4, 4)), [[0, 0, 1, 1]], [1])
