"""The published folds of NuCLS and PanopTILs: ``train_test_splits/fold_<1..5>_test.csv``, made by hospital.

::

    ,slide_name,hospital,type,fold
    0,TCGA-BH-A0BL-DX1,BH,test,1

A fold is the set of slides that are tested in it. ``fold_999_*`` is a switch for trying things out and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from histoseed.datasets.barcodes import tcga
from histoseed.datasets.importers.nucls_csv import read_table
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["read_folds", "slide_key"]

_FILE = re.compile(r"fold_([1-9])_test\.csv")


def slide_key(name: str) -> str:
    """A name by which a slide is the same with its whole and with its shortened barcode.

    >>> slide_key("TCGA-A1-A0SP-DX1") == slide_key("TCGA-A1-A0SP-01Z-00-DX1")
    True
    """
    barcode = tcga(name)
    return name if barcode is None else f"{barcode.patient}-{barcode.section}"


def read_folds(root: Path, settings: Settings) -> Mapping[str, int]:
    """Slide (as :func:`slide_key` writes it) -> number of the fold that tests it; empty without published folds.

    Args:
        root: The folder with ``train_test_splits/``.
        settings: Limits.

    Raises:
        DatasetError: a table without ``slide_name``, or a slide that two folds test.
    """
    folder = root / "train_test_splits"
    folds: dict[str, int] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        number = int(match.group(1))
        for name in read_table(path, settings).column("slide_name"):
            key = slide_key(name.strip())
            if folds.setdefault(key, number) != number:
                what = f"The slide {name.strip()} is tested in fold {folds[key]} and in fold {number}."
                raise DatasetError(what, where=path, fix="Restore the published tables.")
    return folds
