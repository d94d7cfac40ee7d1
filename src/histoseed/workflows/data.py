"""``import`` and ``dataset``: other people's annotations in, what a data set holds, honest splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from histoseed.datasets import (
    IMPORTERS,
    Dataset,
    DatasetCard,
    check_totals,
    collect_dataset,
    get_importer,
    import_dataset,
    read_dataset,
    split_dataset,
    tabulate,
)
from histoseed.errors import InputError, OutputError
from histoseed.files import write_bytes
from histoseed.pictures import png_bytes
from histoseed.pictures.dataset_sheet import SheetPatch, dataset_sheet
from histoseed.workflows.dataset_pictures import class_objects, legend_of, sheet_patch, summary_line
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.replacing import check_replaceable

__all__ = [
    "SHEET_PATCHES",
    "card_facts",
    "data_info",
    "data_sheet",
    "import_data",
    "list_importers",
    "split_data",
    "verify_data",
]

SHEET_PATCHES = 24
"""Patches on a contact sheet, unless told otherwise."""


def list_importers() -> list[dict[str, Any]]:
    """What ``import`` reads: ``name``, ``sources``, ``about``, ``options``, ``card``.

    ``sources`` is what to name on the command line. ``card`` holds what is known about a published data set, None for
    layouts that anybody's data may have.
    """
    rows = []
    for name, importer in IMPORTERS.items():
        facts = {"name": name, "sources": importer.usage, "about": importer.about, "options": list(importer.options)}
        rows.append(facts | {"card": None if importer.card is None else card_facts(importer.card)})
    return rows


def card_facts(card: DatasetCard) -> dict[str, Any]:
    """A card as JSON values, in the order of its fields; totals are left to ``dataset verify``."""
    facts = {one.name: getattr(card, one.name) for one in fields(card) if one.name != "totals"}
    facts["schemes"] = {name: list(classes) for name, classes in card.schemes.items()}
    facts["parts"] = dict(card.parts)
    return facts | {"known_problems": list(card.known_problems), "shares": list(card.shares)}


def import_data(
    name: str,
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    progress: Progress | None = None,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Import annotations into the common format and say what came of it.

    Args:
        name: A name of :data:`histoseed.datasets.IMPORTERS`.
        sources: What the importer reads, in its order.
        out: The data-set folder to make; it appears whole or not at all. Interrupted, the same call goes on.
        progress: Told about every patch.
        overwrite: Replace a data set at ``out``.
        **options: Of :func:`histoseed.datasets.import_dataset`; those that are None are left to its own default.

    Returns:
        :meth:`Dataset.describe` of the new data set, and ``import``: the contents of its ``import.json``.

    Raises:
        InputError: no such importer or option, another number of sources.
        OutputError: ``overwrite`` would remove something that is no data set, or a source.
        HistoseedError: what the importer finds wrong; nothing is made then.
    """
    if overwrite:
        check_replaceable(out, sources)
    given = {key: value for key, value in options.items() if value is not None}
    with _told(progress, f"Importing {name}") as on_item:
        data = import_dataset(name, list(sources), out, overwrite=overwrite, on_item=on_item, **given)
    return data.describe() | {"import": json.loads((data.path / "import.json").read_text("utf-8"))}


def verify_data(
    name: str,
    source: Path | str,
    *,
    slides: Path | str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Compare the published numbers of a data set with a copy of it.

    Args:
        name: A name of :data:`histoseed.datasets.IMPORTERS` that has a card.
        source: What was unpacked, or the data set that was imported from it.
        slides: Folder of the slides, where such a data set names whole slides.
        progress: Told about every patch.
        **options: ``part`` and ``scheme``; those that are None are left to their default.

    Returns:
        One row a number: ``what``, ``published``, ``found``, ``equal``, ``source``, ``note``.

    Raises:
        InputError: a layout without a card, or no published numbers for this part.
        HistoseedError: what reading finds wrong.
    """
    card = get_importer(name).card
    if card is None:
        raise InputError(f"{name!r} is a layout, not a data set; nothing is published about it.")
    given = {key: value for key, value in options.items() if value is not None}
    if (Path(source) / "dataset.json").is_file():
        data = read_dataset(source, slides=slides)
        patches, instances = data.patches, data.instances
    else:
        collection = collect_dataset(name, source, **given)
        with _told(progress, f"Counting {name}") as on_item:
            tables = tabulate(collection, on_item=on_item)
        patches, instances = tables.patches, tables.instances
    checked = check_totals(card, given.get("part"), given.get("scheme"), patches, instances)
    if not checked:
        raise InputError("No number is published for this part of the data set.", where=name)
    return [
        {
            "what": one.what,
            "published": one.total.value,
            "found": one.found,
            "equal": one.equal,
            "source": one.total.source,
            "note": one.total.note,
        }
        for one in checked
    ]


@contextmanager
def _told(progress: Progress | None, text: str) -> Iterator[Callable[[int, int], None]]:
    """Tell a progress about patches, whose number is known with the first of them."""
    told, before = progress or Silent(), 0

    def on_item(done: int, total: int) -> None:
        nonlocal before
        if not before:
            told.start(total, "patches", text)
        told.advance(done - before)
        before = done

    yield on_item
    if before:
        told.done()


def data_info(dataset: Dataset | Path | str, *, verify: bool = False) -> dict[str, Any]:
    """Counts, classes, sizes, groups and splits of a data set.

    Args:
        dataset: The data set or its folder.
        verify: Read every file and compare it with the tables and hashes.

    Raises:
        DatasetError: the folder breaks the common format; the message says which row of which file.
    """
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    if verify:
        data.verify()
    return data.describe()


def data_sheet(
    dataset: Dataset | Path | str,
    path: Path,
    *,
    limit: int = SHEET_PATCHES,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write one picture of a data set: patches with their annotations, objects by class and kind, sizes of objects.

    Args:
        dataset: The data set or its folder.
        path: The PNG to write.
        limit: Most patches on it; of a larger data set they are taken at equal steps.
        overwrite: Replace a file that is there.
        progress: Told about every patch.

    Returns:
        How many patches it shows.

    Raises:
        DatasetError: a patch that cannot be read.
        OutputError: ``path`` is there, or does not end in .png.
        InputError: ``limit`` below 1.
    """
    if path.suffix.lower() != ".png":
        raise OutputError("A contact sheet is a PNG.", where=path, fix="Let its name end in .png.")
    if path.exists() and not overwrite:
        raise OutputError("The file is there already.", where=path, fix="Choose another --sheet, or add --overwrite.")
    if limit < 1:
        raise InputError(f"A sheet of {limit} patches.", where="limit", fix="Give at least 1.")
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    told = progress or Silent()
    shown = np.unique(np.linspace(0, len(data) - 1, min(limit, len(data))).round().astype(int)).tolist()
    told.start(len(shown), "patches", "Drawing the contact sheet")

    def patches() -> Iterator[SheetPatch]:
        for at in shown:
            yield sheet_patch(data, at)
            told.advance(1)

    sheet = dataset_sheet(
        patches(),
        class_objects(data),
        count=len(shown),
        title=data.name,
        detail=summary_line(data.describe()),
        total=len(data),
        legend=legend_of(data, shown),
    )
    told.done()
    write_bytes(path, png_bytes(sheet))
    return len(shown)


def split_data(
    dataset: Path | str,
    *,
    by: str = "patient",
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    fallback: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Divide a data set into train, val and test, no patient, slide or object on two sides; see :func:`split_dataset`.

    Returns:
        ``by``, ``fractions``, ``seed``; ``splits``: patches and objects of each; ``units``: one row a unit.

    Raises:
        InputError: no such column, or fractions that are not shares.
        DatasetError: a split is there already, patches without a value, fewer units than splits.
    """
    data = read_dataset(dataset)
    units = split_dataset(data, by=by, fractions=fractions, seed=seed, fallback=fallback, overwrite=overwrite)
    rows: list[dict[str, Any]] = units.to_dicts()
    splits = {
        name: {"units": len(mine), "patches": _sum(mine, "patches"), "objects": _sum(mine, "objects")}
        for name in dict.fromkeys(row["split"] for row in rows)
        if (mine := [row for row in rows if row["split"] == name])
    }
    return {
        "path": str(dataset),
        "by": by,
        "fractions": list(fractions),
        "seed": seed,
        "fallback": fallback,
        "splits": splits,
        "units": rows,
    }


def _sum(rows: Sequence[dict[str, Any]], key: str) -> int:
    return sum(int(row[key]) for row in rows)
