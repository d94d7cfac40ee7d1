"""What holds for every SAM model: batches, precision, fingerprints, gradients, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fixtures import tiny_sam as tiny
from histoseed.errors import InputError, ModelError
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt, PromptableModel, Window
from histoseed.prompting.sam import load_promptable
from histoseed.prompting.sam.questions import batches, questions_of

NAMES = ["sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t", "medsam"]
WINDOW = Window(Region(500.0, 100.0, 300.0, 200.0), (200, 300))
PICTURE = np.random.default_rng(5).integers(0, 256, (200, 300, 3), dtype=np.uint8)
MASK = MaskPrompt(np.linspace(-6, 6, 400, dtype=np.float32).reshape(20, 20), Region(560, 120, 60, 60))
PROMPTS = [
    Prompt(box=(520.0, 120.0, 560.0, 170.0), id="box"),
    Prompt(positive=np.array([[600.0, 200.0]]), id="click"),
    Prompt(positive=np.array([[600.0, 200.0], [620.0, 210.0]]), negative=np.array([[510.0, 110.0]]), id="three"),
    Prompt(mask=MASK, id="mask"),
    Prompt(box=(530.0, 130.0, 700.0, 270.0), positive=np.array([[600.0, 200.0]]), id="box and point"),
    Prompt(box=(580.0, 180.0, 640.0, 230.0), mask=MASK, id="box and mask"),
    Prompt(positive=np.array([[700.0, 150.0]]), id="another click"),
    Prompt(box=(700.0, 120.0, 760.0, 170.0), id="another box"),
]  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Any:
    model = load_promptable(tiny.tiny_card(request.param), weights="random")
    tiny.awake(model.network)
    return model


def numbers(answers: Any) -> Any:
    return [(np.stack([c.logits for c in a.candidates]), [c.score for c in a.candidates]) for a in answers]


def test_a_model_is_what_the_rest_of_the_library_expects(model: Any) -> None:
    assert isinstance(model, PromptableModel)
    assert (model.policy.side, model.policy.mpp) == (256, None)
    assert model.name in NAMES


@pytest.mark.parametrize("several", [False, True])
def test_no_answer_depends_on_what_else_is_asked(model: Any, several: bool) -> None:
    seen = model.embed(PICTURE, WINDOW)
    together = model.predict(seen, PROMPTS, several=several)
    assert [answer.prompt.id for answer in together] == [prompt.id for prompt in PROMPTS]
    assert {len(answer.candidates) for answer in together} == {3 if several else 1}
    for prompt, answer in zip(PROMPTS, together, strict=True):
        (alone,) = model.predict(seen, [prompt], several=several)
        for one, other in zip(answer.candidates, alone.candidates, strict=True):
            np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-5)
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert one.region == other.region
    best = [candidate.score for candidate in together[1].candidates]
    assert best == sorted(best, reverse=True)


def test_different_prompts_have_different_answers(model: Any) -> None:
    found = numbers(model.predict(model.embed(PICTURE, WINDOW), PROMPTS))
    for i in range(len(found)):
        assert all(np.abs(found[i][0] - found[j][0]).max() > 1e-4 for j in range(i))
    other = numbers(model.predict(model.embed(255 - PICTURE, WINDOW), PROMPTS))
    assert np.abs(found[0][0] - other[0][0]).max() > 1e-4


def test_hundreds_of_boxes_in_chunks_are_the_same_as_in_one_pass(model: Any) -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform([500, 100], [760, 260], (150, 2))
    prompts = [Prompt(box=(x, y, x + 30, y + 25)) for x, y in corners.tolist()]
    seen = model.embed(PICTURE, WINDOW)
    before, model.at_once = model.at_once, 150
    try:
        whole = numbers(model.predict(seen, prompts))
        model.at_once = 64
        parts = numbers(model.predict(seen, prompts))
    finally:
        model.at_once = before
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-4, atol=1e-5)


def test_prompts_of_one_kind_share_a_batch() -> None:
    assert list(batches(PROMPTS, 32)) == [[0, 7], [1, 6], [2], [3], [4], [5]]
    assert [len(numbers) for numbers in batches([PROMPTS[0]] * 70, 32)] == [32, 32, 6]


def test_tokens_that_only_fill_up_would_change_the_answer() -> None:
    """Why prompts of different length are never padded to one batch."""
    model = load_promptable(tiny.tiny_card("sam-vit-b"), weights="random")
    tiny.awake(model.network)
    seen = model.embed(PICTURE, WINDOW)
    asked = questions_of([PROMPTS[2]], model.frame(WINDOW))
    assert asked.points is not None
    assert asked.labels is not None
    with torch.no_grad():
        plain, _ = model.decode(seen.tensors, asked, several=False)
        for filler in (-10, -1):
            padded = type(asked)(
                torch.cat([asked.points, torch.zeros(1, 1, 2, 2)], 2),
                torch.cat([asked.labels, torch.full((1, 1, 2), filler)], 2), None, None,
            )  # fmt: skip
            other, _ = model.decode(seen.tensors, padded, several=False)
            assert (plain - other).abs().max() > 1e-3


def test_the_same_window_has_the_same_embedding_and_a_fingerprint_knows_the_weights(model: Any) -> None:
    one, two = model.embed(PICTURE, WINDOW), model.embed(PICTURE, WINDOW)
    assert all(torch.equal(one.tensors[key], two.tensors[key]) for key in one.tensors)
    assert one.nbytes == sum(t.numel() * 4 for t in one.tensors.values())
    assert one.fingerprint == model.fingerprint
    assert len(model.fingerprint) == 64
    weight = model.network.mask_decoder.iou_token.weight
    with torch.no_grad():
        weight += 1
        changed = model.fingerprint
        weight -= 1
    assert changed != one.fingerprint
    card = tiny.tiny_card(model.name)
    plain, again, other = (load_promptable(card, weights="random", seed=seed).fingerprint for seed in (0, 0, 1))
    assert plain == again
    assert len({one.fingerprint, changed, plain, other}) == 4


def test_mixed_precision_is_near_and_is_another_model(model: Any) -> None:
    mixed = type(model)(model.card, model.network, weights="the same", precision="bfloat16")
    assert mixed.fingerprint != model.fingerprint
    exact = numbers(model.predict(model.embed(PICTURE, WINDOW), PROMPTS, several=True))
    near = numbers(mixed.predict(mixed.embed(PICTURE, WINDOW), PROMPTS, several=True))
    for (one, scores), (other, others) in zip(exact, near, strict=True):
        assert np.abs(np.sort(scores) - np.sort(others)).max() < 0.05
        assert other.dtype == np.float32
        assert 0 < np.abs(np.sort(one, 0) - np.sort(other, 0)).mean() < 0.1 * np.abs(one).mean() + 0.02


def test_both_halves_can_be_trained(model: Any) -> None:
    window, frame = WINDOW, model.frame(WINDOW)
    tensors = model.encode(model.pixels(PICTURE, window))
    logits, scores = model.decode(tensors, questions_of([PROMPTS[4]], frame), several=True)
    (logits.mean() + scores.mean()).backward()
    with_gradients = {
        name for name, p in model.network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    model.network.zero_grad()
    for part in ("vision_encoder", "prompt_encoder", "mask_decoder"):
        assert any(name.startswith(part) for name in with_gradients), part
    # A kept embedding trains the decoder, too.
    kept = model.embed(PICTURE, window).tensors
    model.decode(kept, questions_of([PROMPTS[0]], frame), several=False)[0].mean().backward()
    assert model.network.mask_decoder.mask_tokens.weight.grad is not None
    model.network.zero_grad()


def test_bad_input_is_named(model: Any) -> None:
    seen = model.embed(PICTURE, WINDOW)
    for image in (PICTURE[:100], PICTURE.astype(np.float32), PICTURE[..., 0]):
        with pytest.raises(InputError, match="The window has"):
            model.embed(image, WINDOW)
    with pytest.raises(InputError, match="prompt 7: A prompt needs a box, a positive point or a mask"):
        model.predict(seen, [Prompt(negative=np.array([[600.0, 200.0]]), id="7")])
    with pytest.raises(InputError, match=r"prompt far: .*lies outside the window of 300 x 200 level-0 pixels"):
        model.predict(seen, [Prompt(box=(0.0, 0.0, 40.0, 40.0), id="far")])
    other = type(seen)(seen.window, "0" * 64, seen.tensors)
    with pytest.raises(ModelError, match="made by another model"):
        model.predict(other, PROMPTS)
    assert model.predict(seen, []) == []
