"""Label images -> object probability and radial distances (Schmidt et al., StarDist, MICCAI 2018).

The maps are coarser than the image by :data:`GRID`: cell (i, j) speaks for the pixel (GRID * i, GRID * j).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import torch

__all__ = ["GRID", "RAYS", "StarTargets", "directions", "make_star_targets", "normalised_depth", "radial_distances"]

GRID = 2
"""Pixels a cell of the maps stands for, along each axis."""
RAYS = 32
"""Radial distances of a polygon."""
LONGEST = 256
"""Pixels after which a ray ends; far beyond any nucleus."""

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class StarTargets:
    """What a batch should become. All on the device of the labels; h = ceil(H / GRID).

    Args:
        probability: (N, h, w) float32: depth in the instance / greatest depth of the instance, 0 on background.
        distances: (N, RAYS, h, w) float32, pixels from the cell's pixel to the border of its instance, 0 on background.
        seen: (N, RAYS, h, w) bool: the ray meets that border before it leaves the picture or enters the ignore area.
        classes: (N, h, w) int64, 0 = unclassified or background.
        weight: (N, h, w) float32, 0 inside the ignore area, else 1.
    """

    probability: torch.Tensor
    distances: torch.Tensor
    seen: torch.Tensor
    classes: torch.Tensor
    weight: torch.Tensor


@cache
def directions() -> npt.NDArray[np.float64]:
    """Unit vectors (x, y) of the rays, clockwise on the screen from the right. (RAYS, 2), read-only."""
    angle = 2 * np.pi * np.arange(RAYS) / RAYS
    out = np.stack([np.cos(angle), np.sin(angle)], 1)
    out.flags.writeable = False
    return out


def normalised_depth(labels: Labels) -> npt.NDArray[np.float32]:
    """Distance of each pixel's centre to the border of its instance, divided by the greatest one of the instance.

    Args:
        labels: (H, W), 0 = background, -1 = unknown. An instance may go on in what is unknown and outside the image:
            no border is seen there.

    The exact Euclidean transform of an image in which every crack between two labels is a row of pixels.
    """
    height, width = labels.shape
    inside = np.ones((2 * height + 1, 2 * width + 1), np.uint8)
    inside[1::2, 1::2] = labels != 0
    vertical, horizontal = (
        (one != other) & (one >= 0) & (other >= 0)
        for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1]))
    )
    inside[1::2, 2:-2:2] = ~vertical
    inside[2:-2:2, 1::2] = ~horizontal
    # Where four pixels meet: a crack passes unless all are equal.
    inside[2:-2:2, 2:-2:2] = ~(vertical[1:] | vertical[:-1] | horizontal[:, 1:] | horizontal[:, :-1])
    if inside.all():
        return np.zeros(labels.shape, np.float32) + (labels > 0)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1::2, 1::2] / 2
    known = np.maximum(labels, 0)
    greatest = np.zeros(int(known.max()) + 1, np.float32)
    np.maximum.at(greatest, known.ravel(), depth.ravel())
    return np.asarray(depth * (known > 0) / np.maximum(greatest, 1e-6)[known], dtype=np.float32)


def radial_distances(labels: Labels) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """How far each cell's pixel sees within its instance along every ray.

    Args:
        labels: (H, W), 0 = background, -1 = unknown.

    Returns:
        (RAYS, ceil(H / GRID), ceil(W / GRID)) float32, pixels: steps of one pixel, the last one counted half; and
        whether the ray ended at another label, not outside the image or at an unknown pixel. Both 0 on background.
    """
    height, width = labels.shape
    padded = np.full((height + 2, width + 2), -1, np.int32)
    padded[1:-1, 1:-1] = labels
    cells = labels[::GRID, ::GRID]
    row, column = np.nonzero(cells > 0)
    own = cells[row, column].astype(np.int32)
    out = np.zeros((RAYS, *cells.shape), np.float32)
    seen = np.zeros(out.shape, bool)
    for k, (dx, dy) in enumerate(directions()):
        alive = np.arange(len(own))
        for step in range(1, LONGEST):
            y = np.rint(GRID * row[alive] + step * dy).astype(np.intp) + 1
            x = np.rint(GRID * column[alive] + step * dx).astype(np.intp) + 1
            met = padded[y, x]
            same = met == own[alive]
            # Half a step beyond the last pixel inside; outside the padding nothing is ever reached.
            ended = alive[~same]
            out[k, row[ended], column[ended]] = step - 0.5
            seen[k, row[ended], column[ended]] = met[~same] >= 0
            alive = alive[same]
            if not len(alive):
                break
    return out, seen


def make_star_targets(
    labels: torch.Tensor, *, classes: torch.Tensor | None = None, ignore: torch.Tensor | None = None
) -> StarTargets:
    """Targets of a batch of label images; arguments as in :meth:`histoseed.segmenters.Representation.targets`."""
    device = labels.device
    known = labels if ignore is None else labels.masked_fill(ignore, -1)
    arrays = known.cpu().numpy()
    depth = torch.from_numpy(np.stack([normalised_depth(one)[::GRID, ::GRID] for one in arrays]))
    distances, seen = (torch.from_numpy(np.stack(m)) for m in zip(*map(radial_distances, arrays), strict=True))
    cells = known[:, ::GRID, ::GRID]
    kinds = torch.zeros_like(cells) if classes is None else classes[:, ::GRID, ::GRID] * (cells > 0)
    return StarTargets(depth.to(device), distances.to(device), seen.to(device), kinds, (cells >= 0).float())
