"""Scores of promptable models, answer by answer, against sums written out."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from histoseed.errors import InputError
from histoseed.metrics import SIZE_EDGES, PromptAccumulator, mask_overlap, prompted_overlap

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def bar(start, stop, length=400):
    mask = np.zeros((2, length), dtype=bool)
    mask[:, start:stop] = True
    return mask


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (5, 6)).filter(np.any), arrays(bool, (5, 6)))
def test_one_answer_scores_as_a_label_image_does(truth, answer):
    assert mask_overlap(truth, answer) == pytest.approx(prompted_overlap(truth.astype(int), answer.astype(int)))


def filled():
    accumulator = PromptAccumulator()
    accumulator.update(bar(0, 20), [bar(0, 10), bar(0, 20)], data_set="b", group="p1", seconds=0.1)
    accumulator.update(bar(0, 40), [bar(20, 60)], given=bar(0, 30), data_set="a", group="p2", seconds=0.3)
    accumulator.update(bar(0, 20), [bar(100, 120)], given=bar(0, 20), data_set="a", group="p2")
    return accumulator.update(bar(0, 20), [], data_set="a", group="p3", step=16.0, seconds=0.4)


def test_means_over_objects_of_all_sets_and_of_each():
    scores = filled().compute()
    assert scores.protocol == "rapid-cytomine"
    assert scores.number("iou") == pytest.approx((10 / 20 + 20 / 60 + 0 + 0) / 4)
    assert scores.number("dice") == pytest.approx((2 * 10 / 30 + 2 * 20 / 80) / 4)
    assert scores.number("precision") == pytest.approx((1 + 0.5) / 4)
    assert scores.number("recall") == pytest.approx((0.5 + 0.5) / 4)
    assert (scores["n_objects"], scores["n_empty_answers"]) == (4, 1)
    sets = filled().by_set()
    assert list(sets) == ["a", "b"]
    assert sets["a"].number("iou") == pytest.approx(20 / 60 / 3)
    assert sets["b"]["iou"] == 0.5
    assert "n_objects" in sets["a"]
    pooled = sum(part.number("dice") * part.number("n_objects") for part in sets.values()) / 4
    assert scores.number("dice") == pytest.approx(pooled)


def test_the_choice_of_the_candidate_is_stated_and_both_are_scored():
    scores = filled().compute()
    assert scores.number("iou_oracle") == pytest.approx((1 + 20 / 60) / 4)
    assert scores.number("recall_oracle") == pytest.approx((1 + 0.5) / 4)
    assert "itself scores highest" in scores["choice"]
    assert "oracle" in scores["choice"]


def test_the_input_mask_has_scores_of_its_own():
    scores = filled().compute()
    assert scores["n_input"] == 2
    assert scores.number("iou_input") == pytest.approx((30 / 40 + 1) / 2)
    assert scores.number("dice_input") == pytest.approx((60 / 70 + 1) / 2)
    assert (scores["precision_input"], scores["recall_input"]) == (1.0, 0.875)
    assert filled().by_set()["b"]["iou_input"] is None


def test_time_is_that_of_the_answers_that_were_timed():
    scores = filled().compute()
    assert scores["n_timed"] == 3
    assert scores.number("seconds") == pytest.approx(0.8 / 3)
    assert scores["seconds_p50"] == 0.3
    assert PromptAccumulator().update(bar(0, 9), [bar(0, 9)]).compute()["seconds"] is None


def test_every_stratum_is_named_and_empty_ones_are_empty():
    strata = filled().by_size()
    assert [(s.low, s.high) for s in strata] == list(itertools.pairwise(SIZE_EDGES))
    assert {s.name: s.scores["n_objects"] for s in strata if s.scores} == {"20 to 50 px": 3, "200 to 500 px": 1}
    assert "5,000 to 10,000 px" in [s.name for s in strata if s.scores is None]
    assert sum(s.scores["n_objects"] for s in strata if s.scores) == 4


def test_sizes_beyond_the_edges_get_strata_of_their_own():
    accumulator = PromptAccumulator()
    for side in (9, 10, 19, 20, 200):
        accumulator.update(bar(0, side), [bar(0, side)])
    accumulator.update(bar(0, 201), [bar(0, 201)])
    strata = accumulator.by_size([10, 20, 200])
    assert [(s.name, s.scores["n_objects"]) for s in strata] == [
        ("below 10 px", 1),
        ("10 to 20 px", 2),
        ("20 to 200 px", 2),
        ("above 200 px", 1),
    ]
    for edges in ([10], [20, 10], [10, 10]):
        with pytest.raises(InputError, match="ascend"):
            accumulator.by_size(edges)


def test_parts_merge_into_the_whole():
    whole, parts = filled(), filled().merge(filled())
    assert parts.compute()["n_objects"] == 8
    assert parts.compute()["iou"] == whole.compute()["iou"]
    np.testing.assert_array_equal(parts.rows[np.arange(4, 8)].answer, whole.rows.answer)


def test_intervals_draw_groups():
    found = filled().intervals(["iou", "dice_oracle"], n=200)
    assert found["iou"].n_groups == 3
    assert found["iou"].low <= found["iou"].value <= found["iou"].high
    assert found["iou"].value == filled().compute()["iou"]


def test_nothing_gives_nothing():
    empty = PromptAccumulator()
    assert empty.compute()["iou"] is None
    assert empty.compute()["n_objects"] == 0
    assert empty.by_set() == {}
    assert all(s.scores is None for s in empty.by_size())


@pytest.mark.parametrize(
    ("truth", "candidates", "options", "message"),
    [
        (bar(0, 0), [bar(0, 3)], {}, "without a pixel"),
        (bar(0, 3).astype(int), [bar(0, 3)], {}, "not two masks"),
        (bar(0, 3), [bar(0, 3, 50)], {}, "not two masks"),
        (bar(0, 3), [bar(0, 3)], {"given": bar(0, 3, 50)}, "not two masks"),
        (bar(0, 3), [bar(0, 3)], {"step": 0.0}, "step must be positive"),
    ],
)
def test_bad_input(truth, candidates, options, message):
    accumulator = PromptAccumulator()
    with pytest.raises(InputError, match=message):
        accumulator.update(truth, candidates, **options)
    assert accumulator.compute()["n_objects"] == 0


def test_every_key_is_explained():
    for key in filled().compute():
        assert f"`{key}`" in TEXT, key
