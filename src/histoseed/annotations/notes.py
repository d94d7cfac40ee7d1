"""What a reader has to say, one sentence a kind however often it happened."""

from __future__ import annotations

from histoseed.wording import counted

__all__ = ["Notes"]

_EXAMPLES = 3


class Notes:
    """Sentences for the user, one for each thing that happened however often it did.

    Args:
        noun: What the labels name, in the singular.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._labels: dict[str, list[str]] = {}

    def add(self, what: str, label: str) -> None:
        """Note that ``what`` happened to the object called ``label``."""
        self._labels.setdefault(what, []).append(label)

    def sentences(self) -> list[str]:
        """``what (n objects: first, second, third, ...)``."""
        out = []
        for what, labels in self._labels.items():
            shown = ", ".join(labels[:_EXAMPLES]) + (", ..." if len(labels) > _EXAMPLES else "")
            out.append(f"{what} ({counted(len(labels), self._noun)}: {shown}).")
        return out
