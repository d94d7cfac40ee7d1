"""Import ``ocelot``: cells as points, and the tissue around them, in pairs of pictures (Ryu et al. 2023).

::

    SOURCE/
      images/{train,val,test}/{cell,tissue}/NNN.jpg   (or .tif)
      annotations/{train,val,test}/cell/NNN.csv       x,y,label without a header; may be empty
      annotations/{train,val,test}/tissue/NNN.png     1 background, 2 cancer area, 255 unknown
      metadata.json                                   {"sample_pairs": {"NNN": {...}}}, or a bare list by number

A pair becomes two patches, ``NNN_cell`` and ``NNN_tissue``, of one slide. What is minded:

- Cells are points (kind *point*), never discs. Tissue patches have no cells annotated and are not exhaustive.
- 255 is ignore area, not background.
- The resolution of a picture is its own ``resized_mpp``; ``mpp_x`` is that of the slide.
- ``x``, ``y`` are ``x_start``, ``y_start`` in level-0 pixels. The stated offset of the cell picture in the tissue
  picture (of its *centre*, as a share of the side) is compared with them, as is ``resized_mpp``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances, read_label_image
from histoseed.annotations.json_files import read_json
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.importers.nucls_csv import read_lines
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark, object_ids
from histoseed.datasets.intake.support import (
    chosen,
    class_codes,
    clipped,
    find_folder,
    info_of,
    pairs_by_stem,
    read_rgb,
    stems,
    tcga,
)
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.geometry import known_mpp
from histoseed.settings import Settings
from histoseed.wording import counted, some

__all__ = ["CARD", "collect"]

_SITE = "https://zenodo.org/records/7844149"
_REPOSITORY = "https://github.com/lunit-io/ocelot23algo"

_SPLITS = ("train", "val", "test")
_CELLS: dict[int, str | None] = {1: "background_cell", 2: "tumor_cell"}
_TISSUE: dict[int, str | None] = {1: "background", 2: "cancer_area", 255: None}
_REGIONS = tuple(name for name in _TISSUE.values() if name is not None)

_PAIRS = {"train": 400, "val": 137, "test": 126}
_IDS = f"{_SITE}, version 1.0.1, counted"

CARD = DatasetCard(
    name="ocelot",
    title="OCELOT 2023",
    task="cells: points and classes; regions of tissue",
    organ="kidney, head and neck, prostate, stomach, endometrium, bladder",
    stain="H&E",
    mpp="about 0.2 (cell) and 0.8 (tissue), in metadata.json for each picture",
    schemes={"cells": ("background_cell", "tumor_cell")},
    parts={
        "all": "both pictures of every pair",
        "cell": "only the cell pictures, with points",
        "tissue": "only the tissue pictures, with regions",
    },
    counts="663 pairs (400 train, 137 val, 126 test) of 1024 x 1024; 304 to 306 slides",
    licence="Own terms and conditions, accepted at download",
    commercial="unknown",
    where=_SITE,
    citation="J. Ryu, A. Valero Puche, J. W. Shin et al.: OCELOT: Overlapped cell on tissue dataset for "
    "histopathology. CVPR 2023.",
    group="patient (from the TCGA barcode of the slide)",
    splits="train, val, test as published",
    layout="""\
SOURCE/
  images/{train,val,test}/{cell,tissue}/NNN.jpg
  annotations/{train,val,test}/cell/NNN.csv
  annotations/{train,val,test}/tissue/NNN.png
  metadata.json""",
    known_problems=(
        "Cells are points: there is no outline to train on or to score against.",
        "background_cell is everything that is no tumor cell.",
        "Some tumor cells lie outside the cancer area of the tissue picture.",
    ),
    shares=("Slides are from TCGA: other TCGA sets may hold the same patients; compare the column patient.",),
    totals=(
        Total(
            measure="patches",
            value=2 * sum(_PAIRS.values()),
            source=_IDS,
            note="663 pairs; papers say 673",
        ),
        *(Total(measure="patches", value=2 * n, where={"split": s}, source=_IDS) for s, n in _PAIRS.items()),
        *(
            Total(measure="patches", value=n, where={"split": s}, source=_IDS, part=part)
            for part in ("cell", "tissue")
            for s, n in _PAIRS.items()
        ),
    ),
)

_OFFSET_TOLERANCE = 0.005
"""Share of the tissue picture's side: 5 of 1024 pixels."""
_MPP_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """The files of a pair and its entry of ``metadata.json``."""

    number: str
    split: str
    images: Mapping[str, Path]
    annotations: Mapping[str, Path]
    entry: Mapping[str, Any]


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import OCELOT: cells as points, and regions of tissue around them.

    Args:
        source: The folder with ``images/``, ``annotations/`` and ``metadata.json``.
        part: "all" (default), "cell" or "tissue".
        settings: Limits.

    Raises:
        InputError: no such part.
        DatasetError: missing folders, files or entries of the metadata.
        AnnotationError: ``metadata.json`` that cannot be read.
    """
    part = chosen(part, CARD.parts, "--part")
    kinds = ("cell", "tissue") if part == "all" else (part,)
    images = find_folder(source, "images")
    root = images.absolute().parent
    found = {split: _files(root, split, kinds) for split in _SPLITS if (images / split).is_dir()}
    if not found:
        raise DatasetError("There is no folder train/, val/ or test/.", where=images, fix="Unpack the whole archive.")
    path = root / "metadata.json"
    entries = _entries(path, {number: split for split, files in found.items() for number in files}, settings)
    pairs = [
        _Pair(number=number, split=split, images=pictures, annotations=notes, entry=entries[number])
        for split, files in found.items()
        for number, (pictures, notes) in files.items()
    ]
    items = [
        Item(
            patch_id=f"{pair.number}_{kind}",
            read=partial(_read_cell if kind == "cell" else _read_tissue, pair, settings),
            files=[pair.images[kind], pair.annotations[kind], path],
            facts=_facts(pair, kind, path),
        )
        for pair in pairs
        for kind in kinds
    ]
    regions = _REGIONS if "tissue" in kinds else ()
    remarks = [(pair.number, remark) for pair in pairs for remark in _check_pair(pair)]
    return Collection(info=info_of(CARD, part=part, region_classes=regions), items=items, remarks=remarks)


def _files(root: Path, split: str, kinds: tuple[str, ...]) -> dict[str, tuple[dict[str, Path], dict[str, Path]]]:
    """Number -> pictures and annotations of both kinds (of those asked for), sorted."""
    pictures = {kind: stems(root / "images" / split / kind) for kind in kinds}
    notes = {
        kind: stems(root / "annotations" / split / kind, (".csv",) if kind == "cell" else (".png",)) for kind in kinds
    }
    for kind in kinds:
        pairs_by_stem(pictures[kind], notes[kind], f"{kind} annotation")
    numbers = pairs_by_stem(pictures[kinds[0]], pictures[kinds[-1]], f"{kinds[-1]} picture")
    return {n: ({kind: pictures[kind][n] for kind in kinds}, {kind: notes[kind][n] for kind in kinds}) for n in numbers}


def _entries(path: Path, splits: Mapping[str, str], settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """Number -> its entry of the metadata.

    Args:
        path: ``metadata.json``.
        splits: Number -> split, of every pair.
        settings: Limits.
    """
    document = read_json(path, max_bytes=settings.max_geojson_bytes)
    listed = document.get("sample_pairs") if isinstance(document, dict) else document
    if isinstance(listed, list):
        listed = _by_number(listed, splits, path)
    if not isinstance(listed, dict):
        fix = 'It looks like {"sample_pairs": {"001": {...}}}.'
        raise DatasetError("The file holds neither sample_pairs nor a list.", where=path, fix=fix)
    missing = sorted(number for number in splits if not isinstance(listed.get(number), dict))
    if missing:
        raise DatasetError(f"No entry for {some(missing, 5)}.", where=path, fix="Use the metadata of this release.")
    return listed


def _by_number(listed: list[Any], splits: Mapping[str, str], path: Path) -> dict[str, Any]:
    """A bare list has no numbers: its order counts, if it has an entry for each pair and splits are equal."""
    numbers = sorted(splits)
    fix = "Use the metadata.json whose sample_pairs name the numbers."
    if len(listed) != len(numbers):
        what = f"The list has {counted(len(listed), 'entry')} without numbers, and there are {len(numbers):,} pairs."
        raise DatasetError(what, where=path, fix=fix)
    entries = dict(zip(numbers, listed, strict=True))
    for number, entry in entries.items():
        subset = entry.get("subset") if isinstance(entry, dict) else None
        if subset != splits[number]:
            what = f"The list has no numbers; by its order {number} is of {subset!r} instead of {splits[number]!r}."
            raise DatasetError(what, where=path, fix=fix)
    return entries


def _facts(pair: _Pair, kind: str, path: Path) -> PatchFacts:
    """What the metadata says of one picture."""
    where = f"{path}, {pair.number}, {kind}"
    area = pair.entry.get(kind)
    if not isinstance(area, dict):
        raise DatasetError(f"There is no {kind!r} in the entry.", where=where)
    across, down = (_number(area, key, where) for key in ("resized_mpp_x", "resized_mpp_y"))
    mpp = known_mpp((across + down) / 2)
    if mpp is None or not math.isclose(across, down, rel_tol=_MPP_TOLERANCE):
        raise DatasetError(f"resized_mpp is {across:g} x {down:g} microns.", where=where)
    slide = pair.entry.get("slide_name")
    if not isinstance(slide, str) or not slide:
        raise DatasetError("There is no 'slide_name' in the entry.", where=where)
    facts: PatchFacts = {
        "mpp": mpp,
        "mpp_source": "metadata",
        "exhaustive": kind == "cell",
        "x": _number(area, "x_start", where),
        "y": _number(area, "y_start", where),
        "slide": slide,
        "split": pair.split,
    }
    organ = pair.entry.get("organ")
    if isinstance(organ, str) and organ:
        facts["organ"] = organ
    barcode = tcga(slide)
    if barcode is not None:
        facts |= {"patient": barcode.patient, "centre": barcode.centre}
    return facts


def _number(values: Mapping[str, Any], key: str, where: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DatasetError(f"{key!r} is {value!r}, not a number.", where=where)
    return float(value)


def _floats(values: object, *keys: str) -> npt.NDArray[np.float64]:
    """Numbers of an entry, NaN where there is none."""
    found = [values.get(key) for key in keys] if isinstance(values, dict) else [None] * len(keys)
    return np.array([v if isinstance(v, int | float) else math.nan for v in found], dtype=np.float64)


def _check_pair(pair: _Pair) -> list[Remark]:
    """Whether split and offset say the same as the folder and the places in the slide."""
    remarks = []
    if pair.entry.get("subset") not in (None, pair.split):
        remarks.append(Remark("metadata.json states another subset than the folder, which counts"))
    stated = _floats(pair.entry, "patch_x_offset", "patch_y_offset")
    start, end, cell_start, cell_end = (
        _floats(pair.entry.get(kind), f"x_{side}", f"y_{side}")
        for kind in ("tissue", "cell")
        for side in ("start", "end")
    )
    if not np.isfinite([stated, start, end, cell_start, cell_end]).all() or (end <= start).any():
        return [*remarks, Remark("metadata.json does not state the offset of the cell picture, or both places")]
    found = ((cell_start + cell_end) / 2 - start) / (end - start)
    if not np.allclose(stated, found, rtol=0, atol=_OFFSET_TOLERANCE):
        swapped = np.allclose(stated[::-1], found, rtol=0, atol=_OFFSET_TOLERANCE)
        more = " (x and y are exchanged)" if swapped else ""
        remarks.append(Remark(f"The stated offset of the cell picture disagrees with the places in the slide{more}"))
    return remarks


def _check_mpp(pair: _Pair, kind: str, width: int) -> list[Remark]:
    """``resized_mpp`` is the slide's resolution times the pixels of the slide along a pixel of the picture."""
    start, end, resized = _floats(pair.entry[kind], "x_start", "x_end", "resized_mpp_x")
    (slide_mpp,) = _floats(pair.entry, "mpp_x")
    expected = (end - start) * slide_mpp / width
    if not math.isfinite(expected) or math.isclose(expected, resized, rel_tol=_MPP_TOLERANCE):
        return []
    return [Remark("resized_mpp does not follow from the extent in the slide and the slide's resolution")]


def _read_cell(pair: _Pair, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    image = read_rgb(pair.images["cell"], settings, remarks)
    remarks += _check_mpp(pair, "cell", image.shape[1])
    path = pair.annotations["cell"]
    rows, lines = read_lines(path, settings)
    points, names = [], []
    for row, line in zip(rows, lines, strict=True):
        where = f"{path}, line {line}"
        try:
            x, y, label = (float(text) for text in row)
        except ValueError as error:
            raise DatasetError(f"A line is x,y,label, not {','.join(row)[:60]!r}.", where=where) from error
        if label not in _CELLS:
            fix = f"Known are {', '.join(f'{k} ({v})' for k, v in _CELLS.items())}."
            raise DatasetError(f"There is no label {label:g}.", where=where, fix=fix)
        if not (math.isfinite(x) and math.isfinite(y)):
            raise DatasetError("A coordinate is not finite.", where=where)
        points.append(shapely.Point(x, y))
        names.append(_CELLS[int(label)])
    ids = object_ids(CARD.name, f"{pair.number}_cell", len(points))
    cells = Instances.build(points, class_name=names, kind="point", id=ids)
    kept, said = clipped(cells, (image.shape[1], image.shape[0]))
    return PatchContent(image=image, objects=kept, remarks=[*remarks, *said])


def _read_tissue(pair: _Pair, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    image = read_rgb(pair.images["tissue"], settings, remarks)
    remarks += _check_mpp(pair, "tissue", image.shape[1])
    path = pair.annotations["tissue"]
    codes = read_label_image(path, settings)
    if codes.shape != image.shape[:2]:
        height, width = image.shape[:2]
        what = f"The mask is {codes.shape[1]} x {codes.shape[0]} pixels, its picture {width} x {height}."
        raise DatasetError(what, where=path)
    class_codes(codes, _TISSUE, path)
    unknown = codes == 255
    return PatchContent(
        image=image,
        regions=np.where(unknown, 0, codes).astype(np.uint8),
        ignore=unknown,
        remarks=remarks,
    )
