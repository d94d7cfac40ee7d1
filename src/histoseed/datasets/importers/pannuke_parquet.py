"""The Parquet edition of PanNuke (Hugging Face ``RationAI/PanNuke``), a part of the importer ``pannuke``.

::

    SOURCE/data/fold<1|2|3>-<i>-of-<n>.parquet     or SOURCE itself
        image         struct with the field bytes: PNG, RGB
        instances     list of such structs: one PNG of 1 bit for each nucleus, as large as the image
        categories    list of class codes, aligned with instances
        tissue        code

Row groups are read as they are needed. Masks may overlap; they are laid over each other in their order, later ones on
top, and what is hidden is counted. Codes are only taken for names after the names that the file itself states, if it
does, were found to be the same.
"""

from __future__ import annotations

import io
import json
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL.PngImagePlugin import PngImageFile

from histoseed.annotations.limits import over_limit
from histoseed.datasets.content import PatchContent
from histoseed.datasets.intake.support import fuse_masks, root_of
from histoseed.errors import DatasetError, HistoseedError
from histoseed.settings import Settings
from histoseed.wording import counted

__all__ = ["find_shards", "open_fold"]

_COLUMNS = ("image", "instances", "categories", "tissue")
_SHARDS = "fold[123]-*.parquet"
_NAME = re.compile(r"fold([123])-(?:(\d{5})-of-(\d{5})|.*)\.parquet")
_GROUPS_HELD = 3
_DOWNLOAD = "Download the file again."


def find_shards(source: Path) -> dict[int, list[Path]]:
    """Fold -> its files, in order; empty where there is none.

    Raises:
        DatasetError: some of the files of a fold are missing.
    """
    root = root_of(source, lambda path: any(any(place.glob(_SHARDS)) for place in (path, path / "data")))
    folder = root / "data" if (root / "data").is_dir() else root
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob(_SHARDS)):
        if match := _NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append(path)
    for paths in found.values():
        match = _NAME.fullmatch(paths[0].name)
        if match is None or match[3] is None:
            continue
        wanted = [f"fold{match[1]}-{i:05d}-of-{match[3]}.parquet" for i in range(min(int(match[3]), 1000))]
        names = [path.name for path in paths]
        if missing := [name for name in wanted if name not in names]:
            raise DatasetError(f"There is no {missing[0]}.", where=folder, fix="Download all files of the fold.")
        if len(names) != len(wanted):
            extra = next(name for name in names if name not in wanted)
            raise DatasetError(f"{extra} is of another edition than {names[0]}.", where=folder, fix="Keep one edition.")
    return found


def open_fold(
    paths: Sequence[Path], classes: Sequence[str], tissues: Sequence[str], settings: Settings
) -> Iterator[tuple[Path, Callable[[], PatchContent]]]:
    """Each image of a fold, as its file and the function that reads it; only the ends of the files are read here.

    Args:
        paths: Files of the fold, in order.
        classes: Class names by code.
        tissues: Tissues by code.
        settings: ``max_pixels`` for one image, ``max_geojson_bytes`` for one row group.

    Raises:
        DatasetError: damaged, columns missing or of another type, or codes that stand for other names.
        LimitError: a row group of more bytes.
    """
    for path in paths:
        shard = _Shard(path, settings)
        shard.check_names("categories", classes)
        shard.check_names("tissue", tissues)
        for index in range(shard.rows):
            yield path, partial(_read, shard, index, classes, tissues, settings)


class _Shard:
    """The rows of one file. The row groups read last are kept, as neighbouring rows are asked for by a few threads."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        try:
            metadata = pq.read_metadata(path)
            self._schema = metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error
        self._check_types()
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        for group in groups:
            if group.total_byte_size > settings.max_geojson_bytes:
                what = f"A row group has {group.total_byte_size} bytes; at most {settings.max_geojson_bytes} are read."
                raise over_limit("max_geojson_bytes", what, where=path)
        self._starts = [0, *accumulate(group.num_rows for group in groups)]
        self._held: dict[int, Any] = {}
        self._lock = threading.Lock()

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self._starts[-1])

    def row(self, index: int) -> dict[str, Any]:
        """One row as Python values."""
        group = bisect_right(self._starts, index) - 1
        with self._lock:
            if group not in self._held:
                while len(self._held) >= _GROUPS_HELD:
                    del self._held[next(iter(self._held))]
                self._held[group] = self._read_group(group)
            table = self._held[group]
        row: dict[str, Any] = table.slice(index - self._starts[group], 1).to_pylist()[0]
        return row

    def check_names(self, column: str, names: Sequence[str]) -> None:
        """Compare the names that the file states for the codes of a column, if it states them."""
        try:
            stated = json.loads((self._schema.metadata or {}).get(b"huggingface", b"{}"))
            feature = stated["info"]["features"][column]
            found = [str(name) for name in (feature if "names" in feature else feature["feature"])["names"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # nothing is stated, or in a form that is not known
        if [_letters(name) for name in found] != [_letters(name) for name in names]:
            what = f"The codes of {column!r} stand for {', '.join(found)}, not for {', '.join(names)}."
            raise DatasetError(what, where=self.path, fix="This is another edition, which is not read.")

    def _read_group(self, group: int) -> Any:
        try:
            with pq.ParquetFile(self.path) as file:
                return file.read_row_group(group, columns=list(_COLUMNS), use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _check_types(self) -> None:
        if missing := [name for name in _COLUMNS if name not in self._schema.names]:
            what = f"There is no column {missing[0]!r}, only {', '.join(self._schema.names[:8]) or 'none'}."
            raise DatasetError(what, where=self.path, fix="Read are files of RationAI/PanNuke; others differ.")
        image, instances, categories, tissue = (self._schema.field(name).type for name in _COLUMNS)
        lists = all(pa.types.is_list(t) or pa.types.is_large_list(t) for t in (instances, categories))
        fits = lists and _is_png(image) and _is_png(instances.value_type)
        if not fits or not pa.types.is_integer(categories.value_type) or not pa.types.is_integer(tissue):
            what = f"The columns have other types than those of RationAI/PanNuke ({image}, {instances}, ...)."
            raise DatasetError(what[:400], where=self.path, fix="This is another edition, which is not read.")

    def _damaged(self, error: Exception) -> DatasetError:
        reason = " ".join(str(error).split())[:200]
        return DatasetError(f"Cannot be read as Parquet ({reason}).", where=self.path, fix=_DOWNLOAD)


def _is_png(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    content = kind.field("bytes").type
    return bool(pa.types.is_binary(content) or pa.types.is_large_binary(content))


def _letters(name: str) -> str:
    """A name without the differences of spelling between editions ("Head & Neck", "Head and neck")."""
    return re.sub(r"[^a-z]", "", name.lower().replace("&", "and"))


def _read(
    shard: _Shard, index: int, classes: Sequence[str], tissues: Sequence[str], settings: Settings
) -> PatchContent:
    where = f"{shard.path}, row {index}"
    row = shard.row(index)
    image = _png(row["image"], ("RGB",), f"{where}, image", settings)
    masks, codes = row["instances"] or [], row["categories"] or []
    if len(masks) != len(codes):
        raise DatasetError(
            f"The row has {counted(len(masks), 'instance')} and {counted(len(codes), 'category')}.",
            where=where,
            fix=_DOWNLOAD,
        )
    names = [_named(code, classes, "category", where) for code in codes]
    size = (image.shape[0], image.shape[1])
    drawn = (_mask(cell, size, f"{where}, instance {i}", settings) for i, cell in enumerate(masks))
    fused = fuse_masks(zip(drawn, names, strict=True), size)
    return PatchContent(
        image=image,
        objects=fused.labels,
        class_of=fused.class_of,
        facts={"organ": _named(row["tissue"], tissues, "tissue", where)},
        remarks=fused.remarks(),
        pixels_lost=fused.pixels_lost,
        objects_lost=fused.objects_lost,
    )


def _named(code: int | None, names: Sequence[str], what: str, where: str) -> str:
    if code is None or not 0 <= code < len(names):
        raise DatasetError(f"The {what} {code} is not known; codes go to {len(names) - 1}.", where=where)
    return names[code]


def _mask(cell: Any, size: tuple[int, int], where: str, settings: Settings) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = _png(cell, ("1", "L"), where, settings) != 0
    if mask.shape != size:
        what = f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels, its image {size[1]} x {size[0]}."
        raise DatasetError(what, where=where)
    return mask


def _png(cell: Any, modes: Sequence[str], where: str, settings: Settings) -> npt.NDArray[np.uint8]:
    """The pixels of a PNG in a cell."""
    data = cell["bytes"] if isinstance(cell, dict) else None
    if not data:
        fix = "The file only names its pictures; take one that holds them."
        raise DatasetError("The cell holds no picture.", where=where, fix=fix)
    fault: HistoseedError | None = None
    try:
        # the class, not Image.open: that one warns of large pictures by a limit of its own
        with PngImageFile(io.BytesIO(data)) as picture:
            if picture.width * picture.height > settings.max_pixels:
                what = (
                    f"A picture has {picture.width} x {picture.height} pixels; at most {settings.max_pixels} are read."
                )
                fault = over_limit("max_pixels", what, where=where)
            elif picture.mode not in modes:
                fault = DatasetError(f"The PNG is of mode {picture.mode}, not {' or '.join(modes)}.", where=where)
            else:
                return np.asarray(picture, dtype=np.uint8)
    except Exception as error:  # a damaged PNG leads to nearly anything
        raise DatasetError(f"The picture cannot be read ({error}).", where=where, fix=_DOWNLOAD) from error
    raise fault
