"""Objects as a JSON file gives them, one after the other, and the table that becomes of them.

What a format has no field for stands under one key of its own, ``histoseed``, which other programs pass over::

    id              the UUID of the object
    kind            "box" or "point", where the file does not show it
    score, quality  numbers
    source          text
    locked          true
    measurements    {name: number}; "nan", "inf" and "-inf" are texts, because JSON has no such numbers
    outline         polygons, each a list of rings of [x, y]: the exact outline, where the format has pixels only
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.formats.outlines import FARTHEST, has_area, stable_ids
from histoseed.annotations.instances import KINDS, Instances
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.geometry import make_outlines_valid
from histoseed.settings import Settings

__all__ = [
    "OWN_KEY",
    "Own",
    "Rows",
    "coordinates",
    "is_number",
    "own_fields",
    "polygon_of",
    "positions",
    "read_own",
]

OWN_KEY = "histoseed"

_HUGE = 2**63
"""JSON has whole numbers of any length; beyond this one they become no float."""

_DECIMALS = 4
_NOT_FINITE = ("nan", "inf", "-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What stands under the key ``histoseed`` of an object; the columns are those of :class:`Instances`."""

    id: str | None = None
    kind: str | None = None
    score: float = math.nan
    quality: float = math.nan
    source: str | None = None
    locked: bool = False
    measurements: Mapping[str, float] = field(default_factory=dict)
    outline: shapely.Geometry | None = None


def own_fields(table: Instances, row: int, *, outline: bool = False) -> dict[str, Any]:
    """The value of the key ``histoseed`` of an object, as JSON.

    Args:
        table: The objects.
        row: Which one.
        outline: Keep the exact outline too.
    """
    numbers = {"score": float(table.score[row]), "quality": float(table.quality[row])}
    measurements = {
        str(name): float(value) if math.isfinite(value) else repr(float(value))
        for name, value in table.measurements[row].items()
    }
    fields: dict[str, Any] = {"id": table.id[row]}
    fields |= {"kind": table.kind[row]} if table.kind[row] != "polygon" else {}
    fields |= {name: value for name, value in numbers.items() if math.isfinite(value)}
    fields |= {"source": table.source[row]} if table.source[row] is not None else {}
    fields |= {"locked": True} if table.locked[row] else {}
    fields |= {"measurements": measurements} if measurements else {}
    if outline:
        polygons = shapely.get_parts(table.geometry[row])
        fields["outline"] = [[positions(ring) for ring in shapely.get_rings(polygon)] for polygon in polygons]
    return fields


def positions(shape: shapely.Geometry) -> list[list[float]]:
    """The vertices of a ring or point as [[x, y], ...], at most four decimals; a ring is not closed."""
    xy = np.round(shapely.get_coordinates(shape), _DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
    out: list[list[float]] = (xy if shape.geom_type == "Point" else xy[:-1]).tolist()
    return out


def read_own(value: object, where: str) -> Own:
    """What :func:`own_fields` wrote; None is what other programs write.

    Raises:
        AnnotationError: somebody has changed it to what it cannot be.
    """
    if value is None:
        return Own()
    if not isinstance(value, dict):
        raise AnnotationError(f"{OWN_KEY!r} is no object.", where=where)

    def field_of(name: str, fits: Callable[[object], bool], words: str) -> Any:
        found = value.get(name)
        if found is not None and not fits(found):
            raise AnnotationError(f"{name!r} of {OWN_KEY!r} is no {words}.", where=where)
        return found

    kind = field_of("kind", _is_text, "text")
    if kind is not None and kind not in KINDS:
        raise AnnotationError(f"There is no kind {kind!r}.", where=where, fix=f"Use one of {', '.join(KINDS)}.")
    score, quality = (field_of(name, is_number, "number") for name in ("score", "quality"))
    outline = field_of("outline", lambda found: isinstance(found, list), "list of polygons")
    numbers = field_of("measurements", lambda found: isinstance(found, dict), "object")
    return Own(
        id=field_of("id", _is_text, "text"),
        kind=kind,
        score=math.nan if score is None else float(score),
        quality=math.nan if quality is None else float(quality),
        source=field_of("source", _is_text, "text"),
        locked=bool(field_of("locked", lambda found: isinstance(found, bool), "true or false")),
        measurements=_measurements(numbers or {}, where),
        outline=None if outline is None else _outline(outline, where),
    )


def _measurements(value: Mapping[str, Any], where: str) -> dict[str, float]:
    out = {}
    for name, number in value.items():
        if not is_number(number) and number not in _NOT_FINITE:
            raise AnnotationError(f"The measurement {name!r} is no number.", where=where)
        out[name] = float(number)
    return out


def _outline(value: list[Any], where: str) -> shapely.Geometry | None:
    polygons = []
    for rings in value:
        if not isinstance(rings, list) or not rings:
            raise AnnotationError("An outline is a list of polygons, each a list of rings.", where=where)
        shell, *holes = (polygon_of(ring, where) for ring in rings)
        if shell is not None:
            polygons.append(shapely.Polygon(shell.exterior, [hole.exterior for hole in holes if hole is not None]))
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons) if polygons else None


def is_number(value: object) -> bool:
    """Whether a JSON value is a number that fits 64 bits; true and false are none."""
    return isinstance(value, float) or (type(value) is int and -_HUGE <= value < _HUGE)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def polygon_of(vertices: Any, where: str) -> shapely.Polygon | None:
    """The polygon of a JSON list of [x, y], closed or not; None where there are less than three different vertices.

    Raises:
        AnnotationError: something else, or a coordinate that no image has.
    """
    good = isinstance(vertices, list) and all(
        isinstance(vertex, list) and len(vertex) >= 2 and all(map(is_number, vertex[:2])) for vertex in vertices
    )
    if not good:
        raise AnnotationError("An outline is a list of [x, y].", where=where)
    xy = coordinates([vertex[:2] for vertex in vertices], where)
    return shapely.Polygon(xy) if len(np.unique(xy, axis=0)) >= 3 else None


def coordinates(values: list[Any], where: str) -> npt.NDArray[np.float64]:
    """(N, 2) float64 from numbers, two a vertex, nested or flat.

    Raises:
        AnnotationError: an odd number of them, or one that is no place in an image.
    """
    flat = np.array(values, dtype=np.float64).ravel()
    if not (np.abs(flat) <= FARTHEST).all():  # true for NaN
        raise AnnotationError("A coordinate is no place in an image.", where=where, fix="Correct or delete the object.")
    if len(flat) % 2:
        raise AnnotationError(f"{len(flat)} numbers are no list of x and y.", where=where)
    return flat.reshape(-1, 2)


class Rows:
    """Columns of one image that grow by one object after the other.

    Args:
        path: The file, for messages.
        notes: Where repairs are told.
        settings: Limits.
    """

    def __init__(self, path: Path, notes: Notes, settings: Settings) -> None:
        self._path, self._notes, self._settings = path, notes, settings
        self._labels: list[str] = []
        self._geometry: list[shapely.Geometry] = []
        self._kind: list[str] = []
        self._class: list[str | None] = []
        self._own: list[Own] = []

    def add(self, label: str, geometry: shapely.Geometry | None, kind: str, class_name: str | None, own: Own) -> None:
        """Take one object; ``label`` names it in messages. None is an outline of less than three vertices.

        Raises:
            LimitError: too many vertices.
        """
        if geometry is None:
            self._notes.add("An outline of less than three vertices was left out", label)
            return
        vertices = int(shapely.get_num_coordinates(geometry))
        if vertices > self._settings.max_vertices:
            what = f"The object has {vertices} vertices; at most {self._settings.max_vertices} are read."
            raise over_limit("max_vertices", what, where=f"{self._path}, {label}")
        self._labels.append(label)
        self._geometry.append(geometry)
        self._kind.append(kind)
        self._class.append(class_name or None)
        self._own.append(own)

    def __len__(self) -> int:
        return len(self._labels)

    def instances(self, colors: Mapping[str, str]) -> Instances:
        """The table, once outlines that cross themselves are repaired and those without area are gone."""
        given = np.empty(len(self), dtype=object)
        given[:] = self._geometry
        shapes, repaired, lost = make_outlines_valid(given)
        for row in np.flatnonzero(repaired | lost).tolist():
            what = "without area was left out" if lost[row] else "that crosses itself was repaired"
            self._notes.add(f"An outline {what}", self._labels[row])
        kept = np.flatnonzero(~lost).tolist()
        geometry = [shapes[row] if self._kind[row] == "point" else has_area(shapes[row]) for row in kept]
        own = [self._own[row] for row in kept]
        ids = self._ids(kept)
        return Instances.build(
            geometry,
            class_name=[self._class[row] for row in kept],
            id=stable_ids(ids, geometry),
            kind=[self._kind[row] for row in kept],
            score=[one.score for one in own],
            quality=[one.quality for one in own],
            source=[one.source for one in own],
            locked=np.array([one.locked for one in own], dtype=bool),
            measurements=[dict(one.measurements) for one in own],
            colors=colors,
        )

    def _ids(self, kept: list[int]) -> list[str]:
        """What the id of each object is made from: its own UUID, else what the file calls it."""
        taken: set[str] = set()
        for row in kept:
            own = self._own[row].id
            if own is not None and own in taken:
                self._notes.add("The id stands on an earlier object too; a new one was made", self._labels[row])
            taken.add(own or "")
        return [self._own[row].id or self._labels[row] for row in kept]
