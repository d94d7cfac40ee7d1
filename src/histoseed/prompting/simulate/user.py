"""A simulated user: shown an object, says what a specification asks for, a little differently each time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting.prompt import MaskPrompt, Prompt
from histoseed.prompting.simulate import published
from histoseed.prompting.simulate.box import jittered_box
from histoseed.prompting.simulate.lengths import Length, ObjectSizes
from histoseed.prompting.simulate.negative import negative_points
from histoseed.prompting.simulate.positive import POWER, positive_points
from histoseed.prompting.simulate.rough import RoughStyle, mask_prompt, rough_mask
from histoseed.prompting.simulate.spec import PUBLISHED_PREFIX, PromptSpec
from histoseed.prompting.simulate.truth import Box, checked_mask, tight_box
from histoseed.prompting.windows import Window

__all__ = ["SimulatedUser", "prompt_generator"]

Bools = npt.NDArray[np.bool_]

_STREAM = 5
"""Keeps these draws apart from those of crops and views, which are seeded with the same seed."""
_NOWHERE = Length(0, "px")


def prompt_generator(seed: int, epoch: int, number: int | str) -> np.random.Generator:
    """The generator of the prompts of one object in one epoch; nothing else decides what is drawn.

    Args:
        seed: Of the run.
        epoch: 0, 1, ...
        number: Of the object, or its id.

    Raises:
        InputError: a negative number.

    >>> prompt_generator(0, 3, "patch-7/12").random() == prompt_generator(0, 3, "patch-7/12").random()
    True
    """
    if isinstance(number, str):
        number = int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big")
    if min(seed, epoch, number) < 0:
        raise InputError("A generator is seeded with numbers from 0 on.", where=f"seed {(seed, epoch, number)}")
    return np.random.default_rng([seed, _STREAM, epoch, number])


@dataclass(frozen=True, slots=True)
class SimulatedUser:
    """Draws prompts.

    Args:
        spec: What is said.
        jitter: Largest move of a side of the box; each moves uniformly. See :func:`jittered_box`.
        power: Of the distance to the background that positive points are drawn with.
        apart: Least distance of negative points from the object.
        grow: Pixels at most so far from the box count as in it, for negative points.
        style: How rough masks are drawn.
    """

    spec: PromptSpec
    jitter: Length = _NOWHERE
    power: float = POWER
    apart: Length = _NOWHERE
    grow: Length = _NOWHERE
    style: RoughStyle = RoughStyle()

    @classmethod
    def parse(cls, spec: str, *, jitter: str = "0px") -> SimulatedUser:
        """A user from text.

        Raises:
            InputError: see :meth:`PromptSpec.parse` and :meth:`Length.parse`.

        >>> SimulatedUser.parse("box+1pos", jitter="1um").jitter
        Length(value=1.0, unit='um')
        """
        return cls(PromptSpec.parse(spec), Length.parse(jitter))

    @classmethod
    def published(cls, spec: PromptSpec) -> SimulatedUser:
        """The user of "Rapid Cytomine", with its sizes in pixels of a 1024-pixel window.

        Args:
            spec: Its mask, if any, becomes the published one of that name (``exact`` the published ``truth``).

        Raises:
            InputError: a mask that was not published.
        """
        mask = spec.mask
        if mask is not None and not mask.startswith(PUBLISHED_PREFIX):
            mask = PUBLISHED_PREFIX + ("truth" if mask == "exact" else mask)
        named = PromptSpec(
            box=spec.box, positive=spec.positive, negative=spec.negative, place=spec.place, mask=mask
        )  # fmt: skip
        return cls(named, published.JITTER, apart=published.NEGATIVES_APART, grow=published.NEGATIVES_GROW)

    def prompt(
        self,
        mask: Bools,
        region: Region,
        mpp: float | None,
        rng: np.random.Generator,
        *,
        size: tuple[int, int] | None = None,
        id: str = "",
    ) -> Prompt:
        """What this user says about an object, this time.

        The box is drawn first, then positive points, negative points, and the mask; so users who differ in a later part
        say the same in the earlier ones. Positive points lie in the box, if there is one.

        Args:
            mask: (H, W) bool, the object.
            region: The rectangle of the slide that the array covers.
            mpp: Microns per level-0 pixel, or None.
            rng: Of the draw; see :func:`prompt_generator`.
            size: Width and height of the slide, which boxes are cut to; None cuts nothing.
            id: Of the prompt.

        Returns:
            Level-0 pixels. Points are centres of the mask's pixels. Where there is no room for negative points, there
            are fewer or none.

        Raises:
            InputError: a mask that is empty or not (H, W) bool.
            UnknownMppError: a length in micrometres where ``mpp`` is None.
        """
        seen = Window(region, checked_mask(mask, where=f"prompt {id}" if id else "mask").shape)
        sizes = _sizes(mask, seen, mpp)
        limits = None if size is None else _flat(seen.from_level0(np.array([[0, 0], size], float)))
        box = jittered_box(mask, self.jitter.pixels(sizes), rng, limits=limits)
        shown = box if self.spec.box else None
        positive = positive_points(mask, self.spec.positive, rng, power=self.power, box=shown)
        negative = negative_points(
            mask,
            self.spec.negative,
            rng,
            box=box if self.spec.place == "inside" else None,
            grow=self.grow.pixels(sizes),
            apart=self.apart.pixels(sizes),
        )
        return Prompt(
            box=None if shown is None else _flat(seen.to_level0(np.reshape(shown, (2, 2)))),
            positive=seen.to_level0(positive),
            negative=seen.to_level0(negative),
            mask=self._mask(mask, seen, sizes, rng),
            id=id,
        )

    def _mask(self, mask: Bools, seen: Window, sizes: ObjectSizes, rng: np.random.Generator) -> MaskPrompt | None:
        kind = self.spec.mask
        if kind is None:
            return None
        if kind.startswith(PUBLISHED_PREFIX):
            drawn, square = published.published_mask(mask, kind.removeprefix(PUBLISHED_PREFIX), rng)
            return mask_prompt(drawn, _region(seen, square))
        drawn = rough_mask(mask, kind, sizes, rng, style=self.style)
        x0, y0, x1, y1 = tight_box(drawn)
        height, width = mask.shape
        cut = (max(x0 - 1, 0), max(y0 - 1, 0), min(x1 + 1, width), min(y1 + 1, height))  # beyond it nothing is inside
        return mask_prompt(drawn[cut[1] : cut[3], cut[0] : cut[2]], _region(seen, cut))


def _sizes(mask: Bools, seen: Window, mpp: float | None) -> ObjectSizes:
    x0, y0, x1, y1 = tight_box(mask)
    diameter = float(np.sqrt(np.count_nonzero(mask) * 4 / np.pi))
    return ObjectSizes(diameter, max(x1 - x0, y1 - y0), float(np.sqrt(np.prod(seen.scale))), mpp)


def _flat(corners: npt.NDArray[np.float64]) -> Box:
    x0, y0, x1, y1 = corners.ravel().tolist()
    return x0, y0, x1, y1


def _region(seen: Window, box: Box) -> Region:
    x0, y0, x1, y1 = _flat(seen.to_level0(np.reshape(box, (2, 2))))
    return Region(x0, y0, x1 - x0, y1 - y0)
