"""Write the table and the sections of docs/datasets.md from the cards of the importers.

    python scripts/dataset_table.py            # rewrite what stands between the markers
    python scripts/dataset_table.py --check    # say whether the file is up to date

A test compares the file with what this makes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from histoseed.datasets import IMPORTERS, DatasetCard
from histoseed.wording import some

PAGE = Path(__file__).parents[1] / "docs" / "datasets.md"
COLUMNS = ("set", "organ", "objects", "classes", "mpp", "licence", "commercial use", "group", "known problems")


def cards() -> list[DatasetCard]:
    """The cards of the published data sets, by name."""
    return [card for importer in IMPORTERS.values() if (card := importer.card) is not None]


def escaped(text: str) -> str:
    """Text that Markdown leaves alone: no tags, no emphasis. An underscore within a word or an address is none."""
    for character, instead in (("\\", "\\\\"), ("<", "&lt;"), ("*", "\\*")):
        text = text.replace(character, instead)
    return text


def cell(text: str) -> str:
    """Text in one cell of a table."""
    return " ".join(escaped(text).replace("|", "\\|").split())


def brief(text: str, most: int, *, marks: str = r"[;:,.] | \(", least: int = 1) -> str:
    """The beginning of a text that fits into a narrow cell: up to a punctuation mark, else so many words."""
    if len(text) <= most:
        return text
    ends = [found.start() for found in re.finditer(marks, text) if least <= found.start() <= most]
    ends = [end for end in ends if text[:end].count("(") == text[:end].count(")")]
    return text[: ends[-1]] if ends else f"{text[: most - 3].rpartition(' ')[0].rstrip(',;:')}..."


def organs_of(card: DatasetCard) -> str:
    """The first organs of a long list, and how many more there are."""
    text = card.organ if len(card.organ) <= 40 else re.split(r"[;:]", card.organ)[0]
    return text if len(text) <= 40 else some(text.split(", "), 2)


def classes_of(card: DatasetCard) -> str:
    """Class names of the default scheme, or how many it has, and how many the others have."""
    if not card.schemes:
        return "none"
    (_, first), *others = card.schemes.items()
    named = ", ".join(first)
    named = named if len(named) <= 40 else str(len(first))
    return "; ".join([named, *(f"`{name}`: {len(names)}" for name, names in others)])


def problems_of(card: DatasetCard) -> str:
    """The beginning of the first known problem, and how many there are beside it."""
    if not card.known_problems:
        return "none known"
    first, more = brief(card.known_problems[0].rstrip("."), 60, marks="[;:.] ", least=25), len(card.known_problems) - 1
    return f"{first} [{more} more](#{card.name})" if more else first


def table(all_cards: Iterable[DatasetCard]) -> str:
    """One row a data set; long texts are cut, the sections have them whole."""
    rows = [
        (
            f"[{card.name}](#{card.name})",
            *map(cell, (organs_of(card), f"{card.task} ({brief(card.stain, 10)})", classes_of(card))),
            *map(cell, (brief(card.mpp, 40), brief(card.licence or "not stated", 30), card.commercial)),
            *map(cell, (brief(card.group, 40), problems_of(card))),
        )
        for card in all_cards
    ]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(title: str, sentences: Iterable[str]) -> list[str]:
    """A short heading and a list, or nothing where there is nothing to list."""
    listed = [f"- {escaped(sentence)}" for sentence in sentences]
    return [f"{title}:", "", *listed, ""] if listed else []


def options(option: str, choices: Mapping[str, str]) -> list[str]:
    """The values of an option, the default first."""
    if not choices:
        return []
    said = [f"- `{name}`{' (default)' if i == 0 else ''}: {escaped(t)}" for i, (name, t) in enumerate(choices.items())]
    return [f"`{option}`:", "", *said, ""]


def section(card: DatasetCard) -> str:
    """What the card says beside the table: how to get, import, divide and cite it."""
    schemes = {name: ", ".join(names) for name, names in card.schemes.items()}
    lines = [
        f"### {card.name}",
        "",
        f"**{escaped(card.title)}**: {escaped(card.counts)}.",
        "",
        "```",
        f"histoseed import {card.name} SOURCE --out data/{card.name}",
        "",
        card.layout,
        "```",
        "",
        f"- Where to get it: {escaped(card.where)}",
        f"- What: {escaped(card.organ)}; {escaped(card.task)}; stain: {escaped(card.stain)}",
        f"- Microns per pixel: {escaped(card.mpp)}",
        *(f"- Classes: {escaped(names)}" for names in schemes.values() if len(schemes) == 1),
        f"- Licence: {escaped(card.licence or 'not stated')}; commercial use: {card.commercial}",
        f"- Stays together in a split: {escaped(card.group)}",
        *([f"- Published splits: {escaped(card.splits)}"] if card.splits else []),
        f"- Published numbers that `histoseed dataset verify {card.name} SOURCE` compares: {len(card.totals)}",
        f"- To cite: {escaped(card.citation)}",
        "",
        *options("--part", card.parts),
        *(options("--classes", schemes) if len(schemes) > 1 else []),
        *bullets("Known problems", card.known_problems),
        *bullets("Shared with other sets", card.shares),
    ]
    return "\n".join(lines).rstrip()


def filled(page: str, all_cards: Iterable[DatasetCard]) -> str:
    """The page with new text between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    known = list(all_cards)
    for name, text in (("table", table(known)), ("sections", "\n\n".join(map(section, known)))):
        begin, end = (f"<!-- {name}: {edge} (scripts/dataset_table.py) -->" for edge in ("begin", "end"))
        before, found, rest = page.partition(begin)
        _, also, after = rest.partition(end)
        if not (found and also):
            raise ValueError(f"The page lacks {begin} or {end}.")
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where the file is outdated")
    arguments = parser.parse_args()
    page = PAGE.read_text("utf-8")
    new = filled(page, cards())
    if arguments.check:
        sys.exit(0 if new == page else f"{PAGE.name} is outdated: run python scripts/dataset_table.py")
    PAGE.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
