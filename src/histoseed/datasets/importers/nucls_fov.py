"""Fields of view of NuCLS: the part of a picture that was to be annotated. Around it nuclei are *unlabelled*.

Pictures reach a little beyond their field of view, so that nuclei on its border are shown whole. The fields stand in
``all_fov_locations.csv`` (any spelling, beside ``csv/`` or in it), with columns that are found by what they hold: one
names the pictures, ``xmin``, ``ymin``, ``xmax``, ``ymax`` are the field, mostly in pixels of the picture. A table that
cannot be understood is not used, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.datasets.importers.nucls_csv import Table, read_table
from histoseed.datasets.intake.content import Remark
from histoseed.geometry import polygons_to_label
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["Box", "find_fov_table", "outside_fov", "read_fovs", "without_fov"]

Box = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax."""

_NAME = re.compile(r"all_fov_locations\.csv", re.IGNORECASE)
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def find_fov_table(*folders: Path) -> Path | None:
    """The table of the fields of view in the first folder that has it."""
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if _NAME.fullmatch(path.name):
                return path
    return None


def read_fovs(path: Path, stems: Collection[str], settings: Settings) -> tuple[Mapping[str, Box], list[Remark]]:
    """Picture -> its field of view as the table states it; what cannot be used is said.

    Args:
        path: The table.
        stems: Stems of the pictures.
        settings: Limits.

    Raises:
        DatasetError: the file is no csv table.
    """
    table = read_table(path, settings)
    named = _name_column(table, stems)
    sides = [next((column for column in table.header if column.lower() == side), None) for side in _SIDES]
    if named is None or None in sides:
        text = f"Its columns ({some(table.header, 12)}) were not understood; nothing is ignored outside fields of view"
        return {}, [Remark(text)]
    fovs: dict[str, Box] = {}
    bad = set()
    for name, *cells in zip(named, *(table.column(side) for side in sides if side is not None), strict=True):
        box = _numbers(cells)
        if box is None or fovs.setdefault(name, box) != box:  # lines occur twice, mostly equal ones
            bad.add(name)
    for name in bad:
        fovs.pop(name, None)
    text = (
        "{count} {field of view is|fields of view are} contradictory or no numbers; nothing is ignored "
        "outside of {it|them}"
    )
    return fovs, [Remark(text, len(bad))] if bad else []


def without_fov(table: Path | None, fovs: Mapping[str, Box], stems: Collection[str]) -> list[Remark]:
    """What is to be said of pictures whose field of view nobody states."""
    alone = len(set(stems) - fovs.keys())
    if not alone:
        return []
    where = "There is no all_fov_locations.csv" if table is None else "The table does not name all pictures"
    text = f"{where}: {{count}} {{picture has|pictures have}} no field of view, and nothing is ignored around it"
    return [Remark(text, alone)]


def outside_fov(
    fov: Box, objects: Instances, size: tuple[int, int], place: Box
) -> tuple[npt.NDArray[np.bool_] | None, list[Remark]]:
    """What of a picture lies outside its field of view and outside every annotated nucleus.

    Args:
        fov: As the table states it: in pixels of the picture, or of the slide.
        objects: What is annotated, pixels of the picture.
        size: Width and height of the picture, pixels.
        place: Left, top, right, bottom of the picture, level-0 pixels of its slide.

    Returns:
        (H, W) bool; None, with a remark, where the field does not fit the picture.
    """
    width, height = size
    scale = np.array([width / (place[2] - place[0]), height / (place[3] - place[1])] * 2)
    on_slide = tuple(((np.array(fov) - np.array([place[0], place[1]] * 2)) * scale).tolist())
    box = next((each for each in (fov, on_slide) if _fits(each, size)), None)
    if box is None:
        return None, [Remark("The field of view does not lie in the picture; nothing is ignored outside it")]
    shape = (height, width)
    own = polygons_to_label(objects.geometry[objects.kind != "point"], shape) > 0
    return (polygons_to_label([shapely.box(*box)], shape) == 0) & ~own, []


def _name_column(table: Table, stems: Collection[str]) -> list[str] | None:
    """The cells of the column that names pictures, without their suffix; None where none does."""
    known = set(stems)
    for column in table.header:
        names = [cell.strip().removesuffix(".png").removesuffix(".csv") for cell in table.column(column)]
        if known.intersection(names):
            return names
    return None


def _numbers(cells: list[str]) -> Box | None:
    try:
        x0, y0, x1, y1 = (float(cell) for cell in cells)
    except ValueError:
        return None
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _fits(box: tuple[float, ...], size: tuple[int, int]) -> bool:
    """Whether a box lies in a picture, up to a pixel of rounding."""
    x0, y0, x1, y1 = box
    return -1 <= x0 < x1 <= size[0] + 1 and -1 <= y0 < y1 <= size[1] + 1
