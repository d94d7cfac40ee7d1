"""The method ``lora``: low-rank updates of attention, or of all linear layers (Hu et al., ICLR 2022)."""

from __future__ import annotations

import torch

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.adapted import AdaptedPyramid
from histoseed.segmenters.methods.lora_layer import LoRALinear
from histoseed.segmenters.methods.lora_targets import lora_layers
from histoseed.segmenters.methods.options import MethodOptions

__all__ = ["merge_lora", "prepare_lora"]


def prepare_lora(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> AdaptedPyramid:
    """Replace the layers that ``options.targets`` means; the output stays as it is until something trains.

    Raises:
        InputError: an encoder without such layers.
    """
    adapted = AdaptedPyramid.of(encoder)
    network = adapted.network
    reached = {name.removeprefix("network.") for name in adapted.reached()}
    meant, targets = lora_layers(network, options.targets, parameters=reached)
    if not targets:
        other = "--lora-targets all-linear, or " if meant == "qv" else ""
        what = f"The encoder has no {'attention' if meant == 'qv' else 'linear layers'} that LoRA can update."
        raise InputError(what, where=encoder.card.name, fix=f"Use {other}bitfit, last-block, side-branch or full.")
    generator = torch.Generator().manual_seed(seed)
    for target in targets:
        layer = LoRALinear(
            network.get_submodule(target.name), rank=options.rank, alpha=options.alpha, dropout=options.dropout,
            blocks=target.blocks, generator=generator,
        )  # fmt: skip
        network.set_submodule(target.name, layer.train(adapted.training))
    names = [f"network.{target.name}" for target in targets]
    return adapted.train_only(
        [f"{name}.{matrix}" for name in names for matrix in ("lora_a", "lora_b")],
        live=names,
        method=options.model_copy(update={"targets": meant}),
    )


def merge_lora(encoder: FeaturePyramid) -> FeaturePyramid:
    """An ordinary, frozen encoder with the updates in its weights, for export: the keys of the encoder as it was.

    Args:
        encoder: Prepared with ``lora``. Its network becomes the result's and it must not be used any more.

    Returns:
        The encoder; its maps differ by rounding only.

    Raises:
        InputError: an encoder without low-rank updates.
    """
    layers = [(name, module) for name, module in encoder.network.named_modules() if isinstance(module, LoRALinear)]
    if not layers or not isinstance(encoder, AdaptedPyramid):
        raise InputError("The encoder has no low-rank updates to merge.", where=encoder.card.name)
    for name, layer in layers:
        encoder.network.set_submodule(name, layer.plain())
    return encoder.plain().freeze()
