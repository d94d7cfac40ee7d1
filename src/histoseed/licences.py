"""What licence texts allow: of data sets and of weights, alone and put together.

Only well-known names are understood. Whatever else stands in a text leaves it unknown, so that nothing is called free
because a free licence is mentioned in it. This is bookkeeping, no legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

__all__ = ["Commercial", "Terms", "combined_licence", "commercial_use", "most_restrictive", "strictest", "terms_of"]

Commercial = Literal["yes", "no", "unknown"]
Terms = Literal["permissive", "share-alike", "unknown", "non-commercial", "no-derivatives"]
"""What a licence demands of whoever passes something on, from mild to strict.

permissive      naming the source, at most
share-alike     the same licence for what is made from it
unknown         nothing that is known
non-commercial  no commercial use
no-derivatives  nothing that was made from it may be passed on
"""

_STRICTNESS: tuple[Terms, ...] = ("permissive", "share-alike", "unknown", "non-commercial", "no-derivatives")

_FORBIDDING = frozenset({"nc", "noncommercial", "research", "academic", "educational"})
_DOUBTFUL = frozenset({"unconfirmed", "unverified", "unknown", "unclear", "own", "not"})
_NO_DERIVATIVES = frozenset({"nd", "noderivs", "noderivatives"})

_PERMISSIVE = re.compile(
    r"cc0|cc0-1\.0|public-domain|pddl|pddl-1\.0|(cc|odc)-by(-\d\.\d)?|apache-2\.0|mit|isc|bsd|bsd-\d-clause"
    r"|creative-commons-attribution-\d\.\d"
)
_SHARE_ALIKE = re.compile(r"cc-by-sa(-\d\.\d)?|odbl|odbl-1\.0")
_COPYLEFT = re.compile(r"(a|l)?gpl(-v?\d(\.\d)?(-only|-or-later)?)?")
"""Written for programs: what they mean for weights and images is disputed, so that commercial use stays unknown."""

_SUMMARY = re.compile(r"\s*\(together: [^()]*\)\s*$")
_JOINTS = re.compile(r"\s*(?:[;,+]|\bor\b|\band\b)\s*")


def terms_of(licence: str | None) -> Terms:
    """The strictest demand of a licence text.

    >>> [terms_of(text) for text in ("CC0-1.0", "CC BY-SA 4.0", "see the paper", "cc-by-nc-4.0", "cc-by-nc-nd-4.0")]
    ['permissive', 'share-alike', 'unknown', 'non-commercial', 'no-derivatives']
    """
    return strictest([_piece(text)[0] for text in _pieces(licence)])


def commercial_use(licence: str | None) -> Commercial:
    """Whether a licence text allows commercial use, as far as the well-known names tell.

    >>> [commercial_use(text) for text in ("CC BY-NC-SA 4.0", "CC0-1.0", "unconfirmed: Apache-2.0", None)]
    ['no', 'yes', 'unknown', 'unknown']
    """
    return most_restrictive([_piece(text)[1] for text in _pieces(licence)])


def strictest(terms: Sequence[Terms]) -> Terms:
    """What holds for all together; at least one."""
    return max(terms, key=_STRICTNESS.index)


def most_restrictive(uses: Sequence[Commercial]) -> Commercial:
    """What holds for all together: one that forbids it forbids it, one that is not known leaves it open."""
    return min(uses, key=("no", "unknown", "yes").index)


def combined_licence(licences: Sequence[tuple[str, str | None]]) -> str:
    """The licences of several data sets in one text, with the commercial use that is left.

    Args:
        licences: Name and licence of each data set.

    >>> combined_licence([("lizard", "CC-BY-NC-SA-4.0"), ("bcss", "CC0-1.0")])
    'lizard: CC-BY-NC-SA-4.0; bcss: CC0-1.0 (together: no commercial use)'
    >>> combined_licence([("nucls", "CC0-1.0"), ("bcss", "CC0-1.0")])
    'CC0-1.0'
    """
    stated = [licence for _, licence in licences]
    if len(set(stated)) == 1 and stated[0] is not None:
        return stated[0]
    left = most_restrictive([commercial_use(licence) for licence in stated])
    words = {"no": "no commercial use", "yes": "commercial use allowed", "unknown": "commercial use not settled"}[left]
    listed = "; ".join(f"{name}: {licence or 'not stated'}" for name, licence in dict(licences).items())
    return f"{listed} (together: {words})"


def _pieces(licence: str | None) -> list[str]:
    """The licences that a text names, one or more; a text of several, as :func:`combined_licence` makes, is split."""
    text = _SUMMARY.sub("", (licence or "").casefold())
    return _JOINTS.split(re.sub(r"\bnon[ -]commercial", "noncommercial", text).replace(", version", ""))


def _piece(text: str) -> tuple[Terms, Commercial]:
    """What one licence demands, and its commercial use."""
    words = set(re.findall(r"[a-z0-9]+", text))
    forbidden = bool(words & _FORBIDDING) or "commons clause" in text
    if words & _NO_DERIVATIVES or re.search(r"\bno[ -]derivatives?\b", text):
        return "no-derivatives", "no" if forbidden else "unknown"
    if forbidden:
        return "non-commercial", "no"
    if words & _DOUBTFUL:
        return "unknown", "unknown"
    name = re.sub(r"[\s_]+", "-", text.rpartition(": ")[2].strip())
    name = re.sub(r"-?(licen[cs]e|international|universal)", "", name)
    if _PERMISSIVE.fullmatch(name):
        return "permissive", "yes"
    if _SHARE_ALIKE.fullmatch(name):
        return "share-alike", "yes"
    return ("share-alike" if _COPYLEFT.fullmatch(name) else "unknown"), "unknown"
