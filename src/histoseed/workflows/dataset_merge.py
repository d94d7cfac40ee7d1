"""``dataset merge``: several data sets in one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from histoseed.datasets import read_dataset
from histoseed.datasets.mappings import class_maps, losses_of, read_class_map
from histoseed.datasets.merge import merge_datasets
from histoseed.licences import commercial_use, most_restrictive
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.replacing import check_replaceable

__all__ = ["list_class_maps", "merge_data"]


def list_class_maps() -> list[dict[str, Any]]:
    """The ready class maps: ``name``, ``about``, ``datasets``, ``classes`` (targets), ``origin``, ``lossy``."""
    return [
        {
            "name": name,
            "about": one.about,
            "datasets": list(one.objects),
            "classes": list(dict.fromkeys(target for table in one.objects.values() for target in table.values())),
            "origin": list(one.origin),
            "lossy": list(one.lossy),
        }
        for name, one in class_maps().items()
    ]


def merge_data(
    datasets: Sequence[Path | str],
    out: Path | str,
    *,
    class_map: Path | str | None = None,
    name: str | None = None,
    slides: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Put data sets together; see :func:`histoseed.datasets.merge.merge_datasets`.

    Args:
        datasets: Folders of data sets, two or more.
        out: The data-set folder to make; it appears whole or not at all.
        class_map: A map file, or the name of a ready map; None: classes keep their names.
        name: Name of the new data set; the name of ``out`` when left out.
        slides: Folder of whole slides that rows name and that lie in no data set.
        overwrite: Replace a data set at ``out``.
        progress: Told about every patch.

    Returns:
        :meth:`Dataset.describe` of the new data set, ``commercial_use`` ("yes", "no", "unknown": the most restrictive
        of all), ``map`` and what it loses of these data sets (``lossy``).

    Raises:
        InputError: no such map, fewer than two data sets.
        DatasetError: classes that the map does not name (all are listed), a damaged file.
        OutputError: ``out`` is not empty, or ``overwrite`` would remove something else than a data set.
    """
    if overwrite:
        check_replaceable(out, datasets)
    chosen = None if class_map is None else read_class_map(class_map)
    told = progress or Silent()
    sets = [read_dataset(path, slides=slides) for path in datasets]
    told.start(sum(map(len, sets)), "patches", "Merging")
    made = merge_datasets(
        sets, out, class_map=chosen, name=name, overwrite=overwrite, on_patch=partial(told.advance, 1)
    )
    told.done()
    return made.describe() | {
        "commercial_use": most_restrictive([commercial_use(one.info.licence) for one in sets]),
        "map": None if chosen is None else chosen.name,
        "lossy": [] if chosen is None else losses_of(chosen, [one.info for one in sets]),
    }
