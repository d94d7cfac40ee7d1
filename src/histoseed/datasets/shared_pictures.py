"""Pictures that show the same, and crops that share pixels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets.anchors import Anchors, anchors_of, shared_anchors
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.hashes import SIDE, TURNS, correlation, near_pairs, perceptual_hash, thumbnail
from histoseed.datasets.paths import image_path
from histoseed.datasets.pixels import read_png
from histoseed.datasets.shared_names import Finding
from histoseed.wording import agreed

__all__ = ["Pictures", "alike", "look_at", "overlapping"]

Ints = npt.NDArray[np.int64]

_AT_ONCE = 256
"""Patches handed to the threads at a time, so that Ctrl-C does not wait for all of them."""

_NO_ANCHORS = anchors_of(np.zeros((1, 1, 3), np.uint8))


@dataclass(frozen=True, slots=True)
class Pictures:
    """What :func:`look_at` keeps of the pictures of a data set of N patches.

    Args:
        thumbs: (N, 32, 32) uint8 grey thumbnails.
        anchors: Anchors of each patch; empty ones where they were not asked for.
        skipped: (N,) bool, patches that are areas of a slide and were not read.
    """

    thumbs: npt.NDArray[np.uint8]
    anchors: tuple[Anchors, ...]
    skipped: npt.NDArray[np.bool_]


def look_at(
    dataset: Dataset,
    *,
    overlaps: bool = True,
    workers: int | None = None,
    on_patches: Callable[[int], object] | None = None,
) -> Pictures:
    """Read every picture of a data set once; a thumbnail and a few numbers are kept of each.

    Args:
        dataset: The data set. Patches whose image is an area of a slide are passed over.
        overlaps: Whether to keep anchors, for crops that share pixels.
        workers: Threads; None leaves the choice to Python.
        on_patches: Told how many more patches are done.

    Raises:
        DatasetError: a picture that cannot be read.
        LimitError: a picture of too many pixels.
    """

    def look(row: tuple[str, str, int, int]) -> tuple[npt.NDArray[np.uint8], Anchors, bool]:
        patch_id, image, height, width = row
        where = f"patch {patch_id!r}"
        path, is_slide = image_path(dataset.path, image, where, dataset.slides)
        if is_slide:
            return np.zeros((SIDE, SIDE), np.uint8), _NO_ANCHORS, True
        pixels = read_png(path, (height, width), where, dataset.settings)
        return thumbnail(pixels), anchors_of(pixels) if overlaps else _NO_ANCHORS, False

    rows = list(dataset.patches.select("patch_id", "image", "height", "width").iter_rows())
    seen: list[tuple[npt.NDArray[np.uint8], Anchors, bool]] = []
    with ThreadPoolExecutor(workers) as pool:
        for at in range(0, len(rows), _AT_ONCE):
            some = rows[at : at + _AT_ONCE]
            seen.extend(pool.map(look, some))
            if on_patches is not None:
                on_patches(len(some))
    thumbs, anchors, skipped = zip(*seen, strict=True)
    return Pictures(np.stack(thumbs), anchors, np.array(skipped))


def alike(
    table: pl.DataFrame, pictures: Sequence[Pictures], distance: int, similarity: float
) -> tuple[list[Finding], list[str]]:
    """Pairs of patches that show the same, and sentences about what was not compared.

    Args:
        table: Of :func:`~histoseed.datasets.shared_names.patch_table`.
        pictures: Of each data set, in the same order.
        distance: Bits by which hashes may differ.
        similarity: Least correlation of thumbnails.

    Raises:
        InputError: a distance out of range.
        LimitError: too many pictures look alike.
    """
    thumbs = np.concatenate([one.thumbs for one in pictures])
    skipped = np.concatenate([one.skipped for one in pictures])
    bits, blank = perceptual_hash(thumbs)
    counts = {
        "{count} {patch is an area of a slide; only its name was|patches are areas of slides; only their names were} "
        "compared.": int(skipped.sum()),
        "{count} blank {patch was|patches were} not compared.": int((blank & ~skipped).sum()),
    }
    rows = np.flatnonzero(~skipped & ~blank)
    found_near = near_pairs(bits[rows], radius=distance)
    near = replace(found_near, first=rows[found_near.first], second=rows[found_near.second])
    same = correlation(thumbs, near)
    found = []
    for k in np.flatnonzero((same >= similarity) & _apart(table, near.first, near.second)).tolist():
        i, j = int(near.first[k]), int(near.second[k])
        equal = table["sha256"][i] is not None and table["sha256"][i] == table["sha256"][j]
        detail = "equal files" if equal else TURNS[near.turn[k]]
        found.append(_pair(table, i, j, kind="image", similarity=same[k], detail=detail))
    return found, [agreed(text, count) for text, count in counts.items() if count]


def overlapping(table: pl.DataFrame, pictures: Sequence[Pictures], known: Collection[str]) -> list[Finding]:
    """Pairs of crops that share pixels.

    Args:
        table: Of :func:`~histoseed.datasets.shared_names.patch_table`.
        pictures: Of each data set, in the same order.
        known: Names of pairs that :func:`alike` found; they are left out.

    Raises:
        LimitError: too many places are equal.
    """
    shared = shared_anchors([one for side in pictures for one in side.anchors])
    sizes = table.select("width", "height").to_numpy().astype(np.int64)
    moved = np.stack((shared.dx, shared.dy), axis=1)
    # Pixel p of the first is pixel p + moved of the second.
    common = np.minimum(sizes[shared.second], sizes[shared.first] + moved) - np.maximum(0, moved)
    share = common.prod(axis=1) / np.minimum(sizes[shared.first].prod(axis=1), sizes[shared.second].prod(axis=1))
    found = []
    for k in np.flatnonzero(_apart(table, shared.first, shared.second)).tolist():
        detail = f"{common[k, 0]} x {common[k, 1]} pixels are the same"
        i, j = int(shared.first[k]), int(shared.second[k])
        found.append(_pair(table, i, j, kind="overlap", similarity=share[k], detail=detail))
    return [one for one in found if one.name not in known]


def _apart(table: pl.DataFrame, i: Ints, j: Ints) -> npt.NDArray[np.bool_]:
    """Which pairs of patches stand on two sides, or may come to stand there."""
    left, right = table[i], table[j]
    columns = ("set", "split", "fold", "group")
    differ = {name: (left[name] != right[name]).fill_null(value=False).to_numpy() for name in columns}
    null = {name: (left[name].is_null() | right[name].is_null()).to_numpy() for name in columns}
    undecided = null["split"] & null["fold"] & (differ["group"] | null["group"])
    return np.asarray(differ["set"] | differ["split"] | differ["fold"] | undecided)


def _pair(table: pl.DataFrame, i: int, j: int, *, kind: str, similarity: float, detail: str) -> Finding:
    """Two patches that share something; ``i`` and ``j`` are rows of the table."""
    a, b = table.row(i, named=True), table.row(j, named=True)
    parts = [one["split"] or "" for one in (a, b)]
    if a["set"] == b["set"] and parts[0] == parts[1]:
        parts = ["" if one["fold"] is None else f"fold {one['fold']}" for one in (a, b)]
    name = f"{a['patch_id']} = {b['patch_id']}"
    return Finding(kind, True, a["set"], parts[0], b["set"], parts[1], name, 1, 1, float(similarity), detail)  # noqa: FBT003
