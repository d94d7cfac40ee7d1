"""Which combination of prompts an object is shown with: drawn afresh for every object in every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from histoseed.errors import InputError
from histoseed.prompting.simulate import PromptSpec, training_parts

__all__ = ["CurriculumName", "combinations_of", "draw_combination"]

CurriculumName = Literal["mixed", "growing"]


def combinations_of(prompts: str) -> tuple[PromptSpec, ...]:
    """The combinations that a training shows, in the order of what they say: the most first.

    Args:
        prompts: One combination, which also trains on its parts (:func:`histoseed.prompting.simulate.training_parts`);
            or several with commas between them, and then these alone.

    Raises:
        InputError: a combination that cannot be read, or none that says where the object is.

    >>> [str(spec) for spec in combinations_of("box+5pos")], [str(spec) for spec in combinations_of("box, pos")]
    (['box+5pos', '5pos', 'box'], ['box', '1pos'])
    """
    texts = [text for text in prompts.split(",") if text.strip()]
    if len(texts) == 1:
        found = training_parts(PromptSpec.parse(texts[0]))[::-1]
    else:
        found = tuple(PromptSpec.parse(text) for text in texts)
    placed = tuple(dict.fromkeys(spec for spec in found if spec.locates))
    if not placed:
        what = f"{prompts!r} never says where the object is."
        raise InputError(what, where="--prompts", fix="Add box, 1pos or mask: negative points alone are not enough.")
    return placed


def draw_combination(
    combinations: Sequence[PromptSpec], curriculum: CurriculumName, share: float, rng: np.random.Generator
) -> PromptSpec:
    """One of the combinations, all that are open alike.

    Args:
        combinations: Of :func:`combinations_of`.
        curriculum: ``mixed``: all are open; ``growing``: the first alone at the start, all from the middle on.
        share: How much of the training is done, 0 to 1.
        rng: Of the draw.
    """
    open_ = len(combinations)
    if curriculum == "growing":
        open_ = min(open_, 1 + math.floor(2 * share * (open_ - 1)))
    return combinations[int(rng.integers(open_))]
