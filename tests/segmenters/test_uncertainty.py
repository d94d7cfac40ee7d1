"""How unsure a model is of a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder
from histoseed.segmenters import KINDS, EncoderEntry, ModelCard, Segmenter, prepare, uncertainty_of
from histoseed.segmenters.card import ClassEntry
from histoseed.segmenters.semantic import AreaMaps
from histoseed.segmenters.skip import Maps
from histoseed.segmenters.uncertainty import entropy_of

EVERYWHERE = np.ones((32, 32), bool)
ENTRY = EncoderEntry(name="bundled", weights="random")


def card(kind: str = "skip", classes: int = 0) -> ModelCard:
    row = KINDS[kind]
    return ModelCard(
        histoseed="0",
        name="m",
        task=row.task,
        classes=tuple(ClassEntry(name=f"c{k}") for k in range(classes)),
        mpp=0.5,
        encoder=ENTRY,
        decoder=row.entry(),
        postprocessing=row.processing(),
    )


def maps(background: float) -> Maps:
    """Every pixel is background with that probability, else body."""
    semantic = np.zeros((3, 40, 40), np.float32)
    semantic[0], semantic[1] = background, 1 - background
    return Maps(semantic=semantic, distances=np.zeros((4, 40, 40), np.float32), classes=None)


def test_entropy_is_a_share_of_the_largest() -> None:
    even = np.full((2, 5), 0.2)
    np.testing.assert_allclose(entropy_of(even), 1)
    p = np.array([0.9, 0.1])
    assert float(entropy_of(p)) == pytest.approx(-(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1)))
    assert entropy_of(np.ones((3, 1))).tolist() == [0, 0, 0]


def test_a_sure_model_is_sure_and_glass_does_not_count() -> None:
    assert uncertainty_of(maps(1.0), EVERYWHERE, card()) == 0
    unsure = uncertainty_of(maps(0.5), EVERYWHERE, card())
    assert unsure == pytest.approx(np.log(2) / np.log(3), abs=1e-6)
    assert uncertainty_of(maps(0.5), ~EVERYWHERE, card()) == 0
    half = EVERYWHERE.copy()
    half[:16] = False
    both = maps(0.5)
    both.semantic[:, :16] = np.array([1, 0, 0])[:, None, None]
    assert uncertainty_of(both, half, card()) == pytest.approx(unsure)
    assert uncertainty_of(both, EVERYWHERE, card()) == pytest.approx(unsure / 2)


def test_areas_without_background_are_judged_by_their_classes() -> None:
    probabilities = np.zeros((3, 32, 32), np.float32)
    probabilities[0], probabilities[1] = 0.5, 0.5  # the background's map was never trained
    seen = AreaMaps(probabilities=probabilities)
    open_ = card("semantic", 2)
    assert uncertainty_of(seen, EVERYWHERE, open_) == pytest.approx(0, abs=1e-6)
    closed = open_.model_copy(update={"decoder": open_.decoder.model_copy(update={"background": True})})
    assert uncertainty_of(seen, EVERYWHERE, closed) == pytest.approx(np.log(2) / np.log(3), abs=1e-6)


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_answers(kind: str, classes: int) -> None:
    if kind == "semantic" and not classes:
        classes = 1
    torch.manual_seed(0)
    encoder = build_encoder("bundled", weights="random", seed=0)
    model = Segmenter(prepare(encoder, "frozen", None, seed=0), card(kind, classes)).eval()
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    value = uncertainty_of(model.predict(batch).image(0), np.ones((64, 64), bool), model.card)
    assert 0 <= value <= 1
    if kind in {"skip", "cellvit", "semantic"} and classes != 1:
        assert value > 0.1  # nothing is learnt yet
