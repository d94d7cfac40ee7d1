"""SAM and its family as promptable models; transformers and torch are imported when one is loaded."""

from __future__ import annotations

from histoseed.prompting.sam.cards import CARDS, PromptableCard
from histoseed.prompting.sam.loading import get_promptable_card, load_promptable

__all__ = ["CARDS", "PromptableCard", "get_promptable_card", "load_promptable"]
