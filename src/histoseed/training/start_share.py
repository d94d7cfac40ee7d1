"""How much of the start a few-annotation model keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from histoseed.encoders import EmbeddingCache
from histoseed.segmenters import Segmenter, mix_with
from histoseed.training.crops import Picture
from histoseed.training.measuring import measured_quality
from histoseed.training.plan import TrainingPlan

__all__ = ["KNOWN", "SHARE", "keep_of_start"]

SHARE = 0.5
"""Weight of the start in the average, where the start knows the tissue."""

KNOWN = 2 / 3
"""The start knows the tissue where it reaches this share of the adapted model's score on the annotated patches."""


def keep_of_start(
    model: Segmenter,
    start: Segmenter,
    pictures: Sequence[Picture],
    plan: TrainingPlan,
    *,
    share: float | None = None,
    validation: Sequence[Picture] = (),
    dtype: torch.dtype = torch.float32,
    cache: EmbeddingCache | None = None,
) -> float:
    """Average an adapted model with its start, in place, where that is known to help.

    A few patches teach a model their own slide as well as the tissue. Where the start knows the tissue already, the
    half-way average keeps what was learned of it and forgets the slide; on a stain that the start does not know, all
    that was learned is kept. The rule and its two numbers were chosen on gliomas and on the demo's stain, by
    adapting to one patient or crop and scoring others.

    Args:
        model: The adapted model, in evaluation mode.
        start: The model it was started from.
        pictures: What it was adapted on.
        plan: Settings of the training.
        share: Weight of the start, 0 to 1; None decides by the rule, or by ``validation`` where there is any.
        validation: Pictures kept apart.
        dtype: Precision of the forward pass.
        cache: Where features of an encoder that does not train are kept.

    Returns:
        The weight of the start.
    """
    if share is None:
        before = measured_quality(start, validation or pictures, plan, dtype, cache=cache) or 0.0
        after = measured_quality(model, validation or pictures, plan, dtype, cache=cache) or 0.0
        share = SHARE if before >= KNOWN * after else 0.0
        if validation and share:
            adapted = {key: value.clone() for key, value in model.state_dict().items()}
            mix_with(model, start, share)
            if (measured_quality(model, validation, plan, dtype, cache=cache) or 0.0) >= after:
                return share
            model.load_state_dict(adapted)
            return 0.0
    if share:
        mix_with(model, start, share)
    return share
