"""Which pictures are drawn how often: rare cells and rare tissues more, as CellViT does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.training.crops import Picture

__all__ = ["draw_index", "picture_weights", "sampling_weights"]

Floats = npt.NDArray[np.float64]


def sampling_weights(cells: npt.ArrayLike, tissues: Sequence[str], gamma: float) -> Floats:
    """The sampling weights of CellViT (Hörst et al., Medical Image Analysis 2024).

    With N images, of which n_t show tissue t and n_c a cell of class c, M = the sum of all n_c and g = ``gamma``::

        tissue(i) = N / (g n_t(i) + (1 - g) N)
        cell(i)   = (1 - g) + g * sum over the classes c of image i of  M / (g n_c + (1 - g) M)
        weight(i) = tissue(i) / max tissue + cell(i) / max cell

    Args:
        cells: Whether image i shows a cell of class c. Shape (N, C), bool.
        tissues: Tissue of each image; images of unknown tissue ("") are one more.
        gamma: 0 weighs all images alike, 1 is full balance; CellViT takes 0.85.

    Returns:
        (N,) float64, sum 1.

    >>> sampling_weights([[True], [True], [True]], ["breast", "breast", "colon"], 1.0).round(3).tolist()
    [0.3, 0.3, 0.4]
    """
    shown = np.asarray(cells, dtype=np.float64)
    count = len(shown)
    _, code, sizes = np.unique(np.asarray(tissues, dtype=str), return_inverse=True, return_counts=True)
    tissue = count / (gamma * sizes[code] + (1 - gamma) * count)
    cell = np.full(count, 1 - gamma)
    total = shown.sum()
    if total:
        cell = cell + gamma * shown @ (total / (gamma * np.maximum(shown.sum(0), 1) + (1 - gamma) * total))
    weight = tissue / tissue.max() + (cell / cell.max() if cell.max() > 0 else 0)
    normed: Floats = weight / weight.sum()
    return normed


def picture_weights(pictures: Sequence[Picture], classes: int, gamma: float) -> Floats | None:
    """How often each picture is drawn. (N,) float64, sum 1; None where all are drawn alike.

    Args:
        pictures: Annotated pictures; outlines, points and boxes all count as cells.
        classes: Number of classes.
        gamma: See :func:`sampling_weights`.
    """
    if not gamma:
        return None
    cells = np.zeros((len(pictures), classes + 1), bool)
    for row, picture in zip(cells, pictures, strict=True):
        row[picture.marks.class_ids] = True
        if picture.classes is not None:
            row[picture.classes[np.unique(picture.labels)]] = True
    return sampling_weights(cells[:, 1:], [picture.organ for picture in pictures], gamma)


def draw_index(rng: np.random.Generator, count: int, weights: Floats | None) -> int:
    """One of ``count`` numbers, by weight where there is one."""
    return int(rng.integers(count)) if weights is None else int(rng.choice(count, p=weights))
