"""Write a data set: one patch at a time, whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from histoseed.annotations import Instances
from histoseed.datasets.content import PatchContent, PatchFacts
from histoseed.datasets.encoding import check_classes, encode_patch
from histoseed.datasets.finishing import Losses, class_names, final_info, write_files, write_tables
from histoseed.datasets.info import DatasetInfo
from histoseed.datasets.marks import marks_as_instances
from histoseed.datasets.patch import Patch
from histoseed.datasets.schema import INSTANCE_SCHEMA
from histoseed.errors import DatasetError
from histoseed.files import staged_folder
from histoseed.settings import Settings, read_settings

__all__ = ["DatasetWriter", "PatchFacts", "write_dataset"]

_ROWS_HELD = 50_000


class DatasetWriter:
    """A context manager that makes a data-set folder; it appears only when the block ends well.

    Pixels go to the disk with each :meth:`add`, objects every 50,000 rows, so that memory does not grow with them.

    Args:
        path: The folder to make; absent or empty, unless ``overwrite`` is given.
        info: What ``dataset.json`` is to say. Losses by overlap are appended to ``known_problems`` at the end.
        overwrite: Replace a folder that stands there, once the new one is complete.
        open_classes: Classes that ``info`` does not list are appended to it (sorted by name) instead of refused.
        settings: Limits; read from the environment when left out.

    Raises:
        OutputError: the folder is not empty, the disk is full, or the place is not writable.
        DatasetError: what is added breaks the format; nothing is left behind.
    """

    def __init__(
        self,
        path: Path | str,
        info: DatasetInfo,
        *,
        overwrite: bool = False,
        open_classes: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self.path = Path(path)
        self._info = info
        self._overwrite = overwrite
        self._open_classes = open_classes
        self._settings = read_settings() if settings is None else settings
        self._stack = contextlib.ExitStack()
        self._stage: Path | None = None
        self._table: Any = None
        self._held: list[pl.DataFrame] = []
        self._patches: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        self._classes: set[str] = set()
        self._notes: list[str] = []
        self._problems: list[str] = []
        self._losses = Losses()

    def __enter__(self) -> Self:
        self._stage = self._stack.enter_context(staged_folder(self.path, overwrite=self._overwrite))
        (self._stage / "images").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk; the error that led here is the one to tell
                self._close_table()
            return self._stack.__exit__(kind, error, trace)
        with self._stack:
            self._finish()
        return None

    def note(self, text: str) -> None:
        """Append a sentence to the ``notes`` of ``dataset.json``."""
        self._notes.append(text)

    def problem(self, text: str) -> None:
        """Append a sentence to the ``known_problems`` of ``dataset.json``."""
        self._problems.append(text)

    @property
    def losses(self) -> tuple[int, int]:
        """Pixels and objects that overlap has cost so far."""
        return self._losses.pixels, self._losses.objects

    def add(
        self,
        patch_id: str,
        image: npt.NDArray[np.uint8],
        objects: npt.NDArray[np.integer] | Instances | None = None,
        *,
        class_of: Mapping[int, str | None] | None = None,
        scores: Mapping[int, float] | None = None,
        source: str | None = None,
        annotator: str | None = None,
        probabilities: npt.NDArray[np.floating] | None = None,
        regions: npt.NDArray[np.uint8] | None = None,
        region_outlines: Instances | None = None,
        ignore: npt.NDArray[np.bool_] | None = None,
        ignore_outlines: Instances | None = None,
        **facts: Unpack[PatchFacts],
    ) -> None:
        """Write one patch.

        Args:
            patch_id: Unique; it becomes the name of the files.
            image: (H, W, 3) uint8, RGB.
            objects: A label image (H, W) of integers, or outlines, boxes and points in the patch's own pixels. Outlines
                that overlap are flattened (later rows lie on top) and keep their geometry; boxes and points are never
                drawn.
            class_of: Label -> class name, for a label image.
            scores: Label -> confidence, for a label image.
            source: Who or what made the objects of a label image.
            annotator: Who drew the objects.
            probabilities: (N, C) class probabilities, rows ascending by label, columns in the order of the classes.
            regions: (H, W) map of region classes; value k is ``info.region_classes[k - 1]``, 0 says nothing.
            region_outlines: Outlines of regions, kept as objects of the layer *region*; they are not drawn.
            ignore: (H, W) bool, area that counts for nothing.
            ignore_outlines: Outlines that are drawn into the ignore area and kept as objects of the layer *ignore*.
            **facts: What is known of the patch, see :class:`PatchFacts`.

        Raises:
            DatasetError: a shape, value, class or id that breaks the format; it names the patch.
            LimitError: a label above ``settings.max_objects``.
        """
        self.add_content(
            patch_id,
            PatchContent(
                image=image,
                objects=objects,
                class_of=class_of,
                scores=scores,
                source=source,
                annotator=annotator,
                probabilities=probabilities,
                regions=regions,
                region_outlines=region_outlines,
                ignore=ignore,
                ignore_outlines=ignore_outlines,
            ),
            facts,
        )

    def add_content(self, patch_id: str, content: PatchContent, facts: PatchFacts) -> None:
        """Write one patch as an importer read it; see :meth:`add`."""
        stage = self._running()
        if patch_id.casefold() in self._seen:
            what = "The patch id was used before (upper and lower case count as equal)."
            raise DatasetError(what, where=f"patch {patch_id!r}")
        made = encode_patch(patch_id, content, facts, self._info, self._settings)
        if not self._open_classes:
            check_classes(made.objects, {c.name for c in self._info.classes}, f"patch {patch_id!r}")
        write_files(stage, made.files)
        self._patches.append(made.row)
        self._seen.add(patch_id.casefold())
        self._losses.add(made)
        self._classes |= class_names(made.objects)
        self._hold(made.objects)

    def add_patch(self, patch: Patch, *, source: str | None = None, scores: Mapping[int, float] | None = None) -> None:
        """Write a patch that was read from another data set or cut out of one, with its labels, classes and facts.

        Its outlined objects become objects of kind *mask*: outlines finer than pixels are no part of a patch.
        """
        names = (None, *patch.classes)
        content = PatchContent(
            image=patch.image,
            objects=patch.labels,
            marks=marks_as_instances(patch.marks, names, f"{self._info.name}/{patch.patch_id}", source),
            class_of={int(label): names[patch.class_ids[label]] for label in patch.label_ids},
            scores=scores,
            source=source,
            regions=patch.regions,
            ignore=patch.ignore,
        )
        facts = PatchFacts(
            mpp=patch.mpp,
            mpp_source=patch.mpp_source,
            exhaustive=patch.exhaustive,
            x=patch.x,
            y=patch.y,
            group=patch.group,
            patient=patch.patient,
            slide=patch.slide,
            centre=patch.centre,
            organ=patch.organ,
            split=patch.split,
            fold=patch.fold,
        )
        self.add_content(patch.patch_id, content, facts)

    def _running(self) -> Path:
        if self._stage is None:
            raise DatasetError("The writer is not open.", fix="Use it as `with DatasetWriter(...) as writer:`.")
        return self._stage

    def _hold(self, table: pl.DataFrame) -> None:
        self._held.append(table)
        if sum(frame.height for frame in self._held) >= _ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        empty = pl.DataFrame(schema=dict(INSTANCE_SCHEMA))
        table = pl.concat([empty, *self._held]).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._held = []
        if self._table is None:
            path = self._running() / "instances.parquet"
            self._table = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._table.write_table(table)

    def _close_table(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None

    def _finish(self) -> None:
        """Write the tables and ``dataset.json``; the folder is complete afterwards."""
        stage = self._running()
        if not self._patches:
            raise DatasetError("The data set has no patch.", where=self.path)
        self._flush()
        self._close_table()
        info = final_info(self._info, self._classes, self._losses, self._problems, self._notes)
        write_tables(stage, info, self._patches)


def write_dataset(
    path: Path | str,
    info: DatasetInfo,
    patches: Iterable[Patch],
    *,
    overwrite: bool = False,
    settings: Settings | None = None,
) -> None:
    """Write patches that are in memory, or come from a generator, as a data set.

    Raises:
        OutputError: the folder is not empty, the disk is full, or the place is not writable.
        DatasetError: a patch breaks the format; nothing is left behind.
    """
    with DatasetWriter(path, info, overwrite=overwrite, settings=settings) as writer:
        for patch in patches:
            writer.add_patch(patch)
