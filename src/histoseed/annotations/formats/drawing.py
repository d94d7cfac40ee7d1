"""What the formats of label images share: objects -> label image with every loss counted, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.formats.base import AnnotatedImage, Feature, WriteOptions, losses, needed_size
from histoseed.annotations.formats.outlines import check_written, stable_ids
from histoseed.annotations.instances import Instances
from histoseed.annotations.labels import labels_from_instances
from histoseed.annotations.limits import over_limit
from histoseed.geometry import label_to_polygons
from histoseed.settings import Settings
from histoseed.wording import Tally, agreed, some

__all__ = ["RASTER_HOLDS", "Cost", "draw", "drawing_losses", "on_pixel_edges", "trace"]

RASTER_HOLDS: frozenset[Feature] = frozenset({"polygon", "holes", "parts"})
"""What survives in a label image."""


class Cost(NamedTuple):
    """What drawing the outlines of one image cost.

    Attributes:
        cut: Outlines that leave the image.
        moved: Outlines that do not run along the edges of pixels.
        pixels: Pixels of outlines that a later one was drawn over.
        objects: Outlines without a pixel of their own.
    """

    cut: int
    moved: int
    pixels: int
    objects: int


def draw(name: str, image: AnnotatedImage, options: WriteOptions) -> tuple[npt.NDArray[np.int32], Cost]:
    """The label image of an image's outlines, row i as i + 1; later rows go over earlier ones.

    Boxes and points are not drawn.

    Args:
        name: Of the format, for messages.
        image: Its size must be known.
        options: ``settings.max_pixels`` is the limit.

    Returns:
        (H, W) int32, and what it cost.

    Raises:
        AnnotationError: an object is empty or has a coordinate that is not finite.
        InputError: the size of the image is not known.
        LimitError: it has too many pixels.
    """
    width, height = needed_size(name, image)
    check_written(image.instances, f"image {image.name!r}")
    if width * height > options.settings.max_pixels:
        what = f"The label image would have {width} x {height} pixels; at most {options.settings.max_pixels} are made."
        raise over_limit("max_pixels", what, where=f"image {image.name!r}")
    table = image.instances
    labels, report = labels_from_instances(table, (height, width))
    drawn = table.geometry[table.kind == "polygon"]
    x0, y0, x1, y1 = shapely.bounds(drawn).reshape(-1, 4).T
    leaving = (x0 < 0) | (y0 < 0) | (x1 > width) | (y1 > height)
    moved = int((~on_pixel_edges(drawn)).sum())
    return labels, Cost(int(leaving.sum()), moved, report.pixels_lost, report.objects_lost)


def drawing_losses(name: str, images: Sequence[AnnotatedImage], costs: Sequence[Cost]) -> list[str]:
    """Sentences about everything that is lost when images become label images."""
    cut, moved, pixels, objects = np.array([*costs, (0, 0, 0, 0)]).sum(axis=0).tolist()
    texts = {
        "{count} {outline leaves the image and is|outlines leave the image and are} cut at its border": cut,
        "the {border|borders} of {count} {outline moves|outlines move} to the edges of pixels": moved,
        "{count} {pixel is|pixels are} lost where outlines overlap; later ones lie on top": pixels,
        "{count} {outline is lost, since no pixel is left to it|outlines are lost, since no pixel is left to them}": (
            objects
        ),
    }
    said = [Tally(f"{name}: {text}.", count) for text, count in texts.items() if count]
    return [*losses(name, RASTER_HOLDS, images, raster=True), *said]


def trace(
    labels: npt.NDArray[np.integer], classes: Mapping[str, str], where: str, settings: Settings
) -> tuple[Instances, list[str]]:
    """The objects of a label image, with outlines along pixel edges, ascending by label.

    Args:
        labels: (H, W), 0 = background.
        classes: Class name by label, as text; empty where the classes are not known.
        where: How messages name the image.
        settings: Limits.

    Returns:
        The objects, their ids made from label and outline, the same at every reading; sentences.

    Raises:
        LimitError: an outline has too many vertices.
    """
    numbers, outlines = label_to_polygons(labels)
    vertices = shapely.get_num_coordinates(outlines)
    if len(vertices) and vertices.max() > settings.max_vertices:
        at = int(vertices.argmax())
        what = f"The object has {vertices[at]} vertices; at most {settings.max_vertices} are read."
        raise over_limit("max_vertices", what, where=f"{where}, label {numbers[at]}")
    texts = [str(number) for number in numbers.tolist()]
    names = [classes.get(text) for text in texts]
    said = []
    if classes and None in names:
        without = [text for text, name in zip(texts, names, strict=True) if name is None]
        stand = agreed("{count} {label stands|labels stand}", len(without))
        said.append(f"{where}: {stand} in no class ({some(without)}).")
    return Instances.build(outlines, class_name=names, id=stable_ids(texts, list(outlines))), said


def on_pixel_edges(shapes: Sequence[shapely.Geometry] | npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Whether outlines run along the edges of pixels, and so are drawn without moving. (N,) bool.

    >>> on_pixel_edges([shapely.box(0, 0, 2, 2), shapely.box(0, 0, 2.5, 2)]).tolist()
    [True, False]
    """
    parts, row = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    between = (xy != np.floor(xy)).any(axis=1)
    diagonal = (ring[1:] == ring[:-1]) & (xy[1:] != xy[:-1]).all(axis=1)
    between[1:] |= diagonal
    out = np.ones(len(shapes), dtype=bool)
    out[row[part[ring[between]]]] = False
    return out
