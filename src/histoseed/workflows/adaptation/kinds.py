"""What each kind of annotation teaches, in words, and what it cannot teach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from histoseed.errors import InputError
from histoseed.wording import counted, plural

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["check_start", "trained_by"]

_TEACHES = {
    "outline": "every map of the decoder",
    "box": "that a nucleus reaches the sides of its box (a weak loss), and background outside of all boxes",
    "point": "that a nucleus is there, and background farther than 8 um from every point",
}


def trained_by(kinds: Mapping[str, int]) -> str:
    """What was trained by which kind of annotation, with counts.

    Args:
        kinds: Annotated objects by kind.

    >>> trained_by({"mask": 30, "polygon": 0, "box": 0, "point": 0})
    '30 outlines: every map of the decoder. Classes: by all of them.'
    """
    outlines = kinds.get("mask", 0) + kinds.get("polygon", 0)
    counts = {"outline": outlines, "box": kinds.get("box", 0), "point": kinds.get("point", 0)}
    told = [f"{counted(count, kind)}: {_TEACHES[kind]}" for kind, count in counts.items() if count]
    return "; ".join(told) + ". Classes: by all of them."


def check_start(kinds: Mapping[str, int], first: Segmenter | None) -> None:
    """Points and boxes alone cannot teach what an outline is.

    Raises:
        InputError: nothing is outlined, and training starts from an untrained decoder.
    """
    if first is None and not kinds.get("mask", 0) + kinds.get("polygon", 0):
        named = " and ".join(plural(kind) for kind in ("point", "box") if kinds.get(kind, 0))
        what = f"Only {named} are annotated: an untrained decoder never learns from them what an outline is."
        fix = "Start from a trained model: --encoder bundled, or --start MODEL."
        raise InputError(what, where="--encoder", fix=fix)
