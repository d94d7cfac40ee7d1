"""Random access to one TIFF page: only the tiles or strips that a rectangle touches are read and decoded.

zarr would do the same; it is a large dependency for forty lines. tifffile parses the file and decodes a segment.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoseed.errors import LimitError, SlideError

__all__ = ["Page", "SegmentCache"]

_CACHE_BYTES = 64 << 20


class SegmentCache:
    """The segments decoded last, at most 64 MB or the single largest; shared by the levels of a slide."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> NDArray[Any] | None:
        """The segment of (page, index), if it is still held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: tuple[int, int], segment: NDArray[Any]) -> None:
        """Hold a segment; the ones unused for longest go."""
        with self._lock:
            if key in self._held:
                return
            self._held[key] = segment
            self._bytes += segment.nbytes
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._held.clear()
            self._bytes = 0


class Page:
    """One image of a TIFF file, read rectangle by rectangle in the file's own samples.

    Args:
        page: A ``tifffile.TiffPage``.
        name: Distinguishes the pages that share `cache`.
        cache: Where decoded segments stay.
        max_pixels: Most pixels of one segment.

    Raises:
        SlideError: The page is a volume, or segments are missing or reach beyond the end of the file.
        LimitError: A compressed segment has more than `max_pixels` pixels.
    """

    def __init__(self, page: Any, *, name: int, cache: SegmentCache, max_pixels: int) -> None:
        self._page = page
        self._file = page.parent.filehandle
        self._name = name
        self._cache = cache
        self.planes, depth, self.height, self.width, contiguous = page.shaped
        self.samples: int = self.planes * contiguous
        self.dtype: np.dtype[Any] = np.dtype(page.dtype)
        if depth != 1:
            raise SlideError(f"The TIFF page is a volume of {depth} planes.", where=self._file.path)
        if page.is_tiled:
            self._segment = (page.tilelength, page.tilewidth)
        else:
            self._segment = (min(page.rowsperstrip, self.height), self.width)
        if min(self.height, self.width, *self._segment) < 1:
            raise SlideError("The TIFF page is empty.", where=self._file.path)
        self._rows, self._columns = (
            math.ceil(side / step) for side, step in zip((self.height, self.width), self._segment, strict=True)
        )
        self._raw = bool(page.is_memmappable)
        self._check(max_pixels)

    def _check(self, max_pixels: int) -> None:
        height, width = self._segment
        if not self._raw and height * width > max_pixels:
            raise LimitError(
                f"A compressed segment of {width} x {height} pixels is more than max_pixels = {max_pixels}.",
                where=self._file.path,
                fix="Convert it to a tiled TIFF, or raise HISTOSEED_MAX_PIXELS.",
            )
        offsets = np.asarray(self._page.dataoffsets, np.int64)
        ends = offsets + np.asarray(self._page.databytecounts, np.int64)
        needed = self.planes * self._rows * self._columns
        last = offsets[0] + self._page.nbytes if self._raw and offsets.size else ends.max(initial=0)
        if (offsets.size < needed and not self._raw) or offsets.size == 0 or last > self._file.size:
            fix = "Copy or download it again."
            raise SlideError("The TIFF file is truncated: pixels lie beyond its end.", where=self._file.path, fix=fix)

    def read(self, x: int, y: int, width: int, height: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """A rectangle that lies inside the page.

        Returns:
            (height, width, samples) in the file's data type, and a (height, width) mask of the pixels that the file
            does not hold (sparse TIFF), or None where it holds all.
        """
        out = np.zeros((height, width, self.samples), self.dtype)
        if self._raw:
            self._read_raw(out, x, y)
            return out, None
        absent: NDArray[np.bool_] | None = None
        for index in self._touched(x, y, width, height):
            plane, top, left = self._place(index)
            segment = self._decoded(index)
            bottom, right = (top + self._segment[0], left + self._segment[1])
            if segment is not None:
                bottom, right = top + segment.shape[0], left + segment.shape[1]
            rows = slice(max(top, y), min(bottom, y + height))
            columns = slice(max(left, x), min(right, x + width))
            target = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
            if segment is None:
                absent = np.zeros((height, width), np.bool_) if absent is None else absent
                absent[target] = True
            else:
                channels = slice(plane, plane + segment.shape[2])
                part = segment[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
                out[(*target, channels)] = part
        return out, absent

    def _touched(self, x: int, y: int, width: int, height: int) -> Iterator[int]:
        """Indices of the segments under a rectangle, plane by plane."""
        step_y, step_x = self._segment
        rows = range(y // step_y, (y + height - 1) // step_y + 1)
        columns = range(x // step_x, (x + width - 1) // step_x + 1)
        for plane, row, column in itertools.product(range(self.planes), rows, columns):
            yield (plane * self._rows + row) * self._columns + column

    def _place(self, index: int) -> tuple[int, int, int]:
        """Plane, first row and first column of a segment."""
        plane, rest = divmod(index, self._rows * self._columns)
        row, column = divmod(rest, self._columns)
        return plane, row * self._segment[0], column * self._segment[1]

    def _decoded(self, index: int) -> NDArray[Any] | None:
        """(rows, columns, samples) of a segment; None where the file is sparse."""
        held = self._cache.get((self._name, index))
        if held is not None:
            return held
        count = self._page.databytecounts[index]
        if count == 0:
            return None
        data = self._bytes(self._page.dataoffsets[index], count)
        extra = {}
        if self._page.compression in {6, 7, 34892, 33007}:  # the JPEG family takes its tables from the page
            extra = {"jpegtables": self._page.jpegtables, "jpegheader": self._page.jpegheader}
        decoded, _, _ = self._page.decode(data, index, **extra)
        segment: NDArray[Any] = decoded[0]
        self._cache.put((self._name, index), segment)
        return segment

    def _bytes(self, offset: int, count: int) -> bytes:
        with self._file.lock:
            self._file.seek(offset)
            data: bytes = self._file.read(count)
        if len(data) != count:
            raise SlideError("The TIFF file ends within its pixels.", where=self._file.path)
        return data

    def _read_raw(self, out: NDArray[Any], x: int, y: int) -> None:
        """Fill `out` row by row from pixels that lie uncompressed one after the other, however long the strips."""
        height, width, _ = out.shape
        stored = self.dtype.newbyteorder(self._page.parent.byteorder)
        samples = self.samples // self.planes
        pixel = samples * self.dtype.itemsize
        for plane, row in itertools.product(range(self.planes), range(height)):
            start = ((plane * self.height + y + row) * self.width + x) * pixel
            line = np.frombuffer(self._bytes(self._page.dataoffsets[0] + start, width * pixel), stored)
            out[row, :, plane : plane + samples] = line.reshape(width, samples)

    def largest(self, budget: int = 1 << 24) -> int:
        """The largest sample, from at most about `budget` pixels spread evenly over the page."""
        step_y, step_x = self._segment
        if self._raw:  # one long strip: look at it in bands
            step_y = max(1, min(self.height, budget // 16 // self.width))
        corners = [(x, y) for y in range(0, self.height, step_y) for x in range(0, self.width, step_x)]
        take = max(1, budget // (step_y * step_x))
        highest = 0
        for x, y in corners[:: math.ceil(len(corners) / take)]:
            samples, _ = self.read(x, y, min(step_x, self.width - x), min(step_y, self.height - y))
            highest = max(highest, int(samples.max()))
        return highest
