"""Take in a collection: read its items in parallel, bring them to one resolution, write the data set, resume.

The result does not depend on the number of threads or on interruptions: patches stand in the order of the collection,
and ids follow from names. Threads suffice because decoding, encoding and array work release the interpreter.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from histoseed._version import __version__
from histoseed.datasets.content import Remark
from histoseed.datasets.dataset import Dataset, read_dataset
from histoseed.datasets.encoding import EncodedPatch, check_classes, encode_patch
from histoseed.datasets.finishing import Losses, class_names, final_info, write_files, write_tables
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.remarks import Remarks
from histoseed.datasets.intake.report import import_report
from histoseed.datasets.intake.rescale import at_resolution
from histoseed.datasets.intake.stage import Stage, open_stage
from histoseed.datasets.paths import check_patch_id
from histoseed.datasets.schema import INSTANCE_SCHEMA, PATCH_SCHEMA
from histoseed.errors import DatasetError, InputError
from histoseed.files import write_json
from histoseed.geometry import MPP_RANGE, known_mpp
from histoseed.settings import Settings, read_settings

__all__ = ["OnItem", "Tables", "tabulate", "take_in"]

OnItem = Callable[[int, int], None]
"""Called with the number of patches done and their total, from the thread that called."""

_UNIT = 16
"""Patches a unit: what an interruption costs at most, for each thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What stays the same from patch to patch."""

    collection: Collection
    mpp: float | None
    source_mpp: float | None
    settings: Settings
    assume: bool = True
    pixels: bool = True

    def encode(self, item: Item) -> tuple[EncodedPatch, list[Remark]]:
        """Read one patch, bring it to the resolution, encode it."""
        info, where = self.collection.info, f"patch {item.patch_id!r}"
        content, facts = at_resolution(
            item.read(),
            item.facts,
            mpp=self.mpp,
            source_mpp=self.source_mpp,
            assume=self.assume,
            settings=self.settings,
            where=where,
        )
        made = encode_patch(item.patch_id, content, facts, info, self.settings, pixels=self.pixels)
        if not self.collection.open_classes:
            check_classes(made.objects, {c.name for c in info.classes}, where)
        return made, list(content.remarks)


def take_in(
    collection: Collection,
    out: Path | str,
    *,
    importer: str,
    options: Mapping[str, Any] | None = None,
    source: Path | None = None,
    mpp: float | None = None,
    source_mpp: float | None = None,
    assume_mpp: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    settings: Settings | None = None,
    on_item: OnItem | None = None,
) -> Dataset:
    """Make a data set of a collection.

    Args:
        collection: What an importer found.
        out: The data-set folder to make; it appears whole or not at all. Interrupted, the same call goes on.
        importer: Name of the importer, for ``import.json``.
        options: Its options, for ``import.json``; an import with others is another import.
        source: Folder that slides are named relative to, if the collection leaves images in their slides.
        mpp: Microns per pixel of all patches: what states another is resampled, what states none is taken as given.
        source_mpp: Microns per pixel of the source, instead of what it states.
        assume_mpp: Take ``mpp`` as given where the source states none; else that is an error.
        overwrite: Replace what stands at ``out``.
        workers: Threads; None takes one a processor, at most eight.
        settings: Limits; read from the environment when left out.
        on_item: Told about every patch.

    Raises:
        InputError: a resolution that is not believable, no item, a patch id twice.
        HistoseedError: what reading an item finds wrong; ``out`` is not made then.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    for name, value in (("--mpp", mpp), ("--source-mpp", source_mpp)):
        if value is not None and known_mpp(value) is None:
            raise InputError(f"{value} microns per pixel is outside {MPP_RANGE[0]} to {MPP_RANGE[1]}.", where=name)
    limits = read_settings() if settings is None else settings
    _check_items(collection)
    work = _Work(collection=collection, mpp=mpp, source_mpp=source_mpp, assume=assume_mpp, settings=limits)
    chosen = {"importer": importer, "options": dict(options or {}), "mpp": mpp, "source_mpp": source_mpp}
    identity = {"histoseed": __version__, **chosen, "info": collection.info.to_json()}
    units = [collection.items[i : i + _UNIT] for i in range(0, len(collection.items), _UNIT)]
    with open_stage(Path(out), identity, overwrite=overwrite) as stage:
        left = _run_units(work, units, stage, workers, on_item)
        _assemble(stage, collection, left, chosen)
    return read_dataset(out, slides=source, settings=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a collection would become, without its pixels.

    Args:
        patches: Columns of ``patches.parquet``.
        instances: Columns of ``instances.parquet``.
        losses: What overlap costs.
        remarks: Sentences about everything remarkable.
    """

    patches: pl.DataFrame
    instances: pl.DataFrame
    losses: Losses
    remarks: Sequence[str]


def tabulate(
    collection: Collection,
    *,
    workers: int | None = None,
    settings: Settings | None = None,
    on_item: OnItem | None = None,
) -> Tables:
    """Read every item and keep its rows only; nothing is written.

    Raises:
        HistoseedError: what reading an item finds wrong.
    """
    limits = read_settings() if settings is None else settings
    _check_items(collection)
    work = _Work(collection=collection, mpp=None, source_mpp=None, settings=limits, pixels=False)
    said, losses = _Said(collection), Losses()
    rows: list[dict[str, Any]] = []
    tables = [pl.DataFrame(schema=dict(INSTANCE_SCHEMA))]
    for done, (item, (made, remarks)) in enumerate(_in_order(work.encode, collection.items, workers), start=1):
        rows.append(made.row)
        tables.append(made.objects)
        losses.add(made)
        for remark in remarks:
            said.add(item.patch_id, remark)
        if on_item is not None:
            on_item(done, len(collection.items))
    return Tables(
        patches=pl.DataFrame(rows, schema=dict(PATCH_SCHEMA)),
        instances=pl.concat(tables),
        losses=losses,
        remarks=said.all(),
    )


class _Said:
    """Remarks about files and about patches, problems and notes apart."""

    def __init__(self, collection: Collection) -> None:
        self._about = {(kind, noun): Remarks(noun) for kind in ("problem", "note") for noun in ("file", "image")}
        for name, remark in collection.remarks:
            self._about[remark.kind, "file"].add(remark.text, name, remark.count)

    def add(self, patch_id: str, remark: Remark) -> None:
        """Remember a remark about a patch."""
        self._about[remark.kind, "image"].add(remark.text, patch_id, remark.count)

    def sentences(self, kind: str) -> list[str]:
        """Those of a kind, "problem" or "note"; about files first."""
        return [*self._about[kind, "file"].sentences(), *self._about[kind, "image"].sentences()]

    def all(self) -> list[str]:
        """Problems, then notes."""
        return [*self.sentences("problem"), *self.sentences("note")]


def _check_items(collection: Collection) -> None:
    if not collection.items:
        raise DatasetError("There is nothing to import.", where=collection.info.name)
    seen: set[str] = set()
    for item in collection.items:
        check_patch_id(item.patch_id)
        if item.patch_id.casefold() in seen:
            what = f"Two images would become the patch {item.patch_id!r} (upper and lower case count as equal)."
            raise DatasetError(what, fix="Rename one of them.")
        seen.add(item.patch_id.casefold())


def _in_order(function: Callable[[Any], Any], items: Sequence[Any], workers: int | None) -> Iterator[tuple[Any, Any]]:
    """Each item with the function's value, in order, a few ahead in threads. An error or Ctrl-C drops what waits."""
    count = workers or min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(count, thread_name_prefix="import") as pool:
        waiting: list[tuple[Any, Future[Any]]] = []
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) >= 2 * count:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            for item, future in waiting:
                yield item, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _key(unit: Sequence[Item]) -> str:
    """What the result of a unit depends on: ids, facts, and name, size and time of its files."""
    facts = [(item.patch_id, dict(item.facts), [(path.name, *_stamp(path)) for path in item.files]) for item in unit]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return (0, 0)
    return (state.st_size, state.st_mtime_ns)


def _run_units(
    work: _Work, units: Sequence[Sequence[Item]], stage: Stage, workers: int | None, on_item: OnItem | None
) -> list[dict[str, Any]]:
    """Do every unit that is not done yet; what each left, in order."""
    total = sum(len(unit) for unit in units)
    left: dict[int, dict[str, Any]] = {}
    keys = [_key(unit) for unit in units]
    if stage.resumed:
        left = {i: found for i, key in enumerate(keys) if (found := stage.finished(i, key)) is not None}
    done = sum(len(units[i]) for i in left)
    if on_item is not None and done:
        on_item(done, total)
    open_units = [i for i in range(len(units)) if i not in left]
    count = workers or min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(count, thread_name_prefix="import") as pool:
        running: dict[Future[dict[str, Any]], int] = {}
        try:
            while open_units or running:
                while open_units and len(running) < count:
                    unit = open_units.pop(0)
                    running[pool.submit(_run_unit, work, units[unit], stage, unit, keys[unit])] = unit
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    unit = running.pop(future)
                    left[unit] = future.result()
                    done += len(units[unit])
                    if on_item is not None:
                        on_item(done, total)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return [left[i] for i in range(len(units))]


def _run_unit(work: _Work, unit: Sequence[Item], stage: Stage, number: int, key: str) -> dict[str, Any]:
    """Read and write the patches of one unit."""
    rows: list[dict[str, Any]] = []
    remarks: list[list[Any]] = []
    files: dict[str, str] = {}
    losses, used = Losses(), set[str]()
    tables = [pl.DataFrame(schema=dict(INSTANCE_SCHEMA))]
    for item in unit:
        made, said = work.encode(item)
        write_files(stage.folder, made.files)
        rows.append(made.row)
        files |= {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()}
        remarks += [[item.patch_id, remark.text, remark.count, remark.kind] for remark in said]
        losses.add(made)
        used |= class_names(made.objects)
        tables.append(made.objects)
    left = {
        "key": key,
        "rows": rows,
        "files": files,
        "remarks": remarks,
        "losses": [losses.pixels, losses.objects, losses.patches],
        "colors": losses.colors,
        "classes": sorted(used),
    }
    stage.finish(number, left, pl.concat(tables))
    return left


def _assemble(
    stage: Stage, collection: Collection, left: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]
) -> None:
    """The units in order become the tables of the data set."""
    said, losses = _Said(collection), Losses()
    for unit in left:
        for name, *remark in unit["remarks"]:
            said.add(name, Remark(*remark))
        losses.pixels += unit["losses"][0]
        losses.objects += unit["losses"][1]
        losses.patches += unit["losses"][2]
        losses.colors |= unit["colors"]
    patches = [row for unit in left for row in unit["rows"]]
    used = {name for unit in left for name in unit["classes"]}
    info = final_info(collection.info, used, losses, said.sentences("problem"), said.sentences("note"))
    _join_tables([stage.objects(i) for i in range(len(left))], stage.folder / "instances.parquet")
    write_tables(stage.folder, info, patches)
    instances = pl.read_parquet(stage.folder / "instances.parquet")
    frame = pl.DataFrame(patches, schema=dict(PATCH_SCHEMA))
    report = import_report(frame, instances, info, losses, said.all())
    write_json(stage.folder / "import.json", {"histoseed": __version__, **chosen, **report})


def _join_tables(parts: Sequence[Path], out: Path) -> None:
    """One table after the other; row groups of about 50,000 rows, never all in memory."""
    writer: Any = None
    held: list[pl.DataFrame] = []
    try:
        for number, part in enumerate(parts):
            held.append(pl.read_parquet(part))
            if sum(frame.height for frame in held) < 50_000 and number + 1 < len(parts):
                continue
            table = pl.concat(held).to_arrow(compat_level=pl.CompatLevel.oldest())
            held = []
            writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
