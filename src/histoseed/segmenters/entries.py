"""Build arguments of the decoders, one model a kind; they stand in ``model.json`` under ``decoder``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "CellVitEntry",
    "ClassifierEntry",
    "DecoderEntry",
    "Frozen",
    "InstansegEntry",
    "SemanticEntry",
    "StarEntry",
    "Task",
]

Task = Literal["instance", "semantic"]
"""What a model is for: nuclei one by one, or a class for every pixel."""


class Frozen(BaseModel):
    """Base of everything in ``model.json``: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ClassifierEntry(Frozen):
    """Where classes come from: ``map``: a map of the decoder; ``tokens``: the encoder's tokens in each cell's box."""

    kind: Literal["map", "tokens"] = "map"
    hidden: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class DecoderEntry(Frozen):
    """Build arguments of the skip decoder, see :class:`~histoseed.segmenters.decoder.SkipDecoder`."""

    kind: Literal["skip"] = "skip"
    widths: tuple[int, int, int, int] = (128, 96, 64, 32)
    image_widths: tuple[int, int] = (16, 32)


class CellVitEntry(Frozen):
    """Build arguments of the CellViT decoder, see :class:`~histoseed.segmenters.cellvit.CellVitDecoder`.

    Where ``widths`` and ``stack`` are left out they follow the paper's rule for the encoder at hand, which depends on
    its channels only: nothing else needs to be stored.
    """

    kind: Literal["cellvit"] = "cellvit"
    widths: tuple[int, int, int, int] | None = None
    stack: tuple[int, int] | None = None
    shared: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)


class StarEntry(Frozen):
    """Build arguments of the StarDist-type decoder: those of the skip decoder, which ends at stride 2."""

    kind: Literal["stardist"] = "stardist"
    widths: tuple[int, int, int, int] = (128, 96, 64, 48)
    image_widths: tuple[int, int] = (16, 32)


class InstansegEntry(Frozen):
    """Build arguments of the InstanSeg-type decoder: those of the skip decoder, and of its pixel classifier."""

    kind: Literal["instanseg"] = "instanseg"
    widths: tuple[int, int, int, int] = (128, 96, 64, 32)
    image_widths: tuple[int, int] = (16, 32)
    hidden: int = Field(default=5, ge=5)


class SemanticEntry(Frozen):
    """What a semantic model tells apart, and the build arguments of its decoder: those of the skip decoder.

    ``areas`` are the ``regions`` of a data set, or the area of its ``nuclei`` (by class where they have classes). With
    ``background``, what belongs to none of them is a class of its own, 0; without, nothing is known of it: it is not
    trained on, and never predicted. Around nuclei there is always background. ``focal`` is the exponent of the focal
    loss; 0 is cross-entropy.
    """

    kind: Literal["semantic"] = "semantic"
    areas: Literal["regions", "nuclei"] = "regions"
    background: bool = False
    widths: tuple[int, int, int, int] = (128, 96, 64, 32)
    image_widths: tuple[int, int] = (16, 32)
    focal: float = Field(default=0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _nuclei_have_background(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("areas") != "nuclei":
            return given
        if given.get("background", True) is False:
            raise ValueError("around nuclei there is always background")
        return {**given, "background": True}
