"""Training of promptable models: simulated users, losses of single prompts, stored embeddings."""

from histoseed.training.prompted.curriculum import CurriculumName, combinations_of
from histoseed.training.prompted.loop import PromptedHistory, train_prompted
from histoseed.training.prompted.losses import LossName, PromptLoss, prompt_loss
from histoseed.training.prompted.plan import PromptedPlan
from histoseed.training.prompted.store import WindowStore
from histoseed.training.prompted.subjects import PromptPicture, Subject, subjects_of

__all__ = [
    "CurriculumName",
    "LossName",
    "PromptLoss",
    "PromptPicture",
    "PromptedHistory",
    "PromptedPlan",
    "Subject",
    "WindowStore",
    "combinations_of",
    "prompt_loss",
    "subjects_of",
    "train_prompted",
]
