"""Cards of public data sets: what is known about one before anything of it is read. Data, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from histoseed.licences import Commercial

__all__ = ["Commercial", "DatasetCard", "Measure", "Total"]

Measure = Literal["patches", "objects", "empty", "patients", "slides", "groups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A published number that a complete copy must reproduce.

    Args:
        measure: What is counted: patches, objects (rows of the layer *nucleus* unless ``where`` names a layer), patches
            without an object ("empty"), distinct patients, slides or groups.
        value: The published number.
        where: Column of ``patches.parquet`` or ``instances.parquet`` -> value that it must have.
        source: Who publishes it.
        note: Why other numbers are in circulation, if they are.
        part: Only for this part of the release; None: for the default part.
        scheme: Only for this class scheme; None: for every one.
    """

    measure: Measure
    value: int
    where: Mapping[str, str | int | bool] = field(default_factory=lambda: MappingProxyType({}))
    source: str
    note: str = ""
    part: str | None = None
    scheme: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """What ``histoseed dataset list`` and ``docs/datasets.md`` say about a data set.

    Args:
        name: What the user types.
        title: Its name in print.
        task: What is annotated, a few words: "nuclei: outlines and classes".
        organ: Organs, a few words.
        stain: "H&E", "Nissl" ...
        mpp: Microns per pixel, as text: "0.25", "0.2263 to 0.2269, in each file".
        schemes: Class scheme -> its class names; the first is the default. Empty: no classes.
        parts: Part of the release -> what it is; the first is the default. Empty: there is only one.
        counts: Published size, as text.
        licence: SPDX name or text; None where none is stated.
        commercial: Whether it allows commercial use.
        where: Where to get it.
        citation: What to cite.
        group: What stays together in a split: "patient", "image (patients are not published)" ...
        splits: Published splits and folds, as text; "" where there are none.
        layout: What SOURCE must look like, an indented tree.
        known_problems: What is wrong with the annotations or the release, one sentence each.
        shares: Which other sets share its slides or patients, one sentence each.
        totals: Published numbers.
    """

    name: str
    title: str
    task: str
    organ: str
    stain: str
    mpp: str
    schemes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    counts: str
    licence: str | None
    commercial: Commercial
    where: str
    citation: str
    group: str
    splits: str = ""
    layout: str
    known_problems: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    totals: tuple[Total, ...] = ()
