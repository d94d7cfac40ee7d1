"""How good a model is on one annotated crop: the one number that a run is watched and chosen by, a row a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from histoseed.datasets.objects import measure_labels
from histoseed.metrics import (
    DEFAULT_RADIUS_UM,
    DetectionStatistics,
    area_confusion,
    area_dice,
    match_points,
    panoptic_quality,
)
from histoseed.segmenters import DenseMaps, ModelCard, Task, areas_of, instances_of
from histoseed.training.crops import Crop, Picture

__all__ = ["DETECTION", "QUALITIES", "Quality", "quality_of"]


@dataclass(frozen=True, slots=True)
class Quality:
    """The score of a task.

    Args:
        key: Its name in the history and in ``model.json``.
        name: Its name for people.
        measure: Score of the maps of one crop, from 0 to 1; NaN where nothing is there to be found.
    """

    key: str
    name: str
    measure: Callable[[Crop, DenseMaps, ModelCard], float]


def _panoptic(crop: Crop, maps: DenseMaps, card: ModelCard) -> float:
    height, width = crop.labels.shape
    found = instances_of(maps, (height, width), card, card.mpp)
    return panoptic_quality(crop.labels, found.labels, ignore=crop.ignore).pq


def _dice(crop: Crop, maps: DenseMaps, card: ModelCard) -> float:
    height, width = crop.labels.shape
    unknown = crop.ignore | ((crop.labels > 0) & (crop.classes == 0))
    truth = np.where(unknown, 0, crop.classes)
    predicted = areas_of(maps, (height, width), card)
    return area_dice(area_confusion(truth, predicted, len(card.classes), ignore=unknown))


def _detection(crop: Crop, maps: DenseMaps, card: ModelCard) -> float:
    """F1 of centres; what reaches the border and has no partner may belong to an object beyond it."""
    height, width = crop.labels.shape
    found = instances_of(maps, (height, width), card, card.mpp).labels
    truth = np.concatenate([crop.points, crop.boxes[:, 0] + crop.boxes[:, 1:].sum(1) / 2])
    measured = measure_labels(found)
    centres = np.stack([measured["centroid_x"], measured["centroid_y"]], 1)
    hit, paired = match_points(truth, centres, DEFAULT_RADIUS_UM / card.mpp)
    inner = (measured["x0"] > 0) & (measured["y0"] > 0) & (measured["x1"] < width) & (measured["y1"] < height)
    inner[paired] = False
    return DetectionStatistics(tp=len(hit), fp=int(inner.sum()), fn=len(truth) - len(hit)).score().f1


DETECTION = Quality("f1_detection", "detection F1", _detection)
"""Of nuclei that are known by points and boxes only."""

QUALITIES: Mapping[Task, Quality] = MappingProxyType(
    {"instance": Quality("pq", "PQ", _panoptic), "semantic": Quality("dice", "mean Dice", _dice)}
)
"""By ``task``: panoptic quality of nuclei, mean Dice of the classes of areas."""


def quality_of(task: Task, pictures: Sequence[Picture] = ()) -> Quality:
    """The score of a task; on pictures whose nuclei have no outlines, panoptic quality is not defined."""
    without_outlines = bool(pictures) and all(picture.background is not None for picture in pictures)
    return DETECTION if task == "instance" and without_outlines else QUALITIES[task]
