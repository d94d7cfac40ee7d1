"""The files of a slide whose areas were told apart: outlines, class image, overlay, summary."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from histoseed.annotations import GeoJsonWriter, Instances
from histoseed.files import atomic_path, write_bytes, write_json
from histoseed.geometry import Region
from histoseed.inference.areas import FieldMapper
from histoseed.inference.label_tiff import TILE
from histoseed.inference.overlay import LONGEST
from histoseed.inference.results import Target
from histoseed.pictures import draw_areas, png_bytes
from histoseed.slides import StainedSlide

__all__ = ["class_strips", "write_area_results"]

Classes = npt.NDArray[np.uint8]


def write_area_results(
    mapper: FieldMapper, target: Target, *, keep: bool = False, watch: Callable[[int], None] | None = None
) -> tuple[dict[str, Any], Instances]:
    """Write ``areas.geojson``, ``classes.tif``, ``overlay.png`` and ``summary.json``; every pixel must have its class.

    Args:
        mapper: Hands out the classes.
        target: Where they go; formats are ``geojson``, ``classes`` and ``overlay``.
        keep: Also return the areas; else the table that is returned is empty.
        watch: Told the number of areas after each row of tiles.

    Returns:
        The content of ``summary.json``, and the areas.
    """
    figures = _Figures(mapper.model.card.class_names)
    kept: list[Instances] = []
    with contextlib.ExitStack() as stack:
        writer: GeoJsonWriter | None = None
        if "geojson" in target.formats:
            path = target.folder / "areas.geojson"
            writer = stack.enter_context(GeoJsonWriter(path, object_type="annotation", overwrite=True))
        for areas, pixels in mapper.areas():
            figures.add(areas.class_name.tolist(), pixels)
            if writer is not None:
                writer.write(areas)
            if keep:
                kept.append(areas)
            if watch is not None:
                watch(len(areas))
    if "classes" in target.formats:
        _write_class_tiff(target.folder / "classes.tif", mapper, target.region, target.mpp)
    if "overlay" in target.formats:
        write_bytes(target.folder / "overlay.png", _overlay(mapper, target.region, target.mpp))
    region_mm2 = target.region.width * target.region.height * (target.mpp / 1000) ** 2
    pixel_mm2 = (mapper.grid.field.mpp / 1000) ** 2
    summary = target.facts | figures.values(region_mm2, mapper.tissue_pixels().tolist(), pixel_mm2)
    write_json(target.folder / "summary.json", summary)
    return summary, Instances.concatenate(kept)


def class_strips(mapper: FieldMapper, shape: tuple[int, int], step: float, strip: int = TILE) -> Iterator[Classes]:
    """The class image of the region on other pixels: each takes the class of the pixel that its centre lies in.

    Args:
        mapper: Hands out the classes.
        shape: Rows and columns that are wanted.
        step: Level-0 pixels along one of them.
        strip: Rows that are handed out at once.

    Yields:
        (at most strip, columns) uint8, from the upper border of the region to its lower one.
    """
    field = mapper.grid.field
    x0, y0, x1, y1 = field.inner
    rows, columns = (
        np.minimum(((np.arange(count) + 0.5) * step / field.scale).astype(np.int64), size - 1)
        for count, size in zip(shape, (y1 - y0, x1 - x0), strict=True)
    )
    bands = mapper.bands()
    held, top = np.zeros((0, x1 - x0), np.uint8), 0
    for first in range(0, shape[0], strip):
        wanted = rows[first : first + strip]
        while top + len(held) <= wanted[-1]:
            passed = min(max(0, int(wanted[0]) - top), len(held))
            held, top = np.concatenate([held[passed:], next(bands)]), top + passed
        yield held[wanted - top][:, columns]


class _Figures:
    """What ``summary.json`` says of the areas."""

    def __init__(self, names: Sequence[str]) -> None:
        self._pixels = dict.fromkeys(names, 0)
        self._areas = dict.fromkeys(names, 0)

    def add(self, names: Sequence[str], pixels: npt.NDArray[np.int64]) -> None:
        """Count some areas."""
        for name, size in zip(names, pixels.tolist(), strict=True):
            self._areas[name] += 1
            self._pixels[name] += size

    def values(self, region_mm2: float, tissue: Sequence[int], pixel_mm2: float) -> dict[str, Any]:
        """The figures, as JSON values; areas in square millimetres.

        Args:
            region_mm2: Of the region.
            tissue: Pixels that are not white, of the background and of each class.
            pixel_mm2: Of a pixel.
        """
        whole = sum(tissue)
        return {
            "region_mm2": round(region_mm2, 6),
            "tissue_mm2": round(whole * pixel_mm2, 6),
            "classified_mm2": round(sum(self._pixels.values()) * pixel_mm2, 6),
            "share_of_tissue": _share(whole - tissue[0], whole),
            "areas": sum(self._areas.values()),
            "classes": {
                name: {
                    "areas": self._areas[name],
                    "mm2": round(pixels * pixel_mm2, 6),
                    "share_of_tissue": _share(mine, whole),
                }
                for (name, pixels), mine in zip(self._pixels.items(), tissue[1:], strict=True)
            },
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _write_class_tiff(path: Path, mapper: FieldMapper, region: Region, mpp: float) -> None:
    """A tiled BigTIFF: uint8, deflate, level-0 pixels, 0 = no class; the image description names the classes."""
    shape = (int(region.height), int(region.width))
    names = {str(k): name for k, name in enumerate(mapper.model.card.class_names, start=1)}
    described = {"x": int(region.x), "y": int(region.y), "classes": names}
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as writer:
        writer.write(
            _tiles(class_strips(mapper, shape, 1.0), shape[1]),
            shape=shape,
            dtype=np.uint8,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
            description=json.dumps(described),
            metadata=None,
            software="histoseed",
        )


def _tiles(strips: Iterator[Classes], width: int) -> Iterator[Classes]:
    """Strips of tiles, cut and filled up."""
    columns = -(-width // TILE)
    for strip in strips:
        whole = np.zeros((TILE, columns * TILE), np.uint8)
        whole[: strip.shape[0], :width] = strip
        for column in range(columns):
            yield np.ascontiguousarray(whole[:, column * TILE : (column + 1) * TILE])


def _overlay(mapper: FieldMapper, region: Region, mpp: float) -> bytes:
    slide = mapper.slide
    shown = slide.original if isinstance(slide, StainedSlide) else slide  # people know the slide as it is
    reduction = max(1.0, max(region.width, region.height) / LONGEST)
    picture = shown.read(Region(region.x, region.y, region.width, region.height, mpp=mpp * reduction))
    height, width = picture.shape[:2]
    classes = np.concatenate(list(class_strips(mapper, (height, width), reduction)))
    return png_bytes(draw_areas(picture, classes, [entry.color for entry in mapper.model.card.classes]))
