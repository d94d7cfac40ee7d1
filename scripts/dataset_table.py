"""Write the table and the sections of docs/datasets.md from the cards of the importers.

    python scripts/dataset_table.py            # rewrite what stands between the markers
    python scripts/dataset_table.py --check    # say whether the file is up to date

A test compares the file with what this makes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from histoseed.datasets import IMPORTERS, DatasetCard

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


def classes_of(card: DatasetCard) -> str:
    """Class names of the default scheme, and how many the others have."""
    if not card.schemes:
        return "none"
    (_, first), *others = card.schemes.items()
    return "; ".join([", ".join(first), *(f"`{name}`: {len(names)}" for name, names in others)])


def table(all_cards: Iterable[DatasetCard]) -> str:
    """One row a data set."""
    rows = [
        (
            f"[{card.name}](#{card.name})",
            *map(cell, (card.organ, f"{card.task} ({card.stain})")),
            cell(classes_of(card)),
            *map(cell, (card.mpp, card.licence or "not stated", card.commercial, card.group)),
            " ".join(map(cell, card.known_problems)) or "none known",
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
        *(f"- Classes: {escaped(names)}" for names in schemes.values() if len(schemes) == 1),
        f"- Licence: {escaped(card.licence or 'not stated')}; commercial use: {card.commercial}",
        f"- Stays together in a split: {escaped(card.group)}",
        *([f"- Published splits: {escaped(card.splits)}"] if card.splits else []),
        f"- Published numbers that `histoseed dataset verify {card.name} SOURCE` compares: {len(card.totals)}",
        f"- To cite: {escaped(card.citation)}",
        "",
        *options("--part", card.parts),
        *(options("--classes", schemes) if len(schemes) > 1 else []),
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
