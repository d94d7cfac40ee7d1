"""Outlines without a click: closed forms on a model of discs, and the published functions as oracles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils import amg
from torchvision.ops import nms

from fixtures import tiny_sam as tiny
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting import Answer, Candidate, Embedding, Prompt, Window, WindowPolicy
from histoseed.prompting.automatic import (
    Selection,
    box_prompts,
    extents,
    find_objects,
    grid_prompts,
    point_prompts,
    stability,
    without_duplicates,
)
from histoseed.prompting.masks import mask_of
from histoseed.prompting.sam import load_promptable

REGION = Region(1000.0, 500.0, 200.0, 160.0)
WINDOW = Window(REGION, (80, 100))
SEEN = Embedding(WINDOW, "discs", {})
DISCS = np.array([[1040.0, 540.0, 12.0], [1100.0, 600.0, 20.0], [1106.0, 606.0, 6.0], [1195.0, 560.0, 15.0]])  # x, y, r


class Discs:
    """Answers with the discs around the first point of a prompt, the largest first; sharp ones with sharp logits."""

    name = "discs"
    policy = WindowPolicy()
    fingerprint = "discs"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def embed(self, image: Any, window: Window) -> Embedding:
        return SEEN

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool = False) -> list[Answer]:
        self.asked.append(len(prompts))
        x, y = np.meshgrid(1001 + 2.0 * np.arange(100), 501 + 2.0 * np.arange(80))
        answers = []
        for prompt in prompts:
            at = prompt.positive[0] if len(prompt.positive) else np.reshape(prompt.box, (2, 2)).mean(0)
            found = []
            for number, (cx, cy, r) in enumerate(DISCS):
                if np.hypot(*(at - (cx, cy))) <= r:
                    slope = 0.1 if r == 12 else 50.0
                    logits = ((r - np.hypot(x - cx, y - cy)) * slope).astype(np.float32)
                    found.append(Candidate(logits, REGION, 0.99 - 0.01 * number))
            found = found or [Candidate(np.full((80, 100), -9.0, np.float32), REGION, 0.9)]
            answers.append(Answer(prompt, tuple(found[: None if several else 1])))
        return answers


def test_a_grid_finds_every_disc_once() -> None:
    model = Discs()
    found = find_objects(model, SEEN, selection=Selection(min_stability=0.0))
    assert len(found) == 4
    assert [answer.candidates[0].score for answer in found] == [0.99, 0.98, 0.97, 0.96]
    assert sum(model.asked) == 32 * 32
    assert max(model.asked) == 64
    boxes = extents([answer.candidates[0] for answer in found])
    expected = np.concatenate([DISCS[:, :2] - DISCS[:, 2:], DISCS[:, :2] + DISCS[:, 2:]], 1).clip(
        max=(1200, 660, 1200, 660)
    )
    assert np.abs(boxes - expected).max() <= 2  # a cell


def test_what_is_kept() -> None:
    def found(**options: Any) -> list[int]:
        answers = find_objects(Discs(), SEEN, selection=Selection(**{"min_stability": 0.0} | options))
        return [round((0.99 - answer.candidates[0].score) * 100) for answer in answers]

    assert found(min_stability=0.8) == [1, 2, 3]  # the blurred disc goes
    assert found(min_score=0.975) == [0, 1]
    assert found(min_area=300) == [0, 1, 3]
    assert found(max_area=600) == [0, 2, 3]
    assert found(cut=False) == [0, 1, 2]  # the last reaches over the right border
    assert found(overlap=0.05) == [0, 1, 3]  # a box of 12 in one of 40: an IoU of 0.09


def test_proposals_give_one_object_each_and_keep_their_names() -> None:
    centres = [[1100.0, 600.0], [1040.0, 545.0], [1106.0, 606.0], [1010.0, 650.0]]
    found = find_objects(Discs(), SEEN, point_prompts(np.array(centres), ["a", "b", "c", "glass"]),
                         selection=Selection(min_stability=0))  # fmt: skip
    assert [answer.prompt.id for answer in found] == ["b", "a"]  # c lies in the disc of a, which it gives again
    boxes = box_prompts(np.array([[1085.0, 585.0, 1115.0, 615.0]]))
    (answer,) = find_objects(Discs(), SEEN, boxes)
    assert (answer.prompt.id, answer.prompt.box) == ("0", (1085.0, 585.0, 1115.0, 615.0))
    assert find_objects(Discs(), SEEN, []) == []


def test_what_is_cut_out_has_the_same_outline() -> None:
    found = find_objects(Discs(), SEEN, selection=Selection(min_stability=0.0))
    for answer in found:
        (whole,) = Discs().predict(SEEN, [answer.prompt], several=True)
        full = next(c for c in whole.candidates if c.score == answer.candidates[0].score)
        small, large = mask_of(answer.candidates[0], (1200, 900)), mask_of(full, (1200, 900))
        assert answer.candidates[0].logits.size < full.logits.size / 2
        mask = np.zeros((900, 1200), bool)
        mask[small.y :, small.x :][: small.mask.shape[0], : small.mask.shape[1]] = small.mask
        other = np.zeros((900, 1200), bool)
        other[large.y :, large.x :][: large.mask.shape[0], : large.mask.shape[1]] = large.mask
        assert np.array_equal(mask, other)


def test_the_grid_is_that_of_segment_anything() -> None:
    points = np.concatenate([prompt.positive for prompt in grid_prompts(REGION, 8)])
    np.testing.assert_allclose(points, amg.build_point_grid(8) * [200, 160] + [1000, 500])


def test_stability_and_boxes_are_those_of_segment_anything() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6, 40, 30)).astype(np.float32)
    logits[3] = -9
    found = [Candidate(one, Region(10, 20, 60, 80), 1.0) for one in logits]
    for offset in (0.3, 1.0):
        expected = amg.calculate_stability_score(torch.from_numpy(np.delete(logits, 3, 0)), 0.0, offset)
        got = stability(found, offset)
        np.testing.assert_allclose(np.delete(got, 3), expected, rtol=1e-6)
        assert got[3] == 1
    expected = amg.batched_mask_to_box(torch.from_numpy(logits > 0)).numpy()
    expected[:, 2:] += 1  # the last pixel belongs to the box
    expected[3] = 0
    np.testing.assert_allclose(extents(found), np.where(expected.any(1)[:, None], expected * 2 + [10, 20, 10, 20], 0))


def test_candidates_of_different_shapes_are_mixed() -> None:
    """As the bundled model gives them: each prompt has its own square."""
    sharp = np.full((8, 8), 9.0, np.float32)
    wide = np.full((4, 16), -9.0, np.float32)
    wide[1, 3:5] = 9
    found = [Candidate(sharp, Region(0, 0, 8, 8), 1.0), Candidate(wide, Region(100, 0, 32, 8), 1.0),
             Candidate(sharp, Region(50, 50, 16, 16), 1.0)]  # fmt: skip
    assert extents(found).tolist() == [[0, 0, 8, 8], [106, 2, 110, 4], [50, 50, 66, 66]]
    assert stability(found).tolist() == [1, 1, 1]


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.floats(0.05, 0.95))
def test_suppression_is_that_of_torchvision(seed: int, number: int, overlap: float) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (number, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 60, (number, 2))], 1)
    scores = rng.permutation(number) / 100
    expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap).tolist()
    assert without_duplicates(boxes, scores, overlap) == expected


def test_ties_keep_the_order_of_the_prompts() -> None:
    assert without_duplicates(np.array([[0, 0, 9, 9], [20, 0, 29, 9], [0, 0, 9, 9.0]]), np.ones(3)) == [0, 1]


@pytest.mark.parametrize("name", ["sam-vit-b", "sam2.1-hiera-t"])
def test_a_sam_runs_it(name: str) -> None:
    model = load_promptable(tiny.tiny_card(name), weights="random")
    tiny.awake(model.network)
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    seen = model.embed(picture, WINDOW)
    loose = Selection(min_score=0.0, min_stability=0.0)
    found = find_objects(model, seen, grid_prompts(REGION, 5), selection=loose)
    assert 0 < len(found) <= 25
    assert find_objects(model, seen, grid_prompts(REGION, 5), selection=Selection(min_score=1.0)) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_score": 1.5}, "min_score: The value must lie between 0 and 1"),
        ({"overlap": -0.1}, "overlap: "),
        ({"at_once": 0}, "a prompt at least"),
        ({"min_area": 50, "max_area": 50}, "No area lies between 50 and 50"),
    ],
)
def test_options_that_keep_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Selection(**options)
    with pytest.raises(InputError, match="A grid has no 0 points a side"):
        grid_prompts(REGION, 0)
