"""Objects that are annotated without an outline: points and boxes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.annotations import Instances

__all__ = ["Marks", "marks_as_instances", "marks_of_rows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "histoseed")


def _no_places(columns: int) -> Any:
    return field(default_factory=lambda: np.zeros((0, columns)))


def _no_classes() -> Any:
    return field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The points and boxes of one patch, in its own pixels.

    They say where objects are and of which class, and nothing of their outlines: no mask is ever made of them.

    Args:
        points: x, y. Shape (P, 2), float64.
        point_classes: Class index of each point, 0 where unclassified. Shape (P,), int32.
        boxes: x0, y0, x1, y1. Shape (B, 4), float64. A box may go on beyond the patch.
        box_classes: Class index of each box, 0 where unclassified. Shape (B,), int32.

    >>> marks = Marks(points=np.array([[3.0, 4.0]]), point_classes=np.array([1], np.int32))
    >>> len(marks), marks.centres.tolist(), marks.window(2, 2, 4, 4).points.tolist()
    (1, [[3.0, 4.0]], [[1.0, 2.0]])
    """

    points: Floats = _no_places(2)
    point_classes: Ints = _no_classes()
    boxes: Floats = _no_places(4)
    box_classes: Ints = _no_classes()

    def __len__(self) -> int:
        return len(self.points) + len(self.boxes)

    @property
    def centres(self) -> Floats:
        """The points, then the middles of the boxes. Shape (P + B, 2), float64."""
        return np.concatenate([self.points, (self.boxes[:, :2] + self.boxes[:, 2:]) / 2])

    @property
    def class_ids(self) -> Ints:
        """Class index of each of :attr:`centres`. Shape (P + B,), int32."""
        return np.concatenate([self.point_classes, self.box_classes])

    def window(self, x: int, y: int, width: int, height: int) -> Marks:
        """What a window of the patch shows, in the window's own pixels.

        A point on the left or upper border is inside. Boxes that the border cuts stay whole: a part of a box is not the
        box of a part.
        """
        low, high = np.array([x, y]), np.array([x + width, y + height])
        inside = ((self.points >= low) & (self.points < high)).all(1)
        seen = ((self.boxes[:, 2:] > low) & (self.boxes[:, :2] < high)).all(1)
        return Marks(
            self.points[inside] - low,
            self.point_classes[inside],
            self.boxes[seen] - np.concatenate([low, low]),
            self.box_classes[seen],
        )

    def inside(self, width: int, height: int) -> Marks:
        """Only those whose centre lies in a patch of that size."""
        within = (self.centres >= 0) & (self.centres < np.array([width, height]))
        return self._kept(np.asarray(within.all(1), dtype=bool))

    def outside(self, ignore: npt.NDArray[np.bool_] | None) -> Marks:
        """Only those whose centre lies where something counts.

        Args:
            ignore: (H, W) bool, area that counts for nothing; None where everything counts.
        """
        if ignore is None or not len(self):
            return self
        height, width = ignore.shape
        place = np.clip(self.centres.astype(int), 0, (width - 1, height - 1))
        return self._kept(~ignore[place[:, 1], place[:, 0]])

    def _kept(self, chosen: npt.NDArray[np.bool_]) -> Marks:
        points, boxes = chosen[: len(self.points)], chosen[len(self.points) :]
        return Marks(self.points[points], self.point_classes[points], self.boxes[boxes], self.box_classes[boxes])


def marks_of_rows(rows: pl.DataFrame, class_index: Mapping[str, int]) -> Marks:
    """The marks among the rows of one patch.

    Args:
        rows: Rows of ``instances.parquet``.
        class_index: Class name -> index.
    """
    nuclei = rows.filter((pl.col("layer") == "nucleus") & pl.col("label").is_null())

    def of_kind(kind: str, *columns: str) -> tuple[Floats, Ints]:
        found = nuclei.filter(pl.col("kind") == kind)
        classes = [0 if name is None else class_index[name] for name in found["class_name"]]
        places = found.select(columns).to_numpy().astype(np.float64).reshape(-1, len(columns))
        return places, np.array(classes, dtype=np.int32)

    points, point_classes = of_kind("point", "centroid_x", "centroid_y")
    boxes, box_classes = of_kind("box", "x0", "y0", "x1", "y1")
    return Marks(points, point_classes, boxes, box_classes)


def marks_as_instances(marks: Marks, names: Sequence[str | None], place: str, source: str | None = None) -> Instances:
    """Marks as rows of a table of objects.

    Args:
        marks: In the patch's own pixels.
        names: Name of each class index; the first one is None.
        place: Data set and patch; it enters the ids, so that they are the same every time.
        source: Who or what made them.
    """
    boxes = shapely.box(*marks.boxes.T) if len(marks.boxes) else np.zeros(0, object)
    return Instances.build(
        [*shapely.points(marks.points), *boxes],
        class_name=[names[i] for i in marks.class_ids],
        kind=["point"] * len(marks.points) + ["box"] * len(marks.boxes),
        id=[str(uuid.uuid5(_NAMESPACE, f"{place}/mark {i}")) for i in range(len(marks))],
        source=source,
    )
