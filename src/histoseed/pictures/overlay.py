"""Outlines over pictures, from label images and from polygons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.instances import Instances
from histoseed.errors import InputError
from histoseed.pictures.colors import UNCLASSIFIED, Colors, colors_of, palette, rgb
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, resize, resize_labels, visible_labels

__all__ = ["Strokes", "draw_instances", "draw_outlines", "outline_mask"]

_SHIFT = 4
"""Binary digits after the point in OpenCV's coordinates: a sixteenth of a pixel."""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_MIDDLE = 120.0
"""Luma up to which a colour is dark: it stands on haematoxylin, whose nuclei are darker than half, only in white."""
_CASING = 0.6
"""Share of black or white in a casing: the tissue stays visible through it."""
_LARGE = 0.2
"""Diameter of an object, as a share of the picture's longer side, from which its outline is thicker."""


def outline_mask(labels: npt.NDArray[np.integer], thickness: int = 1) -> npt.NDArray[np.bool_]:
    """Pixels of an object that lie within ``thickness`` 4-neighbour steps of another label or of the background.

    The border of the image is no outline: an object that runs out of the picture stays open there.

    Args:
        labels: (H, W) int, 0 = background.
        thickness: Pixels, counted inwards.

    Returns:
        (H, W) bool.
    """
    edge = np.zeros(labels.shape, dtype=bool)
    rest = labels
    for _ in range(thickness):
        down, across = rest[1:] != rest[:-1], rest[:, 1:] != rest[:, :-1]
        edge[1:] |= down
        edge[:-1] |= down
        edge[:, 1:] |= across
        edge[:, :-1] |= across
        edge &= labels != 0
        rest = np.where(edge, 0, labels)
    return edge


def draw_outlines(
    image: npt.ArrayLike,
    labels: npt.ArrayLike,
    colors: Colors = None,
    *,
    thickness: int = 1,
    zoom: int = 1,
    casing: bool = False,
) -> Picture:
    """A copy of the picture with the inner boundary of every object of a label image.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) int, 0 = background.
        colors: See :data:`~histoseed.pictures.Colors`; :func:`~histoseed.pictures.label_colors` makes them.
        thickness: Pixels of the returned picture, counted inwards from the edge of the object.
        zoom: Whole factor by which the picture is enlarged before drawing, so that outlines hide less.
        casing: Darken the pixels beside bright outlines, and brighten those beside dark ones; see :func:`stroked`.

    Returns:
        (H * zoom, W * zoom, 3) uint8. Pixels off the outlines and their casing are those of the (enlarged) picture.

    >>> labels = np.zeros((5, 5), int)
    >>> labels[1:4, 1:4] = 1
    >>> draw_outlines(np.zeros((5, 5, 3), np.uint8), labels, "#ffffff")[2, :, 0]
    array([  0, 255,   0, 255,   0], dtype=uint8)

    Raises:
        InputError: arrays of another shape or type, ``thickness`` or ``zoom`` below 1.
    """
    picture = _zoomed(image, zoom, thickness)
    height, width = np.asarray(image).shape[:2]
    at = resize_labels(checked_labels(labels, (height, width)), height * zoom, width * zoom)
    return outlined(picture, at, colors, thickness, casing=casing)


def outlined(
    picture: Picture, labels: npt.NDArray[np.integer], colors: Colors, thickness: int = 1, *, casing: bool = False
) -> Picture:
    """A copy of the picture with outlines, for arguments that are checked already."""
    edge = outline_mask(labels, thickness)
    if casing:
        return stroked(picture, edge, colors_of(labels[edge], colors), spared=labels != 0)
    out = picture.copy()
    out[edge] = colors_of(labels[edge], colors)
    return out


def outlined_at(picture: Picture, labels: npt.NDArray[np.integer], colors: Colors, shape: tuple[int, int]) -> Picture:
    """A copy of a picture that was brought to another size, with outlines in a casing that are seen at that size.

    They are two pixels thick where the picture was enlarged by half, and around objects that fill much of it.

    Args:
        picture: (H, W, 3) uint8, at its new size.
        labels: Label image of the size that the picture had, 0 = background.
        colors: Colours of the labels.
        shape: Rows and columns that the picture had.
    """
    at = visible_labels(labels, picture.shape[0], picture.shape[1])
    thickness = clear_thickness(shape, (picture.shape[0], picture.shape[1]))
    edge = outline_mask(at, thickness)
    _, number, area = np.unique(at, return_inverse=True, return_counts=True)
    large = area[number].reshape(at.shape) > (max(at.shape) * _LARGE) ** 2
    edge |= outline_mask(np.where(large, at, 0), thickness + 1) & large
    return stroked(picture, edge, colors_of(at[edge], colors), spared=at != 0)


def stroked(
    picture: Picture,
    strokes: npt.NDArray[np.bool_],
    colors: npt.NDArray[np.uint8],
    *,
    spared: npt.NDArray[np.bool_] | None = None,
) -> Picture:
    """A copy of the picture with lines in a casing one pixel wide, without which no colour is seen on every ground.

    Args:
        picture: (H, W, 3) uint8.
        strokes: (H, W) bool, the pixels of the lines.
        colors: (n, 3) uint8, the colour of each of them, in the order of ``np.nonzero``.
        spared: (H, W) bool, pixels that get no casing.

    Returns:
        (H, W, 3) uint8: lines in their exact colours, beside bright ones a share of black, beside dark ones of white.
    """
    out = picture.copy()
    bright = np.zeros_like(strokes)
    bright[strokes] = colors @ _LUMA > _MIDDLE
    free = ~strokes if spared is None else ~(strokes | spared)
    light = widened(strokes & ~bright) & free
    out[light] = np.round((1 - _CASING) * out[light] + _CASING * 255).astype(np.uint8)
    dark = widened(bright) & free & ~light
    out[dark] = np.round((1 - _CASING) * out[dark]).astype(np.uint8)
    out[strokes] = colors
    return out


def widened(mask: npt.NDArray[np.bool_], steps: int = 1) -> npt.NDArray[np.bool_]:
    """The pixels of a mask (H, W), and those that are reached from it in so many 4-neighbour steps."""
    out = mask
    for _ in range(steps):
        before, out = out, out.copy()
        out[1:] |= before[:-1]
        out[:-1] |= before[1:]
        out[:, 1:] |= before[:, :-1]
        out[:, :-1] |= before[:, 1:]
    return out


def clear_thickness(shape: tuple[int, ...], drawn: tuple[int, int]) -> int:
    """Thickness of outlines that stay clear: two pixels once a picture is enlarged by half, else one."""
    return 2 if drawn[0] >= 1.5 * shape[0] else 1


def draw_instances(
    image: npt.ArrayLike,
    instances: Instances,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    zoom: int = 1,
    colors: dict[str, str] | None = None,
    thickness: int = 1,
    radius: float | None = None,
    smooth: bool = True,
    casing: bool = False,
) -> Picture:
    """A copy of the picture with the polygons, boxes and points of a table.

    Which of two lines lies on top follows from their colours, not from the order of the rows.

    Args:
        image: (H, W, 3) uint8, what :meth:`Slide.read` gave for a region.
        instances: Objects in level-0 pixels; those outside the picture are skipped.
        offset: x, y of the picture's upper left corner, level-0 pixels.
        scale: Pixels of the picture in one level-0 pixel (slide mpp / region mpp).
        zoom: Whole factor by which the picture is enlarged before drawing.
        colors: Class name -> "#rrggbb". What is missing comes from the table's own colours, then from the palette.
        thickness: Width of a line in pixels of the returned picture.
        radius: Of the disc that marks a point, pixels of the returned picture; by default three and the thickness.
        smooth: Anti-aliased lines; False draws pixels of the exact colour only.
        casing: Set lines and points off from what they lie on, see :func:`stroked`.

    Returns:
        (H * zoom, W * zoom, 3) uint8.

    Raises:
        InputError: an array of another shape or type; ``thickness``, ``zoom`` or ``scale`` not positive; an offset or
            coordinate that is not finite.
    """
    import cv2

    picture = _zoomed(image, zoom, thickness)
    if not (np.isfinite([*offset, scale]).all() and scale > 0):
        raise InputError("Offset and scale must be finite, the scale positive.", where=f"{offset}, {scale}")
    out, touched = np.ascontiguousarray(picture.copy()), np.zeros(picture.shape[:2], dtype=np.uint8)
    line = cv2.LINE_AA if smooth else cv2.LINE_8
    disc = thickness + 3 if radius is None else radius
    for shape in _shapes(instances, offset, scale * zoom, out.shape[:2], colors):
        shape.draw(out, rgb(shape.color), line, thickness, disc)
        if casing:
            shape.draw(touched, (1,), cv2.LINE_8, thickness, disc)
    return stroked(picture, touched > 0, out[touched > 0]) if casing else out


class Strokes:
    """Outlines on one picture of objects that come in portions: how they are cut changes no pixel.

    They look as :func:`draw_instances` draws them with ``smooth=False`` and ``casing=True``.

    Args:
        shape: Rows and columns of the picture.
        offset: x, y of the picture's upper left corner, level-0 pixels.
        scale: Pixels of the picture in one level-0 pixel.
        colors: Class name -> "#rrggbb", of every class that will come.
        thickness: Width of a line in pixels of the picture; discs of points grow with it.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        offset: tuple[float, float],
        scale: float,
        colors: dict[str, str],
        thickness: int = 1,
    ) -> None:
        self._shape = shape
        self._offset = offset
        self._scale = scale
        self._colors = colors
        self._thickness = thickness
        self._touched: dict[str, npt.NDArray[np.uint8]] = {}

    def add(self, instances: Instances) -> None:
        """Draw some more objects; those outside the picture are skipped."""
        import cv2

        for shape in _shapes(instances, self._offset, self._scale, self._shape, self._colors):
            if shape.color not in self._touched:
                self._touched[shape.color] = np.zeros(self._shape, np.uint8)
            shape.draw(self._touched[shape.color], (1,), cv2.LINE_8, self._thickness, self._thickness + 3)

    def over(self, picture: Picture) -> Picture:
        """A copy of the picture (H, W, 3) with the outlines so far."""
        drawn = np.zeros((*self._shape, 3), np.uint8)
        touched = np.zeros(self._shape, bool)
        for color in sorted(self._touched, key=_layer):
            here = self._touched[color] > 0
            drawn[here] = rgb(color)
            touched |= here
        return stroked(picture, touched, drawn[touched])


class _Shape(NamedTuple):
    """Rings and points of one colour, in OpenCV's coordinates."""

    color: str
    rings: list[npt.NDArray[np.int32]]
    centres: list[list[int]]

    def draw(
        self, canvas: npt.NDArray[np.uint8], ink: tuple[int, ...], line: int, thickness: int, radius: float
    ) -> None:
        """Draw onto a canvas, in place."""
        import cv2

        cv2.polylines(canvas, self.rings, isClosed=True, color=ink, thickness=thickness, lineType=line, shift=_SHIFT)
        for x, y in self.centres:
            cv2.circle(canvas, (x, y), round(radius * (1 << _SHIFT)), ink, thickness=-1, lineType=line, shift=_SHIFT)


def _shapes(
    instances: Instances,
    offset: tuple[float, float],
    scale: float,
    shape: tuple[int, int],
    colors: dict[str, str] | None,
) -> Iterator[_Shape]:
    """What is seen of the objects in a picture of so many rows and columns, colour by colour, the lowest first."""
    shown = instances.select(_visible(instances, offset, scale, shape))
    by_name = palette(shown.classes(), {**shown.colors, **(colors or {})})
    names = np.array([UNCLASSIFIED if name is None else by_name[name] for name in shown.class_name], dtype=object)
    for color in sorted(set(names), key=_layer):
        parts = shapely.get_parts(shown.geometry[names == color])
        flat = shapely.get_type_id(parts) == shapely.GeometryType.POINT
        xy, ring = shapely.get_coordinates(shapely.get_rings(parts[~flat]), return_index=True)
        pixels = _fixed_point(xy, offset, scale)
        rings = np.split(pixels, np.flatnonzero(np.diff(ring)) + 1) if len(pixels) else []
        yield _Shape(color, rings, _fixed_point(shapely.get_coordinates(parts[flat]), offset, scale).tolist())


def _layer(color: str) -> tuple[bool, str]:
    """Sorts colours into the order in which they are drawn: those of classes lie on top."""
    return color != UNCLASSIFIED, color


def _zoomed(image: npt.ArrayLike, zoom: int, thickness: int) -> Picture:
    picture = checked_picture(image)
    if zoom < 1 or thickness < 1:
        raise InputError(f"zoom is {zoom} and thickness {thickness}; both must be at least 1.")
    return resize(picture, picture.shape[0] * zoom, picture.shape[1] * zoom)


def _visible(
    instances: Instances, offset: tuple[float, float], scale: float, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Which rows touch the picture; empty geometries have NaN bounds and touch nothing."""
    bounds = instances.bounds()
    if np.isinf(bounds).any():
        raise InputError("An object has a coordinate that is not finite.", where="instances")
    x0, y0, x1, y1 = ((bounds - [*offset, *offset]) * scale).T
    return np.asarray((x1 >= 0) & (y1 >= 0) & (x0 <= shape[1]) & (y0 <= shape[0]))


def _fixed_point(xy: npt.NDArray[np.float64], origin: tuple[float, float], scale: float) -> npt.NDArray[np.int32]:
    """Level-0 coordinates as OpenCV's: its pixel centres stand on whole numbers, ours half a pixel further."""
    pixels = (xy - origin) * scale - 0.5
    return np.clip(np.round(pixels * (1 << _SHIFT)), -(2**30), 2**30).astype(np.int32)
