"""Import ``puma``: nuclei and tissue of melanoma (Schuiveling et al. 2025), as QuPath GeoJSON.

::

    SOURCE/
      01_training_dataset_tif_ROIs/training_set_{metastatic|primary}_roi_NNN.tif   (.tiff too), RGBA
      01_training_dataset_geojson_nuclei/<stem>_nuclei.geojson
      01_training_dataset_geojson_tissue/<stem>_tissue.geojson

What is minded:

- Coordinates are pixels of the picture, whatever the extent of the outlines is; nothing is rescaled. Outlines that
  leave the picture are cut at its border.
- Classes go by name; numbers are never read, public code has at least five orders of them.
- A classification may be an object, or JSON text of one.
- Microns per pixel differ from picture to picture; they are taken from the file and else unknown.
- Tissue is kept as outlines (layer *region*) and drawn, later ones over earlier ones. White background is a class of
  its own. What no outline covers says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances, read_geojson
from histoseed.annotations.classifications import parse_classification
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark, object_ids
from histoseed.datasets.intake.remarks import noted
from histoseed.datasets.intake.support import chosen, clipped, find_folder, info_of, pairs_by_stem, stems
from histoseed.errors import AnnotationError, DatasetError
from histoseed.geometry import Region, paint_spans, pixel_spans
from histoseed.settings import Settings
from histoseed.slides import open_slide

__all__ = ["CARD", "collect"]

_SITE = "https://zenodo.org/records/13859989"
_IMAGES, _NUCLEI, _TISSUE = (f"01_training_dataset_{name}" for name in ("tif_ROIs", "geojson_nuclei", "geojson_tissue"))

_COUNTS = {
    "nuclei_tumor": 57419,
    "nuclei_lymphocyte": 21643,
    "nuclei_histiocyte": 7168,
    "nuclei_stroma": 3856,
    "nuclei_epithelium": 2211,
    "nuclei_apoptosis": 1850,
    "nuclei_endothelium": 1701,
    "nuclei_melanophage": 695,
    "nuclei_plasma_cell": 520,
    "nuclei_neutrophil": 366,
}
"""The ten classes and how often each occurs."""

_TRACK_1 = {"nuclei_tumor": "nuclei_tumor"} | dict.fromkeys(
    ("nuclei_lymphocyte", "nuclei_plasma_cell"), "nuclei_lymphocyte"
)
_CLASS_OF: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "full": {name: name for name in _COUNTS},
        "track1": {name: _TRACK_1.get(name, "nuclei_other") for name in _COUNTS},
    }
)
_REGIONS = (
    "tissue_stroma",
    "tissue_blood_vessel",
    "tissue_tumor",
    "tissue_epidermis",
    "tissue_necrosis",
    "tissue_white_background",
)

_RELEASE = f"{_SITE}, training release, counted"

CARD = DatasetCard(
    name="puma",
    title="PUMA",
    task="nuclei: outlines and classes; regions of tissue",
    organ="melanoma, primary and metastatic",
    stain="H&E",
    mpp="0.2263 to 0.2269, in each file",
    schemes={name: tuple(dict.fromkeys(classes.values())) for name, classes in _CLASS_OF.items()},
    counts="206 pictures of 1024 x 1024 (103 primary, 103 metastatic), 97,429 nuclei",
    licence="CC0-1.0",
    commercial="yes",
    where=_SITE,
    citation="M. Schuiveling, H. Liu, D. Eek et al.: A novel dataset for nuclei and tissue segmentation in melanoma "
    "with baseline nuclei segmentation and tissue segmentation benchmarks. GigaScience 14 (2025), giaf011.",
    group="picture (patients are not published)",
    layout=f"""\
SOURCE/
  {_IMAGES}/training_set_<kind>_roi_NNN.tif
  {_NUCLEI}/<stem>_nuclei.geojson
  {_TISSUE}/<stem>_tissue.geojson""",
    known_problems=(
        "Whether two pictures show the same patient is not published: splits are by picture.",
        "Nuclei were outlined by a program (HoVer-Net) first and then corrected, so outlines are shaped by it.",
        "Melanophages, plasma cells and neutrophils are less than 1 % of the nuclei each.",
        "Some outlines leave their picture; they are cut at its border.",
    ),
    totals=(
        Total(
            measure="patches",
            value=206,
            source=_RELEASE,
            note="the whole data set has 310; the hidden test set is not public",
        ),
        Total(measure="objects", value=97429, source=_RELEASE),
        *(
            Total(measure="objects", value=count, where={"class_name": name}, source=_RELEASE, scheme="full")
            for name, count in _COUNTS.items()
        ),
    ),
)

_MPP = (0.22, 0.24)
"""What pictures may state; 0.2263 to 0.2269 are published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What one picture is read from."""

    stem: str
    image: Path
    nuclei: Path
    tissue: Path
    scheme: str
    settings: Settings


def collect(source: Path, *, scheme: str | None = None, settings: Settings) -> Collection:
    """Import PUMA: nuclei and tissue of melanoma.

    Args:
        source: The folder with the three unpacked archives.
        scheme: "full" (default, ten classes) or "track1" (tumor, lymphocyte with plasma cell, other).
        settings: Limits.

    Raises:
        InputError: no such scheme.
        DatasetError: missing folders, pictures without both files or the reverse.
    """
    scheme = chosen(scheme, CARD.schemes, "--classes")
    folder = find_folder(source, _IMAGES)
    images = stems(folder, (".tif", ".tiff"))
    root = folder.absolute().parent
    nuclei, tissue = _outlines_of(root / _NUCLEI, "nuclei"), _outlines_of(root / _TISSUE, "tissue")
    pairs_by_stem(images, nuclei, "file of nuclei")
    items = []
    for stem in pairs_by_stem(images, tissue, "file of tissue"):
        job = _Job(
            stem=stem, image=images[stem], nuclei=nuclei[stem], tissue=tissue[stem], scheme=scheme, settings=settings
        )
        items.append(
            Item(
                patch_id=stem,
                read=partial(_read, job),
                files=[job.image, job.nuclei, job.tissue],
                facts={"group": stem, "centre": "UMC Utrecht"},
            )
        )
    return Collection(info=info_of(CARD, scheme, region_classes=_REGIONS), items=items)


def _outlines_of(folder: Path, kind: str) -> dict[str, Path]:
    """Stem of the picture -> its file of outlines."""
    return {stem.removesuffix(f"_{kind}"): path for stem, path in stems(folder, (".geojson",)).items()}


def _read(job: _Job) -> PatchContent:
    remarks: list[Remark] = []
    with open_slide(job.image, settings=job.settings) as slide:
        image: npt.NDArray[np.uint8] = np.asarray(slide.read(Region(0, 0, *slide.size)))
        remarks += [Remark(note.rstrip("."), kind="note") for note in slide.notes]
        mpp = slide.mpp
    if mpp is None:
        text = "The file does not state its resolution; 0.2263 to 0.2269 microns per pixel are published"
        remarks.append(Remark(text, kind="note"))
    elif not _MPP[0] <= mpp <= _MPP[1]:
        remarks.append(Remark(f"The file states {mpp:.4g} microns per pixel; 0.2263 to 0.2269 are published"))
    size = (image.shape[1], image.shape[0])
    nuclei, said = _outlines(job.nuclei, _CLASS_OF[job.scheme], job, size)
    remarks += said
    tissue, said = _outlines(job.tissue, {name: name for name in _REGIONS}, job, size)
    remarks += said
    regions, overlap = _draw(tissue, (size[1], size[0]))
    if overlap:
        text = "Outlines of tissue overlap in {count} {pixel|pixels}, where the later one counts"
        remarks.append(Remark(text, overlap))
    return PatchContent(
        image=image,
        objects=nuclei,
        regions=regions,
        region_outlines=tissue,
        facts={} if mpp is None else {"mpp": mpp, "mpp_source": "metadata"},
        remarks=remarks,
    )


def _outlines(
    path: Path, classes: Mapping[str, str], job: _Job, size: tuple[int, int]
) -> tuple[Instances, list[Remark]]:
    """The objects of a file with the classes of the scheme, cut at the border of the picture."""
    found, warnings = read_geojson(path, settings=job.settings, allow_outside=True)
    names = [None if name is None else _plain_name(name, path, row) for row, name in enumerate(found.class_name)]
    for row, name in enumerate(names):
        if name is not None and name not in classes:
            fix = f"Known are {', '.join(classes)}; is this another release?"
            raise DatasetError(f"There is no class {name!r}.", where=f"{path}, object {row}", fix=fix)
    layer = "nuclei" if path == job.nuclei else "tissue"
    named = np.empty(len(found), dtype=object)
    named[:] = [None if name is None else classes[name] for name in names]
    ids = np.array(object_ids(CARD.name, f"{job.stem}/{layer}", len(found)), dtype=object)
    remarks = [noted(warning, f"{layer}: ") for warning in warnings]
    if None in names:
        remarks.append(Remark(f"{layer}: {{count}} {{object has|objects have}} no class", names.count(None)))
    kept, said = clipped(replace(found, class_name=named, id=ids, colors={}), size)
    return kept, [*remarks, *(Remark(f"{layer}: {each.text}", each.count, each.kind) for each in said)]


def _plain_name(name: str, path: Path, row: int) -> str | None:
    """The class name out of JSON text; any other text is the name."""
    if not name.lstrip().startswith("{"):
        return name
    try:
        return parse_classification(json.loads(name))[0]
    except (json.JSONDecodeError, RecursionError, AnnotationError) as error:
        what = f"The classification {name[:60]!r} cannot be read ({error})."
        raise DatasetError(what, where=f"{path}, object {row}") from error


def _draw(tissue: Instances, shape: tuple[int, int]) -> tuple[npt.NDArray[np.uint8], int]:
    """The map of region classes (0 says nothing), and pixels that several outlines cover."""
    drawn = tissue.select((tissue.kind != "point") & np.isin(tissue.class_name.astype(str), _REGIONS))
    values = np.array([_REGIONS.index(name) + 1 for name in drawn.class_name], dtype=np.uint8)
    spans = pixel_spans(drawn.geometry, shape)
    regions = paint_spans(spans, values, shape)
    return regions, int(spans.length.sum()) - int(np.count_nonzero(regions))
