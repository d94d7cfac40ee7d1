"""JSON files from anywhere: plain, gzip or zip, with a limit on what they unpack to."""

from __future__ import annotations

import contextlib
import gc
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histoseed.annotations.limits import over_limit
from histoseed.errors import AnnotationError

__all__ = ["collector_paused", "read_json"]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection in the block.

    JSON makes millions of small lists that contain no cycles; searching them again and again takes four fifths of the
    time that ``json.loads`` takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_json(path: Path, *, max_bytes: int) -> Any:
    """The value of a JSON file; gzip and zip (with one member) are told by their first bytes.

    Raises:
        AnnotationError: absent, empty, cut off, damaged, not JSON, nested too deeply.
        LimitError: more than ``max_bytes`` after decompression.
    """
    try:
        data = _unpack(path, max_bytes)
    except FileNotFoundError as error:
        raise AnnotationError("There is no such file.", where=path) from error
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise AnnotationError(f"The file cannot be read ({error}).", where=path) from error
    if len(data) > max_bytes:
        raise over_limit("max_geojson_bytes", f"The file holds more than {max_bytes} bytes.", where=path)
    if not data.strip():
        raise AnnotationError("The file is empty.", where=path)
    try:
        with collector_paused():
            return json.loads(data)
    except json.JSONDecodeError as error:
        cut = " The file seems to be cut off." if error.pos >= len(error.doc.rstrip()) - 1 else ""
        raise AnnotationError(f"This is not JSON: {error}.{cut}", where=path) from error
    except RecursionError as error:
        raise AnnotationError("The JSON is nested too deeply.", where=path) from error
    except ValueError as error:  # wrong encoding, or a number of thousands of digits
        raise AnnotationError(f"This is not JSON: {error}.", where=path) from error


def _unpack(path: Path, max_bytes: int) -> bytes:
    """At most ``max_bytes + 1`` bytes, so that the caller sees when there is more."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return unpacked.read(max_bytes + 1)
        if head != b"PK\x03\x04":
            return stream.read(max_bytes + 1)
        with zipfile.ZipFile(stream) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".geojson", ".json"))]
            if len(names) != 1:
                raise ValueError(f"the zip file holds {len(names)} JSON files; one is needed")
            with archive.open(names[0]) as member:
                return member.read(max_bytes + 1)
