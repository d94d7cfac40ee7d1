"""Compare what was read with what was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.errors import InputError

__all__ = ["CheckedTotal", "check_totals", "count_total"]


@dataclass(frozen=True, slots=True)
class CheckedTotal:
    """One published number against the number found.

    Args:
        total: What was published.
        found: What was counted.
    """

    total: Total
    found: int

    @property
    def equal(self) -> bool:
        """Whether both are the same."""
        return self.found == self.total.value

    @property
    def what(self) -> str:
        """What is counted, in words: "objects, fold 1, class_name Neoplastic"."""
        measure = "patches without objects" if self.total.measure == "empty" else self.total.measure
        return ", ".join([measure, *(f"{key} {value}" for key, value in self.total.where.items())])


def count_total(total: Total, patches: pl.DataFrame, instances: pl.DataFrame) -> int:
    """Count what a published number counts.

    Args:
        total: The number.
        patches: Columns of ``patches.parquet``.
        instances: Columns of ``instances.parquet``.

    Raises:
        InputError: a column that neither table has.
    """
    unknown = [key for key in total.where if key not in patches.columns and key not in instances.columns]
    if unknown:
        raise InputError(f"No table has a column {unknown[0]!r}.", where="totals of the card")
    ours = {key: value for key, value in total.where.items() if key in patches.columns}
    theirs = {key: value for key, value in total.where.items() if key not in patches.columns}
    chosen = patches.filter(*(pl.col(key) == value for key, value in ours.items()))
    if total.measure == "patches":
        return chosen.height
    columns = {"patients": "patient", "slides": "slide", "groups": "group"}
    if total.measure in columns:
        return int(chosen[columns[total.measure]].drop_nulls().n_unique())
    layer = theirs.pop("layer", "nucleus")
    objects = instances.filter(
        pl.col("layer") == layer,
        pl.col("patch_id").is_in(chosen["patch_id"].implode()),
        *(pl.col(key) == value for key, value in theirs.items()),
    )
    if total.measure == "empty":
        return chosen.height - int(objects["patch_id"].n_unique())
    return objects.height


def check_totals(
    card: DatasetCard, part: str | None, scheme: str | None, patches: pl.DataFrame, instances: pl.DataFrame
) -> Sequence[CheckedTotal]:
    """Every published number of a card that applies to this part and class scheme.

    Args:
        card: The card.
        part: Part of the release; None is the first.
        scheme: Class scheme; None is the first.
        patches: Columns of ``patches.parquet``.
        instances: Columns of ``instances.parquet``.
    """
    first_part, first_scheme = next(iter(card.parts), None), next(iter(card.schemes), None)
    part, scheme = part or first_part, scheme or first_scheme
    return [
        CheckedTotal(total, count_total(total, patches, instances))
        for total in card.totals
        if (total.part or first_part) == part and total.scheme in (None, scheme)
    ]
