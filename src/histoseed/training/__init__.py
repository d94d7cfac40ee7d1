"""Training: the loop (plain torch), losses, augmentation, few-annotation sampling."""

from histoseed.training.augment import Augmentation, StainStyle, augment, recolour, stain_style
from histoseed.training.balance import picture_weights, sampling_weights
from histoseed.training.crops import Crop, Picture, draw_crop
from histoseed.training.loop import History, train
from histoseed.training.losses import representation_loss
from histoseed.training.measuring import Gauge, measured_quality
from histoseed.training.plan import TrainingPlan
from histoseed.training.quality import quality_of
from histoseed.training.sampling import nested_draw
from histoseed.training.selection import Selection, diverse_order, select_crops, uncertain_order
from histoseed.training.start_share import keep_of_start

__all__ = [
    "Augmentation",
    "Crop",
    "Gauge",
    "History",
    "Picture",
    "Selection",
    "StainStyle",
    "TrainingPlan",
    "augment",
    "diverse_order",
    "draw_crop",
    "keep_of_start",
    "measured_quality",
    "nested_draw",
    "picture_weights",
    "quality_of",
    "recolour",
    "representation_loss",
    "sampling_weights",
    "select_crops",
    "stain_style",
    "train",
    "uncertain_order",
]
