"""The promptable model: a small random one behaves as the protocol says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histoseed.bundled import bundled_folder
from histoseed.errors import InputError, ModelError
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt, PromptableModel, Window, window_for
from histoseed.prompting.masks import mask_of
from histoseed.prompting.roi.card import HeadEntry, RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.prompting.roi.storage import load_prompter, save_prompter
from histoseed.segmenters import Segmenter, load_segmenter

SIZE = (300, 200)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter(bundled_folder())


@pytest.fixture(scope="module")
def model(segmenter: Segmenter) -> RoiPrompter:
    torch.manual_seed(0)
    card = RoiCard(
        histoseed="0", name="small", segmenter_sha256=str(segmenter.card.weights_sha256),
        head=HeadEntry(widths=(8, 8, 8, 8), cells=16),
    )  # fmt: skip
    return RoiPrompter(segmenter, new_head(segmenter, card), card)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


WINDOW = Window(Region(0, 0, *SIZE, mpp=0.25), (SIZE[1], SIZE[0]))

PROMPTS = [
    Prompt(box=(50, 60, 80, 85)),
    Prompt(positive=np.array([[120.0, 90.0]])),
    Prompt(box=(10, 10, 60, 30), positive=np.array([[20.0, 20.0]]), negative=np.array([[50.0, 25.0], [1.0, 1.0]])),
    Prompt(mask=MaskPrompt(np.full((20, 20), 4, np.float32), Region(200, 100, 30, 30))),
    Prompt(box=(285, 190, 330, 230)),
]


def test_it_is_a_promptable_model(model: RoiPrompter) -> None:
    assert isinstance(model, PromptableModel)


def test_a_batch_answers_like_single_prompts(model: RoiPrompter, image: np.ndarray) -> None:
    embedding = model.embed(image, WINDOW)
    together = model.predict(embedding, PROMPTS, several=True)
    for prompt, answer in zip(PROMPTS, together, strict=True):
        (alone,) = model.predict(embedding, [prompt], several=True)
        assert answer.prompt is prompt
        assert len(answer.candidates) == 3
        for one, other in zip(alone.candidates, answer.candidates, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
            assert one.region == other.region
            assert 0 <= one.score <= 1
    assert all(len(a.candidates) == 1 for a in model.predict(embedding, PROMPTS))
    assert model.predict(embedding, []) == []


def test_the_place_on_the_slide_does_not_matter(model: RoiPrompter, image: np.ndarray) -> None:
    """The same pixels elsewhere on a slide, seen at a coarser slide's level 0: the same answer, moved and scaled."""
    moved = Window(Region(1000, 500, SIZE[0] / 2, SIZE[1] / 2, mpp=0.25), (SIZE[1], SIZE[0]))
    (here,) = model.predict(model.embed(image, WINDOW), [PROMPTS[0]])
    box = (1000 + 25.0, 500 + 30.0, 1000 + 40.0, 500 + 42.5)
    (there,) = model.predict(model.embed(image, moved), [Prompt(box=box)])
    np.testing.assert_allclose(here.candidates[0].logits, there.candidates[0].logits, atol=1e-4)
    r, s = here.candidates[0].region, there.candidates[0].region
    assert (s.x, s.y, s.width) == pytest.approx((1000 + r.x / 2, 500 + r.y / 2, r.width / 2))


def test_the_answer_lies_around_the_prompt_and_on_the_slide(model: RoiPrompter, image: np.ndarray) -> None:
    embedding = model.embed(image, WINDOW)
    for prompt, answer in zip(PROMPTS, model.predict(embedding, PROMPTS), strict=True):
        x0, y0, x1, _y1 = prompt.extent()
        region = answer.candidates[0].region
        assert region.x <= x0
        assert region.y <= y0
        assert region.x + region.width >= x1
        found = mask_of(answer.candidates[0], SIZE)
        assert found.x >= 0
        assert found.x + found.mask.shape[1] * found.step <= SIZE[0]
        outline = found.polygon()
        assert (outline is None) == (not found.mask.any())
        assert outline is None or outline.area == found.area


def test_windows_of_any_size(model: RoiPrompter) -> None:
    for width, height in ((5, 9), (33, 47), (64, 64)):
        pixels = np.zeros((height, width, 3), np.uint8)
        window = window_for((1, 1, 4, 4), (width, height), None, model.policy)
        (answer,) = model.predict(model.embed(pixels, window), [Prompt(box=(1, 1, 4, 4))])
        assert np.isfinite(answer.candidates[0].logits).all()


def test_wrong_pictures_and_embeddings_are_refused(model: RoiPrompter, segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="its window"):
        model.embed(image[:-1], WINDOW)
    with pytest.raises(InputError, match="float64"):
        model.embed(image.astype(float), WINDOW)
    other = RoiPrompter(segmenter, new_head(segmenter, model.card), model.card)
    with pytest.raises(ModelError, match="another model"):
        other.predict(model.embed(image, WINDOW), PROMPTS)
    seen = other.embed(image, WINDOW)
    assert other.predict(seen, PROMPTS)
    with torch.no_grad():  # as a training does
        next(other.head.compress.parameters()).add_(1)
    with pytest.raises(ModelError, match="another model"):
        other.predict(seen, PROMPTS)


def test_saved_and_loaded(model: RoiPrompter, segmenter: Segmenter, image: np.ndarray, tmp_path: Path) -> None:
    card = save_prompter(model, tmp_path / "model")
    back = load_prompter(tmp_path / "model", segmenter)
    assert back.card == card
    assert card.weights_sha256
    (one,) = model.predict(model.embed(image, WINDOW), [PROMPTS[0]])
    (other,) = back.predict(back.embed(image, WINDOW), [PROMPTS[0]])
    np.testing.assert_allclose(one.candidates[0].logits, other.candidates[0].logits, atol=0.05)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="sha256"):
        load_prompter(tmp_path / "model", segmenter)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="missing"):
        load_prompter(tmp_path / "model", segmenter)
    with pytest.raises(ModelError, match="answers no prompts"):
        load_prompter(bundled_folder(), segmenter)


def test_another_segmenter_is_refused(model: RoiPrompter, segmenter: Segmenter, tmp_path: Path) -> None:
    card = model.card.model_copy(update={"segmenter_sha256": "0" * 64})
    save_prompter(RoiPrompter(segmenter, model.head, card), tmp_path / "model")
    with pytest.raises(ModelError, match="another segmenter"):
        load_prompter(tmp_path / "model", segmenter)
