"""What an importer found remarkable, one sentence a kind however many patches it concerns."""

from __future__ import annotations

import re

from histoseed.datasets.content import Remark
from histoseed.wording import agreed, counted, plural, some

__all__ = ["Remarks", "noted"]

_NOTE = re.compile(r"(?P<what>.*) \((?P<count>[\d,]+) (?P<unit>[a-z]+): .*\)\.", re.DOTALL)
"""A sentence of :class:`histoseed.annotations.notes.Notes`."""

_CONVERTED = ("The id ", "There is no id")
"""How sentences begin that tell of no loss."""


def noted(sentence: str, about: str = "") -> Remark:
    """A sentence of an annotation reader without the names of its objects, so that those of all files add up.

    Args:
        sentence: What the reader says.
        about: What the file holds, to stand before it.

    >>> noted("An outline without area was left out (2 features: 7, 9).", "tissue: ").count
    2
    >>> agreed(noted("An outline without area was left out (1 feature: 7).", "tissue: ").text, 2000)
    'tissue: An outline without area was left out: 2,000 features'
    """
    match = _NOTE.fullmatch(sentence)
    if match is None:
        return Remark(f"{about}{sentence.rstrip('.')}", kind="note")
    count, unit = int(match["count"].replace(",", "")), match["unit"]
    one = unit if count == 1 else unit.removesuffix("s")
    text = f"{about}{match['what']}: {{count}} {{{one}|{plural(one)}}}"
    return Remark(text, count, "note" if match["what"].startswith(_CONVERTED) else "problem")


class Remarks:
    """Collects remarks by kind.

    Args:
        noun: What the remarks are about: "image", "file".
    """

    def __init__(self, noun: str = "image") -> None:
        self._noun = noun
        self._patches: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, text: str, patch_id: str, count: int = 0) -> None:
        """Say that ``text`` holds for a patch; ``count`` objects are summed up where it is above 0.

        Args:
            text: A sentence without its full stop, as :func:`histoseed.wording.agreed` reads it; ``{count}`` stands for
                the sum.
            patch_id: The patch, or the file.
            count: Objects concerned.
        """
        self._patches.setdefault(text, []).append(patch_id)
        self._counts[text] = self._counts.get(text, 0) + count

    def sentences(self) -> list[str]:
        """One sentence a kind, in the order in which they first came up."""
        out = []
        for text, patches in self._patches.items():
            said = agreed(text.rstrip("."), self._counts[text]) if self._counts[text] else text.rstrip(".")
            out.append(f"{said} ({counted(len(patches), self._noun)}: {some(patches)}).")
        return out
