"""Upright rectangles among outlines: many programs have no box of their own, so that boxes come as such outlines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.instances import Instances
from histoseed.wording import counted

__all__ = ["MOSTLY", "Rectangles", "rectangles_as_boxes", "upright_rectangles"]

MOSTLY = 0.8
"""Share of upright rectangles from which the outlines of a source are probably boxes."""

_EQUAL = 1e-9
"""Relative difference of areas that rounding may leave."""


def upright_rectangles(objects: Instances) -> npt.NDArray[np.bool_]:
    """Which outlines fill their bounding box; boxes and points are none. Shape (N,).

    >>> shapes = [shapely.box(0, 0, 4, 2), shapely.Polygon([(0, 0), (4, 0), (0, 2)]), shapely.box(5, 5, 6, 6)]
    >>> upright_rectangles(Instances.build(shapes, kind=["polygon", "polygon", "box"])).tolist()
    [True, False, False]
    """
    around = shapely.envelope(objects.geometry)
    room = shapely.area(around)
    likely = (objects.kind == "polygon") & (shapely.area(objects.geometry) >= room * (1 - _EQUAL))
    found = np.zeros(len(objects), dtype=bool)
    found[likely] = shapely.equals(objects.geometry[likely], around[likely])
    return found


def rectangles_as_boxes(objects: Instances, spared: npt.NDArray[np.bool_] | None = None) -> Instances:
    """The same objects, the outlines that are upright rectangles as boxes.

    Args:
        objects: Of any kind.
        spared: (N,) which of them stay what they are: marks of areas, say.

    >>> rectangles_as_boxes(Instances.build([shapely.box(0, 0, 4, 2), shapely.Point(1, 1).buffer(1)])).kind.tolist()
    ['box', 'polygon']
    """
    kind, found = objects.kind.copy(), upright_rectangles(objects)
    kind[found if spared is None else found & ~spared] = "box"
    return replace(objects, kind=kind)


@dataclass(slots=True)
class Rectangles:
    """Counts the upright rectangles among the outlines of a source.

    Args:
        files: File -> how many of its outlines are upright rectangles.
        outlines: Outlines of all files.

    >>> seen = Rectangles()
    >>> seen.add("a.geojson", Instances.build([shapely.box(0, 0, 4, 2), shapely.box(5, 5, 6, 6)]))
    >>> seen.mostly, seen.sentence("outlines")
    (True, '{count} of 2 outlines {is an upright rectangle and counts|are upright rectangles and count} as outlines')
    """

    files: dict[str, int] = field(default_factory=dict)
    outlines: int = 0

    def add(self, file: str, objects: Instances) -> None:
        """Count the objects of a file."""
        self.files[file] = self.files.get(file, 0) + int(upright_rectangles(objects).sum())
        self.outlines += int((objects.kind == "polygon").sum())

    @property
    def count(self) -> int:
        """Upright rectangles of all files."""
        return sum(self.files.values())

    @property
    def mostly(self) -> bool:
        """Whether nearly all outlines are upright rectangles, as nobody outlines nuclei."""
        return self.count > 0 and self.count >= MOSTLY * self.outlines

    def sentence(self, as_what: str) -> str:
        """What they count as, as :func:`histoseed.wording.agreed` reads it; without a full stop."""
        verbs = "{is an upright rectangle and counts|are upright rectangles and count}"
        return f"{{count}} of {counted(self.outlines, 'outline')} {verbs} as {as_what}"
