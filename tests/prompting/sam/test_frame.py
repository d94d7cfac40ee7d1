"""Windows in the network's square: closed forms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Window
from histoseed.prompting.sam.frame import frame_of, resampled

SIDES = st.integers(1, 3000)


@given(SIDES, SIDES, st.sampled_from(["longest-side", "stretched"]))
def test_corners_go_to_corners_and_the_covered_cells_cover_the_window(height: int, width: int, resize: str) -> None:
    window = Window(Region(100.0, -50.0, 3.0 * width, 2.0 * height), (height, width))
    frame = frame_of(window, 1024, 256, resize)
    corners = np.array([[100.0, -50.0], [100.0 + 3 * width, -50.0 + 2 * height]])
    np.testing.assert_allclose(frame.to_square(corners), [[0, 0], [frame.columns, frame.rows]], atol=1e-6)
    assert max(frame.rows, frame.columns) == 1024
    rows, columns = frame.covered
    assert max(rows, columns) <= 256
    area = frame.region
    assert (area.x, area.y) == (100.0, -50.0)
    cell = np.array([area.width / columns, area.height / rows])
    beyond = np.array([area.width, area.height]) - [3 * width, 2 * height]
    assert (beyond > -1e-6).all()
    assert (beyond < cell).all()
    # A cell is four pixels of the square.
    np.testing.assert_allclose(frame.to_square(np.array([area.x, area.y]) + cell), [4, 4], atol=1e-6)


def test_sides_are_rounded_as_in_segment_anything() -> None:
    frame = frame_of(Window(Region(0, 0, 200, 150), (150, 200)), 1024, 256, "longest-side")
    assert (frame.rows, frame.columns, frame.covered) == (768, 1024, (192, 256))
    frame = frame_of(Window(Region(0, 0, 1000, 333), (333, 1000)), 1024, 256, "longest-side")
    assert (frame.rows, frame.columns, frame.covered) == (341, 1024, (86, 256))
    assert frame_of(Window(Region(0, 0, 5000, 1), (1, 5000)), 1024, 256, "longest-side").rows == 1


def test_an_answer_comes_back_as_a_mask_bit_for_bit() -> None:
    logits = np.random.default_rng(0).normal(0, 9, (256, 256)).astype(np.float32)
    frame = frame_of(Window(Region(17.0, 33.0, 777.0, 777.0), (500, 500)), 1024, 256, "longest-side")
    assert np.array_equal(frame.mask_logits(MaskPrompt(logits, frame.region)), logits)


def test_beyond_a_mask_is_outside_and_padding_too() -> None:
    frame = frame_of(Window(Region(0, 0, 400, 200), (200, 400)), 1024, 256, "longest-side")
    got = frame.mask_logits(MaskPrompt(np.full((10, 10), 7.0, np.float32), Region(100, 50, 100, 100)))
    expected = np.full((256, 256), -7.0)
    expected[32:96, 64:128] = 7  # 100 of 400 level-0 pixels are 64 of 256 cells
    assert np.array_equal(got, expected)


def test_fine_masks_are_averaged_not_picked() -> None:
    checks = np.indices((1024, 1024)).sum(0) % 2 * 10.0 - 5  # every other pixel: nowhere more inside than outside
    frame = frame_of(Window(Region(0, 0, 1024, 1024), (1024, 1024)), 1024, 256, "stretched")
    got = frame.mask_logits(MaskPrompt(checks.astype(np.float32), Region(0, 0, 1024, 1024)))
    assert np.abs(got).max() < 0.1


def test_coarse_masks_are_interpolated_as_opencv_does() -> None:
    logits = np.random.default_rng(1).normal(0, 5, (20, 30)).astype(np.float32)
    y, x = (np.arange(200) + 0.5) / 10, (np.arange(150) + 0.5) / 5
    expected = cv2.resize(logits, (150, 200), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resampled(logits, y, x, 0.1, 0.2), expected, atol=1e-4)


@pytest.mark.parametrize("step", [0.3, 1.0, 4.0])
def test_constants_stay(step: float) -> None:
    got = resampled(np.full((50, 40), 3.0, np.float32), np.linspace(-5, 60, 30), np.linspace(0, 40, 20), step, step)
    assert np.array_equal(got, np.full((30, 20), 3.0))
