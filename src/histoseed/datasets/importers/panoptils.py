"""Import ``panoptils``: nuclei and tissue regions of breast cancer in one picture (Liu, Amgad et al. 2024).

::

    SOURCE/
      ManualNucleiManualRegions[_<date>]/{rgbs,masks,csv}/<stem>.(png|csv)
      BootstrapNucleiManualRegions_TCGA[_<date>]/tcga/{rgbs,masks,csv}/<stem>.(png|csv)
      .../train_test_splits/fold_<1..5>_test.csv      optional, see :mod:`~histoseed.datasets.importers.nucls_folds`

    stem: TCGA-A1-A0SK-DX1_xmin45749_ymin25055_MPP-0.2500_xmin-0_ymin-0_xmax-1024_ymax-1024

Downloads come in pieces (``..._TCGA``, ``..._TCGA_1``); all folders of a part are read as one.

What is minded:

- Mask: channel 0 is the *region*, channel 1 the class of the *nucleus*, in RGB order. Objects come from the tables.
- Region 0 (EXCLUDE) is ignore area. Nucleus 0 (EXCLUDE) is unlabelled: ignore area as well, but for nuclei that reach
  into it; region classes are kept under it. Nucleus 9 is background that was looked at. A tile whose whole nucleus
  channel is EXCLUDE is not exhaustive instead, so that its regions count.
- Nucleus 8 (UnknownOrAmbiguousCell) is an object without a class.
- The column of the classes is found by its values. Rows of a column ``type`` that says *rectangle* become boxes.
- ``xmin-0`` is no negative number. The place of a tile in its slide is not stated: the first offset counts pixels of
  the slide, the second ones pixels of 0.25 microns, and the slide's own resolution is not in the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.importers.nucls_csv import Table, build_objects, read_table
from histoseed.datasets.importers.nucls_folds import read_folds, slide_key
from histoseed.datasets.importers.nucls_fov import find_fov_table
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark
from histoseed.datasets.intake.support import (
    chosen,
    class_codes,
    info_of,
    pairs_by_stem,
    read_rgb,
    root_of,
    stems,
    tcga,
)
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.geometry import known_mpp, polygons_to_label
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["CARD", "collect"]

_SITE = "https://sites.google.com/view/panoptils"
_MUTILS = "https://github.com/PathologyDataScience/MuTILs_Panoptic"

_FOLDER_OF: Mapping[str, str] = MappingProxyType(
    {"manual": "ManualNucleiManualRegions", "bootstrap": "BootstrapNucleiManualRegions"}
)
"""Part -> how its folders begin."""

_SOURCE_OF: Mapping[str, str] = MappingProxyType(
    {"manual": "PanopTILs manual nuclei", "bootstrap": "NuCLS model in manual regions"}
)

_REGIONS = ("TUMOR", "STROMA", "TILS", "NORMAL", "JUNK", "BLOOD", "OTHER", "WHITE")
"""Region codes 1 to 8; code 0 is EXCLUDE."""

_SUPER_OF: Mapping[str, str | None] = MappingProxyType(
    {
        "CancerEpithelium": "Epithelial",
        "StromalCellNOS": "Stromal",
        "ActiveStromalCellNOS": "Stromal",
        "TILsCell": "TILs",
        "ActiveTILsCell": "TILs",
        "NormalEpithelium": "Epithelial",
        "OtherCell": "Other",
        "UnknownOrAmbiguousCell": None,
    }
)
"""Nucleus codes 1 to 8 -> super class."""

_EXCLUDE, _BACKGROUND = 0, 9
_NUCLEUS_CODES: Mapping[int, str | None] = MappingProxyType(
    {_EXCLUDE: "EXCLUDE", **dict(enumerate(_SUPER_OF, start=1)), _BACKGROUND: "BACKGROUND"}
)
_REGION_CODES: Mapping[int, str | None] = MappingProxyType({0: "EXCLUDE", **dict(enumerate(_REGIONS, start=1))})

_CLASS_OF: Mapping[str, Mapping[str, str | None]] = MappingProxyType(
    {"raw": {name: name if top else None for name, top in _SUPER_OF.items()}, "super": _SUPER_OF}
)

CARD = DatasetCard(
    name="panoptils",
    title="PanopTILs",
    task="nuclei: outlines and classes; regions of tissue",
    organ="breast",
    stain="H&E",
    mpp="0.25",
    schemes={
        scheme: tuple(dict.fromkeys(name for name in names.values() if name)) for scheme, names in _CLASS_OF.items()
    },
    parts={
        "manual": "nuclei by hand (NuCLS), regions by hand",
        "bootstrap": "nuclei by the NuCLS model, constrained by the regions; silver",
    },
    counts="814,886 nuclei of 151 patients (bootstrap)",
    licence="CC0-1.0",
    commercial="yes",
    where=_SITE,
    citation="S. Liu, M. Amgad, M. A. Rathore, R. Salgado, L. A. D. Cooper: A panoptic segmentation approach for "
    "tumor-infiltrating lymphocyte assessment: development of the MuTILs model and PanopTILs dataset. "
    "medRxiv 2022.01.08.22268814; doi 10.1038/s41523-024-00663-1.",
    group="patient",
    splits="five folds by hospital, where train_test_splits/ is there",
    layout="""\
SOURCE/
  ManualNucleiManualRegions*/{rgbs,masks,csv}/<stem>.(png|csv)
  BootstrapNucleiManualRegions*/tcga/{rgbs,masks,csv}/<stem>.(png|csv)
  .../train_test_splits/fold_<1..5>_test.csv  optional""",
    known_problems=(
        "Part bootstrap: nuclei are predictions of the NuCLS model.",
        "Part bootstrap: classes were changed to fit the region (cancer nuclei in stroma: ActiveStromalCellNOS).",
        "Part manual: nuclei are annotated in small fields of a tile; the rest of the tile is ignore area.",
        "Regions were drawn by students under supervision (BCSS).",
    ),
    shares=("Slides are those of NuCLS and BCSS (TCGA-BRCA): split all three by patient together.",),
    totals=(
        Total(
            measure="patients",
            value=151,
            source=_MUTILS,
            part="bootstrap",
            note="a refined redistribution counts 120 patients and 1,349 tiles",
        ),
        Total(measure="objects", value=814886, source=_MUTILS, part="bootstrap"),
    ),
)

_STEM = re.compile(
    r"(?P<slide>TCGA-[^_]+)_xmin(?P<x>\d+)_ymin(?P<y>\d+)_MPP-(?P<mpp>\d+\.\d+)"
    r"_xmin-(?P<x0>\d+)_ymin-(?P<y0>\d+)_xmax-(?P<x1>\d+)_ymax-(?P<y1>\d+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What one tile is read from."""

    stem: str
    image: Path
    mask: Path
    csv: Path | None
    scheme: str
    source: str
    settings: Settings


def collect(source: Path, *, part: str | None = None, scheme: str | None = None, settings: Settings) -> Collection:
    """Import PanopTILs: nuclei and regions of breast cancer, by hand or by a model.

    Args:
        source: The folder above the folders of the parts, or such a folder.
        part: "manual" (default) or "bootstrap". Needed where the name of the folder does not tell.
        scheme: "raw" (default) or "super".
        settings: Limits.

    Raises:
        InputError: no such part or scheme.
        DatasetError: missing folders, tiles without a partner, names of another form.
    """
    roots = _roots(source, part)
    part = chosen(part, CARD.parts, "--part")
    scheme = chosen(scheme, CARD.schemes, "--classes")
    images, masks = _files(roots, ("rgbs", "rgb"), ".png"), _files(roots, ("masks", "mask"), ".png")
    tables = _files(roots, ("csv",), ".csv")
    listed = pairs_by_stem(images, masks, "mask")
    alone = sorted(tables.keys() - images.keys())
    if alone:
        raise DatasetError(f"No image for {some(alone, 5)}.", where=source, fix="Was the archive unpacked completely?")
    strange = [stem for stem in listed if _STEM.fullmatch(stem) is None]
    if strange:
        fix = "Names are <slide>_xmin..._ymin..._MPP-..._xmin-..._ymin-..._xmax-..._ymax-..."
        raise DatasetError(f"Not a name of PanopTILs: {some(strange, 5)}.", where=source, fix=fix)
    folds: dict[str, int] = {}
    for root in roots:
        folds |= read_folds(root, settings)
    items = []
    for stem in listed:
        job = _Job(
            stem=stem,
            image=images[stem],
            mask=masks[stem],
            csv=tables.get(stem),
            scheme=scheme,
            source=_SOURCE_OF[part],
            settings=settings,
        )
        files = [path for path in (job.image, job.mask, job.csv) if path is not None]
        items.append(Item(patch_id=stem, read=partial(_read, job), files=files, facts=_facts(stem, folds)))
    info = info_of(CARD, scheme, part=part, region_classes=_REGIONS)
    without = len(listed) - len(tables)
    text = "{count} {tile has|tiles have} no table of nuclei; their masks must show none"
    return Collection(info=info, items=items, remarks=[(source.name, Remark(text, without, "note"))] if without else [])


def _roots(source: Path, part: str | None) -> list[Path]:
    """The folders of a part."""
    if not source.is_dir():
        raise DatasetError("There is no such folder.", where=source, fix="Give the folder of the data set.")
    wanted = _FOLDER_OF[chosen(part, CARD.parts, "--part")]
    source = root_of(source, lambda path: any(entry.name.startswith(wanted) for entry in path.iterdir()))
    name = source.resolve().name
    if name.startswith(wanted):
        return [source]
    found = [path for path in sorted(source.iterdir()) if path.is_dir() and path.name.startswith(wanted)]
    other = any(name.startswith(prefix) for prefix in _FOLDER_OF.values())
    if found or (part is not None and not other and _base(source) is not None):
        return found or [source]
    fix = f"Give the folder above {wanted}*/, or choose the part: --part {' or '.join(CARD.parts)}."
    raise DatasetError(f"There is no folder {wanted}*/.", where=source, fix=fix)


def _base(root: Path) -> Path | None:
    """The folder that holds rgbs/, masks/, csv/: of a part itself or its ``tcga/``."""
    for base in (root / "tcga", root):
        if any((base / name).is_dir() for name in ("rgbs", "rgb", "masks", "mask", "csv")):
            return base
    return None


def _files(roots: list[Path], names: tuple[str, ...], suffix: str) -> dict[str, Path]:
    """Stem -> file in the folders of that name of all pieces of a part."""
    found: dict[str, Path] = {}
    for base in filter(None, map(_base, roots)):
        for folder in (base / name for name in names):
            here = stems(folder, (suffix,)) if folder.is_dir() else {}
            fov_table = find_fov_table(folder)
            if fov_table is not None:
                here.pop(fov_table.stem, None)
            twice = sorted(here.keys() & found.keys())
            if twice:
                what = f"{some(twice, 5)} stands in {found[twice[0]].parent} too."
                raise DatasetError(what, where=folder, fix="Take one of the two versions away.")
            found |= here
    return found


def _facts(stem: str, folds: Mapping[str, int]) -> PatchFacts:
    match = _STEM.fullmatch(stem)
    slide, stated = (match["slide"], float(match["mpp"])) if match else (stem, None)
    facts: PatchFacts = {"slide": slide, "organ": "breast", "fold": folds.get(slide_key(slide))}
    if known_mpp(stated) is not None:
        facts |= {"mpp": stated, "mpp_source": "metadata"}
    barcode = tcga(slide)
    if barcode is not None:
        facts |= {"patient": barcode.patient, "centre": barcode.centre}
    return facts


def _read(job: _Job) -> PatchContent:
    remarks: list[Remark] = []
    image = read_rgb(job.image, job.settings, remarks)
    size = (image.shape[1], image.shape[0])
    regions, nuclei = _read_mask(job.mask, size, job.settings)
    objects = Instances.empty()
    if job.csv is not None:
        table = read_table(job.csv, job.settings)
        objects, said = build_objects(
            table,
            _classes(table, job.scheme),
            dataset=CARD.name,
            patch_id=job.stem,
            size=size,
            source=job.source,
            settings=job.settings,
        )
        remarks += said
    elif np.isin(nuclei, (_EXCLUDE, _BACKGROUND), invert=True).any():
        what = "The mask shows nuclei, and there is no table of them."
        raise DatasetError(what, where=job.mask, fix="Was the archive unpacked completely?")
    ignore = regions == 0
    looked_at = bool((nuclei != _EXCLUDE).any())
    if looked_at:
        own = polygons_to_label(objects.geometry, (size[1], size[0])) > 0
        ignore |= (nuclei == _EXCLUDE) & ~own
    else:
        remarks.append(Remark("Nuclei are annotated nowhere in the tile; it is marked as not exhaustive", kind="note"))
    return PatchContent(
        image=image,
        objects=objects,
        regions=regions,
        ignore=ignore,
        facts={"exhaustive": looked_at},
        remarks=remarks,
    )


def _read_mask(
    path: Path, size: tuple[int, int], settings: Settings
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Region codes and nucleus codes, (H, W) uint8 each."""
    said: list[Remark] = []
    mask = read_rgb(path, settings, said)
    if said:
        fix = "Take the published masks: RGB, 8 bit."
        raise DatasetError(f"The mask is no RGB picture of 8 bit ({said[0].text}).", where=path, fix=fix)
    if (mask.shape[1], mask.shape[0]) != size:
        what = f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels, its picture {size[0]} x {size[1]}."
        raise DatasetError(what, where=path)
    class_codes(mask[..., 0], _REGION_CODES, f"{path}, channel 0 (regions)")
    class_codes(mask[..., 1], _NUCLEUS_CODES, f"{path}, channel 1 (nuclei)")
    return np.ascontiguousarray(mask[..., 0]), np.ascontiguousarray(mask[..., 1])


def _classes(table: Table, scheme: str) -> list[str | None]:
    """The class of every row; the column is the one whose values are class names."""
    if not table.rows:
        return []
    columns = {name: [cell.strip() for cell in table.column(name)] for name in table.header}
    named = {name: sum(cell in _SUPER_OF for cell in cells) for name, cells in columns.items()}
    best = max(named.values(), default=0)
    leading = [name for name, count in named.items() if count == best > 0]
    if not leading:
        listed = some([repr(name) for name in table.header], 12)
        what = f"No column holds class names; the columns are {listed}."
        raise DatasetError(what, where=table.path, fix=f"Known classes are {', '.join(_SUPER_OF)}.")
    if any(columns[name] != columns[leading[0]] for name in leading[1:]):
        raise DatasetError(f"The columns {some(leading)} hold different classes.", where=table.path)
    cells = columns[leading[0]]
    for row, cell in enumerate(cells):
        if cell not in _SUPER_OF:
            fix = f"Known are {', '.join(_SUPER_OF)}."
            raise DatasetError(f"There is no class {cell!r} (column {leading[0]!r}).", where=table.where(row), fix=fix)
    return [_CLASS_OF[scheme][cell] for cell in cells]
