"""What the region maps of a data set say about pixels; the twin of :mod:`histoseed.workflows.known_area` for areas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Dataset, Patch

__all__ = ["NUCLEI", "has_regions", "known_classes"]

NUCLEI = "nuclei"
"""The class of the area of nuclei where the data set has no classes."""


def has_regions(data: Dataset) -> bool:
    """Whether any patch has a map of regions."""
    hashed = data.patches["regions_sha256"].count() > 0
    return hashed or any((data.path / "regions" / f"{patch_id}.tif").is_file() for patch_id in data.patch_ids)


def known_classes(patch: Patch, *, background: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Region class of each pixel of a patch, and where nothing is known of it.

    Args:
        patch: Its map of regions may be missing.
        background: What lies in no region is background; else it is unlabelled.

    Returns:
        (H, W) uint8, 0 = background or unknown, and (H, W) bool, unknown.
    """
    shape = patch.image.shape[:2]
    if patch.regions is None:
        return np.zeros(shape, np.uint8), np.ones(shape, bool)
    unknown = np.zeros(shape, bool) if patch.ignore is None else patch.ignore.copy()
    if not background:
        unknown |= patch.regions == 0
    return np.where(unknown, np.uint8(0), patch.regions), unknown
