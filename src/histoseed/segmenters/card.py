"""The card of a trained model: ``model.json``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from histoseed.segmenters.cellvit.instances import HoverProcessing
from histoseed.segmenters.entries import (
    CellVitEntry,
    ClassifierEntry,
    DecoderEntry,
    Frozen,
    InstansegEntry,
    SemanticEntry,
    StarEntry,
    Task,
)
from histoseed.segmenters.instances import PostProcessing
from histoseed.segmenters.instanseg.instances import InstansegProcessing
from histoseed.segmenters.methods.options import CHANGING, MethodOptions
from histoseed.segmenters.semantic.representation import SemanticProcessing
from histoseed.segmenters.stardist.instances import StarProcessing
from histoseed.slides import MacenkoStain, ReinhardStain

__all__ = ["FORMAT_VERSION", "ClassEntry", "DecoderEntry", "EncoderEntry", "ModelCard", "TrainingData"]

FORMAT_VERSION = 3
"""Version of the model folder; a newer one is refused, an older one is read. Version 1 knew the skip decoder only,
version 2 no task: its models find instances."""

AnyDecoder = Annotated[
    DecoderEntry | CellVitEntry | StarEntry | InstansegEntry | SemanticEntry, Field(discriminator="kind")
]


def _processing_kind(value: Any) -> str:
    """Version 1 named no kind: it knew one."""
    return str(value.get("kind", "skip") if isinstance(value, dict) else getattr(value, "kind", "skip"))


AnyProcessing = Annotated[
    Annotated[PostProcessing, Tag("skip")]
    | Annotated[HoverProcessing, Tag("cellvit")]
    | Annotated[StarProcessing, Tag("stardist")]
    | Annotated[InstansegProcessing, Tag("instanseg")]
    | Annotated[SemanticProcessing, Tag("semantic")],
    Discriminator(_processing_kind),
]


class ClassEntry(Frozen):
    """A class of nuclei, or of areas: its name and the colour it is drawn in ("#rrggbb")."""

    name: str
    color: str = "#56b4e9"


class EncoderEntry(Frozen):
    """Which encoder the model stands on.

    ``stored`` says whether its weights are in ``model.safetensors``; where they are not (frozen weights of a hub, with
    a licence of their own), ``revision`` and ``sha256`` say which ones must be fetched. ``changed`` says whether
    training changed weights of the encoder itself, in this or in an earlier adaptation; older models do not say it.
    """

    name: str
    weights: str
    stored: bool = True
    frozen: bool = True
    changed: bool | None = None
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    commercial: Literal["yes", "no", "unknown"] = "unknown"


class TrainingData(Frozen):
    """A data set that the model has seen.

    ``kinds`` counts its annotated objects by kind (mask, polygon, box, point), ``trained`` says in a sentence what was
    learned from them; both are empty in older models, which knew outlines only.
    """

    name: str
    licence: str | None = None
    commercial: Literal["yes", "no", "unknown"] = "unknown"
    patches: int | None = None
    instances: int | None = None
    kinds: dict[str, int] = Field(default_factory=dict)
    trained: str | None = None
    groups: tuple[str, ...] = ()
    note: str | None = None


class ModelCard(Frozen):
    """Everything about a model that is not a weight.

    Args:
        format_version: See :data:`FORMAT_VERSION`.
        histoseed: Version of the library that wrote it.
        name: Free text.
        task: ``instance``: the model finds nuclei one by one; ``semantic``: it tells areas apart.
        classes: Classes of nuclei, in the order of the class map; empty for a model without classes. A semantic model
            has at least one, of its areas.
        mpp: Microns per pixel the network sees.
        crop: Side of the crops it was trained on, pixels.
        stain: The look that every picture is given before the network sees it; None leaves pictures as they are.
        encoder: The encoder's entry.
        decoder: The decoder's entry.
        classifier: Where classes come from; of no account without classes.
        method: What was added to the encoder and trained of it; None in version 1, which knew ``frozen`` and ``full``
            (see ``encoder.frozen``), that add nothing.
        postprocessing: Thresholds of the step from maps to instances; of the decoder's kind.
        data: What it was trained on, the encoder's known training data included.
        training: Steps, seed, method and other facts of the run.
        metrics: Scores with their protocol, only of runs that were made.
        weights_sha256: Hash of ``model.safetensors``.
    """

    format_version: int = FORMAT_VERSION
    histoseed: str
    name: str
    task: Task = "instance"
    classes: tuple[ClassEntry, ...] = ()
    mpp: float = Field(gt=0)
    crop: int = Field(default=256, ge=16, le=8192)
    stain: Annotated[MacenkoStain | ReinhardStain, Field(discriminator="method")] | None = None
    encoder: EncoderEntry
    decoder: AnyDecoder = DecoderEntry()
    classifier: ClassifierEntry = ClassifierEntry()
    method: MethodOptions | None = None
    postprocessing: AnyProcessing = PostProcessing()
    data: tuple[TrainingData, ...] = ()
    training: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    metrics: tuple[dict[str, str | int | float | None], ...] = ()
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> ModelCard:
        if (given := _processing_kind(self.postprocessing)) != self.decoder.kind:
            raise ValueError(f"post-processing of the kind {given} with a decoder of the kind {self.decoder.kind}")
        semantic = self.decoder.kind == "semantic"
        if semantic != (self.task == "semantic"):
            raise ValueError(f"a decoder of the kind {self.decoder.kind} with the task {self.task}")
        if semantic and (not self.classes or self.classifier.kind != "map"):
            raise ValueError("a semantic model has classes, and they come from its map")
        return self

    @property
    def encoder_changed(self) -> bool:
        """Whether weights of the encoder itself may differ from the published ones.

        Where the card does not say it, those that stand in the model's file count as changed.
        """
        if self.encoder.changed is not None:
            return self.encoder.changed
        return self.encoder.stored or (self.method is not None and self.method.name in CHANGING)

    @property
    def class_names(self) -> list[str]:
        """Names in the order of the class map (class 1 first)."""
        return [entry.name for entry in self.classes]
