"""Which layers LoRA updates in which backbone.

Names are matched at their end and from a dot on. ``attn.proj`` is never shortened to ``proj``, which is also the patch
embedding's convolution, and in SAM 2 a layer between stages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import nn

from histoseed.errors import ModelError
from histoseed.segmenters.methods.lora_layer import is_adaptable
from histoseed.segmenters.methods.options import Targets

__all__ = ["NAMINGS", "LoRATarget", "Naming", "lora_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How one library calls the layers of a block.

    Args:
        of: Which networks.
        fused: Layers that compute query, key and value at once.
        query_value: Layers that compute query or value alone.
        other: Everything else in attention and feed-forward networks.
    """

    of: str
    fused: tuple[str, ...] = ()
    query_value: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


NAMINGS: tuple[Naming, ...] = (
    Naming(
        of="timm ViT, DINOv3, Swin, SAM, SAM 2, MaxViT, CAFormer; transformers SAM and SAM 2",
        fused=("attn.qkv", "token_mixer.qkv"),
        other=("attn.proj", "mlp.fc1", "mlp.fc2", "mlp.fc1_g", "mlp.fc1_x", "mlp.lin1", "mlp.lin2", "mlp.proj_in",
               "mlp.proj_out", "token_mixer.proj"),
    ),
    Naming(
        of="timm Eva with separate layers",
        query_value=("attn.q_proj", "attn.v_proj"),
        other=("attn.k_proj", "attn.proj", "mlp.fc1", "mlp.fc2", "mlp.fc1_g", "mlp.fc1_x"),
    ),
    Naming(
        of="transformers 5 and CLIP: ViT, DINOv2, DINOv3, SAM 3",
        query_value=("q_proj", "v_proj"),
        other=("k_proj", "o_proj", "out_proj", "fc1", "fc2", "gate_proj", "up_proj", "down_proj"),
    ),
    Naming(
        of="transformers 4: ViT, DINOv2",
        query_value=("query", "value"),
        other=("key", "output.dense", "intermediate.dense", "fc1", "fc2", "weights_in", "weights_out"),
    ),
    Naming(of="timm ConvNeXt", other=("mlp.fc1", "mlp.fc2")),
)  # fmt: skip
"""Tried in turn: the first whose attention is found counts; one without attention where nothing else is found."""


@dataclass(frozen=True, slots=True)
class LoRATarget:
    """A layer to update.

    Args:
        name: In the network.
        blocks: Rows of its output, one range of rows for each part; None is all.
    """

    name: str
    blocks: tuple[tuple[int, ...], ...] | None = None


def lora_layers(
    network: nn.Module, targets: Targets, *, parameters: Collection[str] | None = None
) -> tuple[Targets, list[LoRATarget]]:
    """The layers of a network to update.

    Args:
        network: Of any library.
        targets: See :class:`~histoseed.segmenters.methods.MethodOptions`.
        parameters: Names of the parameters that matter; layers whose weight is not among them are left out.

    Returns:
        ``qv`` or ``all-linear``, whichever was meant, and the layers in the network's order; none where no name fits.

    Raises:
        ModelError: a fused layer that cannot be split in query, key and value.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if is_adaptable(module)
        and "rel_pos" not in name.split(".")  # small networks that make a position table, as in MaxViT
        and (parameters is None or f"{name}.weight" in parameters)
    }
    for naming in NAMINGS:
        attention = _named(layers, naming.fused + naming.query_value)
        if naming.fused + naming.query_value and not attention:
            continue
        if targets == "all-linear" or (targets == "auto" and not attention):
            wanted = set(attention) | set(_named(layers, naming.other))
            return "all-linear", [LoRATarget(name) for name in layers if name in wanted]
        fused = _named(layers, naming.fused)
        return "qv", [LoRATarget(name, _query_value(network, name) if name in fused else None) for name in attention]
    return ("all-linear" if targets == "auto" else targets), []


def _named(layers: Collection[str], ends: Sequence[str]) -> list[str]:
    return [name for name in layers if any(f".{name}".endswith(f".{end}") for end in ends)]


def _query_value(network: nn.Module, name: str) -> tuple[tuple[int, ...], ...]:
    """Rows of query and value in a fused layer: three thirds, or three thirds within each head."""
    parent, layer = network.get_submodule(name.rpartition(".")[0]), network.get_submodule(name)
    weight = layer.weight
    rows = int(weight.shape[0])  # type: ignore[index]
    heads = int(getattr(parent, "num_heads", 1)) if getattr(parent, "head_first", False) else 1
    width, rest = divmod(rows, 3 * heads)
    if rest:
        raise ModelError(f"The {rows} rows of {name} are no query, key and value.", where="lora")
    starts = [3 * width * head for head in range(heads)]
    return tuple(tuple(start + part * width + i for start in starts for i in range(width)) for part in (0, 2))
