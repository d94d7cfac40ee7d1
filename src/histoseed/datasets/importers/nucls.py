"""Import ``nucls``: nuclei of breast cancer by many raters (Amgad et al. 2022), outlines and boxes side by side.

::

    SOURCE/
      rgb/<stem>.png
      csv/<stem>.csv                          one row a nucleus, see :mod:`~histoseed.datasets.importers.nucls_csv`
      csv/all_fov_locations.csv               optional, here or in SOURCE; see `nucls_fov`
      train_test_splits/fold_<1..5>_test.csv  optional; see `nucls_folds`
      mask/, visualization/                   not read

    stem: [<rater>_#_<set>_#_]TCGA-A1-A0SP-DX1_id-<hex>_left-7053_top-53967_bottom-54231_right-7311

What is minded:

- A *rectangle* is a box without an outline and becomes an object of kind *box*; only *polylines* become outlines.
- left, top, right, bottom are level-0 pixels of the slide; the pictures are resampled to 0.2 microns. So ``x``, ``y``
  of a patch are left and top, and nothing is ever added to coordinates of the picture.
- *AMBIGUOUS* and *unlabeled* nuclei stay as objects without a class: they count where nuclei are found and not where
  they are told apart.
- Outside the field of view nuclei are unlabelled: that is ignore area, but for nuclei that reach over its border.
- The mask pictures cannot tell boxes from outlines and overwrite overlaps, so only the tables are read.
- Multi-rater sets: a patch a rater; slide, patient and group tie them together, ``annotator`` names the rater.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.importers.nucls_classes import AMBIGUOUS, CLASS_OF, SCHEMES, base_name, is_fov
from histoseed.datasets.importers.nucls_csv import Table, build_objects, read_table
from histoseed.datasets.importers.nucls_folds import read_folds, slide_key
from histoseed.datasets.importers.nucls_fov import Box, find_fov_table, outside_fov, read_fovs, without_fov
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark
from histoseed.datasets.intake.support import chosen, find_folder, info_of, pairs_by_stem, read_rgb, stems, tcga
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["CARD", "collect"]

_SITE = "https://sites.google.com/view/nucls"
_MPP = 0.2

_SET_OF: Mapping[str, str | None] = MappingProxyType(
    {"single-rater": None, "evaluation": "E", "bootstrap-control": "B-control", "unbiased-control": "U-control"}
)
"""Part -> the set that file names of multi-rater parts carry."""

CARD = DatasetCard(
    name="nucls",
    title="NuCLS",
    task="nuclei: outlines and boxes, classes; several raters",
    organ="breast",
    stain="H&E",
    mpp="0.2 (resampled)",
    schemes=SCHEMES,
    parts={
        "single-rater": "one rater a picture, corrected by pathologists",
        "evaluation": "multi-rater, with suggestions by a trained model (set E)",
        "bootstrap-control": "multi-rater, with suggestions by image processing (set B-control)",
        "unbiased-control": "multi-rater, without suggestions (set U-control)",
    },
    counts="1,744 pictures with about 59,500 nuclei (single-rater); more than 220,000 annotations in all parts",
    licence="CC0-1.0",
    commercial="yes",
    where=_SITE,
    citation="M. Amgad, L. A. Atteya, H. Hussein et al.: NuCLS: A scalable crowdsourcing approach and dataset for "
    "nucleus classification and segmentation in breast cancer. GigaScience 11 (2022), giac037.",
    group="patient",
    splits="five folds by hospital, where train_test_splits/ is there",
    layout="""\
SOURCE/
  rgb/<stem>.png
  csv/<stem>.csv
  all_fov_locations.csv                   optional, or in csv/
  train_test_splits/fold_<1..5>_test.csv  optional""",
    known_problems=(
        "Raters were mostly no pathologists and corrected suggestions of a program, so outlines are shaped by it.",
        "Many nuclei have a box only: nobody drew their outline. Training and scores of outlines must leave them out.",
        "Some polylines are upright rectangles.",
    ),
    shares=("Slides are those of BCSS and PanopTILs (TCGA-BRCA): split all three by patient together.",),
    totals=(
        Total(
            measure="patches",
            value=1744,
            source="https://huggingface.co/datasets/minhanhto09/NuCLS_dataset",
            note="corrected single-rater set",
        ),
        Total(measure="objects", value=40028, source=f"{_SITE}/multi-rater", part="evaluation"),
        Total(measure="objects", value=19881, source=f"{_SITE}/multi-rater", part="bootstrap-control"),
        Total(measure="objects", value=37434, source=f"{_SITE}/multi-rater", part="unbiased-control"),
    ),
)

_STEM = re.compile(
    r"(?:(?P<rater>.+?)_#_(?P<set>.+?)_#_)?(?P<slide>TCGA-[^_]+)_id-[0-9a-fA-F]+"
    r"_left-(?P<left>-?\d+)_top-(?P<top>-?\d+)_bottom-(?P<bottom>-?\d+)_right-(?P<right>-?\d+)"
)


@dataclass(frozen=True, slots=True)
class _Name:
    """What the name of a file says: rater and set (None in the single-rater part), slide, place in level-0 pixels."""

    rater: str | None
    set: str | None
    slide: str
    place: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What one picture is read from."""

    stem: str
    image: Path
    csv: Path
    name: _Name
    scheme: str
    source: str
    fov: Box | None
    settings: Settings


def collect(source: Path, *, part: str | None = None, scheme: str | None = None, settings: Settings) -> Collection:
    """Import NuCLS: nuclei of breast cancer as outlines and boxes, by one rater or by many.

    Args:
        source: The folder with ``rgb/`` and ``csv/``.
        part: "single-rater" (default) or a multi-rater set: "evaluation", "bootstrap-control", "unbiased-control".
        scheme: Level of the classes: "raw" (default), "main" or "super".
        settings: Limits.

    Raises:
        InputError: no such part or scheme.
        DatasetError: missing folders or files, names of another form, tables that break the layout.
    """
    part = chosen(part, CARD.parts, "--part")
    scheme = chosen(scheme, CARD.schemes, "--classes")
    rgb = find_folder(source, "rgb", "rgbs")
    root = rgb.absolute().parent
    images, tables = stems(rgb), stems(root / "csv", (".csv",))
    fov_table = find_fov_table(root, root / "csv")
    if fov_table is not None:
        tables.pop(fov_table.stem, None)
    names = _names([*images, *tables], rgb)
    wanted = {stem for stem, name in names.items() if name.set == _SET_OF[part]}
    if not wanted and names:
        raise _other_part(names.values(), rgb)
    listed = pairs_by_stem(_only(images, wanted), _only(tables, wanted), "csv table")
    folds = read_folds(root, settings)
    fovs, remarks = ({}, []) if fov_table is None else read_fovs(fov_table, listed, settings)
    remarks = remarks or without_fov(fov_table, fovs, listed)
    items = []
    for stem in listed:
        job = _Job(
            stem=stem,
            image=images[stem],
            csv=tables[stem],
            name=names[stem],
            scheme=scheme,
            source=f"NuCLS {part}",
            fov=fovs.get(stem),
            settings=settings,
        )
        files = [job.image, job.csv, *([] if fov_table is None else [fov_table])]
        items.append(Item(patch_id=stem, read=partial(_read, job), files=files, facts=_facts(job.name, folds)))
    said = [(root.name if fov_table is None else fov_table.name, remark) for remark in remarks]
    if len(wanted) < len(names):
        text = "{count} {picture or table belongs|pictures or tables belong} to another part and {was|were} left out"
        said.append((root.name, Remark(text, len(names) - len(wanted), "note")))
    return Collection(info=info_of(CARD, scheme, part=part), items=items, remarks=said)


def _names(found: Iterable[str], where: Path) -> dict[str, _Name]:
    """Stem -> what it says."""
    names: dict[str, _Name] = {}
    strange = []
    for stem in sorted(set(found)):
        match = _STEM.fullmatch(stem)
        place = tuple(float(match[side]) for side in ("left", "top", "right", "bottom")) if match else (0.0,) * 4
        if match is None or place[0] >= place[2] or place[1] >= place[3]:
            strange.append(stem)
        else:
            box = (place[0], place[1], place[2], place[3])
            names[stem] = _Name(match["rater"], match["set"], match["slide"], box)
    if strange:
        fix = "Names end with _id-..._left-..._top-..._bottom-..._right-...; take other files away."
        raise DatasetError(f"Not a name of NuCLS: {some(strange, 5)}.", where=where, fix=fix)
    return names


def _other_part(names: Iterable[_Name], where: Path) -> DatasetError:
    sets = {name.set for name in names}
    parts = [part for part, wanted in _SET_OF.items() if wanted in sets]
    fix = f"Choose it: --part {parts[0]}." if parts else f"Its sets are {some(sorted(map(str, sets)), 5)}."
    return DatasetError("The folder holds another part of NuCLS.", where=where, fix=fix)


def _only(files: Mapping[str, Path], wanted: set[str]) -> dict[str, Path]:
    return {stem: path for stem, path in files.items() if stem in wanted}


def _facts(name: _Name, folds: Mapping[str, int]) -> PatchFacts:
    barcode = tcga(name.slide)
    facts: PatchFacts = {
        "mpp": _MPP,
        "mpp_source": "metadata",
        "x": name.place[0],
        "y": name.place[1],
        "slide": name.slide,
        "organ": "breast",
        "fold": folds.get(slide_key(name.slide)),
    }
    if barcode is not None:
        facts |= {"patient": barcode.patient, "centre": barcode.centre}
    return facts


def _read(job: _Job) -> PatchContent:
    remarks: list[Remark] = []
    image = read_rgb(job.image, job.settings, remarks)
    size = (image.shape[1], image.shape[0])
    remarks += _check_scale(job.name, size)
    table = read_table(job.csv, job.settings)
    raw = _raw_names(table)
    nuclei = [not is_fov(name) for name in raw]
    if not all(nuclei):
        text = (
            "{count} {row marks a field of view, is no nucleus and was|rows mark a field of view, are no "
            "nuclei and were} left out"
        )
        remarks.append(Remark(text, nuclei.count(False), "note"))
        table, raw = table.select(nuclei), [name for name, kept in zip(raw, nuclei, strict=True) if kept]
    remarks += _check_levels(table, raw)
    objects, said = build_objects(
        table,
        _classes(table, raw, job.scheme),
        dataset=CARD.name,
        patch_id=job.stem,
        size=size,
        source=job.source,
        settings=job.settings,
    )
    remarks += said
    ignore = None
    if job.fov is not None:
        ignore, said = outside_fov(job.fov, objects, size, job.name.place)
        remarks += said
    unclassed = sum(name is None for name in objects.class_name)
    if unclassed:
        text = (
            "{count} {nucleus has|nuclei have} no class (ambiguous or unlabeled) and {counts as nucleus|count "
            "as nuclei}, not in classification"
        )
        remarks.append(Remark(text, unclassed, "note"))
    return PatchContent(image=image, objects=objects, annotator=job.name.rater, ignore=ignore, remarks=remarks)


def _check_scale(name: _Name, size: tuple[int, int]) -> list[Remark]:
    """Both sides of a picture are resampled by one factor, up to the rounding of its pixels."""
    left, top, right, bottom = name.place
    across, down = size[0] / (right - left), size[1] / (bottom - top)
    if abs(across - down) <= across * (1 / size[0] + 1 / size[1]) + 1e-9:
        return []
    return [Remark("The picture is not as wide and high as its name says: its place in the slide cannot be right")]


def _raw_names(table: Table) -> list[str]:
    """The raw class of every row; an earlier release calls the column ``group``."""
    column = "group" if "raw_classification" not in table.header and "group" in table.header else "raw_classification"
    return [base_name(text) for text in table.column(column)]


def _classes(table: Table, raw: list[str], scheme: str) -> list[str | None]:
    """The class of every row on the level of the scheme."""
    names = CLASS_OF[scheme]
    for row, name in enumerate(raw):
        if name not in names:
            fix = f"Known are {', '.join(names)}; is this another release?"
            raise DatasetError(f"There is no class {name!r}.", where=table.where(row), fix=fix)
    return [names[name] for name in raw]


def _check_levels(table: Table, raw: list[str]) -> list[Remark]:
    """Whether the main and super classes of the file follow from its raw classes."""
    remarks = []
    for scheme in ("main", "super"):
        column = f"{scheme}_classification"
        if column not in table.header:
            continue
        expected = [CLASS_OF[scheme].get(name) or AMBIGUOUS for name in raw]
        stated = [base_name(text) for text in table.column(column)]
        other = sum(a != b for a, b in zip(expected, stated, strict=True))
        if other:
            text = (
                f"{{count}} {{nucleus states|nuclei state}} a {scheme} class that does not follow from the raw "
                f"class, which counts"
            )
            remarks.append(Remark(text, other))
    return remarks
