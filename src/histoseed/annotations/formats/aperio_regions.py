"""The regions of Aperio ImageScope XML, and of HALO's `.annotations` files, which look like it.

::

    Annotations @MicronsPerPixel
      Annotation @Id @Name @LineColor                     one layer
        Attributes/Attribute @Name
        Regions/Region @Id @Type @Text @NegativeROA       one outline
          Vertices/Vertex @X @Y                           HALO: V @X @Y

- A negative region is a hole: it is cut from the outlines of its own layer around it.
- Types "0" / "Polygon" are outlines, "1" / "Rectangle" boxes, "2" / "Ellipse" ellipses in the box of two corners,
  "Point" and "Pin" points. Arrows, lines and rulers ("3", "5" and their names) enclose nothing and are left out.
- Colours are read as blue * 65536 + green * 256 + red, for show only: nothing else depends on the order.
- Marks of histoseed (:class:`~.marks.OwnMarks`) stand in the files that :mod:`.aperio` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import shapely

from histoseed.annotations.formats.marks import OwnMarks, own_marks
from histoseed.annotations.formats.outlines import (
    Position,
    box_of,
    cut_holes,
    ellipse_of,
    outline_of,
)
from histoseed.annotations.formats.xml_files import flag, position, walk_xml
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.geometry import known_mpp
from histoseed.settings import Settings

__all__ = ["AperioRegion", "aperio_mpp", "read_aperio_regions"]

_KINDS = {
    "0": "polygon",
    "polygon": "polygon",
    "1": "box",
    "rectangle": "box",
    "2": "ellipse",
    "ellipse": "ellipse",
    "point": "point",
    "pin": "point",
}
_LINES = ("3", "5", "arrow", "line", "polyline", "ruler")


@dataclass(frozen=True, slots=True, kw_only=True)
class AperioRegion:
    """One region of a layer, holes already cut out.

    Args:
        geometry: shapely ``Polygon``, ``MultiPolygon`` or ``Point``, level-0 pixels; None where an outline has less
            than three different vertices, no area, or nothing left outside its holes.
        layer_id: ``Annotation@Id``, "" where absent.
        layer_name: ``Annotation@Name``, "" where absent.
        attribute: ``Attribute@Name`` of the layer's first attribute with a name, "" where absent.
        text: ``Region@Text``, "" where absent.
        region_type: ``Region@Type`` as the file states it; "0" where absent.
        kind: "polygon", "box" or "point"; an ellipse is a polygon.
        negative: Whether it is a hole; :func:`read_aperio_regions` returns none of these.
        color: "#rrggbb" of the layer, None where it states none.
        region_id: ``Region@Id``, "" where absent.
        repaired: Whether the outline crossed itself.
        own: The marks of histoseed's own files; None in files of others.
    """

    geometry: shapely.Geometry | None
    layer_id: str
    layer_name: str
    attribute: str
    text: str
    region_type: str
    kind: str
    negative: bool
    color: str | None
    region_id: str
    repaired: bool
    own: OwnMarks | None = None


def read_aperio_regions(path: Path, settings: Settings) -> tuple[list[AperioRegion], list[str]]:
    """The regions of a file in its order, holes cut out, and sentences about what was repaired or left out.

    Regions that are no proper outline are returned too, with ``geometry=None``: the caller counts them.

    Raises:
        AnnotationError: not this format, damaged, or a region that cannot be understood; the message names layer and
            region.
        LimitError: a file, an object or a number of objects above the settings.
    """
    notes = Notes("region")
    regions: list[AperioRegion] = []
    layer, count = None, 0
    events = walk_xml(path, settings, root="Annotations", opened=["Annotation"], closed=["Region", "Annotation"])
    for event, element in events:
        if event == "start":
            count += 1
            if layer is not None:
                raise AnnotationError("A layer stands inside a layer.", where=f"{path}, layer {count}")
            layer = _Layer(path, settings, notes, number=count, name=element.get("Name") or "")
        elif layer is None:
            raise AnnotationError("A region stands outside all layers.", where=f"{path}, after layer {count}")
        elif element.tag == "Region":
            layer.add(element)
            if len(regions) + len(layer.regions) > settings.max_objects:
                raise over_limit("max_objects", f"The file has more than {settings.max_objects} objects.", where=path)
        else:
            regions += layer.finished(element)
            layer = None
    return regions, notes.sentences()


def aperio_mpp(path: Path, settings: Settings) -> float | None:
    """``Annotations@MicronsPerPixel``; None where it is absent, no number, or no size that a pixel can have.

    Raises:
        AnnotationError: not this format, or damaged before its first element ends.
    """
    for _, root in walk_xml(path, settings, root="Annotations", opened=["Annotations"]):
        try:
            return known_mpp(float(root.get("MicronsPerPixel", "").replace(",", ".")))
        except ValueError:
            return None
    return None


@dataclass(slots=True)
class _Layer:
    """The regions of one layer, collected until its end: only then are its attributes and holes known."""

    path: Path
    settings: Settings
    notes: Notes
    number: int
    name: str
    regions: list[AperioRegion] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, element: Element) -> None:
        """Read one region, without what the layer says about it."""
        region_id = element.get("Id") or ""
        label = f"layer {self.number} {self.name[:40]!r}, region {region_id or len(self.regions) + 1}"
        where = f"{self.path}, {label}"
        kind = (element.get("Type") or "0").strip()
        vertices = [position(v, where) for v in element.iterfind("Vertices/*") if v.tag in ("Vertex", "V")]
        if len(vertices) > self.settings.max_vertices:
            what = f"The object has {len(vertices)} vertices; at most {self.settings.max_vertices} are read."
            raise over_limit("max_vertices", what, where=where)
        if kind.lower() in _LINES:
            self.notes.add(f"A region of type {kind!r}, an arrow, line or ruler, was left out", label)
            return
        if kind.lower() not in _KINDS:
            raise AnnotationError(
                f"There is no region type {kind!r}.", where=where, fix="Delete or redraw this region."
            )
        geometry, is_kind, repaired = self._shape(_KINDS[kind.lower()], vertices, label)
        region = AperioRegion(
            geometry=geometry,
            layer_id="",
            layer_name=self.name,
            attribute="",
            text=element.get("Text") or "",
            region_type=kind,
            kind=is_kind,
            negative=flag(element, "NegativeROA", where),
            color=None,
            region_id=region_id,
            repaired=repaired,
            own=own_marks(element, where),
        )
        if region.negative and (geometry is None or is_kind == "point"):
            self.notes.add("A negative region that encloses nothing was left out", label)
            return
        self.regions.append(region)
        self.labels.append(label)

    def _shape(self, kind: str, vertices: list[Position], label: str) -> tuple[shapely.Geometry | None, str, bool]:
        """Geometry, kind and whether it was repaired."""
        if kind == "point" and len(vertices) == 1:
            return shapely.Point(vertices[0]), "point", False
        box = box_of(vertices) if kind in ("box", "ellipse") else None
        if box is not None:
            return (box, "box", False) if kind == "box" else (ellipse_of(box), "polygon", False)
        geometry, repaired = outline_of(vertices)
        if geometry is None:
            self.notes.add("An outline of less than three different vertices, or without area, was found", label)
        elif kind != "polygon":
            self.notes.add(f"A {kind} that is none was read as the outline through its vertices", label)
        elif repaired:
            self.notes.add("An outline that crosses itself was repaired", label)
        return geometry, "polygon", repaired

    def finished(self, element: Element) -> list[AperioRegion]:
        """The regions with everything that the ended layer says, holes cut out."""
        names = [a.get("Name") or "" for a in element.iterfind("Attributes/Attribute")]
        color = _color(element.get("LineColor"))
        if color is None and element.get("LineColor"):
            self.notes.add("A colour that is no number was not read", f"layer {self.number} {self.name[:40]!r}")
        layer_id, attribute = element.get("Id") or "", next((name for name in names if name), "")
        return [replace(r, layer_id=layer_id, attribute=attribute, color=color) for r in self._cut()]

    def _cut(self) -> list[AperioRegion]:
        rows = [i for i, r in enumerate(self.regions) if not r.negative]
        outlines = {i: r.geometry for i, r in enumerate(self.regions) if r.geometry is not None and r.kind != "point"}
        solid = [i for i in outlines if not self.regions[i].negative]
        holes = [i for i in outlines if self.regions[i].negative]
        owners = self._owners(solid, holes)
        cut, homeless = cut_holes([outlines[i] for i in solid], [outlines[i] for i in holes], owners)
        for hole in homeless:
            self.notes.add(
                "A negative region with no outline of its layer around it was left out", self.labels[holes[hole]]
            )
        left = dict(zip(solid, cut, strict=True))
        out = []
        for i in rows:
            region = self.regions[i]
            geometry = left.get(i, region.geometry)
            if geometry is None and region.geometry is not None:
                self.notes.add("Negative regions cover the whole outline", self.labels[i])
            kind = region.kind if geometry is region.geometry else "polygon"  # a box with a hole is none
            out.append(replace(region, geometry=geometry, kind=kind))
        return out

    def _owners(self, solid: list[int], holes: list[int]) -> dict[int, list[int]]:
        """Hole -> outlines of the object whose id it bears, in histoseed's own files."""
        parts: dict[str, list[int]] = {}
        for place, row in enumerate(solid):
            own = self.regions[row].own
            if own is not None:
                parts.setdefault(own.id, []).append(place)
        named = {n: own.id for n, row in enumerate(holes) if (own := self.regions[row].own) is not None}
        return {n: parts.get(name, []) for n, name in named.items()}


def _color(text: str | None) -> str | None:
    """Blue * 65536 + green * 256 + red, as a number that may be signed."""
    try:
        number = int(text or "")
    except ValueError:
        return None
    if not -(2**31) <= number < 2**32:
        return None
    return f"#{number & 0xFF:02x}{number >> 8 & 0xFF:02x}{number >> 16 & 0xFF:02x}"
