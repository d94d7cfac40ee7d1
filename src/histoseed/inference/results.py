"""The files of a segmented slide, written in one pass over its objects."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.annotations import GeoJsonWriter, Instances
from histoseed.files import write_bytes, write_json
from histoseed.geometry import Region
from histoseed.inference.label_tiff import write_label_tiff
from histoseed.inference.overlay import Overlay
from histoseed.inference.segmenting import FieldSegmenter
from histoseed.inference.summary import Summary
from histoseed.inference.tables import NucleiTable
from histoseed.slides import StainedSlide

__all__ = ["Target", "write_results"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where results go.

    Args:
        folder: The output folder.
        work: A folder for what is needed on the way.
        formats: Which files to write, some of ``geojson``, ``parquet``, ``labels``, ``overlay``.
        region: What was segmented, whole level-0 pixels.
        mpp: Microns per level-0 pixel.
        facts: What ``summary.json`` says beside the figures.
    """

    folder: Path
    work: Path
    formats: tuple[str, ...]
    region: Region
    mpp: float
    facts: dict[str, Any]


def write_results(
    segmenter: FieldSegmenter, target: Target, *, keep: bool = False, watch: Callable[[int], None] | None = None
) -> tuple[dict[str, Any], Instances]:
    """Write the files of a segmented slide; its objects must have been found.

    Args:
        segmenter: Hands out the objects.
        target: Where they go.
        keep: Also return the objects; else the table that is returned is empty.
        watch: Told the number of objects after each row of tiles.

    Returns:
        The content of ``summary.json``, and the objects.
    """
    card = segmenter.model.card
    region, mpp = target.region, target.mpp
    colors = {entry.name: entry.color for entry in card.classes}
    table_folder = target.work / "nuclei.parquet"
    shutil.rmtree(table_folder, ignore_errors=True)  # a run that was interrupted while writing
    table = NucleiTable(table_folder, mpp, card.class_names)
    summary = Summary(mpp, card.class_names)
    slide = segmenter.slide
    shown = slide.original if isinstance(slide, StainedSlide) else slide  # people know the slide as it is
    overlay = Overlay(shown, region, mpp, colors) if "overlay" in target.formats else None
    kept: list[Instances] = []
    with _geojson(target) as geojson:
        for instances in segmenter.instances():
            table.write(instances)
            summary.add(instances)
            if geojson is not None:
                geojson.write(instances)
            if overlay is not None:
                overlay.draw(instances)
            if keep:
                kept.append(instances)
            if watch is not None:
                watch(len(instances))
    table.finish()
    if overlay is not None:
        write_bytes(target.folder / "overlay.png", overlay.png())
    if "labels" in target.formats:
        write_label_tiff(target.folder / "labels.tif", table.parts, region, mpp)
    if "parquet" in target.formats:
        final = target.folder / "nuclei.parquet"
        shutil.rmtree(final, ignore_errors=True)
        table_folder.replace(final)
    pixel_mm2 = (segmenter.grid.field.mpp / 1000) ** 2
    figures = target.facts | summary.figures(
        region_mm2=region.width * region.height * (mpp / 1000) ** 2,
        tissue_mm2=segmenter.tissue_pixels() * pixel_mm2,
    )
    write_json(target.folder / "summary.json", figures)
    return figures, Instances.concatenate(kept)


@contextlib.contextmanager
def _geojson(target: Target) -> Iterator[GeoJsonWriter | None]:
    if "geojson" not in target.formats:
        yield None
        return
    with GeoJsonWriter(target.folder / "nuclei.geojson", object_type="detection", overwrite=True) as writer:
        yield writer
