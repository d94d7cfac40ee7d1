"""The card of a trained model: ``model.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from histoseed.segmenters.instances import PostProcessing

__all__ = ["FORMAT_VERSION", "ClassEntry", "DecoderEntry", "EncoderEntry", "ModelCard", "TrainingData"]

FORMAT_VERSION = 1
"""Version of the model folder; a newer one is refused, an older one is read."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ClassEntry(_Frozen):
    """A class of nuclei: its name and the colour it is drawn in ("#rrggbb")."""

    name: str
    color: str = "#56b4e9"


class EncoderEntry(_Frozen):
    """Which encoder the model stands on.

    ``stored`` says whether its weights are in ``model.safetensors``; where they are not (frozen weights of a hub, with
    a licence of their own), ``revision`` and ``sha256`` say which ones must be fetched.
    """

    name: str
    weights: str
    stored: bool = True
    frozen: bool = True
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    commercial: Literal["yes", "no", "unknown"] = "unknown"


class DecoderEntry(_Frozen):
    """Build arguments of the decoder."""

    kind: Literal["skip"] = "skip"
    widths: tuple[int, int, int, int] = (128, 96, 64, 32)
    image_widths: tuple[int, int] = (16, 32)


class TrainingData(_Frozen):
    """A data set that the model has seen."""

    name: str
    licence: str | None = None
    commercial: Literal["yes", "no", "unknown"] = "unknown"
    patches: int | None = None
    instances: int | None = None
    groups: tuple[str, ...] = ()
    note: str | None = None


class ModelCard(_Frozen):
    """Everything about a model that is not a weight.

    Args:
        format_version: See :data:`FORMAT_VERSION`.
        histoseed: Version of the library that wrote it.
        name: Free text.
        classes: Classes of nuclei, in the order of the class map; empty for a model without classes.
        mpp: Microns per pixel the network sees.
        crop: Side of the crops it was trained on, pixels.
        encoder: The encoder's entry.
        decoder: The decoder's entry.
        postprocessing: Thresholds of the watershed.
        data: What it was trained on, the encoder's known training data included.
        training: Steps, seed, method and other facts of the run.
        metrics: Scores with their protocol, only of runs that were made.
        weights_sha256: Hash of ``model.safetensors``.
    """

    format_version: int = FORMAT_VERSION
    histoseed: str
    name: str
    classes: tuple[ClassEntry, ...] = ()
    mpp: float = Field(gt=0)
    crop: int = 256
    encoder: EncoderEntry
    decoder: DecoderEntry = DecoderEntry()
    postprocessing: PostProcessing = PostProcessing()
    data: tuple[TrainingData, ...] = ()
    training: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    metrics: tuple[dict[str, str | int | float | None], ...] = ()
    weights_sha256: str | None = None

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the class map (class 1 first)."""
        return [entry.name for entry in self.classes]
