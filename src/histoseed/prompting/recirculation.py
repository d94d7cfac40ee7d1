"""A second look: the first answer's logits go back in as the mask prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from histoseed.prompting.interface import Answer, Embedding, PromptableModel
from histoseed.prompting.prompt import MaskPrompt

__all__ = ["recirculated"]


def recirculated(model: PromptableModel, embedding: Embedding, answers: Sequence[Answer]) -> list[Answer]:
    """Ask once more, with the best candidate of each answer as the mask prompt beside the box and the points.

    Models take masks as logits, above 0 inside and below 0 outside, and the candidate's own are what goes in. A mask
    of zeros and ones would say "unsure" and "rather inside"; so fed, the published variant scored a Dice of 0.399.

    Args:
        model: Whose answers they are.
        embedding: The one that they were given on.
        answers: Of ``model.predict``. An answer without an object is handed back as it is: nothing inside is known.

    Returns:
        One answer for each, in order, with the prompt that was asked first. As many candidates as before are asked
        for: all where an answer has several, else the best.

    Raises:
        ModelError: an embedding of another model.
    """
    known = [i for i, answer in enumerate(answers) if answer.candidates and (answer.candidates[0].logits > 0).any()]
    out = list(answers)
    if not known:
        return out
    prompts = []
    for i in known:
        best = answers[i].candidates[0]
        prompts.append(dataclasses.replace(answers[i].prompt, mask=MaskPrompt(best.logits, best.region)))
    several = any(len(answers[i].candidates) > 1 for i in known)
    for i, second in zip(known, model.predict(embedding, prompts, several=several), strict=True):
        out[i] = dataclasses.replace(second, prompt=answers[i].prompt)
    return out
