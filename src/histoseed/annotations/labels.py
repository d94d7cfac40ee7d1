"""Objects <-> label image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.annotations.instances import Instances, Strings
from histoseed.geometry import label_to_polygons, paint_spans, pixel_spans
from histoseed.wording import counted

__all__ = ["FlattenReport", "instances_from_labels", "labels_from_instances"]


@dataclass(frozen=True, slots=True)
class FlattenReport:
    """What was lost when objects that may overlap became one label image.

    Args:
        pixels_lost: pixels of outlines that a later outline was drawn over.
        objects_lost: outlines without a pixel of their own: drawn over, without a pixel centre, or out of the image.
        not_drawn: boxes and points, which have no outline.
    """

    pixels_lost: int
    objects_lost: int
    not_drawn: int

    def __str__(self) -> str:
        """One sentence for a user."""
        lost = f"{counted(self.pixels_lost, 'pixel')} and {counted(self.objects_lost, 'object')}"
        left = counted(self.not_drawn, "box or point", "boxes and points")
        return f"{lost} lost where outlines overlap or leave the image; {left} not drawn."


def instances_from_labels(
    labels: npt.NDArray[Any],
    *,
    class_of: Mapping[int, str] | None = None,
    source: str | None = None,
    id: Sequence[str] | Strings | None = None,
) -> Instances:
    """The objects of a label image, with exact outlines along pixel edges. Rows go by ascending label.

    Args:
        labels: (H, W) integers, 0 = background; numbers may be skipped.
        class_of: label -> class name; labels that are not in it stay unclassified.
        source: who or what made the objects.
        id: UUIDs by ascending label; random ones by default.

    Raises:
        InputError: no two-dimensional array of non-negative integers.

    >>> instances_from_labels(np.array([[4, 4, 0, 2]]), class_of={2: "lymphocyte"}).class_name.tolist()
    ['lymphocyte', None]
    """
    ids, polygons = label_to_polygons(labels)
    names = None if class_of is None else [class_of.get(label) for label in ids.tolist()]
    return Instances.build(polygons, class_name=names, source=source, id=id)


def labels_from_instances(instances: Instances, shape: tuple[int, int]) -> tuple[npt.NDArray[np.int32], FlattenReport]:
    """One label image of all outlines; row i gets label i + 1, later rows are drawn over earlier ones.

    Boxes and points are never drawn: they would pass for outlines.

    Args:
        instances: the objects, in the pixels of the image.
        shape: rows, columns of the image.
    """
    rows = np.flatnonzero(instances.kind == "polygon")
    spans = pixel_spans(instances.geometry[rows], shape)
    labels = paint_spans(spans, (rows + 1).astype(np.int32), shape)
    left = np.bincount(labels.ravel(), minlength=len(instances) + 1)
    report = FlattenReport(
        pixels_lost=int(spans.length.sum() - left[1:].sum()),
        objects_lost=int((left[rows + 1] == 0).sum()),
        not_drawn=len(instances) - len(rows),
    )
    return labels, report
