"""Which linear layers of an encoder low-rank adapters sit on (LoRA, Hu et al., 2022)."""

from __future__ import annotations

import importlib.metadata

from histoseed.encoders.cards import EncoderCard

__all__ = ["lora_targets"]

_ATTENTION = ("attn.qkv", "attn.proj")
"""Never ``proj`` alone: it would match the convolution ``patch_embed.proj`` and SAM 2's ``proj`` of a block."""
_MLP = ("mlp.fc1", "mlp.fc2")
_GATED = ("mlp.fc1_g", "mlp.fc1_x", "mlp.fc2")
_APART = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.proj")

_TIMM: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("eva02_", (*_APART, *_GATED)),
    ("vit_small_plus_patch16_dinov3", (*_ATTENTION, *_GATED)),
    ("vit_huge_plus_patch16_dinov3", (*_ATTENTION, *_GATED)),
    ("vit_7b_patch16_dinov3", (*_ATTENTION, *_GATED)),
    ("maxvit_", (*_ATTENTION, *_MLP)),
    ("caformer_", ("token_mixer.qkv", "token_mixer.proj")),
    ("convnext", _MLP),
    ("swin", (*_ATTENTION, *_MLP)),
    ("sam", (*_ATTENTION, *_MLP)),
    ("vit_", (*_ATTENTION, *_MLP)),
    ("beit3_", (*_ATTENTION, *_MLP)),
    ("deit", (*_ATTENTION, *_MLP)),
)
"""Beginning of an architecture's name in timm, and ends of the names of its linear layers; the first match counts."""


def lora_targets(card: EncoderCard) -> tuple[str, ...]:
    """Ends of the names of the linear layers that LoRA adapts: attention first, then the MLPs.

    A module is meant where its name is a target or ends with a dot and a target. Networks whose weights are
    convolutions have none, and neither have architectures whose names are not known here.

    >>> from histoseed.encoders import get_card
    >>> lora_targets(get_card("uni"))
    ('attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2')
    >>> lora_targets(get_card("kimianet"))
    ()
    """
    if card.family == "transformers":
        return _of_transformers(card)
    if card.family != "timm":
        return ()
    return next((targets for start, targets in _TIMM if card.arch.startswith(start)), ())


def _of_transformers(card: EncoderCard) -> tuple[str, ...]:
    """The names changed between transformers 4 and 5; DINOv2's larger networks have a gated MLP."""
    gated = bool(card.build.get("use_swiglu_ffn"))
    if int(importlib.metadata.version("transformers").partition(".")[0]) >= 5:
        attention = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj")
        return attention + (("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj") if gated else _MLP)
    attention = ("attention.query", "attention.key", "attention.value", "attention.output.dense")
    if card.arch == "ViTModel":
        return (*attention, "intermediate.dense", "output.dense")
    return attention + (("mlp.weights_in", "mlp.weights_out") if gated else _MLP)
