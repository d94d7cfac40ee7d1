"""What the areas of a patch are: its regions, or its nuclei taken together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Patch
from histoseed.geometry import known_mpp
from histoseed.workflows.known_area import known_area
from histoseed.workflows.known_regions import known_classes

__all__ = ["AreaTruth", "Areas", "area_truth"]


@dataclass(frozen=True, slots=True)
class Areas:
    """What is judged.

    Args:
        of: ``regions`` or ``nuclei``.
        background: What belongs to no class is background; else nothing is known of it.
    """

    of: Literal["regions", "nuclei"]
    background: bool


@dataclass(frozen=True, slots=True)
class AreaTruth:
    """The truth of one patch.

    Args:
        patch: The annotated patch.
        classes: (H, W) integers, class of each pixel in the order of the data set, 0 = background or unknown. Of nuclei
            without classes, or where they are not looked at, 1.
        unknown: (H, W) bool, where nothing is judged: the ignore area, what no region says anything of, nuclei of
            unknown class, and the surroundings of points and boxes.
        group: What is resampled as a whole; "" makes the patch its own group.
    """

    patch: Patch
    classes: npt.NDArray[np.int64]
    unknown: npt.NDArray[np.bool_]
    group: str


def area_truth(patch: Patch, areas: Areas, *, classes: bool, mpp: float | None) -> AreaTruth:
    """The truth of a patch.

    Args:
        patch: The annotated patch.
        areas: What is judged.
        classes: Tell the classes of nuclei apart; false takes all of them together.
        mpp: Microns per pixel to assume where the patch states none.
    """
    group = patch.group or patch.patient or patch.slide or ""
    if areas.of == "regions":
        regions, unknown = known_classes(patch, background=areas.background)
        return AreaTruth(patch, regions.astype(np.int64), unknown, group)
    scale = known_mpp(patch.mpp) or known_mpp(mpp) or 1.0
    nothing_known = known_area(patch, scale, partly=not patch.exhaustive).unlabelled
    outlined = patch.labels > 0
    kinds = patch.class_ids[patch.labels].astype(np.int64) if classes else outlined.astype(np.int64)
    unknown = outlined & (kinds == 0)
    return AreaTruth(patch, kinds, unknown if nothing_known is None else unknown | nothing_known, group)
