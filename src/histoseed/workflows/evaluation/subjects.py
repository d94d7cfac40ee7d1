"""Who is judged: a model that is run now, or predictions that lie in a data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Dataset, Patch, read_dataset
from histoseed.errors import DatasetError
from histoseed.wording import agreed
from histoseed.workflows.evaluation.exposure import Exposure, exposure
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.models import choose_device, choose_dtype, load_model
from histoseed.workflows.patches import needed_mpp, predict_patch

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import ModelCard, Segmenter

__all__ = ["Answer", "ModelSubject", "PredictedSubject", "Subject", "subject_of"]


class Answer(NamedTuple):
    """What is predicted for one patch.

    Args:
        labels: (H, W) int32, 0 = background.
        class_ids: (largest label + 1,) int32, index in the subject's classes from 1, 0 = unclassified.
    """

    labels: npt.NDArray[np.int32]
    class_ids: npt.NDArray[np.int32]


class Subject(Protocol):
    """What is held against the truth."""

    @property
    def name(self) -> str:
        """What it is called in reports."""

    @property
    def origin(self) -> str:
        """Where it came from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Its class names."""

    @property
    def colors(self) -> dict[str, str]:
        """Class name -> "#rrggbb"."""

    @property
    def card(self) -> ModelCard | None:
        """What it says of its training; None where that is unknown."""

    def facts(self) -> dict[str, Any]:
        """What identifies it, JSON values."""

    def exposure(self, dataset: Dataset) -> Exposure:
        """What it has seen of the data set before."""

    def answer(self, patch: Patch, mpp: float | None) -> Answer:
        """Its objects on a patch; ``mpp`` is assumed where the patch states none."""

    def remarks(self) -> list[str]:
        """What was noticed while it answered."""


@dataclass(frozen=True, slots=True)
class ModelSubject:
    """A model, run on every patch.

    Args:
        model: The segmenter, on its device.
        dtype: Precision of the network.
        path: Where it came from, None for a model in memory.
    """

    model: Segmenter
    dtype: torch.dtype
    path: str | None = None

    @property
    def name(self) -> str:
        """Name on the card."""
        return self.model.card.name

    @property
    def origin(self) -> str:
        """Its folder."""
        return self.path or "in memory"

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the card."""
        return tuple(self.model.card.class_names)

    @property
    def colors(self) -> dict[str, str]:
        """Colours of the card."""
        return {entry.name: entry.color for entry in self.model.card.classes}

    @property
    def card(self) -> ModelCard:
        """The card."""
        return self.model.card

    def facts(self) -> dict[str, Any]:
        """Name, path, hash of the weights, resolution, precision, device, training data."""
        from histoseed.inference.identity import model_hash

        card = self.model.card
        return {
            "model": card.name,
            "model_path": self.path,
            "model_sha256": model_hash(self.model),
            "model_mpp": card.mpp,
            "model_classes": list(self.classes),
            "model_data": [entry.model_dump(mode="json") for entry in card.data],
            "device": str(next(self.model.parameters()).device),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def exposure(self, dataset: Dataset) -> Exposure:
        """See :func:`histoseed.workflows.evaluation.exposure.exposure`."""
        return exposure(dataset, self.model.card)

    def answer(self, patch: Patch, mpp: float | None) -> Answer:
        """Segment the patch.

        Raises:
            UnknownMppError: neither the patch nor the caller knows the resolution.
        """
        scale = needed_mpp(patch.mpp, mpp, patch.patch_id)
        found = predict_patch(self.model, patch.image, scale, self.dtype, name=patch.patch_id)
        return Answer(found.labels, found.class_ids)

    def remarks(self) -> list[str]:
        """Nothing to say."""
        return []


@dataclass(frozen=True, slots=True)
class PredictedSubject:
    """Predictions in the common format, with the patch ids of the truth.

    Args:
        dataset: The predictions.
        name: What they are called in reports.
        other_pictures: Ids of patches whose picture is not that of the truth; grows while patches are asked for.
    """

    dataset: Dataset
    name: str
    other_pictures: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Where they lie."""
        return str(self.dataset.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the data set of predictions."""
        return tuple(c.name for c in self.dataset.classes)

    @property
    def colors(self) -> dict[str, str]:
        """Colours of the data set of predictions."""
        return {c.name: c.color for c in self.dataset.classes}

    @property
    def card(self) -> None:
        """Predictions do not say what made them."""
        return

    def facts(self) -> dict[str, Any]:
        """Name, path and fingerprint; the makers that the table names."""
        sources = self.dataset.instances["source"].drop_nulls().unique().sort().to_list()
        return {
            "predictions": self.dataset.name,
            "predictions_path": str(self.dataset.path),
            "predictions_fingerprint": fingerprint(self.dataset.path),
            "predictions_sources": sources,
        }

    def exposure(self, dataset: Dataset) -> Exposure:  # noqa: ARG002 - the same for every data set
        """Nothing is known of their training."""
        return Exposure(notes=(f"Predictions do not say what their maker was trained on ({self.name!r}).",))

    def answer(self, patch: Patch, mpp: float | None) -> Answer:  # noqa: ARG002 - predictions need no resolution
        """Read the patch of that id.

        Raises:
            DatasetError: it has another size.
        """
        found = self.dataset.patch(patch.patch_id)
        if found.labels.shape != patch.labels.shape:
            sizes = [f"{width} x {height}" for height, width in (patch.labels.shape, found.labels.shape)]
            what = f"The truth has {sizes[0]} pixels, the prediction {sizes[1]}."
            fix = "Predict on the same patches, at their own resolution."
            raise DatasetError(what, where=f"{self.dataset.path}: patch {patch.patch_id!r}", fix=fix)
        if not np.array_equal(found.image, patch.image):
            self.other_pictures.append(patch.patch_id)
        return Answer(found.labels, found.class_ids)

    def remarks(self) -> list[str]:
        """Whether the predictions hold other pictures than the data set."""
        if not self.other_pictures:
            return []
        first, count = self.other_pictures[0], len(self.other_pictures)
        text = "{count} {patch|patches} of the predictions {holds|hold} another picture than the data set"
        return [f"{agreed(text, count)} (first: {first!r})."]


def subject_of(what: Any, *, whole: Dataset, scored: Dataset, device: str, dtype: str) -> Subject:
    """What a caller names as model or predictions.

    Args:
        what: A segmenter, ``bundled``, a model folder, a data set or its folder.
        whole: The data set with all its patches.
        scored: The patches that are scored.
        device: For a model.
        dtype: For a model.

    Raises:
        ModelError: no such model.
        DatasetError: predictions for other patches.
    """
    if isinstance(what, Dataset) or (isinstance(what, str | Path) and (Path(what) / "dataset.json").is_file()):
        predictions = what if isinstance(what, Dataset) else read_dataset(what)
        _check_patches(whole, scored, predictions)
        same = predictions.name == whole.name
        return PredictedSubject(predictions, f"predictions {predictions.path.name}" if same else predictions.name)
    if isinstance(what, str | Path):
        place = choose_device(device)
        return ModelSubject(load_model(what, device=place), choose_dtype(dtype, place), str(what))
    place = str(next(what.parameters()).device) if device == "auto" else choose_device(device)
    return ModelSubject(what.eval().to(place), choose_dtype(dtype, place))


def _check_patches(whole: Dataset, scored: Dataset, predictions: Dataset) -> None:
    """Every scored patch has a prediction, no prediction is for an unknown patch, and predictions have outlines."""
    if len(predictions.instances) and predictions.instances["label"].count() == 0:
        what = "The predictions hold no outlined object, only boxes or points."
        raise DatasetError(what, where=predictions.path, fix="Predict outlines; the truth may be boxes or points.")
    predicted = set(predictions.patch_ids)
    missing = [patch_id for patch_id in scored.patch_ids if patch_id not in predicted]
    extra = sorted(predicted.difference(whole.patch_ids))
    if not missing and not extra:
        return
    faults = []
    if missing:
        text = agreed("{count} {patch has|patches have} no prediction", len(missing))
        faults.append(f"{text} ({_first(missing)})")
    if extra:
        text = "{count} {prediction is for a patch|predictions are for patches} that the data set does not have"
        faults.append(f"{agreed(text, len(extra))} ({_first(extra)})")
    fix = "Predict on this very data set; where only a split was predicted, name it with --split."
    raise DatasetError(f"{'; '.join(faults)}.", where=predictions.path, fix=fix)


def _first(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
