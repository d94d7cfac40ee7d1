"""Which numbers a label image uses, without sorting its pixels where that can be avoided."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["compact_labels", "label_ids"]


def label_ids(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The labels that occur, ascending, without the background 0. Shape (N,), int64.

    >>> label_ids(np.array([[7, 0], [3, 7]])).tolist()
    [3, 7]
    """
    if not labels.size:
        return np.zeros(0, dtype=np.int64)
    if int(labels.max()) <= 2 * labels.size:  # a table of numbers is smaller than the picture
        return np.flatnonzero(np.bincount(labels.ravel())[1:]).astype(np.int64) + 1
    ids = np.unique(labels)
    return ids[ids > 0].astype(np.int64)


def compact_labels(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The labels that occur, and the image with them renumbered 1, 2, ... N in their order.

    >>> ids, compact = compact_labels(np.array([[7, 0], [3, 7]]))
    >>> ids.tolist(), compact.tolist()
    ([3, 7], [[2, 0], [1, 2]])
    """
    ids = label_ids(labels)
    if not ids.size:
        return ids, np.zeros(labels.shape, dtype=np.int32)
    if ids[-1] <= 2 * labels.size:
        number = np.zeros(int(ids[-1]) + 1, dtype=np.int32)
        number[ids] = np.arange(1, len(ids) + 1)
        return ids, number[labels]
    compact = np.searchsorted(ids, labels).astype(np.int32) + 1
    return ids, np.where(labels > 0, compact, 0).astype(np.int32)
