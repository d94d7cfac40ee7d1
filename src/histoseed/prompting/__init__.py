"""Prompts to outlines: a box, a few clicks or a rough mask become masks with a score."""

from __future__ import annotations

from histoseed.prompting.cleanup import Cleaned, CleanUp, CleanUpReport, clean_up, get_clean_up
from histoseed.prompting.interface import Answer, Candidate, Embedding, PromptableModel
from histoseed.prompting.prompt import MaskPrompt, Prompt, check_prompt
from histoseed.prompting.recirculation import recirculated
from histoseed.prompting.windows import Window, WindowPolicy, shared_window_for, window_for

__all__ = [
    "Answer",
    "Candidate",
    "CleanUp",
    "CleanUpReport",
    "Cleaned",
    "Embedding",
    "MaskPrompt",
    "Prompt",
    "PromptableModel",
    "Window",
    "WindowPolicy",
    "check_prompt",
    "clean_up",
    "get_clean_up",
    "recirculated",
    "shared_window_for",
    "window_for",
]
