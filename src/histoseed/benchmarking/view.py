"""A data set seen through a class map and a window: nothing is written, the data stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import Dataset, Patch, crop_patch, named_classes
from histoseed.datasets.mappings import Target
from histoseed.errors import UnknownMppError

__all__ = ["View", "viewed", "with_classes"]

_AS_IT_IS = Target("unclassified")


@dataclass(frozen=True, eq=False)
class View(Dataset):
    """A data set whose patches are changed as they are read.

    Args:
        base: The data set on the disk.
        targets: Class -> what becomes of it; None leaves the classes.
        unclassified: What becomes of objects without a class.
        window_um: Side of the central square that is shown, micrometres; None shows all. The tables stay those of the
            whole patches.
        assumed_mpp: Where a patch states none.
    """

    base: Dataset
    targets: Mapping[str, Target] | None
    unclassified: Target
    window_um: float | None
    assumed_mpp: float | None

    def patch(self, key: int | str) -> Patch:
        """The patch with the classes of the map, and cut to the window; its id stays."""
        patch = self.base.patch(self.patch_ids[self.row(key)])
        if self.targets is not None:
            patch = _mapped(patch, self.targets, self.unclassified, tuple(c.name for c in self.classes))
        if self.window_um is None:
            return patch
        x, y, side = self._window(patch.patch_id, patch.mpp, *patch.labels.shape)
        return replace(crop_patch(patch, x, y, side), patch_id=patch.patch_id)

    def instances_of(self, key: int | str) -> Instances:
        """The objects with the classes of the map; of a window those whose centroid lies inside, in its pixels."""
        patch_id = self.patch_ids[self.row(key)]
        objects = self.base.instances_of(patch_id)
        if self.targets is not None:
            fates = [self.unclassified if name is None else self.targets[name] for name in objects.class_name]
            kept = np.array([not _goes(fate) for fate in fates], dtype=bool)
            names = np.array([fate.name or None for fate in fates], dtype=object)
            objects = replace(objects, class_name=names).select(kept)
        if self.window_um is None:
            return objects
        row = self.patches.row(self.row(key), named=True)
        x, y, side = self._window(patch_id, row["mpp"], row["height"], row["width"])
        centres = objects.centroids() - (x, y)
        inside = objects.select(((centres >= 0) & (centres < side)).all(axis=1))
        moved = np.empty(len(inside), dtype=object)
        moved[:] = [shapely.transform(shape, lambda c: c - (x, y)) for shape in inside.geometry]
        return replace(inside, geometry=moved)

    def _window(self, patch_id: str, mpp: float | None, height: int, width: int) -> tuple[int, int, int]:
        """Left border, upper border and side of the window, pixels of the patch."""
        scale = mpp if mpp is not None else self.assumed_mpp
        if scale is None or self.window_um is None:
            fix = "Add mpp = ... to the data set in the plan, or leave test_um out."
            raise UnknownMppError("A window in micrometres needs the mpp.", where=f"patch {patch_id!r}", fix=fix)
        side = max(1, min(round(self.window_um / scale), height, width))
        return (width - side) // 2, (height - side) // 2, side


def viewed(
    data: Dataset,
    *,
    targets: Mapping[str, Target] | None = None,
    unclassified: Target = _AS_IT_IS,
    window_um: float | None = None,
    mpp: float | None = None,
) -> Dataset:
    """A data set through a class map and a window; itself where there is neither. See :class:`View`."""
    if targets is None and window_um is None:
        return data
    info, instances = data.info, data.instances
    if targets is not None:
        names = dict.fromkeys(t.name for t in (*targets.values(), unclassified) if t.fate == "class")
        info = replace(info, classes=named_classes(names, {c.name: c.color for c in info.classes}))
        gone = [name for name, target in targets.items() if _goes(target)]
        new = {name: target.name or None for name, target in targets.items()}
        nucleus = pl.col("layer") == "nucleus"
        listed = pl.col("class_name").is_in(pl.Series(gone, dtype=pl.String).implode())
        lost = nucleus & listed.fill_null(value=_goes(unclassified))
        renamed = (
            pl.when(pl.col("class_name").is_null())
            .then(pl.lit(unclassified.name or None, dtype=pl.String))
            .otherwise(pl.col("class_name").replace_strict(new, default=None, return_dtype=pl.String))
        )
        instances = instances.filter(~lost).with_columns(
            pl.when(nucleus).then(renamed).otherwise("class_name").alias("class_name")
        )
    fields: dict[str, Any] = {
        name: getattr(data, name) for name in ("path", "patches", "slides", "settings", "file_rows")
    }
    return View(
        info=info, instances=instances, base=data, targets=targets, unclassified=unclassified, window_um=window_um,
        assumed_mpp=mpp, **fields,
    )  # fmt: skip


def with_classes(data: Dataset, mapped: Mapping[str, Any]) -> Dataset:
    """A data set through the class map of a unit.

    Args:
        data: The data set.
        mapped: ``classes``: None, or class -> fields of a :class:`Target`; ``unclassified``: such fields, where objects
            without a class do not stay as they are.
    """
    if mapped["classes"] is None:
        return data
    targets = {name: Target(*target) for name, target in mapped["classes"].items()}
    return viewed(data, targets=targets, unclassified=Target(*mapped.get("unclassified", _AS_IT_IS)))


def _goes(target: Target) -> bool:
    """Whether objects are no objects any more."""
    return target.fate in {"ignore", "drop"}


def _mapped(patch: Patch, targets: Mapping[str, Target], unclassified: Target, classes: tuple[str, ...]) -> Patch:
    """A patch with other classes; objects of a class that goes are background or ignored area."""
    fates = [unclassified, *(targets[name] for name in patch.classes)]
    index = {name: i for i, name in enumerate(classes, start=1)}
    new_index = np.array([index.get(fate.name, 0) for fate in fates], dtype=np.int32)
    gone = np.array([_goes(fate) for fate in fates])
    ignored = np.array([fate.fate == "ignore" for fate in fates])
    of_pixels = patch.class_ids[patch.labels]
    labels: npt.NDArray[np.int32] = np.where(gone[of_pixels] & (patch.labels > 0), 0, patch.labels).astype(np.int32)
    ignore = patch.ignore
    if ignored.any():
        area = ignored[of_pixels] & (patch.labels > 0)
        ignore = area if ignore is None else ignore | area
    there = np.bincount(labels.ravel(), minlength=len(patch.class_ids)) > 0
    there[0] = False  # background has no class, whatever becomes of objects without one
    class_ids = np.where(there, new_index[patch.class_ids], 0).astype(np.int32)
    return replace(patch, labels=labels, class_ids=class_ids, classes=classes, ignore=ignore)
