"""Windows: never off the slide, always around the prompt, the same for the same prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.geometry import Region
from histoseed.prompting import Window, WindowPolicy, shared_window_for, window_for

SAM = WindowPolicy()
ROI = WindowPolicy(side=512, mpp=0.25)

numbers = st.floats(0, 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[float, float, float, float], tuple[int, int], float | None, WindowPolicy]:
    width, height = draw(st.integers(20, 20_000)), draw(st.integers(20, 20_000))
    w = 1 + draw(numbers) ** 4 * (width - 2)
    h = 1 + draw(numbers) ** 4 * (height - 2)
    x, y = draw(numbers) * (width - w), draw(numbers) * (height - h)
    mpp = draw(st.sampled_from([None, 0.11, 0.25, 0.5, 2.0]))
    return (x, y, x + w, y + h), (width, height), mpp, draw(st.sampled_from([SAM, ROI]))


@given(cases())
def test_a_window_covers_its_prompt_and_stays_on_the_slide(
    case: tuple[tuple[float, float, float, float], tuple[int, int], float | None, WindowPolicy],
) -> None:
    extent, size, mpp, policy = case
    for make in (window_for, shared_window_for):
        window = make(extent, size, mpp, policy)
        region = window.region
        assert region.x >= 0
        assert region.y >= 0
        assert region.x + region.width <= size[0]
        assert region.y + region.height <= size[1]
        assert window.covers(tuple(np.clip(extent, 0, [*size, *size])))
        assert window.shape == region.shape(mpp) or mpp is None


def test_a_box_fills_half_of_the_window() -> None:
    window = window_for((1000, 1000, 1300, 1100), (10_000, 10_000), 0.25, SAM)
    assert (window.region.width, window.region.height, window.shape) == (600, 600, (600, 600))
    assert window.to_level0(np.array([300.0, 300.0])).tolist() == [1150.0, 1050.0]


def test_a_large_object_is_read_at_a_coarser_resolution() -> None:
    window = window_for((0, 0, 4096, 4096), (20_000, 20_000), 0.25, SAM)
    assert window.shape == (1024, 1024)
    assert window.region.mpp == pytest.approx(2.0)
    assert (window.region.x, window.region.y) == (0, 0)  # shifted, not cut


def test_a_model_with_a_resolution_of_its_own_is_given_it() -> None:
    window = window_for((500, 500, 520, 520), (4000, 4000), 0.5, ROI)
    assert window.region.mpp == pytest.approx(0.25)
    assert window.shape == (512, 512)
    assert window.region.width == 256


def test_points_stand_for_an_object_of_the_expected_size() -> None:
    window = window_for((700, 700, 700, 700), (4000, 4000), 0.25, SAM, points_only=True)
    assert window.region.width == 64
    coarse = window_for((700, 700, 700, 700), (4000, 4000), None, SAM, points_only=True)
    assert coarse.region.width == 64


def test_neighbours_share_windows_whoever_comes_along() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 960, (300, 2))
    windows = {shared_window_for((x, y, x + 28, y + 30), (1000, 1000), 0.25, ROI) for x, y in corners}
    assert len(windows) <= 4
    assert all(w.shape == (1000, 1000) for w in windows)


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=5))
def test_coordinates_come_back(points: list[tuple[float, float]]) -> None:
    window = Window(Region(37, 91, 300, 200, mpp=0.5), (100, 150))
    given = np.array(points)
    np.testing.assert_allclose(window.to_level0(window.from_level0(given)), given, atol=1e-8)
