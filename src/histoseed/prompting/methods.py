"""What trains of a promptable model: its head, and of its encoder nothing, low-rank updates, or everything."""

from __future__ import annotations

import torch
from torch import nn

from histoseed.errors import InputError
from histoseed.prompting.trainable import TrainablePromptable
from histoseed.segmenters.methods import LoRALinear, MethodOptions
from histoseed.segmenters.methods.lora_targets import lora_layers

__all__ = ["PROMPT_METHODS", "prepare_promptable", "trained_tensors"]

PROMPT_METHODS = ("frozen", "lora", "full")
"""Names of methods that a promptable model knows."""


def prepare_promptable(model: TrainablePromptable, options: MethodOptions, *, seed: int = 0) -> None:
    """Say what trains, in place. With the same options the names of all tensors are the same again.

    Args:
        model: As loaded. Its answers stay as they are until something trains.
        options: The method, and the numbers of ``lora``.
        seed: Of the weights that ``lora`` adds.

    Raises:
        InputError: another method, one that this encoder does not allow, or dropout.
    """
    if options.name not in PROMPT_METHODS:
        fix = f"Use one of {', '.join(PROMPT_METHODS)}."
        raise InputError(f"A promptable model is not trained by {options.name!r}.", where="--method", fix=fix)
    if options.name == "lora" and options.dropout:
        what = "A promptable model trains as it answers, so that nothing can be dropped out."
        raise InputError(what, where=f"--set method.dropout={options.dropout:g}", fix="Leave it out.")
    parts = model.parts()
    network = getattr(model, "network", None)
    if isinstance(network, nn.Module):  # what belongs to neither part: codes of places, a histology encoder
        network.requires_grad_(requires_grad=False)
    parts.head.requires_grad_(requires_grad=True)
    parts.encoder.requires_grad_(requires_grad=options.name == "full")
    if options.name == "lora" and not any(isinstance(layer, LoRALinear) for layer in parts.encoder.modules()):
        _add_lora(parts.encoder, options, seed, model.name)
    for name, parameter in parts.encoder.named_parameters():
        if options.name == "lora":
            parameter.requires_grad_(name.rpartition(".")[2] in {"lora_a", "lora_b"})


def _add_lora(encoder: nn.Module, options: MethodOptions, seed: int, name: str) -> None:
    meant, targets = lora_layers(encoder, options.targets)
    if not targets:
        what = f"Its encoder has no {'attention' if meant == 'qv' else 'linear layers'} that LoRA can update."
        raise InputError(what, where=f"{name}, --method lora", fix="Use --method frozen or full.")
    generator = torch.Generator().manual_seed(seed)
    for target in targets:
        layer = LoRALinear(
            encoder.get_submodule(target.name), rank=options.rank, alpha=options.alpha, dropout=options.dropout,
            blocks=target.blocks, generator=generator,
        )  # fmt: skip
        encoder.set_submodule(target.name, layer.eval())


def trained_tensors(model: TrainablePromptable) -> dict[str, nn.Parameter]:
    """The parameters that train, named ``head.`` and ``encoder.`` and what they are called there."""
    parts = model.parts()
    named = [
        (f"{half}.{name}", p) for half in ("encoder", "head") for name, p in getattr(parts, half).named_parameters()
    ]
    return {name: p for name, p in named if p.requires_grad}
