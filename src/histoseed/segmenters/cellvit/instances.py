"""Nucleus and horizontal-vertical maps -> instances, without a Python loop over objects.

HoVer-Net and CellViT rescale each map and its derivative to the range between the smallest and the largest value *of
the tile*; what a nucleus becomes then depends on what else the tile shows. Here the range is fixed: the slope inside a
nucleus and the drop between two touching ones have sizes that are known beforehand, in units of 1/um, since the maps
run from -1 to 1 across a nucleus of some micrometres. The derivative is the same wide Sobel kernel (21 pixels at 0.25
microns per pixel). An object without a marker is kept as one instance, and the class is decided by the sum of
probabilities instead of a vote of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from histoseed.segmenters.watershed import Floats, Labels, Mask, components, fill_holes, flood, kept

__all__ = ["HoverProcessing", "hover_edges", "hover_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoverProcessing:
    """Thresholds of the HoVer post-processing; they travel with the model in ``model.json``.

    Args:
        kind: Which representation they belong to.
        foreground: Least nucleus probability of a nucleus pixel.
        marker: Edge strength, in [0, 1], from which a pixel is no marker.
        kernel_um: Side of the Sobel kernel, micrometres.
        rise_per_um: Slope of the maps inside a nucleus, per micrometre; it counts as no edge.
        drop_per_um: Drop of the maps between two touching nuclei, per micrometre; it counts as a full edge.
        opening_um: Diameter of the ellipse that opens the markers, micrometres.
        min_area_um2: Smaller objects are dropped, square micrometres.
        min_marker_um2: Smaller markers are dropped, square micrometres.
        max_hole_um2: Smaller holes are filled, square micrometres.
    """

    kind: Literal["cellvit"] = "cellvit"
    foreground: float = 0.5
    marker: float = 0.3
    kernel_um: float = 5.25
    rise_per_um: float = 0.35
    drop_per_um: float = 1.1
    opening_um: float = 1.25
    min_area_um2: float = 7.0
    min_marker_um2: float = 0.6
    max_hole_um2: float = 6.0


def _odd(length: float) -> int:
    return max(3, 2 * round((length - 1) / 2) + 1)


def hover_edges(offsets: Floats, how: HoverProcessing, mpp: float) -> Floats:
    """Edge strength in [0, 1]: 0 where both maps rise as in a nucleus, 1 where one drops as between two.

    Args:
        offsets: (2, H, W) horizontal and vertical map in [-1, 1].
        how: Thresholds.
        mpp: Microns per pixel.
    """
    # OpenCV takes at most 31 taps.
    size = min(_odd(how.kernel_um / mpp), 31)
    steepest = np.full(offsets.shape[1:], np.inf, np.float32)
    for offset, order in zip(offsets, ((1, 0), (0, 1)), strict=True):
        row, column = cv2.getDerivKernels(*order, size, normalize=True, ktype=cv2.CV_32F)
        plane = np.ascontiguousarray(offset, dtype=np.float32)
        slope = cv2.sepFilter2D(plane, cv2.CV_32F, row, column, borderType=cv2.BORDER_REPLICATE)
        np.minimum(steepest, slope, out=steepest)
    edge = (how.rise_per_um - steepest / mpp) / (how.rise_per_um + how.drop_per_um)
    return np.asarray(np.clip(edge, 0, 1), dtype=np.float32)


def _markers(core: Mask, how: HoverProcessing, mpp: float) -> Labels:
    size = _odd(how.opening_um / mpp)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    filled = fill_holes(core, how.max_hole_um2 / mpp**2).astype(np.uint8)
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, ellipse).astype(bool)
    seeds, area = components(opened, connectivity=8)
    return np.take(kept(area, how.min_marker_um2 / mpp**2), seeds)


def hover_labels(nucleus: Floats, offsets: Floats, how: HoverProcessing, mpp: float) -> Labels:
    """Label image of the nuclei.

    Args:
        nucleus: (H, W) float32 nucleus probability.
        offsets: (2, H, W) float32 horizontal and vertical map in [-1, 1].
        how: Thresholds.
        mpp: Microns per pixel of the maps.

    Returns:
        (H, W) int32, 0 = background, labels 1..n without gaps.
    """
    mask = fill_holes(nucleus >= how.foreground, how.max_hole_um2 / mpp**2)
    edge = hover_edges(offsets, how, mpp)
    markers = _markers(mask & (edge < how.marker), how, mpp) * mask
    energy = np.asarray(cv2.GaussianBlur((1 - edge) * mask, (3, 3), 0), dtype=np.float32)
    labels = flood(energy, markers, mask)
    return np.take(kept(np.bincount(labels.ravel()), how.min_area_um2 / mpp**2), labels)
