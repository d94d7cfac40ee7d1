"""``summary.json``: what was found, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from histoseed.annotations import Instances

__all__ = ["Summary"]


class Summary:
    """Counts objects as they come.

    Args:
        mpp: Microns per level-0 pixel.
        classes: Names of the classes.
    """

    def __init__(self, mpp: float, classes: list[str]) -> None:
        self._mpp = mpp
        self._names = classes
        self._areas: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        self._classes: list[np.ndarray[Any, np.dtype[np.int16]]] = []

    def add(self, instances: Instances) -> None:
        """Count some objects."""
        number = {name: k for k, name in enumerate(self._names)}
        self._areas.append((shapely.area(instances.geometry) * self._mpp**2).astype(np.float32))
        self._classes.append(np.array([number.get(name, -1) for name in instances.class_name], dtype=np.int16))

    def figures(self, *, region_mm2: float, tissue_mm2: float) -> dict[str, Any]:
        """The figures, as JSON values. Lengths are micrometres, densities objects a square millimetre.

        Args:
            region_mm2: Area of what was segmented.
            tissue_mm2: Area of its pixels that are not white.
        """
        area = np.concatenate([np.empty(0, np.float32), *self._areas])
        kind = np.concatenate([np.empty(0, np.int16), *self._classes])
        figures = {
            "region_mm2": round(region_mm2, 6),
            "tissue_mm2": round(tissue_mm2, 6),
            **_row(area, region_mm2, tissue_mm2),
        }
        if self._names:
            rows = {name: _row(area[kind == k], region_mm2, tissue_mm2) for k, name in enumerate(self._names)}
            figures["classes"] = rows
        return figures


def _row(area: np.ndarray[Any, np.dtype[np.float32]], region_mm2: float, tissue_mm2: float) -> dict[str, Any]:
    count = len(area)
    return {
        "objects": count,
        "per_mm2": round(count / region_mm2, 2),
        "per_tissue_mm2": round(count / tissue_mm2, 2) if tissue_mm2 else None,
        "median_area_um2": round(float(np.median(area)), 2) if count else None,
        "mean_area_um2": round(float(area.mean(dtype=np.float64)), 2) if count else None,
    }
