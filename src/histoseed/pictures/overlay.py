"""Outlines over pictures, from label images and from polygons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.instances import Instances
from histoseed.errors import InputError
from histoseed.pictures.colors import UNCLASSIFIED, Colors, colors_of, palette, rgb
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, resize, resize_labels

__all__ = ["draw_instances", "draw_outlines", "outline_mask"]

_SHIFT = 4
"""Binary digits after the point in OpenCV's coordinates: a sixteenth of a pixel."""


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
    image: npt.ArrayLike, labels: npt.ArrayLike, colors: Colors = None, *, thickness: int = 1, zoom: int = 1
) -> Picture:
    """A copy of the picture with the inner boundary of every object of a label image.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) int, 0 = background.
        colors: See :data:`~histoseed.pictures.Colors`; :func:`~histoseed.pictures.label_colors` makes them.
        thickness: Pixels of the returned picture, counted inwards from the edge of the object.
        zoom: Whole factor by which the picture is enlarged before drawing, so that outlines hide less.

    Returns:
        (H * zoom, W * zoom, 3) uint8. Pixels off the outlines are those of the (enlarged) picture.

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
    return outlined(picture, at, colors, thickness)


def outlined(picture: Picture, labels: npt.NDArray[np.integer], colors: Colors, thickness: int = 1) -> Picture:
    """A copy of the picture with outlines, for arguments that are checked already."""
    out, edge = picture.copy(), outline_mask(labels, thickness)
    out[edge] = colors_of(labels[edge], colors)
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
    smooth: bool = True,
) -> Picture:
    """A copy of the picture with the polygons, boxes and points of a table.

    Args:
        image: (H, W, 3) uint8, what :meth:`Slide.read` gave for a region.
        instances: Objects in level-0 pixels; those outside the picture are skipped.
        offset: x, y of the picture's upper left corner, level-0 pixels.
        scale: Pixels of the picture in one level-0 pixel (slide mpp / region mpp).
        zoom: Whole factor by which the picture is enlarged before drawing.
        colors: Class name -> "#rrggbb". What is missing comes from the table's own colours, then from the palette.
        thickness: Width of a line in pixels of the returned picture.
        smooth: Anti-aliased lines; False draws pixels of the exact colour only.

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
    out = np.ascontiguousarray(picture.copy())
    shown = instances.select(_visible(instances, offset, scale * zoom, out.shape[:2]))
    by_name = palette(shown.classes(), {**shown.colors, **(colors or {})})
    names = np.array([UNCLASSIFIED if name is None else by_name[name] for name in shown.class_name], dtype=object)
    line, radius = cv2.LINE_AA if smooth else cv2.LINE_8, (thickness + 3) << _SHIFT
    for color in dict.fromkeys(names):
        parts = shapely.get_parts(shown.geometry[names == color])
        flat = shapely.get_type_id(parts) == shapely.GeometryType.POINT
        xy, ring = shapely.get_coordinates(shapely.get_rings(parts[~flat]), return_index=True)
        pixels = _fixed_point(xy, offset, scale * zoom)
        rings = np.split(pixels, np.flatnonzero(np.diff(ring)) + 1) if len(pixels) else []
        cv2.polylines(out, rings, isClosed=True, color=rgb(color), thickness=thickness, lineType=line, shift=_SHIFT)
        for x, y in _fixed_point(shapely.get_coordinates(parts[flat]), offset, scale * zoom).tolist():
            cv2.circle(out, (x, y), radius, rgb(color), thickness=-1, lineType=line, shift=_SHIFT)
    return out


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
