"""Which public data sets share images or slides by the way they were made. Data, not code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["RELATIONS", "Relation", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What two data sets have in common by construction.

    Args:
        first: Name of a data set as ``dataset.json`` gives it; a longer name that goes on after a blank counts too.
        second: Name of the other.
        text: One sentence.
        by: What tells which patches are concerned. "ids": those whose ids match; "images": those of which the first
            group of the match is the same on both sides; "patients": those of TCGA patients that both sides name. The
            relation is only told where there are such patches.
        first_ids: Regular expression that ids match from their beginning.
        second_ids: The same of the second.
    """

    first: str
    second: str
    text: str
    by: Literal["ids", "images", "patients"]
    first_ids: str = ""
    second_ids: str = ""


def named(name: str, wanted: str) -> bool:
    """Whether a data set of this name is the one that a relation means.

    >>> named("MoNuSeg test", "monuseg"), named("monuseg16", "monuseg")
    (True, False)
    """
    return re.match(rf"{re.escape(wanted)}(?![a-z0-9])", name.casefold()) is not None


def _lizard(prefix: str, other: str, sentence: str) -> tuple[Relation, ...]:
    """Lizard names its images after where they come from, and CoNIC cuts patches out of them."""
    return tuple(
        Relation(first=name, second=other, text=sentence.format(name=title), by="ids", first_ids=f"{prefix}_")
        for name, title in (("lizard", "Lizard"), ("conic", "CoNIC"))
    )


RELATIONS: tuple[Relation, ...] = (
    Relation(
        first="lizard",
        second="conic",
        text="CoNIC is cut out of the images of Lizard, with the labels of Lizard.",
        by="images",
        first_ids=r"(.+)$",
        second_ids=r"(.+)-\d+$",
    ),
    *_lizard(
        "consep", "consep", "The consep_* images of {name} are images of CoNSeP at half the resolution, labelled anew."
    ),
    *_lizard("pannuke", "pannuke", "The pannuke_* images of {name} are regions of PanNuke, labelled anew."),
    *_lizard("glas", "glas", "The glas_* images of {name} are images of GlaS."),
    *_lizard("crag", "crag", "The crag_* images of {name} are images of CRAG."),
    *_lizard("dpath", "digestpath", "The dpath_* images of {name} are images of DigestPath."),
    Relation(
        first="kumar",
        second="monuseg",
        text="Kumar is the 30 documented training images of MoNuSeg in another split.",
        by="patients",
    ),
    *(
        Relation(
            first=first,
            second=second,
            text="NuCLS, PanopTILs and BCSS annotate the same TCGA-BRCA slides by design.",
            by="patients",
        )
        for first, second in (("nucls", "panoptils"), ("nucls", "bcss"), ("panoptils", "bcss"))
    ),
)
"""Pairs of data sets; the order within a pair does not matter."""
