"""What a subject says of the areas of a patch: a semantic model, or regions that were predicted before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Dataset, Patch, read_dataset
from histoseed.errors import DatasetError, InputError
from histoseed.workflows.area_evaluation.truth import Areas
from histoseed.workflows.evaluation.subjects import ModelSubject, PredictedSubject, Subject
from histoseed.workflows.known_regions import NUCLEI, has_regions
from histoseed.workflows.models import model_folder
from histoseed.workflows.patch_areas import predict_areas
from histoseed.workflows.patches import needed_mpp

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard

__all__ = ["area_answer", "area_classes", "areas_of_subject", "is_semantic"]


def is_semantic(what: Any) -> bool:
    """Whether a model, a model folder or predictions are about areas and not about single nuclei.

    Args:
        what: As the user names it. What is no model and no data set is not looked at here: others say what is wrong.
    """
    if isinstance(what, str | Path):
        folder = Path(what)
        if (folder / "dataset.json").is_file():
            return _holds_areas(read_dataset(folder))
        return (model_folder(what) / "model.json").is_file() and _card(what).task == "semantic"
    if isinstance(what, Dataset):
        return _holds_areas(what)
    return what is not None and what.card.task == "semantic"


def _card(model: str | Path) -> ModelCard:
    from histoseed.segmenters import read_card

    return read_card(model_folder(model))


def _holds_areas(data: Dataset) -> bool:
    """Predictions of areas have regions and no objects, and say so: the patches count as not annotated."""
    return data.instances.is_empty() and has_regions(data) and not data.patches["exhaustive"].any()


def areas_of_subject(subject: Subject, truth: Dataset) -> Areas:
    """What a subject is judged by: what its model was trained on, else what its classes are classes of.

    Raises:
        InputError: a model that finds nuclei.
        DatasetError: the data set has no regions, or no region class that was predicted.
    """
    from histoseed.segmenters import SemanticEntry, check_task

    if subject.card is not None:
        check_task(subject.card, "semantic")
        entry = subject.card.decoder
        assert isinstance(entry, SemanticEntry)  # noqa: S101 - its task says so
        areas = Areas(entry.areas, entry.background)
    else:
        names, nuclei = set(area_classes(subject)), {NUCLEI, *(c.name for c in truth.classes)}
        regions = {c.name for c in truth.info.region_classes}
        about_nuclei = names <= nuclei and not names <= regions
        areas = Areas("nuclei" if about_nuclei else "regions", background=about_nuclei)
    if areas.of == "regions" and not has_regions(truth):
        raise DatasetError("No patch has a map of regions to judge by.", where=truth.path)
    return areas


def area_classes(subject: Subject) -> tuple[str, ...]:
    """Names of the classes of a subject's areas."""
    if isinstance(subject, PredictedSubject):
        return tuple(c.name for c in subject.dataset.info.region_classes)
    return subject.classes


def area_answer(subject: Subject, patch: Patch, mpp: float | None) -> npt.NDArray[np.uint8]:
    """Class of each pixel of a patch, in the subject's classes. (H, W) uint8, 0 = background.

    Raises:
        UnknownMppError: a model, and nobody knows the resolution of the patch.
        DatasetError: predictions of another size, or without a map of regions.
    """
    if isinstance(subject, ModelSubject):
        scale = needed_mpp(patch.mpp, mpp, patch.patch_id)
        return predict_areas(subject.model, patch.image, scale, subject.dtype, name=patch.patch_id)
    if not isinstance(subject, PredictedSubject):
        raise InputError("Only models and data sets tell areas apart.", where=subject.name)
    found = subject.dataset.patch(patch.patch_id)
    where = f"{subject.dataset.path}: patch {patch.patch_id!r}"
    if found.regions is None:
        raise DatasetError("The prediction has no map of regions.", where=where)
    if found.regions.shape != patch.labels.shape:
        sizes = [f"{width} x {height}" for height, width in (patch.labels.shape, found.regions.shape)]
        what = f"The truth has {sizes[0]} pixels, the prediction {sizes[1]}."
        fix = "Predict on the same patches, at their own resolution."
        raise DatasetError(what, where=where, fix=fix)
    return found.regions
