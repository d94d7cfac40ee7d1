"""Annotated pictures -> square training crops, turned, mirrored and scaled at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

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
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int64] | None = None
    ignore: npt.NDArray[np.bool_] | None = None
    zoom: float = 1.0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Crop:
    """One square crop: image (S, S, 3) uint8, labels (S, S) int32, classes (S, S) int64, ignore (S, S) bool."""

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int64]
    ignore: npt.NDArray[np.bool_]


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
    return Crop(image, labels, classes, ignore)
