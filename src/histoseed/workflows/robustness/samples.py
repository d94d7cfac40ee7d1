"""What is compared: squares of tissue or single nuclei, equally many of each class and centre."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from histoseed.datasets import CROP_UM, Crop, Dataset, annotated_crops
from histoseed.datasets.barcodes import tcga
from histoseed.errors import DatasetError
from histoseed.metrics import Block, crossed_blocks
from histoseed.training import nested_draw
from histoseed.wording import counted

__all__ = ["Level", "Nucleus", "Sample", "Samples", "balanced_samples"]

Level = Literal["patch", "nucleus"]

_MAJORITY = 0.5
"""Share of a square's nuclei that one class must have for the square to be of that class."""


@dataclass(frozen=True, slots=True)
class Nucleus:
    """An object of a patch, in the patch's own pixels.

    Args:
        label: Its label in the mask; None where it has no outline.
        box: x0, y0, x1, y1; of a point, the point itself.
        kind: ``mask``, ``polygon``, ``box`` or ``point``.
    """

    label: int | None
    box: tuple[float, float, float, float]
    kind: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One embedding to be.

    Args:
        crop: The square that is shown to the encoder.
        name: Biological class.
        centre: Centre.
        case: Slide or patient.
        nucleus: The nucleus; None: the whole square.
    """

    crop: Crop
    name: str
    centre: str
    case: str
    nucleus: Nucleus | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """A balanced choice.

    Args:
        level: What the samples are.
        samples: Those of one patch one after the other.
        blocks: Two classes in two centres each.
        each: Samples of each class in each centre.
        remarks: What should be known.
    """

    level: Level
    samples: list[Sample]
    blocks: list[Block]
    each: int
    remarks: list[str]


def balanced_samples(
    dataset: Dataset, level: Level, *, most: int, least: int, seed: int, mpp: float | None = None
) -> Samples:
    """Equally many samples of each class and centre, cases taking turns.

    A square's class is the organ of its patch where organs are crossed with centres, else the class of more than half
    of its nuclei. The centre is that of the patch; where the data set states none, that of a TCGA barcode.

    Args:
        dataset: The data set.
        level: Squares of 64 um, or nuclei.
        most: Most samples of a class in a centre.
        least: Fewest; smaller cells are left out, and those of one case where there are enough others.
        seed: Of the choice.
        mpp: Assumed where a patch states none.

    Raises:
        DatasetError: no centre, no class, or no two classes in the same two centres.
        UnknownMppError: neither a patch nor the caller knows the resolution.
    """
    facts = _patch_facts(dataset)
    _check_centres(dataset, facts)
    attempts = [_nuclei] if level == "nucleus" else [_by_organ, _by_majority]
    for attempt in attempts:
        found = list(attempt(dataset, facts, mpp))
        for cases in (2, 1):  # one case has no neighbours of its own class and centre
            large = _filled(found, least, cases)
            blocks = crossed_blocks([s.name for s in large], [s.centre for s in large])
            if blocks:
                return _balanced(level, large, blocks, most, seed)
    raise DatasetError(
        f"No two classes have {least} samples each in the same two centres.",
        where=dataset.path,
        fix="Use a data set in which centres share classes; `histoseed dataset info` shows what they have.",
    )


def _check_centres(dataset: Dataset, facts: _Facts) -> None:
    """Two centres, or the error says what was found, and where it was looked for.

    Raises:
        DatasetError: one centre, or none.
    """
    centres = sorted({centre for _, centre in facts.values() if centre})
    if len(centres) > 1:
        return
    patches = dataset.patches.height
    stated = patches - dataset.patches["centre"].null_count()
    coded = sum(centre is not None for _, centre in facts.values()) - stated
    found = f"There is one centre only, {centres[0]!r}" if centres else "No centre is named"
    where = (
        f"the column centre of patches.parquet states one for {stated:,} of {counted(patches, 'patch')}, and the TCGA "
        f"barcodes in names of slides, patients and patches for {coded:,} more"
    )
    fix = "Name both in the column centre (groups.csv of `histoseed import labels`), or add patches of another one."
    raise DatasetError(f"{found}, and two are compared; {where}.", where=dataset.path, fix=fix)


def _filled(found: Sequence[Sample], least: int, cases: int) -> list[Sample]:
    """What lies in a class and centre with so many samples, of so many cases."""
    members: dict[tuple[str, str], list[str]] = {}
    for sample in found:
        members.setdefault((sample.name, sample.centre), []).append(sample.case)
    filled = {cell for cell, own in members.items() if len(own) >= least and len(set(own)) >= cases}
    return [sample for sample in found if (sample.name, sample.centre) in filled]


def _balanced(level: Level, found: Sequence[Sample], blocks: list[Block], most: int, seed: int) -> Samples:
    cells: dict[tuple[str, str], list[int]] = {}
    for index, sample in enumerate(found):
        cells.setdefault((sample.name, sample.centre), []).append(index)
    wanted = {(name, centre) for block in blocks for name in block.classes for centre in block.centres}
    each = min(most, *(len(cells[cell]) for cell in wanted))
    chosen: list[int] = []
    for cell in sorted(wanted):
        own = cells[cell]
        chosen += [own[i] for i in nested_draw([found[i].case for i in own], np.full(len(own), np.inf), each, seed)]
    samples = [found[i] for i in sorted(chosen)]
    alone = sorted(
        f"{n} in {c}" for n, c in wanted if len({s.case for s in samples if (s.name, s.centre) == (n, c)}) < 2
    )
    remarks = []
    if alone:
        listed = ", ".join(alone[:4]) + (", ..." if len(alone) > 4 else "")
        remarks.append(f"One case only, which lowers the index of de Jong et al.: {listed}.")
    return Samples(level, samples, blocks, each, remarks)


def _patch_facts(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    """Patch id -> case and centre."""
    facts = {}
    for row in dataset.patches.iter_rows(named=True):
        names = [row["slide"], row["patient"], row["patch_id"]]
        barcode = next((code for name in names if name and (code := tcga(name)) is not None), None)
        case = row["group"] or row["patient"] or row["slide"] or (barcode.patient if barcode else row["patch_id"])
        facts[row["patch_id"]] = (case, row["centre"] or (barcode.centre if barcode else None))
    return facts


_Facts = dict[str, tuple[str, str | None]]


def _by_organ(dataset: Dataset, facts: _Facts, mpp: float | None) -> Iterator[Sample]:
    organs = dict(dataset.patches.select("patch_id", "organ").iter_rows())
    if len(set(organs.values()) - {None}) < 2:
        return
    for crop in annotated_crops(dataset, CROP_UM, mpp=mpp):
        case, centre = facts[crop.patch_id]
        organ = organs[crop.patch_id]
        if organ is not None and centre is not None:
            yield Sample(crop, organ, centre, case)


def _by_majority(dataset: Dataset, facts: _Facts, mpp: float | None) -> Iterator[Sample]:
    names: dict[tuple[str, int, int], list[str]] = {}
    crops = {}
    for sample in _nuclei(dataset, facts, mpp):
        key = (sample.crop.patch_id, sample.crop.x, sample.crop.y)
        crops[key] = sample.crop
        names.setdefault(key, []).append(sample.name)
    for key, crop in crops.items():
        name, count = Counter(names[key]).most_common(1)[0]
        case, centre = facts[crop.patch_id]
        if count > _MAJORITY * len(names[key]) and centre is not None:
            yield Sample(crop, name, centre, case)


def _nuclei(dataset: Dataset, facts: _Facts, mpp: float | None) -> Iterator[Sample]:
    """Every nucleus with a class and a centre, in the square that its centroid lies in."""
    squares: dict[str, list[Crop]] = {}
    for crop in annotated_crops(dataset, CROP_UM, mpp=mpp):
        squares.setdefault(crop.patch_id, []).append(crop)
    rows = dataset.instances.filter((pl.col("layer") == "nucleus") & pl.col("class_name").is_not_null())
    columns = ("patch_id", "class_name", "label", "x0", "y0", "x1", "y1", "kind", "centroid_x", "centroid_y")
    for patch_id, name, label, x0, y0, x1, y1, kind, x, y in rows.select(columns).iter_rows():
        case, centre = facts[patch_id]
        if centre is None:
            continue
        for crop in squares.get(patch_id, ()):
            if crop.x <= x < crop.x + crop.side and crop.y <= y < crop.y + crop.side:
                yield Sample(crop, name, centre, case, Nucleus(label, (x0, y0, x1, y1), kind))
                break
