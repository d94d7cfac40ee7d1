"""What licences of data sets allow, and what holds for data sets that are put together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from histoseed.datasets.cards import Commercial

__all__ = ["combined_licence", "commercial_use", "most_restrictive"]

_FORBIDDING = frozenset({"nc", "noncommercial", "research", "academic", "educational"})
_DOUBTFUL = frozenset({"unconfirmed", "unverified", "unknown", "unclear", "own"})
_ALLOWING = frozenset({"cc0", "by", "apache", "mit", "bsd", "pddl", "odbl"})


def commercial_use(licence: str | None) -> Commercial:
    """Whether a licence text allows commercial use, as far as the well-known names tell.

    >>> [commercial_use(text) for text in ("CC BY-NC-SA 4.0", "CC0-1.0", "unconfirmed: Apache-2.0", None)]
    ['no', 'yes', 'unknown', 'unknown']
    """
    text = (
        (licence or "").casefold().replace("non-commercial", "noncommercial").replace("non commercial", "noncommercial")
    )
    words = set(re.findall(r"[a-z0-9]+", text))
    if words & _FORBIDDING:
        return "no"
    return "yes" if words & _ALLOWING and not words & _DOUBTFUL else "unknown"


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
