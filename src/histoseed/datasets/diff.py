"""Two versions of one data set, object by object: what was kept, moved, reclassed, added, removed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.datasets.dataset import Dataset
from histoseed.datasets.matching import object_overlaps, object_spans
from histoseed.errors import DatasetError

__all__ = ["CHANGES", "OBJECT_COLUMNS", "Diff", "Matchers", "Pair", "compare_patches", "pair_patches"]

CHANGES = ("kept", "moved", "reclassed", "added", "removed")
"""What can become of an object. *Kept*: the same class and the same pixels; *moved*: the same class, another outline or
place; *reclassed*: another class, whatever its outline; *added* and *removed*: it has no partner on the other side."""

_SIDE_COLUMNS = {
    "class": ("class_name", pl.String()),
    "kind": ("kind", pl.String()),
    "label": ("label", pl.Int64()),
    "id": ("instance_id", pl.String()),
    "area": ("area_px", pl.Float64()),
    "x": ("centroid_x", pl.Float64()),
    "y": ("centroid_y", pl.Float64()),
}

OBJECT_COLUMNS: Mapping[str, pl.DataType] = {
    "patch_a": pl.String(),
    "patch_b": pl.String(),
    "layer": pl.String(),
    "change": pl.String(),
    "iou": pl.Float64(),
    "distance_px": pl.Float64(),
    **{f"{name}_{side}": dtype for name, (_, dtype) in _SIDE_COLUMNS.items() for side in "ab"},
}
"""Columns of :attr:`Diff.objects`."""

_FACTS = ("exhaustive", "mpp", "x", "y", "group", "patient", "slide", "centre", "organ", "split", "fold")
_FILES = {"sha256": "image file", "regions_sha256": "regions", "ignore_sha256": "ignore area"}

_SLIDE_PIXELS = 1 << 24
"""Pixels at which the objects of a whole slide are compared."""

Ints = npt.NDArray[np.int64]
Pair = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Matchers:
    """How objects are paired, one to one.

    Args:
        edges: Row, column and gain of each edge -> indices of the edges that together gain most.
        points: (N, 2) and (M, 2) points, largest distance -> indices of the paired points on either side.
    """

    edges: Callable[[Ints, Ints, npt.NDArray[np.float64]], Ints]
    points: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64], float], tuple[Ints, Ints]]


@dataclass(frozen=True, slots=True)
class Diff:
    """What became of every object from version A to version B.

    Args:
        objects: One row an object, or a pair of objects; columns :data:`OBJECT_COLUMNS`. ``iou`` and ``distance_px``
            (of the centres) are null where there is no partner, ``iou`` also for points.
        patches: One row a patch: ``patch_a, patch_b`` (null where it stands on one side only), one column a change with
            the number of objects, ``changes`` (all but *kept*), ``facts``: what else differs, as text.
    """

    objects: pl.DataFrame
    patches: pl.DataFrame

    def summary(self) -> dict[str, Any]:
        """Numbers for people and scripts; every value can be written as JSON.

        Returns:
            ``objects``: layer -> change -> number; ``reclassed_and_moved``; ``moved_iou``: quartiles of the IoU of
            what moved; ``classes``: "from -> to" of what was reclassed -> number; ``patches``: numbers of patches
            ``in_both, only_a, only_b, unchanged``; ``facts``: what else differs -> number of patches.
        """
        counts = self.objects.group_by("layer", "change").len()
        number = {(layer, change): n for layer, change, n in counts.iter_rows()}
        layers = [name for name in ("nucleus", "region", "ignore") if any(layer == name for layer, _ in number)]
        moved = self.objects.filter(pl.col("change") == "moved")["iou"].drop_nulls()
        reclassed = self.objects.filter(pl.col("change") == "reclassed")
        names = reclassed.select(
            pl.format("{} -> {}", *(pl.col(f"class_{side}").fill_null("unclassified") for side in "ab")).alias("name")
        )
        both = self.patches.filter(pl.col("patch_a").is_not_null() & pl.col("patch_b").is_not_null())
        facts = self.patches["facts"].str.split(", ").explode().drop_nulls()
        return {
            "objects": {layer: {change: number.get((layer, change), 0) for change in CHANGES} for layer in layers},
            "reclassed_and_moved": int((reclassed["iou"] < 1).sum()),
            "moved_iou": [round(float(q), 3) for q in np.quantile(moved, [0.25, 0.5, 0.75])] if len(moved) else None,
            "classes": _counts(names["name"]),
            "patches": {
                "in_both": both.height,
                "only_a": int(self.patches["patch_b"].null_count()),
                "only_b": int(self.patches["patch_a"].null_count()),
                "unchanged": both.filter((pl.col("changes") == 0) & (pl.col("facts") == "")).height,
            },
            "facts": _counts(facts.filter(facts != "")),
        }


def _counts(values: pl.Series) -> dict[str, int]:
    """Value -> how often, most frequent first."""
    rows = values.alias("value").to_frame().group_by("value").len().sort(["len", "value"], descending=[True, False])
    return dict(rows.iter_rows())


def pair_patches(
    a: Dataset, b: Dataset, *, by_image: bool = False, on_patch: Callable[[], object] | None = None
) -> list[Pair]:
    """Which patch of B is the other version of which patch of A.

    Args:
        a: One version.
        b: The other.
        by_image: Pair patches of equal pixels, whatever their ids; of several equal ones the first with the first.
        on_patch: Called after every picture that was read.

    Returns:
        Ids of A and B, in the order of A; then those that stand in B only. None where there is no partner.

    Raises:
        DatasetError: no patch stands in both, or two versions of a patch have different sizes.
    """
    keys = [_image_keys(one, on_patch) if by_image else {name: name for name in one.patch_ids} for one in (a, b)]
    partner = {key: name for name, key in keys[1].items()}
    pairs: list[Pair] = [(name, partner.pop(key, None)) for name, key in keys[0].items()]
    pairs += [(None, name) for name, key in keys[1].items() if key in partner]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    if not both:
        fix = "Are the pictures equal?" if by_image else "Patches are paired by id; --by-image pairs equal pictures."
        raise DatasetError("No patch stands in both data sets.", where=f"{a.path} and {b.path}", fix=fix)
    sizes = [one.patches.select("patch_id", "width", "height") for one in (a, b)]
    size_of = [{name: (width, height) for name, width, height in table.iter_rows()} for table in sizes]
    other_size = [(one, other) for one, other in both if size_of[0][one] != size_of[1][other]]
    if other_size:
        one, other = other_size[0]
        what = f"The patch is {_size(size_of[0][one])} in one version and {_size(size_of[1][other])} in the other"
        more = f"; {len(other_size):,} patches are like this." if len(other_size) > 1 else "."
        fix = "Import both versions at the same resolution."
        raise DatasetError(what + more, where=f"patch {one!r}", fix=fix)
    return pairs


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"


def _image_keys(dataset: Dataset, on_patch: Callable[[], object] | None) -> dict[str, str]:
    """Patch id -> hash of its pixels, and which of several equal ones it is."""
    seen: dict[str, int] = {}
    keys = {}
    for patch in dataset:
        digest = hashlib.sha256(repr(patch.image.shape).encode() + patch.image.tobytes()).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        keys[patch.patch_id] = f"{digest}/{seen[digest]}"
        if on_patch is not None:
            on_patch()
    return keys


def compare_patches(
    a: Dataset,
    b: Dataset,
    pairs: list[Pair],
    matchers: Matchers,
    *,
    match_iou: float = 0.1,
    kept_iou: float = 1.0,
    radius_um: float = 3.0,
    radius_px: float = 12.0,
    on_patch: Callable[[], object] | None = None,
) -> Diff:
    """Pair the objects of every patch and say what became of them.

    Outlines and boxes are paired by the overlap of their pixels, points (and outlines too small to have a pixel) by
    distance; a point is never paired with an outline. Objects of different layers are never paired.

    Args:
        a: One version.
        b: The other.
        pairs: Of :func:`pair_patches`.
        matchers: How objects are paired.
        match_iou: Least IoU at which two outlines can be one object.
        kept_iou: Least IoU at which its outline counts as unchanged.
        radius_um: Largest distance of two points that can be one object, micrometres.
        radius_px: The same in pixels, where the mpp is not known.
        on_patch: Called after every patch.

    Raises:
        DatasetError: a patch that cannot be read.
    """
    tables, rows = [pl.DataFrame(schema=OBJECT_COLUMNS)], []
    for one, other in pairs:
        mine, theirs = (_Side.of(data, name) for data, name in ((a, one), (b, other)))
        mpp = mine.facts.get("mpp") or theirs.facts.get("mpp")
        radius = radius_px if mpp is None else radius_um / mpp
        objects = _compared(mine, theirs, matchers, (match_iou, kept_iou, radius))
        tables.append(
            objects.with_columns(pl.lit(one).alias("patch_a"), pl.lit(other).alias("patch_b")).select(
                pl.col(name).cast(dtype) for name, dtype in OBJECT_COLUMNS.items()
            )
        )
        counts = {change: int((objects["change"] == change).sum()) for change in CHANGES}
        differs = list(_fact_changes(mine.facts, theirs.facts)) if one and other else []
        changes = sum(counts.values()) - counts["kept"]
        rows.append({"patch_a": one, "patch_b": other, **counts, "changes": changes, "facts": ", ".join(differs)})
        if on_patch is not None:
            on_patch()
    patches = pl.DataFrame(rows, schema_overrides={"patch_a": pl.String, "patch_b": pl.String})
    return Diff(pl.concat(tables), patches)


@dataclass(frozen=True, slots=True)
class _Side:
    """One version of a patch; nothing where it does not stand on this side."""

    objects: pl.DataFrame
    labels: npt.NDArray[np.integer]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, dataset: Dataset, name: str | None) -> _Side:
        if name is None:
            return cls(dataset.instances.clear(), np.zeros((0, 0), np.int32), {})
        facts = dataset.patches.row(dataset.row(name), named=True)
        objects = dataset.objects(name)
        if PurePosixPath(facts["image"]).parts[0] == "images" or facts["mask"] is not None:
            return cls(objects, dataset.patch(name).labels, facts)
        # A whole slide has outlines only; they are compared at a size that fits into memory.
        scale = min(1.0, math.sqrt(_SLIDE_PIXELS / (facts["width"] * facts["height"])))
        shapes = shapely.transform(shapely.from_wkb(objects["geometry"].to_numpy()), lambda xy: xy * scale)
        shape = (max(1, round(facts["height"] * scale)), max(1, round(facts["width"] * scale)))
        drawn = objects.with_columns(pl.Series("geometry", shapely.to_wkb(shapes), dtype=pl.Binary))
        return cls(drawn, np.zeros(shape, np.int32), facts)


def _compared(a: _Side, b: _Side, matchers: Matchers, limits: tuple[float, float, float]) -> pl.DataFrame:
    """The objects of one patch: pairs in the order of A, then what was removed, then what was added."""
    match_iou, kept_iou, radius = limits
    i, j, iou = _paired(a, b, matchers, match_iou, radius)
    first, second = _columns(a.objects, "a"), _columns(b.objects, "b")
    pairs = pl.concat([first[i], second[j].drop("layer")], how="horizontal").with_columns(pl.Series("iou", iou))
    pairs = pairs.with_columns(
        ((pl.col("x_a") - pl.col("x_b")) ** 2 + (pl.col("y_a") - pl.col("y_b")) ** 2).sqrt().alias("distance_px"),
        pl.col("iou").fill_nan(None),
    )
    still = pl.when(pl.col("iou").is_null()).then(pl.col("distance_px") == 0).otherwise(pl.col("iou") >= kept_iou)
    outline = pl.when(still).then(pl.lit("kept")).otherwise(pl.lit("moved"))
    change = pl.when(~pl.col("class_a").eq_missing(pl.col("class_b"))).then(pl.lit("reclassed")).otherwise(outline)
    gone = first[np.setdiff1d(np.arange(first.height), i)].with_columns(pl.lit("removed").alias("change"))
    new = second[np.setdiff1d(np.arange(second.height), j)].with_columns(pl.lit("added").alias("change"))
    table = pl.concat([pairs.with_columns(change.alias("change")), gone, new], how="diagonal")
    return pl.concat([pl.DataFrame(schema=OBJECT_COLUMNS).drop("patch_a", "patch_b"), table], how="diagonal")


def _columns(objects: pl.DataFrame, side: str) -> pl.DataFrame:
    return objects.select("layer", *(pl.col(old).alias(f"{new}_{side}") for new, (old, _) in _SIDE_COLUMNS.items()))


def _paired(
    a: _Side, b: _Side, matchers: Matchers, match_iou: float, radius: float
) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """Rows of A (ascending), rows of B and IoU (NaN for points) of the pairs."""
    if not a.objects.height or not b.objects.height:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    spans = [object_spans(side.objects, side.labels) for side in (a, b)]
    counts = (a.objects.height, b.objects.height)
    shared = object_overlaps(spans[0], spans[1], counts, (a.labels.shape[0], a.labels.shape[1]))
    layers = [side.objects["layer"].to_numpy() for side in (a, b)]
    near = np.flatnonzero((shared.iou >= match_iou) & (layers[0][shared.first] == layers[1][shared.second]))
    # Of equal overlaps the one that kept its id is taken.
    ids = [side.objects["instance_id"].to_numpy() for side in (a, b)]
    same = ids[0][shared.first[near]] == ids[1][shared.second[near]]
    chosen = near[matchers.edges(shared.first[near], shared.second[near], shared.iou[near] + 1e-9 * same)]
    found = [(shared.first[chosen], shared.second[chosen], shared.iou[chosen])]
    areas = [side.areas(count) for side, count in zip(spans, counts, strict=True)]
    for layer in np.unique(layers[0]):
        i, j = (np.flatnonzero((area == 0) & (names == layer)) for area, names in zip(areas, layers, strict=True))
        centres = [side.objects.select("centroid_x", "centroid_y").to_numpy()[rows] for side, rows in ((a, i), (b, j))]
        first, second = matchers.points(centres[0], centres[1], radius)
        found.append((i[first], j[second], np.full(len(first), np.nan)))
    i, j, iou = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(i)
    return i[order], j[order], iou[order]


def _fact_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """What else of a patch differs."""
    yield from (name for name in _FACTS if a[name] != b[name])
    yield from (text for name, text in _FILES.items() if a[name] != b[name])
