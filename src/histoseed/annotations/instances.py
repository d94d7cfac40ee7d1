"""The one table of objects."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import AnnotationError

__all__ = ["KINDS", "Instances", "new_ids"]

Strings = npt.NDArray[np.object_]

KINDS = ("polygon", "box", "point")
"""How an object was given. The kind is kept; a box is never passed off as an outline."""

_COLUMNS = ("geometry", "class_name", "id", "kind", "score", "quality", "source", "locked", "measurements", "texts")
_POINT, _POLYGON, _MULTIPOLYGON = 0, 3, 6  # shapely.get_type_id


def new_ids(count: int, rng: np.random.Generator | None = None) -> Strings:
    """Random UUIDs (version 4); reproducible when a generator is given. Shape (count,), str."""
    raw = os.urandom(16 * count) if rng is None else rng.bytes(16 * count)
    ids = [str(uuid.UUID(bytes=raw[i : i + 16], version=4)) for i in range(0, 16 * count, 16)]
    return np.array(ids, dtype=object)


@dataclass(frozen=True, slots=True)
class Instances:
    """Objects of one image or slide, one row each, in level-0 pixels (origin top-left, y down).

    Columns are arrays of equal length N:

    Args:
        geometry: shapely ``Polygon`` / ``MultiPolygon`` (kinds polygon and box) or ``Point``. Object array.
        class_name: class names, None where unclassified. Object array of str.
        id: UUID strings. Object array.
        kind: one of :data:`KINDS`. Object array of str.
        score: confidence of the model in [0, 1], NaN where unknown. float64.
        quality: predicted quality of the annotation in [0, 1], NaN where unknown. float64.
        source: who or what made it, None where unknown. Object array of str.
        locked: protected from edits. bool.
        measurements: one mapping of names to numbers an object. Object array of dict.
        texts: what the source calls an object, None where it says nothing. Object array of dict: ``name``, and ``id``
            where that is no UUID. Only GeoJSON holds them.
        colors: class name -> "#rrggbb" where the source states one.

    Raises:
        AnnotationError: columns of different length, a kind that does not exist or does not fit its geometry, an id
            twice.

    >>> cells = Instances.build([shapely.box(0, 0, 2, 2), shapely.Point(5, 5)], kind=["polygon", "point"])
    >>> len(cells), cells.bounds()[0].tolist(), cells.select(cells.kind == "point").centroids().tolist()
    (2, [0.0, 0.0, 2.0, 2.0], [[5.0, 5.0]])
    """

    geometry: npt.NDArray[np.object_]
    class_name: Strings
    id: Strings
    kind: Strings
    score: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    source: Strings
    locked: npt.NDArray[np.bool_]
    measurements: npt.NDArray[np.object_]
    texts: npt.NDArray[np.object_]
    colors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        geometry: Sequence[Any] | npt.NDArray[np.object_],
        *,
        class_name: Sequence[str | None] | Strings | str | None = None,
        id: Sequence[str] | Strings | None = None,
        kind: Sequence[str] | Strings | str = "polygon",
        score: npt.ArrayLike | None = None,
        quality: npt.ArrayLike | None = None,
        source: Sequence[str | None] | Strings | str | None = None,
        locked: npt.ArrayLike | bool = False,
        measurements: Sequence[Mapping[str, float]] | npt.NDArray[np.object_] | None = None,
        texts: Sequence[Mapping[str, str] | None] | npt.NDArray[np.object_] | None = None,
        colors: Mapping[str, str] | None = None,
    ) -> Instances:
        """Make a table; a single value stands for every row, what is left out gets the empty value."""
        shapes = np.empty(len(geometry), dtype=object)
        shapes[:] = geometry
        n = len(shapes)

        def column(name: str, value: Any) -> Strings:
            out = np.empty(n, dtype=object)
            if value is None or isinstance(value, str):
                out[:] = value
            elif len(value) != n:
                raise AnnotationError(f"Column {name!r} has {len(value)} rows, geometry has {n}.")
            else:
                out[:] = list(value)
            return out

        def numbers(name: str, value: npt.ArrayLike | None, empty: Any) -> npt.NDArray[Any]:
            given = np.asarray(empty if value is None else value, dtype=np.asarray(empty).dtype)
            if given.shape not in ((), (n,)):
                raise AnnotationError(f"Column {name!r} has shape {given.shape}, geometry has {n} rows.")
            return np.broadcast_to(given, (n,)).copy()

        return cls(
            geometry=shapes,
            class_name=column("class_name", class_name),
            id=new_ids(n) if id is None else column("id", id),
            kind=column("kind", kind),
            score=numbers("score", score, np.nan),
            quality=numbers("quality", quality, np.nan),
            source=column("source", source),
            locked=numbers("locked", locked, empty=False),
            measurements=column("measurements", [{} for _ in range(n)] if measurements is None else measurements),
            texts=column("texts", texts),
            colors=dict(colors or {}),
        )

    @classmethod
    def empty(cls) -> Instances:
        """A table without rows."""
        return cls.build([])

    def __post_init__(self) -> None:
        n = len(self.geometry)
        for name in _COLUMNS:
            if len(getattr(self, name)) != n:
                raise AnnotationError(f"Column {name!r} has {len(getattr(self, name))} rows, geometry has {n}.")
        wrong = set(self.kind) - set(KINDS)
        if wrong:
            raise AnnotationError(f"Unknown kind {sorted(map(str, wrong))}.", fix=f"Use one of {', '.join(KINDS)}.")
        shape = shapely.get_type_id(self.geometry)
        fits = np.where(self.kind == "point", shape == _POINT, (shape == _POLYGON) | (shape == _MULTIPOLYGON))
        if not fits.all():
            row = int(np.flatnonzero(~fits)[0])
            found = getattr(self.geometry[row], "geom_type", type(self.geometry[row]).__name__)
            raise AnnotationError(f"A {self.kind[row]} cannot be a {found}.", where=f"row {row}")
        if len(set(self.id)) != n:
            raise AnnotationError("The same id stands on two objects.")

    def __len__(self) -> int:
        return len(self.geometry)

    def select(self, rows: npt.ArrayLike) -> Instances:
        """The rows of a boolean mask or of an index array, in that order."""
        at = np.asarray(rows)
        at = at if at.dtype == bool else at.astype(np.intp)
        return replace(self, **{name: getattr(self, name)[at] for name in _COLUMNS})

    @classmethod
    def concatenate(cls, tables: Sequence[Instances]) -> Instances:
        """All rows of several tables, in order."""
        if not tables:
            return cls.empty()
        colors = {key: value for table in tables for key, value in table.colors.items()}
        return cls(**{name: np.concatenate([getattr(t, name) for t in tables]) for name in _COLUMNS}, colors=colors)

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> Instances:
        """The same objects in another frame: ``(x, y) * scale + (dx, dy)``."""
        shapes = shapely.transform(self.geometry, lambda xy: xy * scale + (dx, dy))
        return replace(self, geometry=np.asarray(shapes, dtype=object))

    def bounds(self) -> npt.NDArray[np.float64]:
        """x0, y0, x1, y1 an object. Shape (N, 4), float64, level-0 pixels."""
        return np.asarray(shapely.bounds(self.geometry), dtype=np.float64).reshape(-1, 4)

    def centroids(self) -> npt.NDArray[np.float64]:
        """x, y of the centre of mass. Shape (N, 2), float64, level-0 pixels."""
        centre = shapely.centroid(self.geometry)
        return np.column_stack([shapely.get_x(centre), shapely.get_y(centre)]).astype(np.float64)

    def classes(self) -> list[str]:
        """Class names in use, sorted; unclassified objects are left out."""
        return sorted({str(name) for name in self.class_name if name is not None})

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("Instances is a table of columns; iterate over a column, or use select().")
