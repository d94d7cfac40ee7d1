"""Objects as a training shows them: windows of service, exact targets, what counts for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from histoseed.geometry import Region
from histoseed.prompting import Prompt, WindowPolicy, shared_window_for, window_for
from histoseed.training.prompted import PromptedPlan, subjects_of

PLAN = PromptedPlan()


def test_every_object_is_there_with_its_own_pixels(picture: Callable[..., Any]) -> None:
    shown, labels = picture()
    subjects = subjects_of(shown, labels, WindowPolicy(side=256), PLAN)
    assert [s.id for s in subjects] == [f"p0/{label}" for label in np.unique(labels)[1:]]
    for subject in subjects:
        whole = np.zeros(labels.shape, bool)
        r = subject.region
        whole[int(r.y) : int(r.y + r.height), int(r.x) : int(r.x + r.width)] = subject.mask
        np.testing.assert_array_equal(whole, labels == int(subject.id.split("/")[1]))
    small = replace(PLAN, smallest=10_000)
    assert subjects_of(shown, labels, WindowPolicy(), small) == []


@pytest.mark.parametrize("mpp", [None, 0.25])
def test_windows_are_those_of_service(picture: Callable[..., Any], mpp: float | None) -> None:
    (shown, labels), policy = picture(), WindowPolicy(side=64, mpp=mpp, min_px=16)
    make = window_for if mpp is None else shared_window_for
    for subject in subjects_of(shown, labels, policy, PLAN):
        rows, columns = np.nonzero(labels == int(subject.id.split("/")[1]))
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        exact = make(box, shown.size, 0.5, policy)
        if mpp is None:  # around a box that a user draws: its sides are at most 1 um = 2 pixels off
            seen = subject.window.region
            assert abs(seen.x - exact.region.x) <= 6
            assert abs(seen.width - exact.region.width) <= 8
        else:
            assert subject.window == exact
        assert subject.window_of(Prompt(box=box)) == subject.window
        middle = np.array([[columns.mean() + 0.5, rows.mean() + 0.5]])
        assert subject.window_of(Prompt(positive=middle)) == subject.click_window
        expected = make((*middle[0], *middle[0]), shown.size, 0.5, policy, points_only=True)
        near = np.array([expected.region.x - subject.click_window.region.x])
        assert np.abs(near).max() <= (8 if mpp is None else 4)  # a click near the middle of a disc, or its middle
        far = Prompt(positive=np.array([[1.0, 1.0], [95.0, 95.0]]))
        inside = subject.click_window.covers(far.extent())
        assert subject.window_of(far) == (subject.click_window if inside else subject.window)
    objects = subjects_of(shown, labels, policy, replace(PLAN, windows="object"))
    assert all(s.click_window == s.window for s in objects)


def test_a_window_of_its_own_does_not_tell_where_the_object_is(picture: Callable[..., Any]) -> None:
    """Around the exact box every object would fill the middle half of its window, whatever box a user draws."""
    shown, labels = picture()
    shown, labels = replace(shown, size=(500, 500)), np.pad(labels, 100)  # so that no window is shifted
    policy = WindowPolicy(side=64, min_px=16)

    def places(plan: PromptedPlan) -> set[tuple[float, float]]:
        found = set()
        for subject in subjects_of(shown, labels, policy, plan):
            rows, columns = np.nonzero(subject.mask)
            middle = subject.region.x + (columns.min() + columns.max() + 1) / 2
            seen = subject.window.region
            found.add((middle - seen.x - seen.width / 2, seen.width / (columns.max() + 1 - columns.min())))
            assert seen.x <= subject.region.x + columns.min()
            assert seen.x + seen.width >= subject.region.x + columns.max() + 1
            assert seen.y <= subject.region.y + rows.min()
        return found

    drawn = places(PLAN)
    assert len({round(offset, 1) for offset, _ in drawn}) > 2
    assert drawn == places(PLAN)  # the same each time: embeddings are stored
    assert drawn != places(replace(PLAN, seed=1))
    assert all(abs(offset) <= 0.5 for offset, _ in places(replace(PLAN, windows="object")))


def test_what_is_unknown_of_an_object_is_no_object(picture: Callable[..., Any]) -> None:
    shown, labels = picture()
    subject = subjects_of(shown, labels, WindowPolicy(side=256), PLAN)[0]
    own = labels == int(subject.id.split("/")[1])
    unknown = np.zeros((96, 96), bool)
    rows, columns = np.nonzero(own)
    unknown[rows[: len(rows) // 3], columns[: len(rows) // 3]] = True  # a third of it, row by row
    shown = replace(shown, unknown=unknown)
    subject = next(s for s in subjects_of(shown, labels, WindowPolicy(side=256), PLAN) if s.id == subject.id)
    share, counts = subject.target(Region(0, 0, 96, 96), (8, 8))
    known = (~unknown).reshape(8, 12, 8, 12).sum((1, 3))
    inside = (own & ~unknown).reshape(8, 12, 8, 12).sum((1, 3))
    np.testing.assert_allclose(share, inside / known, atol=1e-6)
    np.testing.assert_array_equal(counts, known >= 72)


def test_targets_are_shares_of_what_is_known(picture: Callable[..., Any]) -> None:
    unknown = np.zeros((96, 96), bool)
    unknown[:, :48] = True
    shown, labels = picture(unknown=unknown)
    for subject in subjects_of(shown, labels, WindowPolicy(side=256), PLAN):
        cells = Region(-12, 0, 120, 96)
        share, counts = subject.target(cells, (8, 10))
        own = labels == int(subject.id.split("/")[1])
        for i in range(8):
            for j in range(10):
                rows, columns = slice(12 * i, 12 * i + 12), slice(max(12 * j - 12, 0), min(12 * j, 96))
                known = ~unknown[rows, columns]
                assert counts[i, j] == (known.sum() >= 72)
                if counts[i, j]:
                    assert share[i, j] == pytest.approx(own[rows, columns].sum() / known.sum(), abs=1e-6)
