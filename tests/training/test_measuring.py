"""The gauge: the same numbers from stored features, which are computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histoseed.encoders import EmbeddingCache, build_encoder
from histoseed.segmenters import ModelCard, Segmenter
from histoseed.segmenters.card import EncoderEntry
from histoseed.training import Gauge, Picture, TrainingPlan, measured_quality
from histoseed.training.quality import Quality

SIDE = 64


def pictures() -> list[Picture]:
    made = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        labels = np.zeros((SIDE, SIDE), np.int32)
        labels[10:30, 10:30], labels[40:60, 35:55] = 1, 2
        image = np.where(labels[..., None] > 0, 90, 220) + rng.integers(0, 20, (SIDE, SIDE, 3))
        made.append(Picture(image.astype(np.uint8), labels, group=str(seed)))
    return made


@pytest.fixture
def model() -> Segmenter:
    torch.manual_seed(0)
    encoder = build_encoder("bundled", weights="random", image_size=SIDE)
    entry = EncoderEntry(name="bundled", weights="random")
    return Segmenter(encoder, ModelCard(histoseed="0", name="test", mpp=0.25, encoder=entry)).eval()


def test_features_are_computed_once_and_change_nothing(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []
    run = type(model.encoder).forward
    monkeypatch.setattr(type(model.encoder), "forward", lambda self, x: calls.append(len(x)) or run(self, x))
    frozen = TrainingPlan(steps=1, method="frozen", crop=SIDE)
    cache = EmbeddingCache(tmp_path, 1 << 28)
    gauge = Gauge(model, pictures(), frozen, cache=cache)
    first = gauge.score()
    assert len(calls) == 3
    assert gauge.score() == first
    assert measured_quality(model, pictures(), frozen, torch.float32, cache=cache) == first
    assert len(calls) == 3
    plain = measured_quality(model, pictures(), TrainingPlan(steps=1, method="full", crop=SIDE), torch.float32)
    assert len(calls) == 6
    assert first == pytest.approx(plain, abs=0.02)


def test_a_model_that_has_learned_scores_otherwise(model: Segmenter) -> None:
    """The decoder is looked at anew each time, only the encoder is not."""
    body = Quality("body", "share of nuclei", lambda crop, maps, card: float(maps.semantic[1:].sum(0).mean()))
    gauge = Gauge(model, pictures(), TrainingPlan(steps=1, method="frozen", crop=SIDE), quality=body)
    assert gauge.score() > 0.1
    with torch.no_grad():
        model.decoder.head.weight.zero_()
        model.decoder.head.bias.zero_()
        model.decoder.head.bias[0] = 9
    assert gauge.score() < 0.01
