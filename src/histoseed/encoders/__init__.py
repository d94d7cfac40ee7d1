"""Encoders: cards (data) and registry, one adapter for every backend, an embedding cache.

The cards, the registry and the cache's store need no torch; :class:`FeaturePyramid` is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histoseed.encoders.build import build_encoder
from histoseed.encoders.cache import EmbeddingCache, embed, embedding_key
from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.choose import Chosen, choose_encoder
from histoseed.encoders.hub import why_no_weights
from histoseed.encoders.registry import get_card, list_encoders, why_unavailable

if TYPE_CHECKING:
    from histoseed.encoders.pyramid import FeaturePyramid

__all__ = [
    "Chosen",
    "EmbeddingCache",
    "EncoderCard",
    "FeaturePyramid",
    "build_encoder",
    "choose_encoder",
    "embed",
    "embedding_key",
    "get_card",
    "list_encoders",
    "why_no_weights",
    "why_unavailable",
]


def __getattr__(name: str) -> Any:
    if name == "FeaturePyramid":
        from histoseed.encoders.pyramid import FeaturePyramid  # noqa: PLC0415  torch takes a second to import

        return FeaturePyramid
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
