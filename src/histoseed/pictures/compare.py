"""A prediction beside the truth, and where the two differ."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import OUTCOMES, UNCLASSIFIED, Colors, rgb
from histoseed.pictures.lettering import LegendKey, blank, font, hatched, legend_strip, on_paper
from histoseed.pictures.overlay import outline_mask, outlined_at
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, fitted_size, resize, resize_labels
from histoseed.pictures.regions import IGNORED
from histoseed.pictures.sheet import lettered, stacked

__all__ = ["OUTCOME_CODES", "comparison", "error_map", "outcome_codes"]

OUTCOME_CODES: Mapping[str, int] = {"matched": 1, "boundary": 2, "missed": 3, "false": 4, "ignored": 5}
"""Values of :func:`outcome_codes`; 0 is background on both sides."""

_GAP = 12
_LETTERS, _PAGE = 14, 1000
"""Size of the letters of a sheet as wide as the page of a report; what is wider is shown smaller there."""


def outcome_codes(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, pairs: npt.ArrayLike, ignore: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.uint8]:
    """What became of each pixel.

    A pixel of a matched pair is *matched* where both objects of the pair cover it and *boundary* where they disagree.
    A pixel of an object without a partner is *missed* (truth; this goes first) or *false* (prediction).

    Args:
        truth: (H, W) int labels, 0 = background.
        predicted: (H, W) int labels.
        pairs: (M, 2) int, matched (truth label, predicted label), each label at most once.
        ignore: (H, W) bool, area that counts for nothing.

    Returns:
        (H, W) uint8, values of :data:`OUTCOME_CODES`.

    >>> outcome_codes([[1, 1, 0, 2, 0]], [[0, 5, 5, 0, 6]], [[1, 5]])
    array([[2, 1, 2, 3, 4]], dtype=uint8)

    Raises:
        InputError: arrays of another shape or type, or a label that stands in two pairs.
    """
    shape = np.shape(truth)
    if len(shape) != 2:
        raise InputError(f"A label image has two axes, not {len(shape)}.", where="truth")
    table = _checked_pairs(pairs)
    true = checked_labels(truth, (shape[0], shape[1]), "truth")
    found = checked_labels(predicted, (shape[0], shape[1]), "predicted")
    truth_at, found_at = _pair_of(true, table[:, 0]), _pair_of(found, table[:, 1])
    codes = np.zeros(shape, dtype=np.uint8)
    codes[(truth_at > 0) | (found_at > 0)] = OUTCOME_CODES["boundary"]
    codes[(truth_at > 0) & (truth_at == found_at)] = OUTCOME_CODES["matched"]
    codes[(found != 0) & (found_at == 0)] = OUTCOME_CODES["false"]
    codes[(true != 0) & (truth_at == 0)] = OUTCOME_CODES["missed"]
    if ignore is not None:
        if np.shape(ignore) != shape or np.asarray(ignore).dtype != np.bool_:
            raise InputError(f"The ignored area must be {shape} bool, not {np.shape(ignore)}.", where="ignore")
        codes[ignore] = OUTCOME_CODES["ignored"]
    return codes


def _checked_pairs(pairs: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The pairs as (M, 2) int64; any empty array is no pair."""
    table = np.asarray(pairs)
    table = np.zeros((0, 2), dtype=np.int64) if table.size == 0 else table
    if table.ndim != 2 or table.shape[1] != 2 or not np.issubdtype(table.dtype, np.integer):
        raise InputError(f"Pairs are (M, 2) integers, not {table.shape} {table.dtype}.", where="pairs")
    out = table.astype(np.int64)
    if any(len(np.unique(column)) != len(column) for column in out.T) or (out < 1).any():
        raise InputError("Each label may stand in one pair only, and counts from 1.", where="pairs")
    return out


def _pair_of(labels: npt.NDArray[np.integer], paired: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of each pixel's pair, from 1; 0 where its label has none."""
    values, at = np.unique(labels, return_inverse=True)
    _, here, there = np.intersect1d(values.astype(np.int64), paired, assume_unique=True, return_indices=True)
    number = np.zeros(len(values), dtype=np.int64)
    number[here] = there + 1
    return number[at].reshape(labels.shape)


def error_map(
    image: npt.ArrayLike,
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    pairs: npt.ArrayLike,
    *,
    ignore: npt.NDArray[np.bool_] | None = None,
) -> Picture:
    """The picture in pale grey with the outcomes in colour, all at the picture's own size.

    Matched and missed areas are filled, false ones are hatched (so that the two are told apart without colour too), and
    the pixels where the two outlines of a match disagree have a colour of their own.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W) int labels.
        predicted: (H, W) int labels.
        pairs: (M, 2) int, matched (truth label, predicted label).
        ignore: (H, W) bool, drawn in hatched grey.

    Raises:
        InputError: see :func:`outcome_codes`.
    """
    picture = checked_picture(image)
    shape = (picture.shape[0], picture.shape[1])
    true, found = checked_labels(truth, shape, "truth"), checked_labels(predicted, shape, "predicted")
    return _painted(picture, true, found, outcome_codes(true, found, pairs, ignore))


def _painted(
    picture: Picture, truth: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], codes: npt.NDArray[np.uint8]
) -> Picture:
    grey = picture @ np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601
    out = np.repeat((255 - 0.55 * (255 - grey))[..., None], 3, axis=2)
    for name, share in (("matched", 0.5), ("boundary", 0.85), ("missed", 0.75)):
        at = codes == OUTCOME_CODES[name]
        out[at] = (1 - share) * out[at] + share * np.array(rgb(OUTCOMES[name]))
    for name, color in (("false", OUTCOMES["false"]), ("ignored", IGNORED)):
        at = codes == OUTCOME_CODES[name]
        out[at] = 0.2 * out[at] + 0.8 * hatched(codes.shape[0], codes.shape[1], color)[at]
    for labels, name in ((truth, "missed"), (predicted, "false")):
        out[outline_mask(labels) & (codes == OUTCOME_CODES[name])] = rgb(OUTCOMES[name])
    return np.round(out).astype(np.uint8)


def comparison(
    image: npt.ArrayLike,
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    pairs: npt.ArrayLike,
    *,
    truth_colors: Colors = None,
    predicted_colors: Colors = None,
    ignore: npt.NDArray[np.bool_] | None = None,
    classes: Mapping[str, str] | None = None,
    side: int = 480,
    columns: int = 2,
) -> Picture:
    """Four panels: the picture, the truth, the prediction and the error map, with a legend that counts objects.

    Args:
        image: (H, W, 3) uint8.
        truth: (H, W) int labels.
        predicted: (H, W) int labels.
        pairs: (M, 2) int, matched (truth label, predicted label).
        truth_colors: Colours of the true outlines.
        predicted_colors: Colours of the predicted outlines.
        ignore: (H, W) bool, area that counts for nothing.
        classes: Class name -> "#rrggbb", for the legend.
        side: Longer side of a panel, pixels; the picture is enlarged or reduced to it.
        columns: Panels in a row, 1, 2 or 4.

    Returns:
        (H, W, 3) uint8, on white paper.

    Raises:
        InputError: see :func:`outcome_codes`; another number of columns.
    """
    picture = checked_picture(image)
    shape = (picture.shape[0], picture.shape[1])
    true, found = checked_labels(truth, shape, "truth"), checked_labels(predicted, shape, "predicted")
    if columns not in (1, 2, 4) or side < 1:
        raise InputError(f"columns is {columns} and side {side}; use 1, 2 or 4 columns and a positive side.")
    codes = outcome_codes(true, found, pairs, ignore)
    counts = _counts(true, found, pairs, ignore)

    size = fitted_size(shape, side)
    picture = resize(picture, *size)
    drawn = [outlined_at(picture, *side, shape) for side in ((true, truth_colors), (found, predicted_colors))]
    true, found = resize_labels(true, *size), resize_labels(found, *size)
    small = np.asarray(resize_labels(codes, *size), dtype=np.uint8)
    letters = max(_LETTERS, round(_LETTERS * columns * size[1] / _PAGE))
    panels = {
        "Image": picture,
        "Truth": drawn[0],
        "Prediction": drawn[1],
        "Differences": _painted(picture, true, found, small),
    }
    rows = _in_rows(panels, columns, letters)
    width = rows[0].shape[1]
    keys = [
        LegendKey(f"{name} ({counts[name]:,})", OUTCOMES[name], "hatched" if name == "false" else "filled")
        for name in counts
    ]
    keys.append(LegendKey("disagreement within a match", OUTCOMES["boundary"]))
    if ignore is not None and np.any(ignore):
        keys.append(LegendKey("ignored", IGNORED, "hatched"))
    legends = [legend_strip(keys, width, letters, heading="Differences")]
    if classes:
        names = [LegendKey(name, color) for name, color in {**classes, "unclassified": UNCLASSIFIED}.items()]
        legends.append(legend_strip(names, width, letters, heading="Outlines"))
    return stacked([*rows, np.concatenate(legends)], width)


def _in_rows(panels: Mapping[str, Picture], columns: int, letters: int) -> list[Picture]:
    """Panels with their titles, each at least as wide as its title."""
    size = next(iter(panels.values())).shape
    wide = max(size[1], *(math.ceil(font(letters, bold=True).getlength(title)) for title in panels))
    tiles = [np.concatenate([lettered(title, wide, letters), on_paper(panels[title], wide)]) for title in panels]
    gap = blank(len(tiles[0]), _GAP)
    return [
        np.concatenate([part for tile in tiles[i : i + columns] for part in (gap, tile)][1:], axis=1)
        for i in range(0, len(tiles), columns)
    ]


def _counts(
    truth: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    pairs: npt.ArrayLike,
    ignore: npt.NDArray[np.bool_] | None,
) -> dict[str, int]:
    """Objects of each outcome; those that lie in the ignored area altogether are not counted."""
    table = _checked_pairs(pairs)
    counted = (labels if ignore is None else np.where(ignore, 0, labels) for labels in (truth, predicted))
    alone = [np.setdiff1d(np.unique(labels), [0, *table[:, i]]).size for i, labels in enumerate(counted)]
    return {"matched": len(table), "missed": alone[0], "false": alone[1]}
