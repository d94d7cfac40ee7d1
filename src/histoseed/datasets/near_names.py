"""Which of the known names a mistyped one may mean. Never the opposite: "non-tumor" is not what "tumor" means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

__all__ = ["close_names", "nearest", "plain"]

_CUTOFF = 0.6
_NEGATED = re.compile(r"(?:^|[\W_]|(?<=[a-z])(?=[A-Z]))(non|not|no|without|anti|dis|im|in|un|ab)", re.IGNORECASE)
"""What may negate a word, at its beginning."""
_SAME = 0.85
"""Likeness from which two names are the same but for a slip."""


def plain(name: str) -> str:
    """A name without case, blanks and punctuation.

    >>> plain("Non-tumour (other)")
    'nontumourother'
    """
    return re.sub(r"[\W_]+", "", name.casefold())


def close_names(name: str, known: Iterable[str], most: int = 1, cutoff: float = _CUTOFF) -> list[str]:
    """Known names that are like a name, the most alike first, without those that say the opposite.

    Args:
        name: As it was typed.
        known: Names that exist.
        most: How many are wanted at most.
        cutoff: Least likeness, 0 to 1.

    >>> close_names("tumor", ["non-tumor", "stroma"]), close_names("tumor", ["non-tumor", "tumour"], most=3)
    ([], ['tumour'])
    """
    listed = [one for one in dict.fromkeys(known) if not _opposite(name, one)]
    folded: dict[str, list[str]] = {}
    for one in listed:
        folded.setdefault(one.casefold(), []).append(one)
    found = get_close_matches(name.casefold(), folded, n=most, cutoff=cutoff)
    return [one for text in found for one in folded[text]][:most]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message that offers the nearest of the names that exist.

    >>> nearest("tarin", ["train", "val"]), nearest("tumor", ["non-tumor", "stroma"])
    ("Did you mean 'train'?", 'Use one of non-tumor, stroma.')
    """
    listed = list(known)
    close = close_names(name, listed)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Use one of {', '.join(listed[:10])}." if listed else "There is none."


def _opposite(one: str, other: str) -> bool:
    """Whether one name is the other with a negation before one of its words.

    >>> _opposite("tumor_mitotic", "tumor_nonMitotic"), _opposite("inactive", "active"), _opposite("tumor", "tumour")
    (True, True, False)
    """
    longer, shorter = sorted((one, other), key=len, reverse=True)
    as_they_are = _likeness(longer, shorter)
    affirmed = (longer[: found.start(1)] + longer[found.end(1) :] for found in _NEGATED.finditer(longer))
    return any(max(_SAME, as_they_are) < _likeness(text, shorter) for text in affirmed)


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, plain(one), plain(other)).ratio()
