"""How good a model is on a few upright crops, measured again and again in the course of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from histoseed.encoders import EmbeddingCache, embed
from histoseed.segmenters import Segmenter
from histoseed.segmenters.methods import STORING, trunk_of, with_branch
from histoseed.training.crops import Crop, Picture, draw_crop
from histoseed.training.plan import TrainingPlan
from histoseed.training.quality import Quality, quality_of

__all__ = ["Gauge", "measured_quality"]

MOST = 16
"""Crops that are looked at."""


class Gauge:
    """Measures one model at several moments of its training.

    Where the encoder does not train, its features of the crops are computed once, and kept with those of training.

    Args:
        model: What is measured.
        pictures: One crop of each of the first 16.
        plan: Side of the crops, seed of their place, method.
        dtype: Precision of the forward pass.
        quality: What is measured; None is what :func:`histoseed.training.quality_of` says: panoptic quality, detection
            F1 where nothing is outlined, or the mean Dice of areas.
        cache: Where features of an encoder that does not train are kept between runs.
    """

    def __init__(
        self,
        model: Segmenter,
        pictures: Sequence[Picture],
        plan: TrainingPlan,
        dtype: torch.dtype = torch.float32,
        *,
        quality: Quality | None = None,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.quality = quality or quality_of(model.card.task, pictures)
        self._model, self._dtype, self._cache = model, dtype, cache
        rng = np.random.default_rng(plan.seed)
        self._crops = [draw_crop(p, plan.crop, rng, scale=(1.0, 1.0), turn=False) for p in pictures[:MOST]]
        self._stores = plan.method in STORING
        self._features: list[list[torch.Tensor]] = []

    def score(self) -> float | None:
        """Mean quality as the model is now, on the annotated area only; None where all crops are empty.

        The model ends in evaluation mode.
        """
        self._model.eval()
        if self._stores and not self._features:
            maps = embed(trunk_of(self._model.encoder), [crop.image for crop in self._crops], cache=self._cache)
            self._features = [[torch.from_numpy(m)[None] for m in levels] for levels in maps]
        scores = [self._one(crop, i) for i, crop in enumerate(self._crops)]
        known = [score for score in scores if np.isfinite(score)]
        return float(np.mean(known)) if known else None

    def _one(self, crop: Crop, index: int) -> float:
        images = torch.from_numpy(crop.image).permute(2, 0, 1)[None].float() / 255
        features = None
        if self._features:
            device = next(self._model.parameters()).device
            stored = [f.to(device, torch.float32) for f in self._features[index]]
            with torch.inference_mode():
                features = with_branch(self._model.encoder, images.to(device), stored)
        maps = self._model.predict(images, dtype=self._dtype, features=features).image(0)
        return self.quality.measure(crop, maps, self._model.card)


def measured_quality(
    model: Segmenter,
    pictures: Sequence[Picture],
    plan: TrainingPlan,
    dtype: torch.dtype,
    *,
    quality: Quality | None = None,
    cache: EmbeddingCache | None = None,
) -> float | None:
    """A single measurement; see :class:`Gauge`."""
    return Gauge(model, pictures, plan, dtype, quality=quality, cache=cache).score()
