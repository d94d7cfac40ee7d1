"""Too little memory: one error that says what needs less, and activations that are computed twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histoseed import adapt, load_model, segment
from histoseed.encoders import FeaturePyramid, build_encoder
from histoseed.errors import InputError, NoMemoryError
from histoseed.segmenters import MethodOptions, prepare
from histoseed.workflows.memory import is_out_of_memory, smaller_steps, smaller_tiles

CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"
CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """A function after which every encoder fails as a device without memory does."""

    def make(error: Exception) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(FeaturePyramid, "_run", fail)

    return make


@pytest.mark.parametrize(
    ("error", "place"),
    [(torch.OutOfMemoryError(CUDA), "on the accelerator"), (RuntimeError(CPU), "memory."), (MemoryError(), "memory.")],
)
def test_adapt(error: Exception, place: str, full: Callable[[Exception], None], discs: Path, tmp_path: Path) -> None:
    full(error)
    with pytest.raises(NoMemoryError, match=place) as caught:
        adapt(discs, out=tmp_path / "m", encoder="timm:resnet18", weights="random", method="full", batch=6, steps=2)
    assert caught.value.__cause__ is error
    assert caught.value.fix is not None
    for words in ("--batch 3", "--method frozen or lora", "--checkpointing", "--overwrite"):
        assert words in caught.value.fix
    kept = json.loads((tmp_path / "m" / "run.json").read_text())
    assert (kept["status"], (tmp_path / "m" / "model.json").exists()) == ("failed", False)


def test_segment(full: Callable[[Exception], None], tmp_path: Path) -> None:
    full(torch.OutOfMemoryError(CUDA))
    picture = np.full((64, 64, 3), 200, np.uint8)
    with pytest.raises(NoMemoryError, match=r"--batch 2, or --tile-size 512, or a machine"):
        segment(picture, mpp=0.25, batch=4)
    with pytest.raises(NoMemoryError, match=r"Use --tile-size 256, or"):
        segment(picture, mpp=0.25, batch=1, tile_size=300, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, ["--batch 4", "--method frozen or lora", "--checkpointing (timm encoders)"]),
        ({"batch": 1, "method": "lora"}, ["--checkpointing (timm encoders)"]),
        ({"batch": 2, "method": "lora", "checkpointing": True}, ["--batch 1"]),
        ({"batch": 1, "method": "frozen"}, ["a smaller encoder"]),
        ({"batch": 2, "method": "side-branch"}, ["--batch 1", "a smaller encoder"]),
    ],
)
def test_what_needs_less(given: dict[str, Any], steps: list[str]) -> None:
    assert smaller_steps(given) == steps


def test_tiles_do_not_shrink_for_ever() -> None:
    assert smaller_tiles({"batch": 1, "tile_size": 256}) == []
    assert smaller_tiles({}) == ["--batch 1", "--tile-size 512"]


def test_other_errors_stay_what_they_are(full: Callable[[Exception], None]) -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    full(RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        segment(np.full((64, 64, 3), 200, np.uint8), mpp=0.25)


# Activations that are computed twice


def gradients(encoder: FeaturePyramid, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of what trains, and the bytes that were kept for the backward pass."""
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    encoder.zero_grad()
    torch.manual_seed(0)  # drop path, dropout
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = torch.stack([(m**2).mean() for m in encoder(images)]).sum()
        before = sum(kept.values())
    loss.backward()
    return {k: p.grad.clone() for k, p in encoder.named_parameters() if p.grad is not None}, before


@pytest.mark.parametrize(("name", "method"), [("timm:vit_tiny_patch16_224", "lora"), ("timm:convnext_atto", "full")])
def test_gradients_are_equal_and_less_is_kept(name: str, method: str) -> None:
    options = MethodOptions(name=method, targets="all-linear", dropout=0.1)  # type: ignore[arg-type]
    encoder = prepare(build_encoder(name, image_size=64), method, options).train()
    with torch.no_grad():
        for key, value in encoder.named_parameters():
            if "lora_b" in key:
                value.normal_(std=0.1)
    images = torch.rand(2, 3, 64, 64)
    usual, bytes_usual = gradients(encoder, images)
    twice, bytes_twice = gradients(encoder.recompute(), images)
    assert usual.keys() == twice.keys()
    assert len(usual) > 20
    for key, value in usual.items():
        torch.testing.assert_close(twice[key], value, rtol=1e-5, atol=1e-7)
    assert bytes_twice < 0.5 * bytes_usual
    assert gradients(encoder.recompute(enable=False), images)[1] == bytes_usual


@pytest.mark.parametrize(
    ("name", "words"), [("timm:resnet18", "batch normalisation would count every batch twice"), ("bundled", "batch")]
)
def test_encoders_that_cannot(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_encoder(name).recompute()
    build_encoder(name).recompute(enable=False)


def test_adapt_with_activations_computed_twice(discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[bool] = []
    checkpoint = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        torch.utils.checkpoint,
        "checkpoint",
        lambda *a, **k: (blocks.append(torch.is_grad_enabled()), checkpoint(*a, **k))[1],
    )
    model = adapt(
        discs, out=tmp_path / "m", encoder="timm:convnext_atto", weights="random", method="lora", patches=1, steps=1,
        batch=1, checkpointing=True,
    )  # fmt: skip
    assert any(blocks)
    assert json.loads((tmp_path / "m" / "run.json").read_text())["settings"]["checkpointing"] is True
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), load_model(tmp_path / "m")(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "words"),
    [("frozen", "no activations"), ("side-branch", "no activations"), ("adapter", "cannot run a second time")],
)
def test_methods_that_do_not_need_it(method: str, words: str, discs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        adapt(
            discs, out=tmp_path / "m", encoder="timm:vit_tiny_patch16_224", weights="random", method=method,
            checkpointing=True, patches=1, steps=1,
        )  # fmt: skip
    assert not (tmp_path / "m").exists()
