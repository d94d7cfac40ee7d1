"""How a promptable model is asked when it is scored: which user, which prompts, what is done to the answers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from histoseed.datasets.near_names import nearest
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting import MaskPrompt, Prompt
from histoseed.prompting.cleanup import get_clean_up
from histoseed.prompting.simulate import Length, ObjectSizes, PromptSpec, SimulatedUser

__all__ = ["AUTO", "Condition", "User", "moved_mask"]

User = Literal["histoseed", "published"]

AUTO = {"auto:grid": "grid", "auto:nuclei": "nuclei"}
"""Conditions without a user -> where proposals come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How the model is asked, and what is done to its answers; JSON values.

    Args:
        prompts: A specification (``box+1pos``, ``mask:scribble``, see :meth:`PromptSpec.parse`), or ``auto:grid`` or
            ``auto:nuclei``: everything is outlined without a click.
        jitter: Largest move of a side of a box, a length; what was published is ``20w``.
        shift: How far rough masks are moved as a whole, each in its own direction; a length.
        user: ``histoseed`` or ``published``, see :class:`SimulatedUser`.
        clean: Preset of the clean-up of the answers.
        recirculate: How often an answer is given back as a mask prompt.
        several: All candidates are asked for, and the best of them is scored too.

    Raises:
        InputError: a specification that says nothing about where the object is, no such user or clean-up, no length.
    """

    prompts: str
    jitter: str = "0px"
    shift: str = "0px"
    user: str = "histoseed"
    clean: str = "none"
    recirculate: int = 0
    several: bool = False

    def __post_init__(self) -> None:
        if self.user not in get_args(User):
            raise InputError(f"There is no simulated user {self.user!r}.", fix=nearest(self.user, get_args(User)))
        if self.recirculate < 0:
            raise InputError(f"An answer cannot go back {self.recirculate} times.", where="recirculate", fix="Give 1.")
        for length in (self.jitter, self.shift):
            Length.parse(length)
        get_clean_up(self.clean)
        if self.prompts in AUTO:
            return
        if self.prompts.startswith("auto"):
            what = f"There is no automatic mode {self.prompts!r}."
            raise InputError(what, where="prompts", fix=nearest(self.prompts, tuple(AUTO)))
        spec = self.simulated().spec
        if not spec.locates:
            fix = "Add a box, a positive point or a mask."
            raise InputError(f"{self.prompts!r} does not say where the object is.", where="prompts", fix=fix)
        if spec.mask is None and self.shift != "0px":
            what = f"{self.prompts!r} holds no mask that could be moved by {self.shift}."
            raise InputError(what, where="shift", fix="Add mask:loose, or leave the shift out.")

    @property
    def spec(self) -> PromptSpec | None:
        """What is said about each object; None in automatic mode."""
        return None if self.prompts in AUTO else self.simulated().spec

    def simulated(self) -> SimulatedUser:
        """The user who says it."""
        if self.user == "histoseed":
            return SimulatedUser.parse(self.prompts, jitter=self.jitter)
        user = SimulatedUser.published(PromptSpec.parse(self.prompts))
        return dataclasses.replace(user, jitter=Length.parse(self.jitter))

    @property
    def label(self) -> str:
        """A few words.

        >>> Condition(prompts="box", jitter="1um", clean="default").label
        'box, jitter 1um, cleaned (default)'
        """
        words = [self.prompts]
        words += [f"jitter {self.jitter}"] if Length.parse(self.jitter).value else []
        words += [f"mask moved by {self.shift}"] if Length.parse(self.shift).value else []
        words += ["published user"] if self.user == "published" else []
        words += [f"given back {self.recirculate}x"] if self.recirculate else []
        words += [f"cleaned ({self.clean})"] if self.clean != "none" else []
        return ", ".join(words)


def moved_mask(prompt: Prompt, shift: Length, sizes: ObjectSizes, rng: np.random.Generator) -> Prompt:
    """A prompt whose rough mask lies elsewhere: moved by a length, in a direction that is drawn.

    Args:
        prompt: With a mask.
        shift: How far. The same generator with another length gives the same direction.
        sizes: Of the object, in level-0 pixels (``step`` is 1).
        rng: Of the draw.

    Raises:
        UnknownMppError: micrometres on a slide without a resolution.
    """
    far = shift.pixels(sizes)
    angle = rng.uniform(0, 2 * math.pi)
    if prompt.mask is None or not far:
        return prompt
    old = prompt.mask.region
    region = Region(old.x + far * math.cos(angle), old.y + far * math.sin(angle), old.width, old.height)
    return dataclasses.replace(prompt, mask=MaskPrompt(prompt.mask.logits, region))
