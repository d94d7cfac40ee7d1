"""The files of a run of ``suggest``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histoseed.annotations import Instances, write_geojson
from histoseed.files import write_bytes, write_json
from histoseed.pictures import learning_curve
from histoseed.workflows.fingerprints import fingerprint_bytes
from histoseed.workflows.runs import Run
from histoseed.workflows.suggestion.choice import Suggestion
from histoseed.workflows.suggestion.curve import Curve
from histoseed.workflows.suggestion.pictures import overview_png, regions_png
from histoseed.workflows.suggestion.sources import Sources

__all__ = ["write_suggestions"]


def write_suggestions(
    run: Run, regions: Sequence[Suggestion], sources: Sources, facts: Mapping[str, Any], curve: Curve | None = None
) -> None:
    """Write ``regions.json``, the GeoJSON of each slide or patch, and the pictures."""
    write_json(run.path("regions.json"), dict(facts))
    alone = sources.data is None and len(sources.fields) == 1
    names = _file_names([field.name for field in sources.fields], of_slides=sources.data is None)
    for source in dict.fromkeys(region.source for region in regions):
        own = [region for region in regions if region.source == source]
        path = run.path("regions.geojson") if alone else run.path("regions") / f"{names[source]}.geojson"
        path.parent.mkdir(exist_ok=True)
        write_geojson(path, _for_qupath(own), object_type="annotation", overwrite=True)
    if curve is not None:
        write_bytes(run.path("learning_curve.png"), learning_curve({sources.name: curve.draws()}))
    if not regions:
        return
    write_bytes(run.path("overview.png"), overview_png(sources.fields, regions))
    write_bytes(run.path("regions.png"), regions_png(sources.fields, regions))


def _file_names(names: Sequence[str], *, of_slides: bool) -> dict[str, str]:
    """Patch ids as they are; of slides the stems, or the whole names where two stems are equal."""
    if not of_slides:
        return {name: name for name in names}
    stems = [Path(name).stem for name in names]
    return {
        name: (stem if stems.count(stem) == 1 else f"{k}-{Path(name).name}")
        for k, (name, stem) in enumerate(zip(names, stems, strict=True), start=1)
    }


def _for_qupath(regions: Sequence[Suggestion]) -> Instances:
    """Boxes of QuPath's class ``Region*``, which is for areas that are no kind of tissue."""
    from histoseed.inference.identity import object_ids

    boxes = np.empty(len(regions), dtype=object)
    boxes[:] = [shapely.box(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions]
    return Instances.build(
        boxes,
        class_name="Region*",
        id=object_ids(boxes, fingerprint_bytes(regions[0].source.encode()), "suggest"),
        kind="box",
        source="histoseed suggest",
        measurements=[_measurements(region) for region in regions],
    )


def _measurements(region: Suggestion) -> dict[str, float]:
    facts = {
        "Suggestion": float(region.number),
        "Suggestion: stands for": region.stands_for,
        "Suggestion: uncertainty": region.uncertainty,
    }
    return {name: value for name, value in facts.items() if value is not None}
