"""How regions of tissue and ignored areas are set off from objects: dashed outlines, and a hatched veil."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.pictures.colors import mixed, rgb
from histoseed.pictures.lettering import PAPER, hatched
from histoseed.pictures.overlay import outline_mask
from histoseed.pictures.raster import Picture

__all__ = ["IGNORED", "dash_mask", "veiled"]

IGNORED = "#8a929b"
"""Grey of the area that counts for nothing."""

_DASH, _GAP = 10, 6
_PERIOD = 9
_STRIPE, _BETWEEN = 0.8, 0.3
"""Shares of grey in a veil: the tissue below stays recognisable, and nobody takes it for stain."""


def veiled(picture: Picture, area: npt.NDArray[np.bool_]) -> Picture:
    """A copy of the picture, its ``area`` (H, W) bool under grey stripes, with a grey line at its edge."""
    stripes = np.all(hatched(area.shape[0], area.shape[1], IGNORED, _PERIOD) == rgb(IGNORED), axis=2)
    share = np.where(stripes, _STRIPE, _BETWEEN)[..., None]
    grey = np.where(stripes[..., None], rgb(IGNORED), rgb(mixed(IGNORED, PAPER, 0.65)))
    out = picture.copy()
    out[area] = np.round((1 - share) * picture + share * grey).astype(np.uint8)[area]
    out[outline_mask(area.astype(np.uint8))] = rgb(IGNORED)
    return out


def dash_mask(labels: npt.NDArray[np.integer], thickness: int = 1) -> npt.NDArray[np.bool_]:
    """The pixels of dashed outlines, inside each label as those of :func:`outline_mask`.

    Dashes are counted along the outline, so that they are as long on a slope as on the level.

    Args:
        labels: (H, W) int, 0 = background.
        thickness: Pixels, counted inwards.

    Returns:
        (H, W) bool.
    """
    import cv2

    kept = np.zeros(labels.shape, dtype=bool)
    brush = np.ones((2 * thickness - 1, 2 * thickness - 1), dtype=np.uint8)
    for value in np.unique(labels[labels != 0]).tolist():
        mine = labels == value
        contours, _ = cv2.findContours(mine.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        dashes = np.zeros(labels.shape, dtype=np.uint8)
        for contour in contours:
            columns, rows = contour[:, 0].T
            steps = np.hypot(np.diff(columns, prepend=columns[:1]), np.diff(rows, prepend=rows[:1]))
            dashed = np.cumsum(steps) % (_DASH + _GAP) < _DASH
            dashes[rows[dashed], columns[dashed]] = 1
        kept |= mine & (cv2.dilate(dashes, brush) > 0)
    return outline_mask(labels, thickness) & kept
