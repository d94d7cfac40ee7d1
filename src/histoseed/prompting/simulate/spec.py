"""What a simulated user says about an object, as text: "box", "box+2pos+1neg", "mask:scribble", "all"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from histoseed.datasets.near_names import nearest
from histoseed.errors import InputError, LimitError
from histoseed.prompting.prompt import MAX_POINTS
from histoseed.prompting.simulate.published import PUBLISHED_KINDS
from histoseed.prompting.simulate.rough import ROUGH_KINDS

__all__ = ["MASK_KINDS", "NegativePlace", "PromptSpec"]

NegativePlace = Literal["inside", "anywhere"]

PUBLISHED_PREFIX = "published-"
MASK_KINDS: tuple[str, ...] = (*ROUGH_KINDS, *(PUBLISHED_PREFIX + kind for kind in PUBLISHED_KINDS))
"""Names that follow ``mask:``."""

_MANY = 5
"""Points of either kind in ``points`` and ``all``, as published."""
_TERM = re.compile(r"(\d{0,6}) ?([a-z]+)(?::([a-z-]+))?")
_WORDS = ("box", "pos", "neg", "points", "mask", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """The parts of a prompt.

    Args:
        box: A box.
        positive: Points on the object.
        negative: Points beside it, at most: an object that fills its box leaves no room.
        place: Where these lie: ``inside`` the box, drawn or only thought of, or ``anywhere`` in the region outside the
            object.
        mask: A rough mask, one of ``MASK_KINDS``, or None.

    Raises:
        InputError: nothing at all, a negative number, an unknown place or mask.
        LimitError: more than ``MAX_POINTS`` points.
    """

    box: bool = False
    positive: int = 0
    negative: int = 0
    place: NegativePlace = "inside"
    mask: str | None = None

    def __post_init__(self) -> None:
        if not (self.box or self.positive or self.negative or self.mask):
            raise InputError("A simulated user has to say something.", fix="Write box, 1pos or mask:scribble.")
        if self.positive < 0 or self.negative < 0:
            raise InputError("The number of points is below 0.", where=f"{self.positive}pos+{self.negative}neg")
        if self.positive + self.negative > MAX_POINTS:
            what = f"{self.positive + self.negative:,} points in one prompt; at most {MAX_POINTS:,} are taken."
            raise LimitError(what, where="simulated prompt")
        if self.place not in get_args(NegativePlace):
            fix = nearest(self.place, get_args(NegativePlace))
            raise InputError(f"Negative points cannot lie {self.place!r}.", fix=fix)
        if self.mask is not None and self.mask not in MASK_KINDS:
            raise InputError(f"There is no rough mask {self.mask!r}.", fix=nearest(self.mask, MASK_KINDS))

    @classmethod
    def parse(cls, text: str) -> PromptSpec:
        """A specification as people write it, in any order.

        ``box``; ``3pos``, ``pos`` (one), ``points`` (5pos); ``2neg``, ``neg`` (one), ``2neg:anywhere``; ``mask:KIND``,
        ``mask`` (loose); ``all`` (box+5pos+5neg+mask:loose).

        Raises:
            InputError: a part that is not known, or given twice.

        >>> str(PromptSpec.parse("neg + 2pos + box")), PromptSpec.parse("mask").mask
        ('box+2pos+1neg', 'loose')
        """
        found: dict[str, Any] = {}
        for term in text.strip().lower().split("+"):
            given = _read(term.strip(), text)
            if twice := given.keys() & found:
                raise InputError(f"{min(twice)!r} is given twice.", where=f"prompt {text!r}")
            found |= given
        return cls(**found)

    @property
    def locates(self) -> bool:
        """Whether it says where the object is. Negative points alone do not, and models refuse them."""
        return self.box or self.positive > 0 or self.mask is not None

    def __str__(self) -> str:
        """The text that :meth:`parse` reads."""
        parts = ["box"] if self.box else []
        parts += [f"{self.positive}pos"] if self.positive else []
        parts += [f"{self.negative}neg" + (":anywhere" if self.place == "anywhere" else "")] if self.negative else []
        parts += [f"mask:{self.mask}"] if self.mask else []
        return "+".join(parts)


def _read(term: str, text: str) -> dict[str, Any]:
    """The fields that one part of a specification sets."""
    where = f"prompt {text!r}"
    found = _TERM.fullmatch(term)
    count, word, detail = found.groups() if found else ("", term, None)
    if word not in _WORDS:
        raise InputError(f"{term!r} is no part of a prompt.", where=where, fix=nearest(word, _WORDS))
    counted = word in ("pos", "neg")
    if (count and not counted) or (detail and word not in ("neg", "mask")):
        fix = "Write box, 2pos, 1neg or mask:scribble."
        raise InputError(f"{term!r} is no part of a prompt.", where=where, fix=fix)
    if counted and count and int(count) == 0:
        raise InputError(f"{term!r} asks for no points.", where=where, fix="Leave it out.")
    number = int(count or 1)
    if word == "neg":
        return {"negative": number} | ({"place": detail} if detail else {})
    fields: dict[str, dict[str, Any]] = {
        "box": {"box": True},
        "pos": {"positive": number},
        "points": {"positive": _MANY},
        "mask": {"mask": detail or "loose"},
        "all": {"box": True, "positive": _MANY, "negative": _MANY, "mask": "loose"},
    }
    return fields[word]
