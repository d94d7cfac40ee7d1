"""The last steps of every writer: files of a patch, losses by overlap, the two tables and ``dataset.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from histoseed.datasets.encoding import EncodedPatch
from histoseed.datasets.info import DatasetInfo, named_classes
from histoseed.datasets.schema import PATCH_SCHEMA
from histoseed.errors import DatasetError
from histoseed.files import write_json
from histoseed.wording import counted

__all__ = ["Losses", "class_names", "final_info", "write_files", "write_tables"]


@dataclass(slots=True)
class Losses:
    """What flattening overlapping outlines has cost so far.

    Args:
        pixels: Pixels hidden by other outlines.
        objects: Outlines without a pixel of their own.
        patches: Patches with any loss.
        colors: Class name -> "#rrggbb" as the sources state them.
    """

    pixels: int = 0
    objects: int = 0
    patches: int = 0
    colors: dict[str, str] = field(default_factory=dict)

    def add(self, patch: EncodedPatch) -> None:
        """Take over what one patch cost."""
        self.pixels += patch.pixels_lost
        self.objects += patch.objects_lost
        self.patches += bool(patch.pixels_lost or patch.objects_lost)
        self.colors |= patch.colors

    def sentences(self) -> list[str]:
        """For ``known_problems``; empty where nothing was lost."""
        if not self.patches:
            return []
        hidden = f"{counted(self.pixels, 'pixel')} and {counted(self.objects, 'whole object')}"
        text = (
            f"Overlapping outlines were flattened into label images: {hidden} of {counted(self.patches, 'patch')} are "
            "hidden there; outlines that the source gives as polygons are kept in instances.parquet."
        )
        return [text]


def class_names(rows: pl.DataFrame) -> set[str]:
    """Class names in use in the layer *nucleus*."""
    return set(rows.filter(pl.col("layer") == "nucleus")["class_name"].drop_nulls().unique().to_list())


def final_info(
    info: DatasetInfo, used: Iterable[str], losses: Losses, problems: Sequence[str], notes: Sequence[str]
) -> DatasetInfo:
    """The contents of ``dataset.json`` once every patch is written.

    Args:
        info: What was said at the beginning.
        used: Class names in use; those that ``info`` does not list are appended, sorted.
        losses: What overlap cost.
        problems: Further sentences for ``known_problems``.
        notes: Further sentences for ``notes``.
    """
    listed = {c.name: c.color for c in info.classes}
    new = sorted(set(used) - listed.keys())
    return replace(
        info,
        classes=named_classes([*listed, *new], {**losses.colors, **listed}),
        known_problems=(*info.known_problems, *problems, *losses.sentences()),
        notes=(*info.notes, *notes),
    )


def write_files(stage: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of one patch below the folder of the data set."""
    for name, data in files.items():
        path = stage / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def write_tables(stage: Path, info: DatasetInfo, patches: Sequence[Mapping[str, Any]]) -> None:
    """Write ``patches.parquet`` and ``dataset.json``; ``instances.parquet`` is there already.

    Raises:
        DatasetError: there is no patch.
    """
    if not patches:
        raise DatasetError("The data set has no patch.", where=stage)
    (stage / "images").mkdir(exist_ok=True)
    pl.DataFrame(list(patches), schema=dict(PATCH_SCHEMA)).write_parquet(stage / "patches.parquet")
    write_json(stage / "dataset.json", info.to_json())
