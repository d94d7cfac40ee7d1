"""What a training sees of a model is what the model answers, and gradients reach what is to train."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fixtures import tiny_sam as tiny
from histoseed.bundled import bundled_folder
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt, Window
from histoseed.prompting.roi.card import HeadEntry, RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.prompting.sam import load_promptable
from histoseed.prompting.trainable import TrainablePromptable, share_of_cells, share_of_rectangle
from histoseed.segmenters import load_segmenter

WINDOW = Window(Region(500.0, 100.0, 300.0, 200.0), (200, 300))
PICTURE = np.random.default_rng(5).integers(0, 256, (200, 300, 3), dtype=np.uint8)
PROMPTS = [
    [Prompt(box=(520.0, 120.0, 560.0, 170.0)), Prompt(box=(700.0, 120.0, 760.0, 170.0))],
    [Prompt(positive=np.array([[600.0, 200.0]]))],
    [Prompt(box=(520.0, 120.0, 560.0, 170.0), positive=np.array([[530.0, 130.0]]), negative=np.array([[510.0, 99.0]]))],
    [Prompt(mask=MaskPrompt(np.full((20, 20), 5, np.float32), Region(560, 120, 60, 60)))],
]  # fmt: skip


def made(name: str) -> Any:
    if name != "roi":
        model = load_promptable(tiny.tiny_card(name), weights="random")
        tiny.awake(model.network)
        return model
    segmenter = load_segmenter(bundled_folder())
    torch.manual_seed(0)
    head = HeadEntry(widths=(8, 8, 8, 8), cells=16)
    card = RoiCard(histoseed="0", name="small", segmenter_sha256=str(segmenter.card.weights_sha256), head=head)
    return RoiPrompter(segmenter, new_head(segmenter, card), card)


@pytest.fixture(scope="module", params=["sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t", "roi"])
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def asked(model: Any, prompts: list[Prompt], *, several: bool) -> Any:
    tensors = model.encode(model.pixels(PICTURE, WINDOW))
    return model.ask(tensors, WINDOW, prompts, several=several)


@pytest.mark.parametrize("prompts", PROMPTS)
def test_what_trains_is_what_answers(model: Any, prompts: list[Prompt]) -> None:
    assert isinstance(model, TrainablePromptable)
    answers = model.predict(model.embed(PICTURE, WINDOW), prompts, several=True)
    with torch.no_grad():
        all_of_them = asked(model, prompts, several=True)
        one = asked(model, prompts, several=False)
    assert all_of_them.logits.shape[:2] == all_of_them.scores.shape == (len(prompts), 3)
    assert one.logits.shape[:2] == one.scores.shape == (len(prompts), 1)
    for i, answer in enumerate(answers):
        assert all_of_them.regions[i] == one.regions[i] == answer.candidates[0].region
        for candidate in answer.candidates:
            apart = [np.abs(candidate.logits - found).max() for found in all_of_them.logits[i].numpy()]
            nearest = int(np.argmin(apart))
            assert apart[nearest] < 1e-4
            assert candidate.score == pytest.approx(float(all_of_them.scores[i, nearest].clamp(0, 1)), abs=1e-5)


def test_gradients_reach_the_head_always_and_the_encoder_where_it_trains(model: Any) -> None:
    parts = model.parts()
    own = {id(p) for p in model.head.parameters()} if isinstance(model, RoiPrompter) else set()
    assert own <= {id(p) for p in parts.head.parameters()}
    assert not {id(p) for p in parts.head.parameters()} & {id(p) for p in parts.encoder.parameters()}
    for p in (*parts.head.parameters(), *parts.encoder.parameters()):
        p.grad = None
        p.requires_grad = True
    parts.encoder.requires_grad_(requires_grad=False)
    for prompts in PROMPTS:
        for several in (False, True):
            found = asked(model, prompts, several=several)
            (found.logits.square().mean() + found.scores.mean()).backward()
    reached = {name for name, p in parts.head.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    silent = {name for name, _ in parts.head.named_parameters()} - reached
    # Whether an object is there at all is asked in videos only; a hidden unit of a small random head may be dead.
    assert all("obj_score" in name or "not_a_point" in name or "point_embed.3" in name for name in silent), silent
    assert all(p.grad is None for p in parts.encoder.parameters())
    parts.encoder.requires_grad_(requires_grad=True)
    found = asked(model, PROMPTS[0], several=True)
    found.logits.square().mean().backward()
    with_gradients = sum(p.grad is not None for p in parts.encoder.parameters())
    assert with_gradients > 0.8 * len(list(parts.encoder.parameters()))


def test_names_of_a_sams_parts_are_those_of_the_network() -> None:
    for name in ("sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t"):
        model = made(name)
        parts = model.parts()
        own = dict(model.network.named_parameters())
        found = {**dict(parts.encoder.named_parameters()), **dict(parts.head.named_parameters())}
        assert all(own[key] is value for key, value in found.items())
        left = own.keys() - found.keys()
        assert all(key.endswith("positional_embedding") or "memory" in key or "occlusion" in key for key in left), left


def test_the_own_token_of_sam2_answers_while_it_trains() -> None:
    """Its authors' fallback to the best of three would leave it without a gradient wherever it is not stable yet."""
    model = made("sam2.1-hiera-t")
    decoder = model.network.mask_decoder
    decoder.dynamic_multimask_stability_thresh = 2.0  # nothing is ever stable
    token: nn.Parameter = decoder.mask_tokens.weight
    found = asked(model, PROMPTS[0], several=False)
    found.logits.sum().backward()
    weights = decoder.output_hypernetworks_mlps
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights[0].parameters())
    assert all(p.grad is None or not p.grad.abs().sum() for p in weights[1].parameters())
    assert token.grad is not None
    assert decoder.dynamic_multimask_via_stability


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(1, 30), st.floats(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_shares_of_cells_add_up_to_the_area(
    x: float, y: float, width: float, height: float, rows: int, columns: int
) -> None:
    """The area under the cells is the area of the mask within their rectangle, pixel by pixel."""
    mask = np.random.default_rng(rows * 10 + columns).random((12, 10)) < 0.5
    region, cells = Region(0, 0, 20.0, 12.0), Region(x, y, width, height)
    share = share_of_cells(mask, region, cells, (rows, columns))
    area = 0.0
    for i, j in zip(*np.nonzero(mask), strict=True):
        across = min(2.0 * (j + 1), x + width) - max(2.0 * j, x)
        down = min(i + 1.0, y + height) - max(float(i), y)
        area += max(across, 0) * max(down, 0)
    assert share.sum() * width * height / rows / columns == pytest.approx(area, abs=1e-3)
    assert share.min() >= 0
    assert share.max() <= 1 + 1e-6


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(1, 30), st.floats(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_the_share_of_a_rectangle_is_that_of_a_full_mask(
    x: float, y: float, width: float, height: float, rows: int, columns: int
) -> None:
    whole, cells = Region(0, 0, 20, 12), Region(x, y, width, height)
    full = share_of_cells(np.ones((12, 20), bool), whole, cells, (rows, columns))
    np.testing.assert_allclose(share_of_rectangle(whole, cells, (rows, columns)), full, atol=1e-6)


def test_cells_that_are_pixels_have_the_mask_itself() -> None:
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    region = Region(3.0, 4.0, 7.0, 5.0)
    np.testing.assert_array_equal(share_of_cells(mask, region, region, (5, 7)), mask)
    shifted = share_of_cells(mask, region, Region(4.0, 4.0, 7.0, 5.0), (5, 7))
    np.testing.assert_array_equal(shifted[:, :-1], mask[:, 1:])
    assert not shifted[:, -1].any()
