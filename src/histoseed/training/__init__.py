"""Training: the loop (plain torch), losses, augmentation, few-annotation sampling."""

from histoseed.training.augment import Augmentation, StainStyle, augment, recolour, stain_style
from histoseed.training.crops import Crop, Picture, draw_crop
from histoseed.training.loop import History, measured_quality, train
from histoseed.training.losses import representation_loss
from histoseed.training.plan import TrainingPlan
from histoseed.training.sampling import nested_draw
from histoseed.training.start_share import keep_of_start

__all__ = [
    "Augmentation",
    "Crop",
    "History",
    "Picture",
    "StainStyle",
    "TrainingPlan",
    "augment",
    "draw_crop",
    "keep_of_start",
    "measured_quality",
    "nested_draw",
    "recolour",
    "representation_loss",
    "stain_style",
    "train",
]
