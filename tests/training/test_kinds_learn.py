"""Every kind of segmenter learns: a tiny network that sees one picture again and again finds its nuclei."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fixtures.nuclei import blobs, painted, perfect_pixels, perfect_raw
from histoseed.encoders import build_encoder
from histoseed.segmenters import KINDS, ClassEntry, EncoderEntry, ModelCard, Segmenter, kind_of, kinds_of
from histoseed.training import Augmentation, Picture, TrainingPlan, train
from histoseed.training.objectives import OBJECTIVES, objective_of

WIDTHS = {
    "skip": {"widths": (32, 24, 24, 16), "image_widths": (8, 16)},
    "cellvit": {"widths": (24, 16, 16, 16), "stack": (24, 16)},
    "stardist": {"widths": (32, 24, 24, 24), "image_widths": (8, 16)},
    "instanseg": {"widths": (32, 24, 24, 16), "image_widths": (8, 16)},
}
STEPS = {"skip": 40, "cellvit": 40, "stardist": 90, "instanseg": 80}
SIDE = 80
STILL = Augmentation(stain=0, shift=0, turn=0, light=0, blur=0, noise=0)


def picture(side=SIDE):
    labels = blobs(4, side, 30, scale=1.3)
    classes = np.array([0, *(1 + np.arange(labels.max()) % 2)], np.int64)
    image = painted(labels)
    image[(classes[labels] == 2)] //= 2
    return Picture(image, labels, classes)


def make_model(kind, side=SIDE):
    row = kind_of(kind)
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=(ClassEntry(name="a"), ClassEntry(name="b")),
        mpp=0.25,
        crop=side,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=row.entry(**WIDTHS[kind]),
        postprocessing=row.processing(),
    )
    torch.manual_seed(0)
    return Segmenter(build_encoder("bundled", weights="random", image_size=side), card)


def test_every_kind_has_an_objective():
    assert set(OBJECTIVES) == set(KINDS)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_a_tiny_network_learns_one_picture_by_heart(kind):
    model = make_model(kind)
    plan = TrainingPlan(
        steps=STEPS[kind], batch=1, crop=SIDE, learning_rate=4e-3, warmup=5, ema=0.8, method="full", scale=(1.0, 1.0),
        augmentation=STILL, report_every=500, checkpoint_every=500,
    )  # fmt: skip
    seen = picture()
    history = train(model, [seen], plan)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["pq"] > 0.8
    images = torch.from_numpy(seen.image).permute(2, 0, 1)[None].float() / 255
    card = model.card
    found = model.representation.instances(model.predict(images).image(0), (SIDE, SIDE), card.postprocessing, card.mpp)
    truth = [np.bincount(seen.labels[found.labels == k]).argmax() for k in range(1, found.labels.max() + 1)]
    right = [seen.classes[t] == 1 + found.classes[k].argmax() for k, t in enumerate(truth) if t]
    assert np.mean(right) > 0.8


def decoder_of(kind):
    decoder = make_model(kind).decoder.requires_grad_(requires_grad=False)
    return perfect_pixels(decoder) if kind == "instanseg" else decoder


def targets_and_raw(kind, ignore=None):
    labels = torch.from_numpy(blobs(2, 64, 20))[None].long()
    classes = (1 + labels % 2) * (labels > 0)
    targets = KINDS[kind].representation.targets(labels, classes=classes, ignore=ignore)
    return targets, perfect_raw(kind, targets, 2)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_truth_costs_less_than_noise(kind):
    decoder = decoder_of(kind)
    targets, raw = targets_and_raw(kind)
    best, parts = objective_of(kind)(raw, targets, decoder)
    noise = torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
    worse, _ = objective_of(kind)(raw + noise, targets, decoder)
    assert float(best) < float(worse)
    assert float(best) == pytest.approx(sum(parts.values()), rel=1e-4)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_the_ignore_area_does_not_count(kind):
    decoder = decoder_of(kind)
    ignore = torch.zeros(1, 64, 64, dtype=torch.bool)
    ignore[:, 32:] = True
    targets, raw = targets_and_raw(kind, ignore)
    step = 64 // raw.shape[-1]
    changed = raw.clone()
    changed[:, :, (32 + 8) // step :] += 3.0  # slopes look four pixels far
    first, second = (objective_of(kind)(maps, targets, decoder)[0] for maps in (raw, changed))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_nothing_annotated_is_finite(kind):
    model = make_model(kind)
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    targets = model.representation.targets(labels, ignore=torch.ones(1, 64, 64, dtype=torch.bool))
    maps = model(torch.rand(1, 3, 64, 64))
    loss, _ = objective_of(kind)(maps, targets, model.decoder)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
