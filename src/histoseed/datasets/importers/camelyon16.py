"""Import ``camelyon16``: metastases in lymph nodes (Ehteshami Bejnordi et al. 2017). Whole slides, no nuclei.

::

    SOURCE/  (or CAMELYON16/ in it)
      training/{normal,tumor}/*.tif        or images/*.tif, as mirrors have it
      training/lesion_annotations/*.xml    (unpack the zip), or annotations/*.xml
      testing/images/test_NNN.tif
      testing/lesion_annotations/*.xml
      testing/reference.csv                optional: which test slides are normal

A patch is a slide, whose pixels stay in it. Lesions are outlines of the layer *region*, class *tumour*; nuclei are not
annotated, so no patch is exhaustive. What is minded:

- ASAP has no holes: outlines of the groups ``_2`` and ``Exclusion`` are cut out of the tumour outlines around them.
- Outlines without a group are ignore area.
- ``normal_86`` and ``normal_086`` are one slide.
- A normal slide has no annotation; a tumour slide without one is an error, not a normal slide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.annotations.formats.asap import AsapShape, read_asap_shapes
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.importers.nucls_csv import read_lines
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark, SlideArea, object_ids
from histoseed.datasets.intake.remarks import noted
from histoseed.datasets.intake.support import clipped, info_of, root_of, stems
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.slides import open_slide
from histoseed.wording import some

__all__ = ["CARD", "collect"]

_SITE = "https://camelyon17.grand-challenge.org/Data"
_EVA = "https://github.com/kaiko-ai/eva, docs/datasets"
_TUMOUR = "tumour"

_Role = Literal["tumour", "hole", "ignore"]
_ROLE_OF: Mapping[str, _Role] = MappingProxyType(
    {"Tumor": "tumour", "_0": "tumour", "_1": "tumour", "_2": "hole", "Exclusion": "hole"}
)
"""ASAP group -> what its outlines are; without a group they are ignore area."""

_SLIDES = ("training/normal", "training/tumor", "testing/images", "images")
_XMLS = ("training/lesion_annotations", "testing/lesion_annotations", "annotations")
_REFERENCES = ("testing/reference.csv", "reference.csv")
_NAME = re.compile(r"(normal|tumor|test)_(\d+)")

_DOUBTFUL = (("normal", 86), ("normal", 144), ("test", 49), ("test", 114))
"""Slides that several published pipelines leave out."""

CARD = DatasetCard(
    name="camelyon16",
    title="Camelyon16",
    task="regions: metastases, on whole slides (no nuclei)",
    organ="lymph node (breast cancer)",
    stain="H&E",
    mpp="about 0.25, in each slide",
    counts="270 training and 129 test slides, two hospitals",
    licence="CC0-1.0",
    commercial="yes",
    where=_SITE,
    citation="B. Ehteshami Bejnordi, M. Veta, P. J. van Diest et al.: Diagnostic assessment of deep learning "
    "algorithms for detection of lymph node metastases in women with breast cancer. JAMA 318 (2017), 2199-2210.",
    group="slide (patients are not published)",
    splits="train and test as published",
    layout="""\
SOURCE/
  training/{normal,tumor}/*.tif
  training/lesion_annotations/*.xml
  testing/images/test_NNN.tif
  testing/lesion_annotations/*.xml
  testing/reference.csv              optional""",
    known_problems=(
        "normal_086, normal_144, test_049 and test_114 are left out by several published pipelines.",
        "Two training slides labelled normal are said to be labelled wrongly (arXiv 1703.02442).",
        "Which hospital a slide is from does not stand in its name.",
    ),
    totals=(
        Total(measure="patches", value=399, source=_EVA, note="400 before a duplicate test slide was removed"),
        Total(measure="patches", value=270, where={"split": "train"}, source=_EVA),
        Total(measure="patches", value=129, where={"split": "test"}, source=_EVA),
    ),
)

_Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What one slide is read from."""

    key: _Key
    slide: Path
    xml: Path | None
    relative: str
    settings: Settings


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import Camelyon16: metastases in lymph nodes, outlined on whole slides that stay where they are.

    Args:
        source: The folder of the data set, or the one above it.
        settings: Limits.

    Raises:
        DatasetError: no slides, names of another form, a slide twice, tumour slides without annotation.
    """
    root = root_of(source, lambda path: any((path / name).is_dir() for name in _SLIDES))
    slides, xmls = _by_number(root, _SLIDES, (".tif", ".tiff")), _by_number(root, _XMLS, (".xml",))
    if not slides:
        what = f"There is no slide in {', '.join(_SLIDES)}."
        raise DatasetError(what, where=root, fix="Give the folder of Camelyon16.")
    truth, remarks = _reference(root, settings)
    without = sorted(key for key in slides if key not in xmls)
    bare = [slides[key].stem for key in without if key[0] == "tumor" or truth.get(key) == "tumor"]
    if bare:
        fix = "Unpack lesion_annotations.zip beside the slides."
        raise DatasetError(f"Tumour slides without annotation: {some(bare, 5)}.", where=root, fix=fix)
    open_ = sum(key[0] == "test" and key not in truth for key in without)
    if open_:
        text = (
            "Nothing says whether {count} test {slide without annotation is|slides without annotation are} "
            "normal (reference.csv would)"
        )
        remarks.append((root.name, Remark(text, open_)))
    alone = len(xmls.keys() - slides.keys())
    if alone:
        remarks.append((root.name, Remark("{count} annotation {file has|files have} no slide here", alone, "note")))
    for key in _DOUBTFUL:
        if key in slides:
            text = "Several published pipelines leave this slide out"
            remarks.append((slides[key].stem, Remark(text)))
    items = []
    for key, path in slides.items():
        relative = path.relative_to(source).as_posix()
        job = _Job(key=key, slide=path, xml=xmls.get(key), relative=relative, settings=settings)
        files = [path, *([] if job.xml is None else [job.xml])]
        items.append(Item(patch_id=path.stem, read=partial(_read, job), files=files, facts=_facts(key, path)))
    return Collection(info=info_of(CARD, region_classes=(_TUMOUR,)), items=items, remarks=remarks)


def _by_number(root: Path, folders: Sequence[str], suffixes: tuple[str, ...]) -> dict[_Key, Path]:
    """Kind and number -> file, sorted; leading zeros do not matter.

    Raises:
        DatasetError: names of another form, a number twice.
    """
    found: dict[_Key, Path] = {}
    for folder in (root / name for name in folders):
        for stem, path in (stems(folder, suffixes) if folder.is_dir() else {}).items():
            match = _NAME.fullmatch(stem.lower())
            if match is None:
                fix = "Names are normal_NNN, tumor_NNN or test_NNN."
                raise DatasetError("Not a name of Camelyon16.", where=path, fix=fix)
            key = (match[1], int(match[2]))
            if key in found:
                raise DatasetError(f"The same slide as {found[key]}.", where=path, fix="Take one of them away.")
            found[key] = path
    return dict(sorted(found.items()))


def _reference(root: Path, settings: Settings) -> tuple[dict[_Key, str], list[tuple[str, Remark]]]:
    """Test slide -> "tumor" or "normal"; the columns are found by what they hold."""
    path = next((root / name for name in _REFERENCES if (root / name).is_file()), None)
    if path is None:
        return {}, []
    truth: dict[_Key, str] = {}
    for row in read_lines(path, settings)[0]:
        cells = [cell.strip().lower().removesuffix(".tif") for cell in row]
        names = [match for cell in cells if (match := _NAME.fullmatch(cell))]
        labels = [cell for cell in cells if cell in ("tumor", "normal")]
        if len(names) == 1 and labels:
            truth[names[0][1], int(names[0][2])] = labels[0]
    if truth:
        return truth, []
    return {}, [(path.name, Remark("The table was not understood and not used", kind="note"))]


def _facts(key: _Key, slide: Path) -> PatchFacts:
    return {
        "exhaustive": False,
        "x": 0.0,
        "y": 0.0,
        "slide": slide.stem,
        "organ": "lymph node",
        "split": "test" if key[0] == "test" else "train",
    }


def _read(job: _Job) -> PatchContent:
    with open_slide(job.slide, settings=job.settings) as slide:
        size, mpp = slide.size, slide.mpp
        remarks = [Remark(note.rstrip("."), kind="note") for note in slide.notes]
    regions, ignore = Instances.empty(), Instances.empty()
    if job.xml is not None:
        shapes, said = read_asap_shapes(job.xml, job.settings)
        remarks += [noted(sentence, "lesions: ") for sentence in said]
        regions, ignore, more = _lesions(shapes, job.xml, job.slide.stem)
        regions, cut = clipped(regions, size)
        ignore, cut_too = clipped(ignore, size)
        remarks += [*more, *cut, *cut_too]
        if len(regions) == 0 and job.key[0] == "tumor":
            remarks.append(Remark("The annotation of a tumour slide holds no tumour"))
    if len(regions) and job.key[0] == "normal":
        remarks.append(Remark("A slide that is named normal has {count} tumour {outline|outlines}", len(regions)))
    return PatchContent(
        image=SlideArea(job.relative, *size),
        region_outlines=regions,
        ignore_outlines=ignore,
        facts={} if mpp is None else {"mpp": mpp, "mpp_source": "metadata"},
        remarks=remarks,
    )


def _lesions(shapes: Sequence[AsapShape], where: Path, patch_id: str) -> tuple[Instances, Instances, list[Remark]]:
    """Tumour outlines with their holes cut out, ignore outlines, and remarks."""
    remarks = []
    points = sum(shape.kind == "point" for shape in shapes)
    if points:
        remarks.append(Remark("{count} {point encloses|points enclose} nothing and {was|were} left out", points))
    ids = np.array(object_ids(CARD.name, patch_id, len(shapes)), dtype=object)
    roles = np.array([_role(shape, where) if shape.kind != "point" else "point" for shape in shapes], dtype=object)
    geometry = np.empty(len(shapes), dtype=object)
    geometry[:] = [shape.geometry for shape in shapes]
    tumour = roles == "tumour"
    whole, holes = geometry[tumour], geometry[roles == "hole"]
    cut, outside = _without(whole, holes)
    if outside:
        text = "{count} {outline of normal tissue lies|outlines of normal tissue lie} in no tumour outline"
        remarks.append(Remark(text, outside))
    gone = shapely.is_empty(cut)
    if gone.any():
        text = (
            "{count} tumour {outline lies|outlines lie} wholly inside outlines of normal tissue and {was|were} left out"
        )
        remarks.append(Remark(text, int(gone.sum())))
    regions = Instances.build(cut[~gone], class_name=_TUMOUR, id=ids[tumour][~gone])
    ignored = roles == "ignore"
    return regions, Instances.build(geometry[ignored], id=ids[ignored]), remarks


def _role(shape: AsapShape, where: Path) -> _Role:
    """What an outline is, by its group or the nearest group around that which is known."""
    if not shape.group_path:
        return "ignore"
    for group in reversed(shape.group_path):
        if group in _ROLE_OF:
            return _ROLE_OF[group]
    fix = f"Known are {', '.join(_ROLE_OF)} and none."
    raise DatasetError(f"There is no group {shape.group!r}.", where=f"{where}, annotation {shape.name!r}", fix=fix)


def _without(whole: npt.NDArray[np.object_], holes: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.object_], int]:
    """Outlines less the holes, and how many holes touch no outline."""
    cut = whole.copy()
    if not len(holes) or not len(whole):
        return cut, len(holes)
    outline, hole = shapely.STRtree(holes).query(whole, predicate="intersects")
    for row in np.unique(outline):
        cut[row] = shapely.difference(whole[row], shapely.union_all(holes[hole[outline == row]]))
    return cut, len(holes) - len(np.unique(hole))
