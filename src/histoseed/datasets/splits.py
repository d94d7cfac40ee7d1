"""Divide a data set into train, val and test without a patient, slide or object on two sides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets.dataset import Dataset
from histoseed.datasets.near_names import nearest
from histoseed.datasets.schema import PATCH_SCHEMA, SPLITS, read_table
from histoseed.errors import DatasetError, InputError
from histoseed.files import atomic_path
from histoseed.wording import agreed, some

__all__ = ["SPLIT_BY", "deal_patches", "split_dataset"]

SPLIT_BY = ("patient", "slide", "centre", "group")
"""Columns of ``patches.parquet`` that a split can follow."""

_DRAWS = 20


@dataclass
class _Unit:
    """Patches that must stay together, and how many objects they hold."""

    patches: list[str] = field(default_factory=list)
    objects: int = 0


def split_dataset(
    dataset: Dataset,
    *,
    by: str = "patient",
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    fallback: str | None = None,
    overwrite: bool = False,
) -> pl.DataFrame:
    """Write the column ``split`` of a data set, in place and atomically.

    Units are the values of ``by``. Units that share a patient, a slide or an object (the same ``instance_id`` in two
    patches) are kept together even when ``by`` is finer. They are dealt out in random order, each to the split that
    lacks most objects; of 20 such deals the best balanced one is kept. Equal data, fractions and seed give an equal
    split.

    Args:
        dataset: The whole data set, not a selection.
        by: "patient", "slide", "centre" or "group".
        fractions: Shares of train, val and test, by number of objects; they sum to 1. A share of 0 leaves a split out.
        seed: Seed of the random order.
        fallback: A coarser column for the patches where ``by`` is empty; without it they are an error.
        overwrite: Replace a split that is there (it may be an official one).

    Returns:
        One row a unit: ``unit`` (its names), ``split``, ``patches``, ``objects``. Open the data set anew to see it.

    Raises:
        InputError: no such column, or fractions that are not shares.
        DatasetError: a selection; a split that is there already; patches without a value; fewer units than splits.
        OutputError: the table cannot be written; the old one stays.
    """
    path = dataset.path / "patches.parquet"
    shares = _checked_fractions(fractions)
    for name in (by, *([] if fallback is None else [fallback])):
        if name not in SPLIT_BY:
            raise InputError(f"A split cannot follow {name!r}.", where="by", fix=nearest(name, SPLIT_BY))
    table = read_table(path, PATCH_SCHEMA, dataset.settings)
    if table["patch_id"].to_list() != dataset.patch_ids:
        raise DatasetError("This is a selection of the data set.", where=path, fix="Split the whole data set.")
    if table["split"].count() and not overwrite:
        what = "The data set has a split already."
        raise DatasetError(what, where=path, fix="Keep it, or add --overwrite to replace it.")
    units = _units(dataset, by, fallback)
    wanted = [name for name in SPLITS if shares[name] > 0]
    if len(units) < len(wanted):
        what = f"{len(wanted)} splits need as many independent units by {by}; there are {len(units)}."
        fix = "Split by a finer unit, or give a fraction of 0 to a split that is not needed."
        raise DatasetError(what, where=path, fix=fix)
    chosen = _deal(units, {name: shares[name] for name in wanted}, seed)
    split_of = {patch: name for unit, name in zip(units, chosen, strict=True) for patch in unit.patches}
    column = pl.Series("split", [split_of[patch] for patch in table["patch_id"]], dtype=pl.String)
    with atomic_path(path) as temporary:
        table.with_columns(column).write_parquet(temporary)
    return _report(dataset.patches, units, chosen, by, fallback)


def deal_patches(dataset: Dataset, shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Deal the patches of a data set, or of a selection, out to named parts; nothing is written.

    As :func:`split_dataset` by group, but a patch without a group stands alone.

    Args:
        dataset: The data set.
        shares: Part -> share of the objects; they sum to 1.
        seed: Seed of the random order.

    Returns:
        Patch id -> part, in the order of the table.

    Raises:
        DatasetError: fewer independent units than parts.
    """
    units = _units(dataset, "group", None, strict=False)
    if len(units) < len(shares):
        what = f"{len(shares)} parts need as many independent groups of patches; there are {len(units)}."
        raise DatasetError(what, where=dataset.path)
    chosen = _deal(units, dict(shares), seed)
    part_of = {patch: name for unit, name in zip(units, chosen, strict=True) for patch in unit.patches}
    return {patch: part_of[patch] for patch in dataset.patch_ids}


def _checked_fractions(fractions: Sequence[float]) -> dict[str, float]:
    good = len(fractions) == len(SPLITS) and all(math.isfinite(f) and f >= 0 for f in fractions)
    if not good or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        what = f"{tuple(fractions)} are not the shares of train, val and test."
        raise InputError(what, where="fractions", fix="Give three numbers that sum to 1, for instance 0.7,0.15,0.15.")
    return dict(zip(SPLITS, fractions, strict=True))


def _units(dataset: Dataset, by: str, fallback: str | None, *, strict: bool = True) -> list[_Unit]:
    """Connected components of patches, ordered by their first patch id so that the order of rows does not matter."""
    patches = dataset.patches
    empty = patches.filter(pl.col(by).is_null())
    if strict and empty.height and fallback is None:
        raise _unstated(dataset, empty, by)
    ties = [pl.col(by), *(pl.col(c) for c in ("patient", "slide") if c != by)]
    if empty.height and fallback is not None:
        if empty[fallback].null_count():
            text = "{count} {patch states|patches state} neither "
            what = f"{agreed(text, empty[fallback].null_count())}{by} nor {fallback}."
            raise DatasetError(what, where=dataset.path / "patches.parquet", fix="Fill one of the columns.")
        # A patch of unknown patient may belong to any patient of its centre: all of those stay together.
        affected = pl.col(fallback).is_in(empty[fallback].unique().implode())
        ties.append(pl.when(affected).then(pl.col(fallback)).alias("fallback"))
    parent = {patch: patch for patch in patches["patch_id"]}

    def root(patch: str) -> str:
        while parent[patch] != patch:
            parent[patch] = parent[parent[patch]]
            patch = parent[patch]
        return patch

    def unite(together: pl.Series) -> None:
        for members in together:
            roots = sorted({root(patch) for patch in members})
            for other in roots[1:]:
                parent[other] = roots[0]

    for tie in ties:
        keyed = patches.select("patch_id", tie.alias("key")).drop_nulls("key")
        unite(keyed.group_by("key").agg("patch_id")["patch_id"])
    shared = dataset.instances.group_by("instance_id").agg(pl.col("patch_id").unique())
    unite(shared.filter(pl.col("patch_id").list.len() > 1)["patch_id"])

    counts = dict(dataset.instances.filter(pl.col("layer") == "nucleus").group_by("patch_id").len().iter_rows())
    units: dict[str, _Unit] = {}
    for patch in sorted(dataset.patch_ids):
        unit = units.setdefault(root(patch), _Unit())
        unit.patches.append(patch)
        unit.objects += counts.get(patch, 0)
    return list(units.values())


def _unstated(dataset: Dataset, empty: pl.DataFrame, by: str) -> DatasetError:
    """The error for patches without a value, with what to split by or to fall back on instead."""
    patches = dataset.patches
    none = empty.height == patches.height
    text = f"{{count}} {{patch|patches}} of {patches.height:,} {{does not state its|do not state their}} {by}"
    what = f"No patch states its {by}." if none else f"{agreed(text, empty.height)} ({some(empty['patch_id'])})."
    filled = [name for name in SPLIT_BY if name != by and not patches[name].null_count()]
    coarser = [name for name in filled if name != "slide" or by != "patient"]
    ways = [f"--by {name}" for name in filled]
    if coarser and not none:
        ways.append(f"--fallback {coarser[0]}, which keeps such patches together with all of their {coarser[0]}")
    said = f"Split {' or '.join(ways)}, or fill" if ways else "Fill"
    fix = f"{said} the column {by} (groups.csv of `import labels`)."
    return DatasetError(what, where=dataset.path / "patches.parquet", fix=fix)


def _deal(units: list[_Unit], shares: dict[str, float], seed: int) -> list[str]:
    """The split of every unit."""
    rng = np.random.default_rng(seed)
    # A patch without an object still counts a little, or all empty patches would go to one split.
    weight = np.array([unit.objects + len(unit.patches) for unit in units], dtype=np.float64)
    names = list(shares)
    goal = np.array([shares[name] for name in names]) * weight.sum()
    best, best_error = np.zeros(len(units), dtype=np.int64), math.inf
    for _ in range(_DRAWS):
        chosen = np.full(len(units), -1)
        got = np.zeros(len(names))
        for i in rng.permutation(len(units)):
            chosen[i] = np.argmax(goal - got)
            got[chosen[i]] += weight[i]
        _fill_empty(chosen, weight, len(names))
        sums = np.bincount(chosen, weights=weight, minlength=len(names))
        error = float(np.abs(sums - goal).max())
        if error < best_error:
            best, best_error = chosen, error
    return [names[k] for k in best]


def _fill_empty(chosen: npt.NDArray[np.int64], weight: npt.NDArray[np.float64], count: int) -> None:
    """A split that got nothing takes the lightest unit of the split that has most units; in place."""
    while True:
        sizes = np.bincount(chosen, minlength=count)
        if sizes.all():
            return
        members = np.flatnonzero(chosen == np.argmax(sizes))
        chosen[members[np.argmin(weight[members])]] = np.argmin(sizes)


def _report(
    patches: pl.DataFrame, units: list[_Unit], chosen: list[str], by: str, fallback: str | None
) -> pl.DataFrame:
    key = pl.col(by) if fallback is None else pl.coalesce(by, fallback)
    key_of = dict(patches.select("patch_id", key.alias("key")).iter_rows())
    rows = [
        {
            "unit": ", ".join(sorted({key_of[patch] for patch in unit.patches})),
            "split": name,
            "patches": len(unit.patches),
            "objects": unit.objects,
        }
        for unit, name in zip(units, chosen, strict=True)
    ]
    order = pl.col("split").cast(pl.Enum(SPLITS))
    return pl.DataFrame(rows).sort(order, "unit")
