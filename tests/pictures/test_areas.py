"""Areas drawn over a picture."""

from __future__ import annotations

import numpy as np
import pytest

from histoseed.errors import InputError
from histoseed.pictures import draw_areas


def test_classes_are_tinted_and_their_borders_drawn():
    image = np.full((6, 8, 3), 100, np.uint8)
    classes = np.zeros((6, 8), np.uint8)
    classes[:, 3:] = 2
    before = image.copy()
    drawn = draw_areas(image, classes, ["#ff0000", "#0000ff"], tint=0.5)
    assert np.array_equal(image, before)
    assert (drawn[:, :3] == 100).all()  # no class: as it was
    assert (drawn[:, 3] == (0, 0, 255)).all()  # a line where classes meet
    assert (drawn[:, 4:] == (50, 50, 178)).all()
    assert np.array_equal(draw_areas(image, classes * 0, []), image)


@pytest.mark.parametrize(
    ("classes", "message"),
    [(np.zeros((2, 3), int), "shape"), (np.zeros((2, 2)), "integers"), (np.full((2, 2), 2), "Class 2 has no colour")],
)
def test_classes_that_do_not_fit(classes, message):
    with pytest.raises(InputError, match=message):
        draw_areas(np.zeros((2, 2, 3), np.uint8), classes, ["#ff0000"])
