"""COCO's run lengths <-> outlines.

Runs go down the columns, and the first one is of zeros. A list holds the lengths as numbers; the compressed form is a
text in which every length is a signed number in base 32, lowest digit first: a character is 48 + the digit, + 32 where
more digits follow, and the highest bit of the last digit is the sign. From the fourth length on, the text holds the
difference to the length two places before.

Files are decoded here and not by pycocotools, which takes the memory of the whole image for each object and leaves it
uninitialised where the lengths do not fill it. It packs what is written, and is the oracle of the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.limits import over_limit
from histoseed.errors import AnnotationError, InputError
from histoseed.geometry import label_to_polygons, polygons_to_label
from histoseed.settings import Settings

__all__ = ["outline_to_runs", "pack_runs", "runs_to_outline", "unpack_runs"]

Runs = npt.NDArray[np.int64]

_LONGEST = 7
"""Digits of a length: 35 bits, more than any image has pixels in 32 bits."""

_MOST_PIXELS = 2**32
"""Of an image whose runs other programs can read; they count in 32 bits."""


def unpack_runs(counts: object, size: tuple[int, int], where: str) -> Runs:
    """The run lengths of a ``counts``, (N,) int64; together they are the pixels of the image.

    Args:
        counts: A list of numbers or a compressed text.
        size: Height and width.
        where: How messages name the object.

    Raises:
        AnnotationError: no run lengths, or such that do not fill the image exactly.
    """
    if isinstance(counts, str):
        runs = _from_text(counts, where)
    elif isinstance(counts, list) and all(type(one) is int and 0 <= one < _MOST_PIXELS for one in counts):
        runs = np.array(counts, dtype=np.int64)
    else:
        raise AnnotationError("Run lengths are a text or a list of whole numbers.", where=where)
    if (runs < 0).any() or int(runs.sum()) != size[0] * size[1]:
        what = f"The run lengths do not fill an image of {size[0]} rows and {size[1]} columns."
        raise AnnotationError(what, where=where, fix="The size of run lengths is [height, width].")
    return runs


def _from_text(text: str, where: str) -> Runs:
    code = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if not len(code):
        return np.empty(0, dtype=np.int64)
    last = np.flatnonzero(code & 32 == 0)
    begin = np.concatenate([[0], last[:-1] + 1])
    length = last - begin + 1 if len(last) else last
    if code.min() < 0 or code.max() > 63 or code[-1] & 32 or length.max() > _LONGEST:
        raise AnnotationError("The run lengths are damaged.", where=where)
    place = np.arange(len(code)) - np.repeat(begin, length)
    runs = np.add.reduceat((code & 31) << 5 * place, begin)
    runs -= np.where(code[last] & 16, 1 << 5 * length, 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def runs_to_outline(runs: Runs, size: tuple[int, int], where: str, settings: Settings) -> shapely.Geometry | None:
    """The exact outline, along pixel edges, of what run lengths cover; None where they cover nothing.

    Args:
        runs: Of :func:`unpack_runs`.
        size: Height and width.
        where: How messages name the object.
        settings: ``max_pixels`` is the limit for the box around the object.

    Raises:
        LimitError: the box around the object has too many pixels.

    >>> runs_to_outline(np.array([4, 2, 6]), (3, 4), "", Settings()).wkt
    'POLYGON ((1 1, 2 1, 2 3, 1 3, 1 1))'
    """
    height = size[0]
    stop = np.cumsum(runs)[1::2]
    start = stop - runs[1::2]
    start, stop = start[stop > start], stop[stop > start]
    if not len(start):
        return None
    left, right = int(start[0]) // height, -(-int(stop[-1]) // height)
    spills = (start // height != (stop - 1) // height).any()  # from one column to the next: all rows are touched
    top, bottom = (0, height) if spills else (int((start % height).min()), int(((stop - 1) % height).max()) + 1)
    if height * (right - left) > settings.max_pixels:
        what = f"The object spans {right - left} columns of {height} pixels; at most {settings.max_pixels} are read."
        raise over_limit("max_pixels", what, where=where)
    inner = np.diff(np.column_stack([start, stop]).ravel(), prepend=left * height, append=right * height)
    flags = np.arange(len(inner)) % 2 == 1
    columns = np.repeat(flags, inner).reshape(right - left, height)
    _, outlines = label_to_polygons(columns[:, top:bottom].T, origin=(left, top))
    return outlines[0]


def outline_to_runs(outline: shapely.Geometry, size: tuple[int, int], where: str, settings: Settings) -> Runs:
    """The run lengths of the pixels whose centre an outline holds; what lies outside the image is cut off.

    Args:
        outline: In pixels.
        size: Height and width.
        where: How messages name the object.
        settings: ``max_pixels`` is the limit for the box around the object.

    Raises:
        InputError: an image of so many pixels that no program can read their run lengths.
        LimitError: the box around the object has too many pixels.

    >>> outline_to_runs(shapely.box(1, 1, 2, 3), (3, 4), "", Settings()).tolist()
    [4, 2, 6]
    """
    height, width = size
    if height * width >= _MOST_PIXELS:
        what = f"Run lengths count in 32 bits, and the image has {width} x {height} pixels."
        raise InputError(what, where=where, fix="Write a format of outlines, for instance geojson.")
    x0, y0, x1, y1 = outline.bounds
    left, right = (min(max(edge, 0), width) for edge in (math.floor(x0), math.ceil(x1)))
    top, bottom = (min(max(edge, 0), height) for edge in (math.floor(y0), math.ceil(y1)))
    if (right - left) * (bottom - top) > settings.max_pixels:
        what = f"The object spans {right - left} x {bottom - top} pixels; at most {settings.max_pixels} are drawn."
        raise over_limit("max_pixels", what, where=where)
    shifted = shapely.transform(outline, lambda xy: xy - (left, top))
    drawn = polygons_to_label([shifted], (bottom - top, right - left), dtype=np.uint8).T  # (columns, rows)
    edges = np.diff(drawn.astype(np.int8), axis=1, prepend=0, append=0)
    # Both walk through the columns and down each: starts and ends of runs pair up.
    (column, row), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    base = (column + left) * height + top
    bounds = np.column_stack([base + row, base + end]).ravel()
    joined = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])  # a run to the foot of a column and on in the next
    bounds = np.delete(bounds, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    if not len(bounds):
        return np.array([height * width], dtype=np.int64)
    runs = np.diff(bounds, prepend=0, append=height * width)
    return runs[:-1] if runs[-1] == 0 else runs


def pack_runs(runs: Runs, size: tuple[int, int]) -> dict[str, Any]:
    """Run lengths as the ``segmentation`` of an annotation, compressed.

    >>> pack_runs(np.array([4, 2, 6]), (3, 4))
    {'size': [3, 4], 'counts': '426'}
    """
    from pycocotools import mask  # noqa: PLC0415 - only where runs are written

    packed = mask.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
    return {"size": list(size), "counts": packed["counts"].decode("ascii")}
