"""Numbers with their nouns, as every message, table and picture says them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Self

__all__ = ["Tally", "adapted_name", "added_up", "agreed", "counted", "plural", "signed_number", "some"]

_FORMS = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")

_ADAPTED = " adapted to "

_IRREGULAR = {"nucleus": "nuclei"}


def plural(noun: str) -> str:
    """The plural of an English noun; of several words the last one changes.

    >>> plural("patch"), plural("annotated object"), plural("box"), plural("category"), plural("nucleus")
    ('patches', 'annotated objects', 'boxes', 'categories', 'nuclei')
    """
    head, space, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        return f"{head}{space}{_IRREGULAR[last]}"
    if last.endswith(("ch", "sh", "s", "x", "z")):
        return f"{noun}es"
    if last.endswith("y") and last[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def counted(count: int, noun: str, more: str | None = None) -> str:
    """A number and its noun.

    Args:
        count: How many there are.
        noun: What they are, in the singular.
        more: The plural, where :func:`plural` cannot know it.

    >>> counted(1, "patch"), counted(2000, "patch"), counted(0, "centre")
    ('1 patch', '2,000 patches', '0 centres')
    >>> counted(3, "patch without a group", "patches without a group")
    '3 patches without a group'
    """
    return f"{count:,} {noun if count == 1 else more or plural(noun)}"


def signed_number(value: float) -> str:
    """A difference, three decimals with its sign; zero has none.

    >>> signed_number(0.25), signed_number(-0.0001)
    ('+0.250', '0.000')
    """
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    listed = list(names)
    text = ", ".join(listed[:most])
    return text if len(listed) <= most else f"{text} and {len(listed) - most:,} more"


def adapted_name(start: str, data: Iterable[str]) -> str:
    """The name of a model after it learned from data sets; each of them is named once, however often that was.

    Args:
        start: Name of the model that it began as.
        data: Names of the data sets.

    >>> adapted_name("bundled", ["gbm"]), adapted_name("bundled adapted to gbm", ["gbm", "lgg"])
    ('bundled adapted to gbm', 'bundled adapted to gbm, lgg')
    """
    first, *before = start.split(_ADAPTED)
    named = [name for part in before for name in part.split(", ")]
    return f"{first}{_ADAPTED}{', '.join(dict.fromkeys([*named, *data]))}"


def agreed(text: str, count: int) -> str:
    """A sentence whose verbs agree with the number in it.

    Args:
        text: ``{count}`` stands for the number, ``{one|several}`` for what is said of one and of any other number.
        count: The number.

    >>> agreed("{count} {mask is|masks are} empty", 1), agreed("{count} {mask is|masks are} empty", 2000)
    ('1 mask is empty', '2,000 masks are empty')
    """
    return _FORMS.sub(lambda found: found[1] if count == 1 else found[2], text).replace("{count}", f"{count:,}")


class Tally(str):
    """A sentence about a number of things that remembers both, so that those of several files can be added up.

    Args:
        text: The sentence as :func:`agreed` reads it.
        count: The number.

    >>> Tally("{count} {box|boxes} {is|are} left out.", 2)
    '2 boxes are left out.'
    """

    __slots__ = ("number", "template")

    template: str
    number: int

    def __new__(cls, text: str, count: int) -> Self:
        """The sentence with its number."""
        said = super().__new__(cls, agreed(text, count))
        said.template, said.number = text, count
        return said


def added_up(sentences: Iterable[str]) -> list[str]:
    """Each sentence once, in the order in which they first came up; the numbers of equal tallies are added.

    >>> added_up([Tally("{count} {box|boxes}", 1), "and more", Tally("{count} {box|boxes}", 2), "and more"])
    ['3 boxes', 'and more']
    """
    totals: dict[str, int | None] = {}
    for sentence in sentences:
        if isinstance(sentence, Tally):
            totals[sentence.template] = (totals.get(sentence.template) or 0) + sentence.number
        else:
            totals.setdefault(sentence, None)
    return [text if total is None else Tally(text, total) for text, total in totals.items()]
