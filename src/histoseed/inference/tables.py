"""``nuclei.parquet``: the object table of a slide, in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.annotations import Instances, instances_from_frame, instances_to_frame
from histoseed.errors import AnnotationError
from histoseed.files import atomic_path

__all__ = ["NucleiTable", "Part", "read_nuclei"]

ROWS = 20_000
"""A part is closed once it has this many rows."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the table.

    Args:
        path: Its file.
        top: Least y of its objects, level-0 pixels.
        bottom: Greatest y of its objects, level-0 pixels.
    """

    path: Path
    top: float
    bottom: float

    def outlines(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
        """Labels and outlines of the objects."""
        frame = pl.read_parquet(self.path, columns=["label", "geometry"])
        shapes = np.asarray(shapely.from_wkb(frame["geometry"].to_list()), dtype=object)
        return frame["label"].to_numpy().astype(np.int64), shapes


class NucleiTable:
    """Writes the table as objects come, in the order they come.

    Columns: those of :data:`histoseed.annotations.FRAME_SCHEMA`, ``label`` (1, 2, ... in the order of the rows: the
    value in ``labels.tif``), ``area_um2``, and ``Probability: <class>`` for each class.

    Args:
        folder: Takes ``part-00000.parquet`` and so on.
        mpp: Microns per level-0 pixel.
        classes: Names of the classes.
    """

    def __init__(self, folder: Path, mpp: float, classes: list[str]) -> None:
        self.folder = folder
        self.parts: list[Part] = []
        self.count = 0
        self._mpp = mpp
        self._classes = classes
        self._held: list[pl.DataFrame] = []

    def write(self, instances: Instances) -> None:
        """Append objects."""
        if not len(instances):
            return
        self._held.append(self._frame(instances))
        self.count += len(instances)
        if sum(frame.height for frame in self._held) >= ROWS:
            self._flush()

    def finish(self) -> None:
        """Write what is left; a slide without objects has one part without rows."""
        if not self.parts and not self._held:
            self._held.append(self._frame(Instances.empty()))
        if self._held:
            self._flush()

    def _frame(self, instances: Instances) -> pl.DataFrame:
        first = self.count + 1
        extra = [
            pl.Series("label", np.arange(first, first + len(instances)), dtype=pl.UInt32),
            pl.Series("area_um2", shapely.area(instances.geometry) * self._mpp**2, dtype=pl.Float64),
        ]
        for name in (f"Probability: {name}" for name in self._classes):
            values = [measured.get(name) for measured in instances.measurements]
            extra.append(pl.Series(name, values, dtype=pl.Float32))
        return instances_to_frame(instances).with_columns(extra)

    def _flush(self) -> None:
        frame = pl.concat(self._held)
        self._held = []
        path = self.folder / f"part-{len(self.parts):05d}.parquet"
        with atomic_path(path) as temporary:
            frame.write_parquet(temporary, compression="zstd")
        top, bottom = frame["y0"].min(), frame["y1"].max()
        low, high = (float(str(v)) if v is not None else 0.0 for v in (top, bottom))
        self.parts.append(Part(path, low, high))


def read_nuclei(folder: Path) -> Iterator[Instances]:
    """The objects of a ``nuclei.parquet`` folder, part after part.

    Raises:
        AnnotationError: there is no such table, or a part is damaged.
    """
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        fix = "Name the folder nuclei.parquet that `histoseed segment` wrote."
        raise AnnotationError("There is no table of nuclei.", where=folder, fix=fix)
    for path in paths:
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise AnnotationError(f"The table is damaged ({error}).", where=path) from error
        yield instances_from_frame(frame)
