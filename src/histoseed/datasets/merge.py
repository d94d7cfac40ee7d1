"""Several data sets in one: classes by a map, patients and files kept, licences and problems said together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from histoseed._version import __version__
from histoseed.datasets.barcodes import tcga
from histoseed.datasets.dataset import Dataset, read_dataset
from histoseed.datasets.info import ClassInfo, DatasetInfo, named_classes
from histoseed.datasets.mappings import ClassMap, Resolved, map_remarks, resolve
from histoseed.datasets.merge_patch import Merged, Source, merged_patch
from histoseed.datasets.paths import check_patch_id
from histoseed.datasets.schema import INSTANCE_SCHEMA, PATCH_SCHEMA
from histoseed.errors import DatasetError, InputError
from histoseed.files import sha256_of, staged_folder, write_json
from histoseed.licences import combined_licence
from histoseed.settings import Settings
from histoseed.wording import agreed, counted, some

__all__ = ["merge_datasets"]


def merge_datasets(
    datasets: Sequence[Dataset],
    out: Path | str,
    *,
    class_map: ClassMap | None = None,
    name: str | None = None,
    overwrite: bool = False,
    on_patch: Callable[[], object] | None = None,
    settings: Settings | None = None,
) -> Dataset:
    """Put data sets together; nothing but classes, clashing ids and groups changes.

    Files are copied byte by byte, their hashes checked on the way. A mask is only written anew where the map takes a
    class out of it ("drop", "ignore"), a region map where its numbers change. Object ids stay as they are. Ids of
    patches that two data sets have get the name of their data set before them. A TCGA patient is one group wherever
    its barcode stands; other equal names of two data sets are taken to mean the same and are reported.

    Args:
        datasets: Two data sets or more.
        out: The data-set folder to make; it appears whole or not at all.
        class_map: What becomes of the classes; None: they keep their names.
        name: Name of the new data set; the name of ``out`` when left out.
        overwrite: Replace what stands at ``out``.
        on_patch: Called after every patch.
        settings: Limits; read from the environment when left out.

    Raises:
        InputError: fewer than two data sets, or one twice.
        DatasetError: classes that the map does not name, a file that was changed, slides that clash.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    if len(datasets) < 2:
        raise InputError("A merge needs two data sets at least.")
    if len({one.path.resolve() for one in datasets}) != len(datasets):
        raise InputError("One data set is given twice.", fix="Name each data set once.")
    infos = [one.info for one in datasets]
    resolved = resolve(class_map, infos)
    sources = _sources(datasets, resolved)
    table, notes, problems = _patches(sources)
    notes += map_remarks(class_map, infos, resolved)
    dropped, ignored = Counter[str](), Counter[str]()
    rows: list[dict[str, Any]] = []
    objects = [pl.DataFrame(schema=dict(INSTANCE_SCHEMA))]
    with staged_folder(Path(out), overwrite=overwrite) as stage:
        for number, new_id, row in zip(table["_set"], table["_new_id"], _old_rows(sources), strict=True):
            made = merged_patch(sources[number], row, new_id, stage)
            _count(made, sources[number].title, dropped, ignored)
            rows.append(dict(made.row))
            objects.append(made.objects)
            if on_patch is not None:
                on_patch()
        columns = pl.DataFrame(rows, schema={key: PATCH_SCHEMA[key] for key in rows[0]})
        patches = table.drop("_set", "_new_id").with_columns(columns)
        patches.write_parquet(stage / "patches.parquet")
        pl.concat(objects, how="diagonal").write_parquet(stage / "instances.parquet", compression="zstd")
        info = _info(sources, name or Path(out).resolve().name, notes, [*_losses(dropped, ignored), *problems])
        write_json(stage / "dataset.json", info.to_json())
        write_json(stage / "merge.json", _record(sources, class_map, table))
    return read_dataset(out, slides=next((s for one in datasets if (s := one.slides)), None), settings=settings)


def _count(made: Merged, title: str, dropped: Counter[str], ignored: Counter[str]) -> None:
    dropped[title] += made.dropped
    ignored[title] += made.ignored


def _sources(datasets: Sequence[Dataset], resolved: Sequence[Resolved]) -> list[Source]:
    """The data sets with their names, no two alike, and the classes that all have in the end."""
    used: Counter[str] = Counter()
    titles = []
    for one in datasets:
        used[one.name] += 1
        titles.append(one.name if used[one.name] == 1 else f"{one.name} {used[one.name]}")
    places = [
        {name: k for k, name in enumerate(dict.fromkeys(name for names in part for name in names))}
        for part in ([one.names() for one in resolved], [one.region_names() for one in resolved])
    ]
    if len(places[1]) > 255:
        raise DatasetError(f"There are {len(places[1])} region classes; a region map holds 255.", fix="Join some.")
    values = {name: k + 1 for name, k in places[1].items()}
    return [
        Source(one, title, classes, places[0], values)
        for one, title, classes in zip(datasets, titles, resolved, strict=True)
    ]


def _old_rows(sources: Sequence[Source]) -> Iterable[dict[str, Any]]:
    return (row for one in sources for row in one.dataset.patches.iter_rows(named=True))


def _patches(sources: Sequence[Source]) -> tuple[pl.DataFrame, list[str], list[str]]:
    """All patches with their new ids and groups, notes about what changed, problems that were found."""
    tables = [one.dataset.patches.with_columns(pl.lit(i).alias("_set")) for i, one in enumerate(sources)]
    table = pl.concat(tables, how="diagonal_relaxed")
    new_ids, notes = _new_ids(table, [one.title for one in sources])
    table = table.with_columns(pl.Series("_new_id", new_ids))
    codes = [
        next((code for text in texts if text is not None and (code := tcga(text)) is not None), None)
        for texts in table.select("slide", "patient", "patch_id").iter_rows()
    ]
    barcode = pl.Series("barcode", [None if code is None else code.patient for code in codes], dtype=pl.String)
    group = pl.col("group")
    finer = group.is_null() | group.eq_missing(pl.col("patient")) | group.eq_missing(pl.col("slide"))
    grouped = table.with_columns(
        pl.coalesce("patient", barcode).alias("patient"),
        pl.when(barcode.is_not_null() & finer).then(barcode).otherwise(group).alias("group"),
    )
    changed = int((grouped["group"].ne_missing(table["group"])).sum())
    if changed:
        text = "{count} {patch is|patches are} grouped by the patient of {its|their} TCGA barcode."
        notes.append(agreed(text, changed))
    return grouped, notes, [*_coincidences(grouped, sources), *_twice(grouped)]


def _new_ids(table: pl.DataFrame, titles: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids that no two patches share; those that clashed begin with the name of their data set."""
    folded = table["patch_id"].str.to_lowercase()
    clash = folded.is_in(folded.filter(folded.is_duplicated()).implode())
    prefixes = [re.sub(r"[^\w.-]+", "-", title) for title in titles]
    ids = [
        f"{prefixes[number]}_{name}" if clashes else name
        for name, number, clashes in zip(table["patch_id"], table["_set"], clash, strict=True)
    ]
    taken = Counter(one.casefold() for one in ids)
    for one in ids:
        check_patch_id(one)
        if taken[one.casefold()] > 1:
            what = f"Two patches would get the id {one!r}."
            raise DatasetError(what, fix="Rename one of the data sets (name in its dataset.json).")
    count = int(clash.sum())
    text = "{count} patches got the name of their data set before their id."  # there is never one alone
    return ids, [agreed(text, count)] if count else []


def _coincidences(table: pl.DataFrame, sources: Sequence[Source]) -> list[str]:
    """Names without a barcode that several data sets use: whether they mean the same, nobody can tell."""
    found = []
    for column in ("patient", "slide", "group"):
        sets = table.drop_nulls(column).group_by(column).agg(pl.col("_set").n_unique()).filter(pl.col("_set") > 1)
        names = sorted(name for name in sets[column] if tcga(name) is None)
        if names:
            used = table.filter(pl.col(column).is_in(pl.Series(names).implode()))["_set"].unique().sort()
            among = " and ".join(sources[k].title for k in used)
            text = (
                f"The {{{column}|{column}s}} {some(names)} {{stands|stand}} in {among} and {{is|are}} taken to be the "
                "same; if {it is|they are} not, splits are only coarser than needed."
            )
            found.append(agreed(text, len(names)))
    return found


def _twice(table: pl.DataFrame) -> list[str]:
    """Equal pictures, and groups on both sides of the splits that the data sets brought."""
    same = table.drop_nulls("sha256").group_by("sha256").agg(pl.col("_set").n_unique()).filter(pl.col("_set") > 1)
    found = []
    if same.height:
        found.append(
            f"{agreed('{count} {picture stands|pictures stand}', same.height)} in several of the data sets; "
            "`histoseed dataset leakage` names them."
        )
    splits = table.drop_nulls(["group", "split"]).group_by("group").agg(pl.col("split").n_unique())
    torn = sorted(splits.filter(pl.col("split") > 1)["group"])
    if torn:
        found.append(
            f"{agreed('{count} {group stands|groups stand}', len(torn))} in several splits ({some(torn)}); "
            "`histoseed dataset split` mends that."
        )
    return found


def _losses(dropped: Counter[str], ignored: Counter[str]) -> list[str]:
    """What the map took away."""

    def said(title: str, count: int, does: str, becomes: str) -> str:
        return f"{title}: {counted(count, 'object')} of classes that the map {does} became {becomes}."

    lost = [said(title, n, "drops", "background") for title, n in dropped.items() if n]
    return lost + [said(title, n, "ignores", "ignore area") for title, n in ignored.items() if n]


def _info(sources: Sequence[Source], name: str, remarks: Sequence[str], problems: Sequence[str]) -> DatasetInfo:
    """What ``dataset.json`` says."""
    infos = [one.dataset.info for one in sources]
    titles = [one.title for one in sources]

    def each(field: str) -> tuple[str, ...]:
        pairs = zip(titles, infos, strict=True)
        return tuple(dict.fromkeys(f"{title}: {text}" for title, info in pairs for text in getattr(info, field)))

    stains = dict.fromkeys(info.stain for info in infos)
    listed = [
        f"{title} (version {info.version}, {counted(len(one.dataset), 'patch')})"
        for title, info, one in zip(titles, infos, sources, strict=True)
    ]
    return DatasetInfo(
        name=name,
        classes=_classes(sources[0].columns, [info.classes for info in infos]),
        region_classes=_classes(sources[0].region_values, [info.region_classes for info in infos]),
        stain="; ".join(stain or "not stated" for stain in stains) if any(stains) else None,
        licence=combined_licence([(title, info.licence) for title, info in zip(titles, infos, strict=True)]),
        citation=" ".join(dict.fromkeys(info.citation for info in infos if info.citation)) or None,
        known_problems=(*each("known_problems"), *problems),
        leakage_notes=each("leakage_notes"),
        notes=(f"Merged from {', '.join(listed)}.", *_mapping_notes(sources), *remarks, *each("notes")),
    )


def _classes(names: Iterable[str], given: Sequence[Sequence[ClassInfo]]) -> tuple[ClassInfo, ...]:
    """Classes in the colours that the first data set to name them gives them, unless another class has that colour."""
    wanted = list(names)
    colors: dict[str, str] = {}
    for one in (one for classes in given for one in classes if one.name in wanted):
        if one.color.lower() not in {color.lower() for color in colors.values()}:
            colors.setdefault(one.name, one.color)
    return named_classes(wanted, colors)


def _mapping_notes(sources: Sequence[Source]) -> list[str]:
    """Which classes changed, one sentence a data set."""
    notes = []
    for one in sources:
        rest = {"unclassified": one.classes.unclassified}
        for kind, table in (("Classes", rest | dict(one.classes.objects)), ("Region classes", one.classes.regions)):
            changed = [f"{old} -> {t.name or t.fate}" for old, t in table.items() if (t.name or t.fate) != old]
            if changed:
                notes.append(f"{kind} of {one.title}: {', '.join(changed)}.")
    return notes


def _record(sources: Sequence[Source], class_map: ClassMap | None, table: pl.DataFrame) -> dict[str, Any]:
    """The contents of ``merge.json``: from what, by which map, under which ids."""
    new = table.filter(pl.col("patch_id") != pl.col("_new_id"))
    titles = [one.title for one in sources]
    return {
        "histoseed": __version__,
        "sources": [
            {
                "name": one.title,
                "version": one.dataset.info.version,
                "patches": len(one.dataset),
                "objects": one.dataset.instances.height,
                "sha256": {
                    file: sha256_of(one.dataset.path / file)
                    for file in ("dataset.json", "patches.parquet", "instances.parquet")
                },
                "classes": {old: list(target) for old, target in one.classes.objects.items()},
                "unclassified": list(one.classes.unclassified),
                "region_classes": {old: list(target) for old, target in one.classes.regions.items()},
            }
            for one in sources
        ],
        "map": None if class_map is None else Path(class_map.name).name,
        "renamed": [
            {"data set": titles[number], "patch": old, "now": now}
            for number, old, now in new.select("_set", "patch_id", "_new_id").iter_rows()
        ],
    }
