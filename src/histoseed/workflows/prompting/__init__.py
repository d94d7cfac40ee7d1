"""The parts of ``prompt``: models by name, questions to answers over a slide, objects of files as prompts."""

from histoseed.workflows.prompting.asking import Asked, Finish, Outlined, ask, read_window, window_of
from histoseed.workflows.prompting.conditions import Condition
from histoseed.workflows.prompting.models import load_prompt_model
from histoseed.workflows.prompting.questions import prompts_of, read_objects

__all__ = [
    "Asked",
    "Condition",
    "Finish",
    "Outlined",
    "ask",
    "load_prompt_model",
    "prompts_of",
    "read_objects",
    "read_window",
    "window_of",
]
