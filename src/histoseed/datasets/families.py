"""Which names of data sets may mean the same pictures. Names are all that is compared: a match proves nothing for sure.

Two names are related where both hold the name of one published data set ("nucls_sample", "nucls_cc0_sample"), where
public data sets of these names are made of the same slides (``relations.py``), or where they share a word that is not
one of those that any data set may have ("ovary7_train", "ovary7_test").
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from histoseed.datasets.importers.registry import IMPORTERS
from histoseed.datasets.relations import RELATIONS, named

__all__ = ["VERDICTS", "Verdict", "families_of", "relation_of"]

Verdict = Literal["yes", "perhaps", "unknown", "not listed", "no"]
"""Whether pictures were seen in training, as far as names tell."""

VERDICTS: tuple[Verdict, ...] = ("yes", "perhaps", "unknown", "not listed", "no")
"""The worst first: of several parts of a model the first of these speaks for the whole."""

_WITHOUT_IMPORTER = {
    "tcga": (), "cptac": (), "brca_m2c": (), "cpm15": (), "cpm17": (), "midog": (), "bracs": (), "janowczyk": (),
    "crchisto": ("crc histo phenotypes",), "nucleusseg": (), "cellseg": (), "livecell": (), "tissuenet": (),
    "dsb2018": ("bbbc038", "dsb"), "camelyon16": ("camelyon",), "cytodark0": ("cytodark",),
}  # fmt: skip
"""Collections of pictures that no importer and no relation names, and other names of those that one does."""

_STRUCTURE = frozenset(
    re.findall(
        r"\w+",
        """all and annotated annotation annotations area areas cell cells common crop crops data dataset demo fold
        for full histology image images in label labels labelled mask masks mini my new nuclear nuclei nucleus of old
        only other outlines pair pairs part patch patches pathology picture pictures point points sample samples set
        small split subset test tile tiles tiny train training unlabelled val valid validation version with without""",
    )
)
"""Words that say which part or form of a data set it is."""

_COMMON = _STRUCTURE | frozenset(
    re.findall(
        r"\w+",
        """adrenal apache bladder blood bone brain breast bsd bsd3 cancer carcinoma cc cc0 ccby cervix colon cytology
        glioma he human ihc kidney licence license liver lung lymph melanoma mit mouse node ovary pancreas prostate
        public rat skin slide slides spleen stain stained stomach testis thyroid tissue tumor tumour uterus
        wsi 20x 40x""",
    )
)
"""Words that say what is shown, at which scale, under which licence: many data sets share them."""


@cache
def _families() -> dict[str, re.Pattern[str]]:
    """Name of a published data set -> what names of it look like."""
    names: dict[str, set[str]] = {name: {name, *more} for name, more in _WITHOUT_IMPORTER.items()}
    for relation in RELATIONS:
        for name in (relation.first, relation.second):
            names.setdefault(name, {name})
    for name, importer in IMPORTERS.items():
        if importer.card is not None:
            title = re.sub(r"\(.*\)", "", importer.card.title)
            names.setdefault(name, set()).update((name, title))
    return {name: re.compile("|".join(map(_pattern, sorted(forms)))) for name, forms in names.items()}


def _pattern(form: str) -> str:
    """A name with or without marks between its words and before a year; no letters around it."""
    words = re.findall(r"[a-z]+|\d+", form.casefold())
    return rf"(?<![a-z]){'[^a-z0-9]*'.join(words)}(?![a-z])"


def families_of(name: str) -> frozenset[str]:
    """The published data sets that a name holds.

    >>> sorted(families_of("nucls_cc0_sample")), sorted(families_of("MoNuSeg16")), sorted(families_of("gbm40"))
    (['nucls'], ['monuseg'], [])
    >>> sorted(families_of("Data Science Bowl 2018")), sorted(families_of("kumarin"))
    (['dsb2018'], [])
    """
    text = name.casefold()
    return frozenset(family for family, pattern in _families().items() if pattern.search(text))


def relation_of(name: str, other: str) -> str | None:
    """Why data sets of these names may hold the same pictures, as the end of a sentence; None: nothing is known.

    >>> relation_of("nucls_sample", "nucls_cc0_sample")
    "both names hold 'nucls'"
    >>> relation_of("kumar", "MoNuSeg test")
    'Kumar is the 30 documented training images of MoNuSeg in another split'
    >>> relation_of("ovary7_train", "ovary7_test"), relation_of("breast_a", "breast_b")
    ("both names hold 'ovary7'", None)
    """
    shared = families_of(name) & families_of(other) or _telling(_words(name, _COMMON) & _words(other, _COMMON))
    if not shared and _words(name, _STRUCTURE) == _words(other, _STRUCTURE):
        shared = _telling(_words(name, _STRUCTURE))
    if shared:
        return f"both names hold {', '.join(map(repr, sorted(shared)))}"
    return next((text.removesuffix(".") for text in _relations(name, other)), None)


def _relations(name: str, other: str) -> list[str]:
    """What is known of the public data sets that these names mean."""
    mine, theirs = families_of(name), families_of(other)

    def means(one: str, families: frozenset[str], wanted: str) -> bool:
        return wanted in families or named(one, wanted)

    return [
        relation.text
        for relation in RELATIONS
        if (means(name, mine, relation.first) and means(other, theirs, relation.second))
        or (means(other, theirs, relation.first) and means(name, mine, relation.second))
    ]


def _words(name: str, left_out: frozenset[str]) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", name.casefold())) - left_out


def _telling(words: frozenset[str]) -> frozenset[str]:
    """Those that are no number and not as short as to be anything."""
    return frozenset(word for word in words if len(word) > 2 and not word.isdecimal())
