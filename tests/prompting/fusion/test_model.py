"""Fused models: SAM's answers at the start, another model after, and what every promptable model is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fixtures import tiny_sam as tiny
from histoseed.encoders import get_card
from histoseed.errors import GatedModelError, InputError, ModelError
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt, PromptableModel, Window
from histoseed.prompting.fusion import CARDS, get_fusion_card, load_fused
from histoseed.prompting.fusion.entry import FusionEntry, from_entry, histology_tensors, to_entry
from histoseed.prompting.fusion.histology import Histology
from histoseed.prompting.fusion.loading import histology_encoder
from histoseed.prompting.fusion.model import FusedSam
from histoseed.prompting.sam import load_promptable
from histoseed.prompting.sam.questions import questions_of
from histoseed.prompting.trainable import TrainablePromptable
from histoseed.settings import Settings

WINDOW = Window(Region(500.0, 100.0, 300.0, 200.0), (200, 300))
PICTURE = np.random.default_rng(5).integers(0, 256, (200, 300, 3), dtype=np.uint8)
MASK = MaskPrompt(np.linspace(-6, 6, 400, dtype=np.float32).reshape(20, 20), Region(560, 120, 60, 60))
PROMPTS = [
    Prompt(box=(520.0, 120.0, 560.0, 170.0), id="box"),
    Prompt(positive=np.array([[600.0, 200.0]]), id="click"),
    Prompt(positive=np.array([[600.0, 200.0], [620.0, 210.0]]), negative=np.array([[510.0, 110.0]]), id="three"),
    Prompt(mask=MASK, id="mask"),
    Prompt(box=(580.0, 180.0, 640.0, 230.0), mask=MASK, id="box and mask"),
]  # fmt: skip
SAMS = ["sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t"]
FUSIONS = sorted(CARDS)
SMALL = replace(get_card("timm:vit_tiny_patch16_224.augreg_in21k"), native_size=48, params=None)
PAIRS = [(sam, fusion) for sam in SAMS for fusion in FUSIONS if not (sam == "sam-hq-vit-b" and "encoder" in fusion)]


def base(sam: str) -> Any:
    model = load_promptable(tiny.tiny_card(sam), weights="random")
    tiny.awake(model.network)
    return model


def fused(sam: str, fusion: str, tiles: int | None = None) -> FusedSam:
    card = get_fusion_card(fusion).with_tiles(tiles)
    torch.manual_seed(0)
    return FusedSam(base(sam), Histology(histology_encoder(SMALL, "random", 0, None), card.tiles), card)


def logits(model: Any, *, several: bool = True) -> list[np.ndarray]:
    answers = model.predict(model.embed(PICTURE, WINDOW), PROMPTS, several=several)
    return [np.stack([candidate.logits for candidate in answer.candidates]) for answer in answers]


def differ(one: Any, other: Any) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("sam", "fusion"), PAIRS)
def test_a_fused_model_starts_with_the_answers_of_sam_where_its_card_says_so(sam: str, fusion: str) -> None:
    model, plain = fused(sam, fusion), base(sam)
    assert isinstance(model, PromptableModel)
    assert isinstance(model, TrainablePromptable)
    assert model.name == f"{sam}+{fusion}+timm:vit_tiny_patch16_224.augreg_in21k"
    assert (model.policy, model.fingerprint != plain.fingerprint) == (plain.policy, True)
    distance = differ(logits(model), logits(plain))
    if CARDS[fusion].start == "sam" and CARDS[fusion].kind != "encoder-only":
        assert distance < 1e-4
    else:
        assert distance > 1e-3


@pytest.mark.parametrize(("sam", "fusion"), PAIRS)
def test_everything_that_trains_learns_from_both_encoders(sam: str, fusion: str) -> None:
    model = fused(sam, fusion)
    kept = model.encode(model.pixels(PICTURE, WINDOW))
    assert not kept["histology"].requires_grad
    kept = {key: value.detach() for key, value in kept.items()}
    parts = model.parts()
    head = dict(parts.head.named_parameters())
    optimizer = torch.optim.SGD(head.values(), lr=1e-2)
    for _ in range(2):  # what hides behind zeros gets its gradient after a step
        optimizer.zero_grad()
        for prompt in (PROMPTS[0], PROMPTS[2], PROMPTS[3]):
            asked = model.ask(kept, WINDOW, [prompt], several=True)
            (asked.logits.square().mean() + asked.scores.sum()).backward()
        optimizer.step()
    without = {name for name, p in head.items() if p.grad is None or not p.grad.abs().max() > 0}
    assert not {name for name in without if name.startswith("fusion.")}
    assert {name.partition(".")[0] for name in head} == (
        {"fusion"} if "refinement" in fusion else {"fusion", "mask_decoder", "prompt_encoder"}
    )


@pytest.mark.parametrize(("sam", "fusion"), PAIRS)
def test_where_the_histology_encoder_saw_something_matters(sam: str, fusion: str) -> None:
    """But for attention without positions, as published: it sees a set of features that lie nowhere."""
    model = fused(sam, fusion)
    tiny.awake(model.fusion)
    blind = CARDS[fusion].kind in ("cross-attention", "refinement") and not CARDS[fusion].positions
    with torch.no_grad():
        kept = model.encode(model.pixels(PICTURE, WINDOW))
        mirrored = {**kept, "histology": kept["histology"].flip(-1)}
        one, two = (model.ask(t, WINDOW, PROMPTS[:1], several=True).logits for t in (kept, mirrored))
    assert ((one - two).abs().max() < 1e-4 * (one.max() - one.min())) == blind


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fused_ahead_or_when_asked_is_the_same(fusion: str) -> None:
    model = fused("sam2.1-hiera-t", fusion)
    frame = model.frame(WINDOW)
    with torch.no_grad():
        raw = model.encode(model.pixels(PICTURE, WINDOW))
        ahead = model.fuse(raw)
        assert model.fuse(ahead) is ahead
        for several in (True, False):
            asked = questions_of(PROMPTS[:1], frame)
            one, two = model.decode(raw, asked, several=several), model.decode(ahead, asked, several=several)
            assert one[0].shape == (1, 3 if several else 1, 64, 64)
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    seen = model.embed(PICTURE, WINDOW).tensors
    assert set(seen) == set(ahead)
    assert "histology" not in seen


@pytest.mark.parametrize("fusion", ["concat", "cross-attention-published", "refinement", "refinement-published"])
def test_no_answer_depends_on_what_else_is_asked(fusion: str) -> None:
    model = fused("sam-vit-b", fusion)
    tiny.awake(model.fusion)
    seen = model.embed(PICTURE, WINDOW)
    for several in (True, False):
        together = model.predict(seen, [*PROMPTS, *PROMPTS[:1]], several=several)
        for prompt, answer in zip(PROMPTS, together, strict=False):
            (alone,) = model.predict(seen, [prompt], several=several)
            for one, two in zip(answer.candidates, alone.candidates, strict=True):
                np.testing.assert_allclose(one.logits, two.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fusion", ["encoder-only", "concat", "cross-attention", "refinement"])
@pytest.mark.parametrize("sam", ["sam-vit-b", "sam2.1-hiera-t"])
def test_windows_are_seen_in_tiles(sam: str, fusion: str) -> None:
    one, three = fused(sam, fusion, tiles=1), fused(sam, fusion, tiles=3)
    grids = [m.encode(m.pixels(PICTURE, WINDOW))["histology"].shape for m in (one, three)]
    assert grids == [(1, 192, 3, 3), (1, 192, 9, 9)]
    for model in (one, three):
        tiny.awake(model.fusion)
    assert differ(logits(one), logits(three)) > 1e-4
    assert one.fingerprint != three.fingerprint
    assert one.other_encoder != three.other_encoder


def test_sam_alone_decides_only_where_it_is_run() -> None:
    alone = fused("sam-vit-b", "encoder-only")
    assert not list(alone.parts().encoder.parameters())
    assert alone.pixels(PICTURE, WINDOW).shape[-1] == 25 * 48**2  # five tiles a side, without SAM's square
    joined = fused("sam-vit-b", "concat")
    assert joined.pixels(PICTURE, WINDOW).shape[-1] == 256**2 + 25 * 48**2
    vision = joined.sam.network.vision_encoder
    assert next(joined.parts().encoder.parameters()) is next(vision.parameters())
    assert not any(name.startswith("histology") for name, _ in joined.parts().encoder.named_parameters())


def test_mixed_precision_is_near() -> None:
    model = fused("sam2.1-hiera-t", "cross-attention-published")
    exact = logits(model)
    model.precision = model.sam.precision = "bfloat16"
    assert 0 < differ(logits(model), exact) < 0.3 * float(np.ptp(np.concatenate([x.ravel() for x in exact])))


@pytest.mark.parametrize(("histology", "weights"), [("bundled", None), (SMALL, "random"), ("file", "file")])
def test_a_fused_model_comes_back_from_its_entry(tmp_path: Path, histology: Any, weights: str | None) -> None:
    name, card = histology, tiny.tiny_card("sam-vit-b")
    if histology == "file":
        from safetensors.torch import save_file

        built = histology_encoder(get_card("timm:resnet18.a1_in1k"), "random", 7, None)
        weights = str(tmp_path / "resnet.safetensors")
        save_file(built.network.state_dict(), weights)
        name = "timm:resnet18.a1_in1k"
    model = load_fused(card, name, "cross-attention", tiles=1, sam_weights="random", histology_weights=weights, seed=3)
    tiny.awake(model.fusion)
    entry = FusionEntry.model_validate_json(to_entry(model).model_dump_json())
    assert entry.histology.stored == (histology != "bundled")
    tensors = histology_tensors(model)
    assert bool(tensors) == entry.histology.stored
    again = from_entry(entry, load_promptable(card, weights="random", seed=3), tensors)
    again.parts().head.load_state_dict(model.parts().head.state_dict())
    assert again.fusion_card == replace(model.fusion_card, evidence=None)
    assert differ(logits(again), logits(model)) == 0
    wrong = entry.model_copy(update={"digest": "0" * 64})
    with pytest.raises(ModelError, match="other weights than those"):
        from_entry(wrong, load_promptable(card, weights="random"), tensors)
    with pytest.raises(ValidationError):
        FusionEntry.model_validate({**entry.model_dump(), "tiles": 10_000})
    if tensors:
        with pytest.raises(ModelError, match="not in the file"):
            from_entry(entry, load_promptable(card, weights="random"), {})


def test_loading_is_repeatable_and_leaves_the_random_state_alone() -> None:
    card = tiny.tiny_card("sam-vit-b")
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one, two, other = (
        load_fused(card, "bundled", "concat-published", sam_weights="random", seed=seed).fingerprint
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(1), expected)
    assert one == two != other


def test_bad_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tiny.tiny_card("sam-vit-b")
    with pytest.raises(ModelError, match=r"There is no fusion 'concatenation'.*concat"):
        load_fused(card, "bundled", "concatenation")
    for tiles in (0, -1, 17):
        with pytest.raises(InputError, match="histology tiles a side are not possible"):
            load_fused(card, "bundled", "concat", tiles=tiles)
    with pytest.raises(InputError, match="Deconvolution is made for the grid of one tile"):
        load_fused(card, "bundled", "encoder-only-deconv", tiles=2)
    with pytest.raises(InputError, match="early features of its own encoder"):
        fused("sam-hq-vit-b", "encoder-only")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(GatedModelError, match="uni"):  # told before SAM is fetched
        load_fused("sam-vit-b", "uni", "concat", settings=Settings(cache_dir=tmp_path))
    model = fused("sam-vit-b", "concat")
    with pytest.raises(InputError, match="The window has"):
        model.embed(PICTURE[:100], WINDOW)
    with pytest.raises(ModelError, match="made by another model"):
        model.predict(fused("sam-vit-b", "cross-attention").embed(PICTURE, WINDOW), PROMPTS)
