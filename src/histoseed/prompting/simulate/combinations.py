"""Which prompts a training on a combination shows; the combinations of "Rapid Cytomine"."""

from __future__ import annotations

from dataclasses import replace

from histoseed.prompting.simulate.spec import PromptSpec

__all__ = ["TRAINING_COMBINATIONS", "TRAINING_REFERENCE", "training_parts"]

TRAINING_COMBINATIONS: tuple[PromptSpec, ...] = tuple(
    PromptSpec.parse(text)
    for text in (
        "box",
        "mask",
        "5pos",
        "5neg",
        "5pos+5neg",
        "box+5pos",
        "box+5neg",
        "box+5pos+5neg",
        "mask+5pos",
        "mask+5neg",
        "mask+5pos+5neg",
    )
)
"""The eleven of "Rapid Cytomine" (University of Liege, 2025), after the configurations of its public code, HistoSAM."""

TRAINING_REFERENCE = PromptSpec.parse("all")
"""What these eleven are compared with."""


def training_parts(spec: PromptSpec) -> tuple[PromptSpec, ...]:
    """The prompts that a training on a combination shows equally often: a combination also trains on its parts.

    As published: of two parts, each alone and both; of three, each alone and all three (no pairs); of all four, the
    box, the mask, each of these with all points, and everything. Negative points alone do not say where the object is
    (``locates``): models that need a place leave that part out.

    >>> [str(part) for part in training_parts(PromptSpec.parse("box+5pos"))]
    ['box', '5pos', 'box+5pos']
    >>> [str(part) for part in training_parts(PromptSpec.parse("all"))][2:4]
    ['box+5pos+5neg', '5pos+5neg+mask:loose']
    """
    box = PromptSpec(box=True) if spec.box else None
    positive = PromptSpec(positive=spec.positive) if spec.positive else None
    negative = PromptSpec(negative=spec.negative, place=spec.place) if spec.negative else None
    mask = PromptSpec(mask=spec.mask) if spec.mask else None
    if box and positive and negative and mask:
        return box, mask, replace(spec, mask=None), replace(spec, box=False), spec
    single = tuple(part for part in (box, positive, negative, mask) if part)
    return single if len(single) == 1 else (*single, spec)
