"""Annotated pictures -> square training crops, turned, mirrored and scaled at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.datasets import Marks

__all__ = ["Crop", "Picture", "draw_crop"]


@dataclass(frozen=True, slots=True)
class Picture:
    """One annotated image in memory.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int32 instance labels, 0 = background, at most 2**24 so that float32 holds them.
        classes: (labels.max() + 1,) int64 class index of each label, 0 = unclassified; None without classes.
        ignore: (H, W) bool, area that counts for nothing; None where everything counts.
        zoom: Output pixels a picture pixel at scale 1: picture mpp / model mpp.
        group: Patient or slide, so that validation never shares one with training.
        organ: Tissue, for balanced sampling; "" where unknown.
        marks: Points and boxes. No one knows which pixels are theirs, so ``ignore`` covers their surroundings.
        background: (H, W) bool, where no nucleus is, of a picture without outlines; None where ``labels`` say so.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int64] | None = None
    ignore: npt.NDArray[np.bool_] | None = None
    zoom: float = 1.0
    group: str = ""
    organ: str = ""
    marks: Marks = field(default_factory=Marks)
    background: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """One square crop.

    Args:
        image: (S, S, 3) uint8.
        labels: (S, S) int32.
        classes: (S, S) int64, class of each pixel of a labelled object.
        ignore: (S, S) bool.
        points: (P, 2) float64, x and y in pixels of the crop, of the points inside.
        point_classes: (P,) int64, 0 = unclassified.
        boxes: (B, 3, 2) float64: a corner and the two sides that start there, of the boxes that lie inside as a whole.
            A turned crop turns its boxes.
        box_classes: (B,) int64, 0 = unclassified.
        background: (S, S) bool, known to show no nucleus although nothing is outlined.
        unknown: (S, S) bool, part of the picture of which no annotation speaks; what lies beyond the picture is not.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int64]
    ignore: npt.NDArray[np.bool_]
    points: npt.NDArray[np.float64]
    point_classes: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    box_classes: npt.NDArray[np.int64]
    background: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]


def draw_crop(
    picture: Picture,
    size: int,
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = (0.8, 1.25),
    turn: bool = True,
) -> Crop:
    """A random crop.

    Args:
        picture: Where to crop from.
        size: Side of the crop, output pixels.
        rng: Source of all randomness.
        scale: Smallest and largest random factor on top of ``picture.zoom``, drawn log-uniformly.
        turn: Rotate by any angle and mirror; otherwise the crop stays upright.

    What lies beyond the picture is mirrored image and counts as ignore.
    """
    height, width = picture.labels.shape
    zoom = picture.zoom * float(np.exp(rng.uniform(*np.log(scale))))
    angle = rng.uniform(0, 2 * np.pi) if turn else 0.0
    mirror = -1.0 if turn and rng.random() < 0.5 else 1.0
    reach = size / zoom / 2
    centre = [rng.uniform(min(reach, side / 2), max(side - reach, side / 2)) for side in (width, height)]
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    # Maps output pixel centres to picture pixel centres, as OpenCV's WARP_INVERSE_MAP wants it.
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    offset = np.array(centre) - 0.5 - linear @ np.array([(size - 1) / 2, (size - 1) / 2])
    matrix = np.column_stack([linear, offset])

    def warp(array: npt.NDArray[Any], how: int, border: int) -> npt.NDArray[Any]:
        flags = how | cv2.WARP_INVERSE_MAP
        out: npt.NDArray[Any] = cv2.warpAffine(array, matrix, (size, size), flags=flags, borderMode=border)
        return out

    smooth = cv2.INTER_LINEAR if zoom < 1.5 else cv2.INTER_CUBIC
    image = warp(picture.image, smooth, cv2.BORDER_REFLECT_101).astype(np.uint8)
    labels = warp(picture.labels.astype(np.float32), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT).astype(np.int32)
    counted = np.ones((height, width), np.uint8) if picture.ignore is None else (~picture.ignore).astype(np.uint8)
    ignore = warp(counted, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) == 0
    labels[ignore] = 0
    kinds = np.zeros(1, np.int64) if picture.classes is None else picture.classes
    classes = kinds[labels] if picture.classes is not None else np.zeros_like(labels, dtype=np.int64)
    background = unknown = np.zeros((size, size), bool)
    if picture.background is not None:
        background = warp(picture.background.astype(np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) > 0
    if len(picture.marks):
        shown = warp(np.ones((height, width), np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) > 0
        unknown = shown & ignore & ~background
    return Crop(image, labels, classes, ignore, *_marks_in(picture.marks, linear, offset, size), background, unknown)


def _marks_in(
    marks: Marks, linear: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Points and boxes with their classes; ``linear`` and ``offset`` map pixel centres of the crop to the picture."""
    back = np.linalg.inv(linear)

    def moved(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        out: npt.NDArray[np.float64] = (places - 0.5 - offset) @ back.T + 0.5
        return out

    points = moved(marks.points)
    seen = ((points >= 0) & (points < size)).all(1)
    corners = moved(marks.boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]])
    whole = ((corners >= 0) & (corners <= size)).all((1, 2))
    corner = corners[whole]
    boxes = np.stack([corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]], 1)
    classes = (marks.point_classes[seen].astype(np.int64), marks.box_classes[whole].astype(np.int64))
    return points[seen], classes[0], boxes, classes[1]
