"""Losses: lowest at the truth, blind to the ignore area, finite where nothing is annotated."""

import pytest
import torch

from histoseed.segmenters import make_targets
from histoseed.training import representation_loss


def two_squares():
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, 4:14, 4:14] = 1
    labels[0, 4:14, 14:26] = 2
    return labels


def perfect_maps(targets, classes):
    semantic = 20 * torch.nn.functional.one_hot(targets.semantic, 3).permute(0, 3, 1, 2).float()
    distances = torch.atanh(targets.distances.clamp(-0.9999, 0.9999))
    kinds = 20 * torch.nn.functional.one_hot(targets.classes, classes).permute(0, 3, 1, 2).float()
    return torch.cat([semantic, distances, kinds], 1)


def test_truth_costs_nothing_and_noise_costs_more():
    labels = two_squares()
    targets = make_targets(labels, classes=labels)
    maps = perfect_maps(targets, 3)
    best, _ = representation_loss(maps, targets)
    worse, _ = representation_loss(maps + torch.randn_like(maps), targets)
    assert float(best) < 0.01
    assert float(worse) > 10 * float(best)


@pytest.mark.parametrize("seed", range(3))
def test_what_happens_in_the_ignore_area_does_not_count(seed):
    labels = two_squares()
    ignore = torch.zeros(1, 32, 32, dtype=torch.bool)
    ignore[0, 16:, :] = True
    targets = make_targets(labels, classes=labels, ignore=ignore)
    maps = torch.randn(1, 10, 32, 32, generator=torch.Generator().manual_seed(seed))
    changed = torch.where(ignore[:, None], torch.full_like(maps, 7.0), maps)
    first, second = (representation_loss(m, targets)[0] for m in (maps, changed))
    torch.testing.assert_close(first, second)


def test_nothing_annotated_is_finite():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    targets = make_targets(labels, ignore=torch.ones(1, 16, 16, dtype=torch.bool))
    maps = torch.randn(1, 7, 16, 16, requires_grad=True)
    loss, parts = representation_loss(maps, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(maps.grad).all()
    assert set(parts) == {"semantic", "dice", "distance", "gradient"}


def test_unclassified_objects_do_not_train_the_class_map():
    labels = two_squares()
    targets = make_targets(labels, classes=torch.zeros_like(labels))
    _, parts = representation_loss(torch.randn(1, 10, 32, 32), targets)
    assert parts["class"] == 0
