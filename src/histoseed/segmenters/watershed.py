"""Parts that every watershed on dense maps needs, without a Python loop over objects.

Flooding pixel by pixel is the slow part. It is spent only where it decides something: a component of the foreground
with one marker is that marker's, and of the other components only pixels without a marker, and the marker pixels beside
them, enter the queue. The result is that of a watershed of the whole image.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.measure import label
from skimage.segmentation import watershed

from histoseed.geometry.components import Labels, Mask, components, fill_holes

__all__ = ["Floats", "Labels", "Mask", "components", "fill_holes", "flood", "kept", "largest_parts"]

Floats = npt.NDArray[np.float32]

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def kept(area: npt.NDArray[np.integer], least: float) -> Labels:
    """New number of each label, 1..n in the old order; 0 for the background and for objects of fewer pixels."""
    keep = area >= least
    keep[0] = False
    number = np.zeros(len(area), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1, dtype=np.int32)
    return number


def flood(energy: Floats, markers: Labels, mask: Mask) -> Labels:
    """The watershed of ``-energy`` from the markers within the mask, 4-connected.

    A component of the mask without a marker becomes one object of its own.
    """
    parts, area = components(mask, connectivity=4)
    at = np.flatnonzero(markers)
    label, part = markers.ravel()[at], parts.ravel()[at]
    owner = np.zeros(len(area), np.int32)
    owner[part] = label
    contested = np.zeros(len(area), bool)
    contested[part[owner[part] != label]] = True
    # Nuclei too faint or too small to reach the marker level: their whole component.
    faint = owner == 0
    faint[0] = False
    owner[faint] = markers.max(initial=0) + np.arange(1, faint.sum() + 1, dtype=np.int32)
    labels = np.take(owner, parts)
    if not contested.any():
        return labels
    disputed = np.take(contested, parts)
    open_ = disputed & (markers == 0)
    shore = cv2.dilate(open_.astype(np.uint8), _CROSS).astype(bool) & disputed & ~open_
    flooded = watershed(-energy, np.where(shore, markers, 0), mask=open_ | shore)  # type: ignore[no-untyped-call]
    return np.where(disputed, np.where(open_, flooded, markers), labels).astype(np.int32, copy=False)


def largest_parts(labels: Labels) -> Labels:
    """Of every label its largest 4-connected part; the first in reading order of equals. Labels keep their numbers."""
    parts = np.asarray(label(labels, background=0, connectivity=1), dtype=np.int32)  # type: ignore[no-untyped-call]
    area = np.bincount(parts.ravel())
    owner = np.zeros(len(area), np.int32)
    owner[parts.ravel()] = labels.ravel()
    order = np.lexsort((np.arange(len(area)), -area, owner))
    first = np.ones(len(area), bool)
    first[1:] = owner[order][1:] != owner[order][:-1]
    chosen = np.zeros(len(area), np.int32)
    chosen[order[first]] = owner[order[first]]
    return np.take(chosen, parts)
