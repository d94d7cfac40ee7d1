"""What data sets share with each other, and the splits of one data set among themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from histoseed.datasets.dataset import Dataset
from histoseed.datasets.shared_names import known_relations, patch_table, shared_names, shared_objects
from histoseed.datasets.shared_pictures import Pictures, alike, look_at, overlapping
from histoseed.errors import InputError

__all__ = ["KINDS", "LEAKAGE_SCHEMA", "Leakage", "Pictures", "find_leakage", "look_at"]

KINDS = ("patient", "slide", "object", "image", "overlap", "relation")
"""Kinds of what is shared: a patient, a slide, an annotated object, a picture that shows the same, pixels of crops that
overlap, and what is known of public data sets."""

LEAKAGE_SCHEMA = {
    "kind": pl.String(),
    "sure": pl.Boolean(),
    "a": pl.String(),
    "part_a": pl.String(),
    "b": pl.String(),
    "part_b": pl.String(),
    "name": pl.String(),
    "patches_a": pl.Int64(),
    "patches_b": pl.Int64(),
    "similarity": pl.Float64(),
    "detail": pl.String(),
}
"""Columns of :attr:`Leakage.findings`."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """What was found.

    Args:
        findings: One row a shared thing and pair of parts, columns :data:`LEAKAGE_SCHEMA`. ``a`` and ``b`` name data
            sets (they are equal for what two parts of one data set share), ``part_a`` and ``part_b`` their split or
            fold, "" where there is none. ``name`` is the patient or slide, or the two patches with " = " between.
            ``similarity`` is a correlation for images, and for overlaps the shared area as a share of the smaller
            patch. ``sure`` is false where two data sets use a name that may mean two things: "7" for a patient.
        notes: What could not be compared, one sentence each.
    """

    findings: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether anything is surely shared."""
        return bool(self.findings["sure"].any())

    def summary(self) -> pl.DataFrame:
        """One row a kind and pair of parts: ``kind, sure, a, part_a, b, part_b, shared`` (number of rows)."""
        keys = ["kind", "sure", "a", "part_a", "b", "part_b"]
        return self.findings.group_by(keys, maintain_order=True).agg(pl.len().alias("shared"))


def find_leakage(
    datasets: Sequence[Dataset],
    pictures: Sequence[Pictures] | None = None,
    *,
    distance: int = 7,
    similarity: float = 0.95,
) -> Leakage:
    """Compare data sets with each other, and the splits and folds of each among themselves.

    Names are compared by their TCGA barcode where they hold one, whatever stands around it. Within one data set two
    pictures count as leakage when they stand in different splits or folds, or, as long as there is neither, when
    nothing keeps them together: they belong to different groups, or to none.

    Args:
        datasets: One data set or more.
        pictures: What :func:`look_at` saw of each; None compares names only.
        distance: Bits of 63 by which hashes of near-identical pictures may differ, 0 to 11.
        similarity: Least correlation of the thumbnails of near-identical pictures.

    Raises:
        InputError: no data set, one twice, a distance or similarity out of range.
        LimitError: too many pictures look alike.
    """
    if not datasets:
        raise InputError("There is no data set to look at.")
    if len({one.path.resolve() for one in datasets}) != len(datasets):
        raise InputError("One data set is given twice.", fix="Name each data set once; its splits are compared too.")
    if not 0 < similarity <= 1:
        raise InputError(f"{similarity} is no similarity.", where="similarity", fix="Give a number from 0 to 1.")
    table = patch_table(datasets)
    found = [*shared_names(table), *shared_objects(datasets, table), *known_relations(datasets, table)]
    notes: list[str] = []
    if pictures is not None:
        images, notes = alike(table, pictures, distance, similarity)
        found += [*images, *overlapping(table, pictures, {one.name for one in images})]
    counts = Counter(one.name for one in datasets)
    names = [one.name if counts[one.name] == 1 else f"{one.name} ({one.path})" for one in datasets]
    rows = [one._replace(a=names[int(one.a)], b=names[int(one.b)]) for one in found]
    frame = pl.DataFrame(rows, schema=LEAKAGE_SCHEMA, orient="row")
    order = pl.col("kind").cast(pl.Enum(KINDS))
    return Leakage(frame.sort(order, "a", "part_a", "b", "part_b", "name", "detail"), tuple(notes))
