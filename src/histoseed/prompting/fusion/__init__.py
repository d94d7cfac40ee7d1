"""SAM and SAM 2 fused with histology encoders; torch and transformers are imported when one is loaded."""

from __future__ import annotations

from histoseed.prompting.fusion.card import CARDS, FusionCard, get_fusion_card
from histoseed.prompting.fusion.loading import load_fused

__all__ = ["CARDS", "FusionCard", "get_fusion_card", "load_fused"]
