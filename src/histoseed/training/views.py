"""A frozen encoder sees each patch in a few fixed augmented views; their features are computed once and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from histoseed.encoders import EmbeddingCache, embed
from histoseed.segmenters import Segmenter
from histoseed.segmenters.methods import trunk_of
from histoseed.training.augment import augment
from histoseed.training.crops import Crop, Picture, draw_crop
from histoseed.training.plan import TrainingPlan

__all__ = ["FeatureStore"]

_VIEW_STREAM = 7919
"""Keeps the random numbers of the views apart from those of the steps."""


@dataclass(frozen=True, slots=True)
class _View:
    crop: Crop
    image: npt.NDArray[np.uint8]
    features: list[torch.Tensor]


class FeatureStore:
    """Views of annotated pictures with the features of a frozen encoder, in memory as float16.

    Args:
        model: Its encoder makes the features; what trains beside it (a side branch) has no part in them.
        pictures: Annotated pictures. One larger than a crop gets proportionally more views.
        plan: Number of views, crop size, augmentation, seed. View 0 of each picture is upright and unchanged.
        cache: Features found here are not computed again.
        weights: How often each picture is drawn, see :func:`histoseed.training.picture_weights`; None is equally.
    """

    def __init__(
        self,
        model: Segmenter,
        pictures: Sequence[Picture],
        plan: TrainingPlan,
        *,
        cache: EmbeddingCache | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._plan = plan
        counts = [_views_of(picture, plan) for picture in pictures]
        self._weights = None if weights is None else np.repeat(weights / counts, counts)
        drawn = [_draw_view(picture, i, v, plan) for i, picture in enumerate(pictures) for v in range(counts[i])]
        maps = embed(trunk_of(model.encoder.eval()), [image for _, image in drawn], cache=cache)
        self._views = [
            _View(crop, image, [torch.from_numpy(m) for m in levels])
            for (crop, image), levels in zip(drawn, maps, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._views)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, list[Crop], list[torch.Tensor]]:
        """A random batch: images (B, 3, S, S) in [0, 1], the crops, and the features of each level (B, C, h, w)."""
        if self._weights is None:
            indices = rng.integers(len(self._views), size=self._plan.batch)
        else:
            indices = rng.choice(len(self._views), size=self._plan.batch, p=self._weights)
        chosen = [self._views[int(i)] for i in indices]
        images = torch.from_numpy(np.stack([view.image for view in chosen])).permute(0, 3, 1, 2).float() / 255
        levels = [torch.stack(maps).float() for maps in zip(*(view.features for view in chosen), strict=True)]
        return images, [view.crop for view in chosen], levels


def _views_of(picture: Picture, plan: TrainingPlan) -> int:
    height, width = picture.labels.shape
    crops: float = height * width * picture.zoom**2 / plan.crop**2
    return plan.views * max(1, math.ceil(crops - 0.5))


def _draw_view(picture: Picture, index: int, view: int, plan: TrainingPlan) -> tuple[Crop, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng([plan.seed, _VIEW_STREAM, index, view])
    if view == 0:
        crop = draw_crop(picture, plan.crop, rng, scale=(1.0, 1.0), turn=False)
        return crop, crop.image
    crop = draw_crop(picture, plan.crop, rng, scale=plan.scale)
    tensor = torch.from_numpy(crop.image).permute(2, 0, 1)[None].float() / 255
    changed = augment(tensor, plan.augmentation, rng)[0].permute(1, 2, 0)
    return crop, (changed * 255).round().to(torch.uint8).numpy()
