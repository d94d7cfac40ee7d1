"""QuPath GeoJSON: the format of :func:`~histoseed.annotations.read_geojson`, which says what is accepted.

Everything is held. A class that states no colour gets one from its name, as QuPath wants each class to have one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    check_free,
    losses,
    single,
    stem_of,
)
from histoseed.annotations.formats.json_heads import json_head
from histoseed.annotations.geojson_reader import read_geojson
from histoseed.annotations.geojson_writer import write_geojson
from histoseed.wording import Tally

__all__ = ["FORMAT"]

_NAME = "geojson"
_HOLDS: frozenset[Feature] = frozenset(get_args(Feature))
_SUFFIXES = (".geojson.gz", ".geojson", ".json")


def _sniff(path: Path) -> bool:
    head = json_head(path)
    if head is None:
        return False
    return {"type", "geometry"} <= head.keys or (not head.is_list and "features" in head.keys)


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    objects, said = read_geojson(path, settings=options.settings, allow_outside=True)
    return [AnnotatedImage(stem_of(path, _SUFFIXES), None, objects)], said


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    check_free(path, overwrite=options.overwrite)
    write_geojson(path, image.instances, overwrite=options.overwrite)
    said = losses(_NAME, _HOLDS, images)
    strange = sum(not math.isfinite(value) for values in image.instances.measurements for value in values.values())
    if strange:
        text = "{count} {measurement that is no finite number is|measurements that are no finite numbers are} left out."
        said.append(Tally(f"{_NAME}: {text}", strange))
    return said


FORMAT = Format(
    name=_NAME,
    about="QuPath annotations; JSON, also packed with gzip or zip.",
    suffixes=_SUFFIXES,
    holds=_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
    suffix=".geojson",
)
