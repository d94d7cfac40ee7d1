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
    (shown, labels), policy = picture(), WindowPolicy(side=64, mpp=mpp)
    make = window_for if mpp is None else shared_window_for
    for subject in subjects_of(shown, labels, policy, PLAN):
        rows, columns = np.nonzero(labels == int(subject.id.split("/")[1]))
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        assert subject.window == make(box, shown.size, 0.5, policy)
        assert subject.window_of(Prompt(box=box)) == subject.window
        middle = np.array([[columns.mean() + 0.5, rows.mean() + 0.5]])
        assert subject.window_of(Prompt(positive=middle)) == subject.click_window
        expected = make((*middle[0], *middle[0]), shown.size, 0.5, policy, points_only=True)
        near = np.array([expected.region.x - subject.click_window.region.x])
        assert np.abs(near).max() <= 4  # the deepest pixel of a disc that others may cover in part
        far = Prompt(positive=np.array([[1.0, 1.0], [95.0, 95.0]]))
        inside = subject.click_window.covers(far.extent())
        assert subject.window_of(far) == (subject.click_window if inside else subject.window)
    objects = subjects_of(shown, labels, policy, replace(PLAN, windows="object"))
    assert all(s.click_window == s.window for s in objects)


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
