"""What the cards of a kind have in common, so that a card states only what is its own."""

from __future__ import annotations

from typing import Any

from histoseed.encoders.cards import EncoderCard

__all__ = ["Tokens", "one_stride", "stages"]

Tokens = tuple[int, int, int]

_HUB = "https://huggingface.co/"
_STAGE_STRIDES = (2, 4, 8, 16, 32)


def one_stride(name: str, arch: str, tokens: Tokens, params: int, **facts: Any) -> EncoderCard:
    """A plain vision transformer: four equally spaced blocks of one width and one stride.

    Args:
        name: See :class:`histoseed.encoders.EncoderCard`.
        arch: The same.
        tokens: Width of a token, pixels it covers, and how many stand in front of the patch tokens.
        params: Number of parameters, counted.
        facts: Every other field.
    """
    dim, patch, prefix = tokens
    return _with_page(
        name=name, arch=arch, patch_size=patch, prefix_tokens=prefix, dims=(dim,) * 4, strides=(patch,) * 4,
        params=params, taps="four-blocks", tap_norm="layer", **facts,
    )  # fmt: skip


def stages(name: str, arch: str, dims: tuple[int, ...], params: int, **facts: Any) -> EncoderCard:
    """A hierarchical encoder: the end of every stage, the coarsest at stride 32.

    Args:
        name: See :class:`histoseed.encoders.EncoderCard`.
        arch: The same.
        dims: Channels of each stage, fine to coarse.
        params: Number of parameters at the native size, counted.
        facts: Every other field.
    """
    return _with_page(
        name=name, arch=arch, prefix_tokens=0, dims=dims, strides=_STAGE_STRIDES[-len(dims) :], params=params,
        taps="all-stages", tap_norm="none", **facts,
    )  # fmt: skip


def _with_page(**facts: Any) -> EncoderCard:
    """The page of a hub repository need not be repeated."""
    hub_id = facts.get("hub_id")
    return EncoderCard(**{"family": "timm", "page": f"{_HUB}{hub_id}" if hub_id else None} | facts)
