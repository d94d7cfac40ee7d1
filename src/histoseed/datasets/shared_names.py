"""Patients, slides and objects that stand on two sides, by their names, and what is known of public data sets."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from histoseed.datasets.barcodes import Barcode, tcga
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.relations import RELATIONS, named
from histoseed.wording import counted

__all__ = ["Finding", "known_relations", "patch_table", "shared_names", "shared_objects"]


class Finding(NamedTuple):
    """A row of ``Leakage.findings``; until it becomes one, ``a`` and ``b`` hold the number of the data set."""

    kind: str
    sure: bool
    a: int | str
    part_a: str
    b: int | str
    part_b: str
    name: str
    patches_a: int
    patches_b: int
    similarity: float | None = None
    detail: str = ""


def patch_table(datasets: Sequence[Dataset]) -> pl.DataFrame:
    """One row a patch of every data set.

    Returns:
        ``set`` (number of the data set), ``patch_id, split, fold, group, width, height, sha256`` as they are,
        ``patient`` and ``slide`` with TCGA barcodes brought to one form, ``tcga`` and ``tcga_slide``: whether they are
        such barcodes.
    """
    columns = ("patch_id", "split", "fold", "group", "patient", "slide", "width", "height", "sha256")
    table = pl.concat([one.patches.select(pl.lit(i).alias("set"), *columns) for i, one in enumerate(datasets)])
    codes = [
        next((code for text in texts if text is not None and (code := tcga(text)) is not None), None)
        for texts in table.select("slide", "patient", "group", "patch_id").iter_rows()
    ]
    keys = _slide_keys(codes)
    patients = pl.Series("patient", [None if code is None else code.patient for code in codes], dtype=pl.String)
    slides = pl.Series("slide", keys, dtype=pl.String)
    return table.with_columns(
        pl.coalesce(patients, "patient").alias("patient"),
        pl.coalesce(slides, "slide").alias("slide"),
        patients.is_not_null().alias("tcga"),
        slides.is_not_null().alias("tcga_slide"),
    )


def _slide_keys(codes: Sequence[Barcode | None]) -> list[str | None]:
    """A name for each slide that is the same for a whole and a shortened barcode, unless that could mean two slides."""
    stated: dict[tuple[str, str], set[str | None]] = {}
    for code in codes:
        if code is not None and code.section is not None and code.sample is not None:
            stated.setdefault((code.patient, code.section), set()).add(code.slide)
    keys: list[str | None] = []
    for code in codes:
        if code is None or code.section is None:
            keys.append(None)
        elif len(stated.get((code.patient, code.section), ())) > 1:
            keys.append(code.slide)
        else:
            keys.append(f"{code.patient}-{code.section}")
    return keys


def shared_names(table: pl.DataFrame) -> Iterator[Finding]:
    """Patients and slides that stand on two sides; sure within a data set and for TCGA barcodes."""
    for kind, known in (("patient", "tcga"), ("slide", "tcga_slide")):
        for axis in ("split", "fold"):
            keys = table.select("set", _part(axis), pl.col(kind).alias("name"), pl.col(known).alias("known"))
            counts = keys.drop_nulls("name").group_by("set", "part", "name").agg(pl.len(), pl.col("known").all())
            both = counts.join(counts, on="name", suffix="_b").filter(_two_sides(axis))
            columns = ("set", "part", "set_b", "part_b", "name", "len", "len_b", "known", "known_b")
            for a, part_a, b, part_b, name, count_a, count_b, *barcodes in both.select(columns).iter_rows():
                sure = a == b or all(barcodes)
                detail = "" if sure else "the same name; it may mean another one"
                yield Finding(kind, sure, a, part_a, b, part_b, name, count_a, count_b, detail=detail)


def _part(axis: str) -> pl.Expr:
    """The split of a patch, or its fold in words; "" where there is none."""
    text = pl.col("split") if axis == "split" else "fold " + pl.col("fold").cast(pl.String)
    return text.fill_null("").alias("part")


def _two_sides(axis: str) -> pl.Expr:
    """Different parts of one data set, or (only along the splits) different data sets; each pair once."""
    a, b, part_a, part_b = pl.col("set"), pl.col("set_b"), pl.col("part"), pl.col("part_b")
    within = (a == b) & (part_a < part_b) & (part_a != "")
    return within | (a < b) if axis == "split" else within


def shared_objects(datasets: Sequence[Dataset], table: pl.DataFrame) -> Iterator[Finding]:
    """Objects of one id in several patches: one object that was annotated twice."""
    tables = [one.instances.select(pl.lit(i).alias("set"), "patch_id", "instance_id") for i, one in enumerate(datasets)]
    ids = pl.concat(tables).filter(pl.col("instance_id").is_duplicated()).join(table, on=("set", "patch_id"))
    for axis in ("split", "fold"):
        keys = ids.select("set", _part(axis), "patch_id", "instance_id")
        both = keys.join(keys, on="instance_id", suffix="_b").filter(_two_sides(axis))
        counts = both.group_by("set", "part", "set_b", "part_b").n_unique()
        columns = ("set", "part", "set_b", "part_b", "instance_id", "patch_id", "patch_id_b")
        for a, part_a, b, part_b, objects, patches_a, patches_b in counts.select(columns).iter_rows():
            name = counted(objects, "object")
            yield Finding("object", True, a, part_a, b, part_b, name, patches_a, patches_b, detail="the same ids")  # noqa: FBT003


def known_relations(datasets: Sequence[Dataset], table: pl.DataFrame) -> Iterator[Finding]:
    """What is known of public data sets of these names."""
    for relation, (i, j) in itertools.product(RELATIONS, itertools.permutations(range(len(datasets)), 2)):
        if named(datasets[i].name, relation.first) and named(datasets[j].name, relation.second):
            sides = [_concerned(relation.by, table, i, relation.first_ids)]
            sides.append(_concerned(relation.by, table, j, relation.second_ids))
            common = sides[0].keys() & sides[1].keys()
            (a, count_a), (b, count_b) = sorted(
                (k, sum(s[x] for x in common)) for k, s in zip((i, j), sides, strict=True)
            )
            if common:
                name = f"{relation.first} and {relation.second}"
                yield Finding("relation", True, a, "", b, "", name, count_a, count_b, detail=relation.text)  # noqa: FBT003


def _concerned(by: str, table: pl.DataFrame, at: int, ids: str) -> Counter[str]:
    """What a relation compares, with the number of patches: TCGA patients, images, or all whose ids match."""
    mine = table.filter(pl.col("set") == at)
    if by == "patients":
        return Counter(mine.filter("tcga")["patient"])
    matches = [match for patch_id in mine["patch_id"] if (match := re.match(ids, patch_id))]
    return Counter(match[1] if by == "images" else "" for match in matches)
