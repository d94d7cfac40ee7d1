"""The words of an evaluation of areas, for the command line and the report."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["AREA_WORDS"]

AREA_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "dice": ("Dice", "mean over the classes of the mean over the images that have them"),
        "iou": ("IoU", "the same of intersection over union"),
        "dice_pooled": ("Dice, pooled", "mean over the classes, from the pixels of all images together"),
        "iou_pooled": ("IoU, pooled", "the same of intersection over union (mIoU)"),
        "accuracy": ("Accuracy", "share of the judged pixels whose class is right, background included"),
    }
)
"""Key -> name and meaning, in the order in which they are shown."""
