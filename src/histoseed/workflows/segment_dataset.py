"""``segment`` over a data set: a data set of predictions, what ``evaluate --predictions`` takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Unpack

from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, Patch, PatchFacts, named_classes, read_dataset
from histoseed.errors import InputError
from histoseed.files import write_json
from histoseed.workflows.patch_areas import predict_areas
from histoseed.workflows.patches import needed_mpp, predict_patch
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.replacing import check_replaceable
from histoseed.workflows.runs import MANIFEST, describe_run, finished
from histoseed.workflows.segment_plan import ModelOptions, Plan

__all__ = ["segment_dataset"]


def segment_dataset(
    dataset: Dataset | str | Path,
    *,
    out: str | Path,
    mpp: float | None = None,
    probabilities: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ModelOptions],
) -> Dataset:
    """Segment every patch of a data set.

    Patches are small, so this run is not resumed: the data set appears when it is complete, and Ctrl-C leaves nothing.

    Args:
        dataset: A data set in the common format, or its folder; its annotations are not looked at.
        out: Folder of the data set of predictions: the same patches, with the model's objects and classes, and
            ``run.json``. A semantic model gives regions and no objects.
        mpp: Microns per pixel of patches that state none.
        probabilities: Also write the class probabilities of every object, ``probs/<patch_id>.npz``.
        overwrite: Replace a folder at ``out``.
        progress: Told about every patch.
        **options: As in :func:`histoseed.segment`.

    Returns:
        The data set of predictions.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    for patch_id, stated in data.patches.select("patch_id", "mpp").iter_rows():
        needed_mpp(stated, mpp, patch_id)
    plan, told = Plan.of(options), progress or Silent()
    answer = _ANSWERS[plan.model.card.task]
    if probabilities and answer.layer != "classes":
        what = "A semantic model has no objects, and only objects have probabilities."
        raise InputError(what, where="--probabilities", fix="Leave it out.")
    inputs = {"dataset": data.path} | ({} if plan.folder is None else {"model": plan.folder})
    if overwrite:
        check_replaceable(out, inputs.values())
    settings = plan.settings() | {"mpp": mpp, "probabilities": probabilities}
    manifest = describe_run(verb="segment", inputs=inputs, settings=settings, **plan.machine())
    card, begin, found = plan.model.card, time.perf_counter(), 0
    counted = plan.product.counted
    classes = named_classes(card.class_names, {entry.name: entry.color for entry in card.classes})
    info = DatasetInfo(
        name=f"{data.name} by {card.name}",
        version=data.info.version,
        classes=classes if answer.layer == "classes" else (),
        region_classes=classes if answer.layer == "region_classes" else (),
        stain=data.info.stain,
        licence=data.info.licence,
        citation=data.info.citation,
        notes=(f"{counted.capitalize()} predicted by the model {card.name!r}; the images are those of {data.name!r}.",),
    )
    told.start(len(data), "patches", f"Segmenting {data.name}")
    with DatasetWriter(Path(out), info, overwrite=overwrite, settings=data.settings) as writer:
        for patch in data:
            content, count = answer.of(plan, patch, needed_mpp(patch.mpp, mpp, patch.patch_id), probabilities)
            writer.add(patch.patch_id, patch.image, **content, **_facts(patch, mpp))
            found += count
            told.advance(1, **{counted: found})
    told.done()
    results = {"patches": len(data), counted: found}
    seconds = round(time.perf_counter() - begin, 3)
    write_json(Path(out) / MANIFEST, finished(manifest, results, timings={counted: seconds}))
    return read_dataset(out)


class _Answer(NamedTuple):
    """What a model of one task says of a patch.

    Args:
        of: From plan, patch, its microns per pixel and whether probabilities are wanted, to arguments of
            :meth:`DatasetWriter.add` and how much was found.
        layer: Which classes of ``dataset.json`` the model's classes are.
    """

    of: Callable[[Plan, Patch, float, bool], tuple[dict[str, Any], int]]
    layer: str


def _objects(plan: Plan, patch: Patch, mpp: float, probabilities: bool) -> tuple[dict[str, Any], int]:  # noqa: FBT001
    card = plan.model.card
    found = predict_patch(plan.model, patch.image, mpp, plan.how.dtype, name=patch.patch_id)
    rows = range(len(found.instances))
    content = {
        "objects": found.labels,
        "class_of": {k + 1: found.instances.class_name[k] for k in rows},
        "scores": {k + 1: float(found.instances.score[k]) for k in rows},
        "source": card.name,
        "probabilities": found.probabilities if probabilities and card.classes else None,
    }
    return content, len(rows)


def _areas(plan: Plan, patch: Patch, mpp: float, _: bool) -> tuple[dict[str, Any], int]:  # noqa: FBT001
    """Regions; the patch does not count as annotated: that it shows no nucleus is not said."""
    from histoseed.inference import count_areas

    regions = predict_areas(plan.model, patch.image, mpp, plan.how.dtype, name=patch.patch_id)
    return {"regions": regions, "exhaustive": False}, count_areas(regions)


_ANSWERS: Mapping[str, _Answer] = MappingProxyType(
    {"instance": _Answer(_objects, "classes"), "semantic": _Answer(_areas, "region_classes")}
)
"""By the task of the model."""


def _facts(patch: Patch, mpp: float | None) -> PatchFacts:
    """What the data set says of a patch, and what was assumed."""
    return PatchFacts(
        mpp=needed_mpp(patch.mpp, mpp, patch.patch_id),
        mpp_source="user" if patch.mpp is None else patch.mpp_source,
        x=patch.x,
        y=patch.y,
        group=patch.group,
        patient=patch.patient,
        slide=patch.slide,
        centre=patch.centre,
        organ=patch.organ,
        split=patch.split,
        fold=patch.fold,
    )
