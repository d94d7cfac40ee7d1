"""The tables of NuCLS and PanopTILs: one row an object, its vertices as two quoted lists.

::

    ,raw_classification,...,type,xmin,ymin,xmax,ymax,coords_x,coords_y
    0,fibroblast,...,polyline,22,208,88,246,"68,88,87,...","212,233,243,..."

``type`` alone says what a row is: a *rectangle* is the box of a nucleus whose outline nobody drew, a *polyline* its
outline, not always closed. Stored extents are not used; they follow from the vertices.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.annotations.limits import over_limit
from histoseed.datasets.intake.content import Remark, object_ids
from histoseed.datasets.intake.support import clipped, outlines
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import counted, some

__all__ = ["Table", "build_objects", "read_lines", "read_table"]

_KIND = {"polyline": "polygon", "rectangle": "box"}
_FARTHEST = 1e9
"""No picture is that large, in pixels."""


@dataclass(frozen=True, slots=True)
class Table:
    """A csv file as it stands.

    Args:
        path: The file.
        header: Names of the columns.
        rows: Cells of each row, as many as columns.
        lines: Line of the file on which each row ends, from 1.
    """

    path: Path
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def where(self, row: int) -> str:
        """How messages name a row."""
        return f"{self.path}, line {self.lines[row]}"

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Raises:
            DatasetError: no such column.
        """
        if name not in self.header:
            listed = some([repr(column) for column in self.header], 12)
            raise DatasetError(f"There is no column {name!r}.", where=self.path, fix=f"The columns are {listed}.")
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def select(self, kept: Sequence[bool]) -> Table:
        """The rows where ``kept`` is true."""
        rows = [row for row, keep in zip(self.rows, kept, strict=True) if keep]
        return Table(self.path, self.header, rows, [line for line, keep in zip(self.lines, kept, strict=True) if keep])


def read_lines(path: Path, settings: Settings) -> tuple[list[list[str]], list[int]]:
    """Read the cells of a csv file, and the line on which each row ends; blank lines are passed over.

    Raises:
        DatasetError: absent, no text, broken quotes.
        LimitError: more bytes or rows than the settings allow.
    """
    rows, lines = [], []
    try:
        if path.stat().st_size > settings.max_geojson_bytes:
            what = f"The file holds more than {settings.max_geojson_bytes} bytes."
            raise over_limit("max_geojson_bytes", what, where=path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
                if len(rows) > settings.max_objects + 1:
                    what = f"The file has more than {settings.max_objects} rows."
                    raise over_limit("max_objects", what, where=path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot be read as a csv file ({error}).", where=path) from error
    return rows, lines


def read_table(path: Path, settings: Settings) -> Table:
    """Read a csv file with a header.

    Raises:
        DatasetError: absent, empty, no text, a row of another length than the header.
        LimitError: more bytes or rows than the settings allow.
    """
    rows, lines = read_lines(path, settings)
    if not rows:
        raise DatasetError("The file is empty.", where=path, fix="Was the archive unpacked completely?")
    header = tuple(name.strip() for name in rows[0])
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(header):
            what = f"The line has {counted(len(row), 'field')}, the first line {len(header)}; is the file cut off?"
            raise DatasetError(what, where=f"{path}, line {line}")
    return Table(path, header, rows[1:], lines[1:])


def build_objects(
    table: Table,
    classes: Sequence[str | None],
    *,
    dataset: str,
    patch_id: str,
    size: tuple[int, int],
    source: str,
    settings: Settings,
) -> tuple[Instances, list[Remark]]:
    """The rows of a table as outlines (kind *polygon*) and boxes, cut at the border of the picture.

    Args:
        table: With ``coords_x`` and ``coords_y``; without a column ``type`` every row is an outline.
        classes: Class of each row, None where it has none.
        dataset: Name for the ids.
        patch_id: Likewise.
        size: Width and height of the picture, pixels.
        source: Who or what made the objects.
        settings: ``max_vertices`` is looked at.

    Returns:
        The objects in the order of the rows, and remarks with counts.

    Raises:
        DatasetError: another type, coordinates that are no numbers; it names file and line.
        LimitError: too many vertices.
    """
    kinds = _kinds(table)
    rings = [
        _vertices(xs, ys, table.where(row), settings)
        for row, (xs, ys) in enumerate(zip(table.column("coords_x"), table.column("coords_y"), strict=True))
    ]
    is_box = np.array([kind == "box" for kind in kinds], dtype=bool)
    corners = [_corners(ring) if box else ring for ring, box in zip(rings, is_box, strict=True)]
    shapes, gone, remarks = outlines(corners)
    unclosed = sum(
        len(ring) > 0 and bool((ring[0] != ring[-1]).any()) for ring, box in zip(rings, is_box, strict=True) if not box
    )
    if unclosed:
        text = (
            "{count} {outline does not end where it begins and was|outlines do not end where they begin and "
            "were} closed"
        )
        remarks.append(Remark(text, unclosed, "note"))
    drawn = ~gone & ~is_box
    boxlike = int(np.isclose(shapely.area(shapes[drawn]), shapely.area(shapely.envelope(shapes[drawn]))).sum())
    if boxlike:
        text = "{count} {outline is an upright rectangle|outlines are upright rectangles}, which no nucleus is"
        remarks.append(Remark(text, boxlike))
    ids = np.array(object_ids(dataset, patch_id, len(rings)), dtype=object)
    named = np.empty(len(rings), dtype=object)
    named[:] = list(classes)
    objects = Instances.build(
        shapes[~gone],
        class_name=named[~gone],
        id=ids[~gone],
        kind=np.where(is_box, "box", "polygon").astype(object)[~gone],
        source=source,
    )
    cut, more = clipped(objects, size)
    return cut, [*remarks, *more]


def _kinds(table: Table) -> list[str]:
    if "type" not in table.header:
        return ["polygon"] * len(table.rows)
    types = [text.strip() for text in table.column("type")]
    for row, text in enumerate(types):
        if text not in _KIND:
            raise DatasetError(f"There is no type {text!r}.", where=table.where(row), fix=f"Known are {list(_KIND)}.")
    return [_KIND[text] for text in types]


def _vertices(xs: str, ys: str, where: str, settings: Settings) -> npt.NDArray[np.float64]:
    """(K, 2) float64 from two lists of numbers."""
    count = xs.count(",") + 1
    if count > settings.max_vertices:
        what = f"The object has {count} vertices; at most {settings.max_vertices} are read."
        raise over_limit("max_vertices", what, where=where)
    try:
        x, y = ([float(text) for text in cell.split(",") if text.strip()] for cell in (xs, ys))
    except ValueError as error:
        raise DatasetError(f"The coordinates are no list of numbers ({error}).", where=where) from error
    if len(x) != len(y):
        raise DatasetError(f"There are {len(x)} x and {len(y)} y coordinates.", where=where)
    ring = np.column_stack([x, y]).astype(np.float64).reshape(-1, 2)
    if not (np.abs(ring) <= _FARTHEST).all():  # false for NaN
        raise DatasetError("A coordinate is no place in a picture.", where=where)
    return ring


def _corners(ring: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The corners of the box around vertices."""
    if not len(ring):
        return ring
    (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
