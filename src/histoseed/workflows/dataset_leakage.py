"""``dataset leakage``: patients, slides and pictures that data sets share, and the splits of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoseed.datasets import read_dataset
from histoseed.datasets.leakage import find_leakage, look_at
from histoseed.errors import OutputError
from histoseed.files import write_text
from histoseed.workflows.progress import Progress, Silent

__all__ = ["leakage_data"]


def leakage_data(
    datasets: Sequence[Path | str],
    *,
    images: bool = True,
    overlaps: bool = True,
    distance: int = 7,
    similarity: float = 0.95,
    csv: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Look for what data sets share; see :func:`histoseed.datasets.leakage.find_leakage`.

    Args:
        datasets: Folders of data sets, one or more.
        images: Whether to compare pictures, and not only names.
        overlaps: Whether to look for crops that share pixels, too.
        distance: Bits of 63 by which hashes of near-identical pictures may differ, 0 to 11.
        similarity: Least correlation of the thumbnails of near-identical pictures.
        csv: File for the table of everything found.
        overwrite: Replace ``csv``.
        progress: Told about every picture.

    Returns:
        ``datasets``: name, path, patches and leakage notes of each; ``summary``: one row a kind and pair of parts;
        ``findings``: one row a shared thing; ``notes``; ``found``: whether anything is surely shared.

    Raises:
        InputError: no data set, one twice, a threshold out of range.
        DatasetError: a data set that cannot be read.
        OutputError: ``csv`` is there.
    """
    if csv is not None and csv.exists() and not overwrite:
        raise OutputError("The file is there already.", where=csv, fix="Choose another --csv, or add --overwrite.")
    told = progress or Silent()
    sets = [read_dataset(path) for path in datasets]
    pictures = None
    if images:
        pictures = []
        for one in sets:
            told.start(len(one), "patches", f"Looking at {one.name}")
            pictures.append(look_at(one, overlaps=overlaps, on_patches=told.advance))
            told.done()
    leakage = find_leakage(sets, pictures, distance=distance, similarity=similarity)
    if csv is not None:
        write_text(csv, leakage.findings.write_csv())
    return {
        "datasets": [
            {
                "name": one.name,
                "path": str(one.path),
                "patches": len(one),
                "leakage_notes": list(one.info.leakage_notes),
            }
            for one in sets
        ],
        "found": leakage.found,
        "summary": leakage.summary().to_dicts(),
        "findings": leakage.findings.to_dicts(),
        "notes": list(leakage.notes),
    }
