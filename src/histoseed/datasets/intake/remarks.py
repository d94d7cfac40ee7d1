"""What an importer found remarkable, one sentence a kind however many patches it concerns."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Remarks", "some"]


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    listed = list(names)
    text = ", ".join(listed[:most])
    return text if len(listed) <= most else f"{text} and {len(listed) - most} more"


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
            text: A sentence without its full stop; ``{count}`` stands for the sum.
            patch_id: The patch, or the file.
            count: Objects concerned.
        """
        self._patches.setdefault(text, []).append(patch_id)
        self._counts[text] = self._counts.get(text, 0) + count

    def sentences(self) -> list[str]:
        """One sentence a kind, in the order in which they first came up."""
        out = []
        for text, patches in self._patches.items():
            said = text.rstrip(".").replace("{count}", str(self._counts[text]))
            out.append(f"{said} ({len(patches)} {self._noun}{'' if len(patches) == 1 else 's'}: {some(patches)}).")
        return out
