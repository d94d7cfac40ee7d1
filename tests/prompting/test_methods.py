"""LoRA on the image encoders of SAM and SAM 2, against peft."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from fixtures import tiny_sam as tiny
from histoseed.bundled import bundled_folder
from histoseed.errors import InputError
from histoseed.prompting.methods import prepare_promptable, trained_tensors
from histoseed.prompting.roi.card import HeadEntry, RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.prompting.sam import load_promptable
from histoseed.segmenters import load_segmenter
from histoseed.segmenters.methods import LoRALinear, MethodOptions

LORA = MethodOptions(name="lora", rank=3, alpha=6.0, targets="all-linear")


def made(name: str) -> Any:
    model = load_promptable(tiny.tiny_card(name), weights="random")
    tiny.awake(model.network)
    return model


@pytest.mark.parametrize("name", ["sam-vit-b", "sam2.1-hiera-t"])
def test_updates_are_those_of_peft(name: str) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = made(name)
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, tiny.SIDE, tiny.SIDE)).astype(np.float32))
    with torch.no_grad():
        plain = model.encode(pixels)
    other = copy.deepcopy(model)
    prepare_promptable(model, LORA)
    ours = {n: m for n, m in model.parts().encoder.named_modules() if isinstance(m, LoRALinear)}
    config = LoraConfig(r=3, lora_alpha=6, target_modules=[n.removeprefix("vision_encoder.") for n in ours])
    theirs = inject_adapter_in_model(config, other.network.vision_encoder).eval()
    with torch.no_grad():
        same = model.encode(pixels)
        assert all(torch.equal(same[key], plain[key]) for key in plain)  # until something trains
        generator = torch.Generator().manual_seed(1)
        for key, layer in ours.items():
            layer.lora_b.normal_(std=0.2, generator=generator)
            twin = theirs.get_submodule(key.removeprefix("vision_encoder."))
            twin.lora_A["default"].weight.copy_(layer.lora_a)
            twin.lora_B["default"].weight.copy_(layer.lora_b)
        changed, expected = model.encode(pixels), other.encode(pixels)
    for key in plain:
        assert (changed[key] - plain[key]).abs().max() > 1e-3
        torch.testing.assert_close(changed[key], expected[key], rtol=1e-4, atol=1e-5)
    trained = {n for n, p in theirs.named_parameters() if p.requires_grad}
    assert len([n for n in trained_tensors(model) if n.startswith("encoder.")]) == len(trained) == 2 * len(ours)


def test_query_and_value_alone_are_the_default() -> None:
    for name in ("sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t"):
        model = made(name)
        prepare_promptable(model, MethodOptions(name="lora"))
        layers = {n for n, m in model.network.named_modules() if isinstance(m, LoRALinear)}
        assert layers
        assert all(n.endswith("attn.qkv") for n in layers)
        count = len(trained_tensors(model))
        prepare_promptable(model, MethodOptions(name="lora"))  # a second time changes nothing
        assert len(trained_tensors(model)) == count


def test_what_trains() -> None:
    model = made("sam2.1-hiera-t")
    for method, encoder in (("frozen", False), ("full", True)):
        prepare_promptable(model, MethodOptions(name=method))
        names = trained_tensors(model)
        assert any(n.startswith("head.mask_decoder") for n in names)
        assert any(n.startswith("head.prompt_encoder") for n in names)
        assert any(n.startswith("encoder.") for n in names) == encoder
        assert not any("positional_embedding" in n for n in names)


def test_methods_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="not trained by 'bitfit'"):
        prepare_promptable(made("sam-vit-b"), MethodOptions(name="bitfit"))
    segmenter = load_segmenter(bundled_folder())
    card = RoiCard(histoseed="0", name="small", segmenter_sha256="", head=HeadEntry(widths=(8, 8, 8, 8), cells=16))
    with pytest.raises(InputError, match=r"that LoRA can update"):
        prepare_promptable(RoiPrompter(segmenter, new_head(segmenter, card), card), MethodOptions(name="lora"))
