"""The bundled promptable model: every prompt gets a small square grid of its own, cut from shared features."""

from histoseed.prompting.roi.card import RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.prompting.roi.storage import load_prompter, read_prompt_card, save_prompter

__all__ = ["RoiCard", "RoiPrompter", "load_prompter", "new_head", "read_prompt_card", "save_prompter"]
