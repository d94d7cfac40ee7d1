"""What happened to every object, on drawings where the answer is plain to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.errors import InputError
from histoseed.metrics import Failures, contingency, failures, panoptic_statistics


def outcomes(truth, predicted, **options):
    found = failures(np.array([truth]), np.array([predicted]), **options)
    return found.truth_outcome.tolist(), found.predicted_outcome.tolist()


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([1, 1, 1, 0], [1, 1, 1, 0], (["matched"], ["matched"])),
        ([1, 1, 0, 0], [0, 0, 0, 2], (["missed"], ["false"])),
        ([1, 1, 2, 2], [1, 1, 1, 1], (["merged", "merged"], ["merge"])),
        # the larger one is still found, the smaller one is swallowed
        ([1, 1, 1, 2], [1, 1, 1, 1], (["matched", "merged"], ["matched"])),
        ([1, 1, 1, 1], [1, 1, 2, 2], (["split"], ["fragment", "fragment"])),
        ([1, 1, 1, 1, 1], [1, 1, 1, 2, 2], (["matched"], ["matched", "fragment"])),
        # found, but with half of its outline or with twice too much
        ([1, 1, 1, 1], [1, 1, 0, 0], (["inaccurate"], ["inaccurate"])),
        ([1, 1, 0, 0], [1, 1, 1, 1], (["inaccurate"], ["inaccurate"])),
        ([1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], (["missed"], ["false"])),
        ([0, 0], [0, 0], ([], [])),
    ],
)
def test_outcomes(truth, predicted, expected):
    assert outcomes(truth, predicted) == expected


def test_ignored_objects_are_no_failures():
    ignore = np.array([[False, False, True, True]])
    assert outcomes([1, 1, 2, 2], [1, 1, 0, 3], ignore=ignore) == (["matched"], ["matched"])


pairs = st.tuples(*[hnp.arrays(np.int32, (7, 7), elements=st.integers(0, 6))] * 2)


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_outcomes_agree_with_the_panoptic_quality(pair):
    found, statistics = failures(*pair), panoptic_statistics(contingency(*pair))
    counts = found.counts()
    assert counts["truth"]["matched"] == counts["predicted"]["matched"] == statistics.tp
    assert sum(counts["truth"].values()) == statistics.tp + statistics.fn
    assert sum(counts["predicted"].values()) == statistics.tp + statistics.fp


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_size_bins_hold_every_object_once(pair):
    found = failures(*pair)
    for edges in (None, [2.0], []):
        bins = found.by_size(edges)
        for side, total in found.counts().items():
            summed = {name: sum(getattr(one, side)[name] for one in bins) for name in total}
            assert summed == total


def test_sizes_are_equivalent_diameters_in_micrometres():
    y, x = np.mgrid[:60, :60]
    disc = ((y - 29.5) ** 2 + (x - 29.5) ** 2 < 20**2).astype(int)
    found = failures(disc, disc * 0, mpp=0.25)
    assert found.unit == "um"
    assert found.truth_diameter[0] == pytest.approx(40 * 0.25, rel=0.01)
    assert [one.truth["missed"] for one in found.by_size()] == [0, 0, 0, 1, 0]
    assert failures(disc, disc).truth_diameter[0] == pytest.approx(40, rel=0.01)
    assert failures(disc, disc).unit == "px"


def test_images_are_put_together():
    image = np.array([[1, 1, 0]])
    parts = [failures(image, image), failures(image, image * 0)]
    assert Failures.concatenate(parts).truth_outcome.tolist() == ["matched", "missed"]
    with pytest.raises(InputError, match="Sizes"):
        Failures.concatenate([*parts, failures(image, image, mpp=0.5)])
    with pytest.raises(InputError, match="ascend"):
        parts[0].by_size([3.0, 3.0])
