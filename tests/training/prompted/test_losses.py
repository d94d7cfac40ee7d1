"""Losses of single prompts: closed forms, the size of the grid, shapes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.training.losses.focal import binary_focal_loss
from histoseed.training.prompted.losses import (
    iou_error,
    mask_bce,
    mask_dice,
    mask_focal,
    mask_iou,
    prompt_loss,
)

ONES = torch.ones(1, 1, 4, 4)


def half(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that say 0.8 everywhere, and a truth of which the left half is object."""
    logits = torch.full((1, 1, side, side), math.log(4.0))
    truth = torch.zeros(1, 1, side, side)
    truth[..., : side // 2] = 1
    return logits, truth


def test_closed_forms() -> None:
    logits, truth = half(4)
    bce = -(math.log(0.8) + math.log(0.2)) / 2
    focal = (-0.25 * 0.2**2 * math.log(0.8) - 0.75 * 0.8**2 * math.log(0.2)) / 2
    dice = 1 - (2 * 0.8 * 8 + 1) / (0.8 * 16 + 8 + 1)
    assert mask_bce(logits, truth, ONES).item() == pytest.approx(bce, rel=1e-6)
    assert mask_focal(logits, truth, ONES).item() == pytest.approx(focal, rel=1e-6)
    assert mask_dice(logits, truth, ONES).item() == pytest.approx(dice, rel=1e-6)
    assert mask_iou(logits, truth, ONES).item() == 0.5
    assert mask_iou(-logits, torch.zeros_like(truth), ONES).item() == 1.0  # nothing against nothing


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_no_mean_loss_depends_on_the_size_of_the_grid(side: int) -> None:
    """Specification 9.1: a focal loss that was summed over pixels came out 64, 256, 1024 times too large."""
    logits, truth = half(side)
    weight = torch.ones_like(truth)
    small, small_truth = half(4)
    for loss in (mask_bce, mask_focal):
        assert loss(logits, truth, weight).item() == pytest.approx(loss(small, small_truth, ONES).item(), rel=1e-5)
    # The one that segmenters are trained with is the oracle.
    known = binary_focal_loss(logits, truth, gamma=2.0, alpha=0.25)
    assert mask_focal(logits, truth, weight).item() == pytest.approx(known.item(), rel=1e-5)


def test_the_error_of_the_expected_iou_is_never_broadcast() -> None:
    """Specification 9.2: (N, 1) against (N,) compared everything with everything: 1.0 instead of 0.1."""
    expected, reached = torch.tensor([[0.1], [2.1]]), torch.tensor([0.0, 2.0])
    assert (expected - reached).abs().mean().item() == pytest.approx(1.05)  # what happened
    with pytest.raises(InputError, match=r"\(2, 1\).*\(2,\)"):
        iou_error(expected, reached)
    right = iou_error(expected[:, 0], reached)
    torch.testing.assert_close(right, torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(iou_error(expected[:, 0], reached, squared=True), torch.tensor([0.01, 0.01]))
    with pytest.raises(InputError, match="belong together"):
        prompt_loss("bce-iou", torch.zeros(2, 1, 4, 4), torch.zeros(2), torch.zeros(2, 4, 4), torch.ones(2, 4, 4))
    with pytest.raises(InputError, match="belong together"):
        prompt_loss("bce", torch.zeros(2, 1, 4, 4), torch.zeros(2, 1), torch.zeros(1, 4, 4), torch.ones(2, 4, 4))
    with pytest.raises(InputError, match="no loss 'dice'"):
        prompt_loss("dice", torch.zeros(1, 1, 4, 4), torch.zeros(1, 1), torch.zeros(1, 4, 4), torch.ones(1, 4, 4))  # type: ignore[arg-type]


def test_the_whole_is_the_published_sum_of_its_parts() -> None:
    logits, truth = half(4)
    scores = torch.tensor([[0.9]])
    found = {
        name: prompt_loss(name, logits, scores, truth[:, 0], ONES[:, 0]).total.item()  # type: ignore[arg-type]
        for name in ("bce", "bce-iou", "focal-dice-iou")
    }
    bce, focal, dice = (loss(logits, truth, ONES).item() for loss in (mask_bce, mask_focal, mask_dice))
    assert found["bce"] == pytest.approx(bce)
    assert found["bce-iou"] == pytest.approx(bce + 0.05 * 0.4)  # 0.05 |0.9 - 0.5|
    assert found["focal-dice-iou"] == pytest.approx(20 * focal + dice + 0.4**2)


def test_of_several_candidates_only_the_best_learns_its_mask_and_all_learn_their_score() -> None:
    logits, truth = half(4)
    right = torch.where(truth > 0, 2.0, -2.0)
    several = torch.cat([logits, right, -right], 1).requires_grad_()
    scores = torch.full((1, 3), 0.5, requires_grad=True)
    cost = prompt_loss("bce-iou", several, scores, truth[:, 0], ONES[:, 0])
    cost.total.sum().backward()
    assert several.grad is not None
    assert scores.grad is not None
    assert several.grad[0, 1].abs().min() > 0
    assert not several.grad[0, [0, 2]].any()
    assert scores.grad[0, 0] == 0  # it reaches exactly 0.5
    assert (scores.grad[0, 1:] != 0).all()
    # The dice told is that of the candidate which would be given: the first, of equal scores.
    assert cost.dice.item() == pytest.approx(2 * 0.5 / 1.5)


@given(st.integers(0, 2**16), st.integers(1, 3))
def test_each_prompt_has_a_value_of_its_own(seed: int, candidates: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, candidates, 6, 5, generator=generator)
    scores, target = torch.rand(3, candidates, generator=generator), torch.rand(3, 6, 5, generator=generator)
    counts = (torch.rand(3, 6, 5, generator=generator) > 0.3).float()
    for name in ("bce", "bce-iou", "focal-dice-iou"):
        together = prompt_loss(name, logits, scores, target, counts)  # type: ignore[arg-type]
        for i in range(3):
            alone = prompt_loss(name, logits[i : i + 1], scores[i : i + 1], target[i : i + 1], counts[i : i + 1])  # type: ignore[arg-type]
            torch.testing.assert_close(alone.total[0], together.total[i])
        nothing = torch.where(counts > 0, target, 1 - target)  # what does not count does not matter
        changed = prompt_loss(name, logits, scores, nothing, counts)  # type: ignore[arg-type]
        torch.testing.assert_close(changed.total, together.total)
