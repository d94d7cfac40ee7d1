"""A semantic model learns: by its loss, from a few labelled areas, and nothing from what is not labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fixtures.tissue import painted, regions, semantic_card
from histoseed.encoders import build_encoder
from histoseed.segmenters import Segmenter, SemanticEntry, areas_of, kind_of
from histoseed.segmenters.semantic import SemanticDecoder
from histoseed.training import Augmentation, Picture, TrainingPlan, quality_of, train
from histoseed.training.losses import cross_entropy_loss, dice_loss, focal_loss
from histoseed.training.objectives import objective_of

SIDE = 64
STILL = Augmentation(stain=0, shift=0, turn=0, light=0, blur=0, noise=0)
ROW = kind_of("semantic")


def decoder_of(**fields):
    return SemanticDecoder([8], 4, SemanticEntry(widths=(8, 8, 8, 8), image_widths=(4, 4), **fields))


DECODER = decoder_of(background=True)


def picture(*, seed=3, background=False):
    """Areas of two classes; the left quarter is labelled as what it is not, and ignored."""
    truth = regions(seed, SIDE, SIDE, classes=1, smooth=8) + (0 if background else 1)
    image = painted(truth, seed=1)
    told = truth.astype(np.int32)
    told[:, : SIDE // 4] = 3
    ignore = np.zeros((SIDE, SIDE), bool)
    ignore[:, : SIDE // 4] = True
    return Picture(image, told, np.arange(4), ignore), truth


def targets_and_raw(ignore=None):
    classes = torch.from_numpy(regions(1, SIDE, SIDE)).long()[None]
    targets = ROW.representation.targets(classes, classes=classes, ignore=ignore)
    return targets, 12 * torch.nn.functional.one_hot(targets.classes, 4).movedim(-1, 1).float()


@pytest.mark.parametrize("background", [False, True])
def test_a_tiny_network_learns_one_picture_by_heart(background):
    torch.manual_seed(0)
    card = semantic_card(background=background)
    model = Segmenter(build_encoder("bundled", weights="random", image_size=SIDE), card)
    plan = TrainingPlan(
        steps=40, batch=1, crop=SIDE, learning_rate=8e-3, warmup=5, ema=0.8, method="full", scale=(1.0, 1.0),
        augmentation=STILL, report_every=500, checkpoint_every=500,
    )  # fmt: skip
    seen, truth = picture(background=background)
    history = train(model, [seen], plan)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["dice"] > 0.9
    assert "pq" not in history[-1]
    images = torch.from_numpy(seen.image).permute(2, 0, 1)[None].float() / 255
    found = areas_of(model.predict(images).image(0), (SIDE, SIDE), card)
    assert (found == truth).mean() > 0.9  # also where the labels lied, because nobody looked there


def test_the_parts_of_the_loss_are_those_of_the_library():
    targets, raw = targets_and_raw()
    raw = raw / 12 + torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
    total, parts = objective_of("semantic")(raw, targets, DECODER)
    assert parts["class"] == pytest.approx(float(cross_entropy_loss(raw, targets.classes, targets.weight)))
    assert parts["class dice"] == pytest.approx(
        float(dice_loss(raw, targets.classes, targets.weight, present_only=True))
    )
    assert float(total) == pytest.approx(sum(parts.values()), rel=1e-5)
    _, parts = objective_of("semantic")(raw, targets, decoder_of(background=True, focal=2.0))
    assert parts["class"] == pytest.approx(float(focal_loss(raw, targets.classes, targets.weight, gamma=2.0)))


def test_truth_costs_less_than_noise():
    targets, raw = targets_and_raw()
    noise = torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
    best, worse = (objective_of("semantic")(maps, targets, DECODER)[0] for maps in (raw, raw + 9 * noise))
    assert float(best) < 0.01 < float(worse)


def test_without_background_its_map_is_not_looked_at():
    classes = torch.from_numpy(regions(1, SIDE, SIDE, classes=2)).long()[None] + 1
    targets = ROW.representation.targets(classes, classes=classes)
    raw = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    total, parts = objective_of("semantic")(raw, targets, decoder_of())
    assert parts["class"] == pytest.approx(float(cross_entropy_loss(raw[:, 1:], targets.classes - 1)))
    raw[:, 0] += 50
    assert float(objective_of("semantic")(raw, targets, decoder_of())[0]) == pytest.approx(float(total))
    probabilities = ROW.representation.activated(raw, 3, decoder_of()).probabilities
    assert probabilities[:, 0].max() == 0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_what_is_not_known_does_not_count():
    ignore = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    ignore[:, 32:] = True
    targets, raw = targets_and_raw(ignore)
    changed = raw.clone()
    changed[:, :, 32:] += torch.randn(changed[:, :, 32:].shape)
    first, second = (objective_of("semantic")(maps, targets, DECODER)[0] for maps in (raw, changed))
    torch.testing.assert_close(first, second)


def test_nothing_labelled_is_finite():
    maps = torch.randn(1, 4, SIDE, SIDE, requires_grad=True)
    nowhere = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    targets = ROW.representation.targets(torch.zeros(1, SIDE, SIDE, dtype=torch.int64), ignore=nowhere)
    loss, _ = objective_of("semantic")(maps, targets, DECODER)
    loss.backward()
    assert torch.isfinite(loss)
    assert float(maps.grad.abs().max()) == 0


def test_the_quality_of_areas_is_their_dice():
    quality = quality_of("semantic")
    assert (quality.key, quality.name) == ("dice", "mean Dice")
