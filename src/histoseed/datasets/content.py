"""What is known of one patch, and one patch as it was read: pixels, objects, areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances

__all__ = ["PatchContent", "PatchFacts", "Remark", "SlideArea"]


class PatchFacts(TypedDict, total=False):
    """What may be known of a patch; every field may be left out.

    Attributes:
        mpp: Microns per pixel, None where unknown.
        mpp_source: "metadata" or "user"; "user" is assumed where an mpp is given.
        exhaustive: Whether every object is annotated; true where it is not said.
        x: Left border in its slide, level-0 pixels.
        y: Upper border in its slide, level-0 pixels.
        group: What stays on one side of a split; left out, it is the patient, else the slide, else the centre.
        patient: Patient.
        slide: Slide.
        centre: Hospital or laboratory.
        organ: Organ.
        split: "train", "val" or "test".
        fold: Number of an official fold.
    """

    mpp: float | None
    mpp_source: str
    exhaustive: bool
    x: float | None
    y: float | None
    group: str | None
    patient: str | None
    slide: str | None
    centre: str | None
    organ: str | None
    split: str | None
    fold: int | None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth telling about one item; equal texts of several items become one sentence with a sum.

    Args:
        text: A sentence without its full stop, as :func:`histoseed.wording.agreed` reads it; ``{count}`` stands for the
            sum of the counts.
        count: Objects (or pixels) concerned.
        kind: "problem": the annotations are wrong or something was lost; "note": something was converted.
    """

    text: str
    count: int = 0
    kind: Literal["note", "problem"] = "problem"


@dataclass(frozen=True, slots=True)
class SlideArea:
    """The image of a patch that stays in its slide: nothing is copied.

    Args:
        path: The slide, relative to the source folder, with forward slashes.
        width: Pixels of the area at ``mpp`` (level 0 where the facts state no ``x`` and ``y`` other than 0).
        height: The same, down.
    """

    path: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchContent:
    """One patch as it was read.

    Args:
        image: (H, W, 3) uint8, RGB; or the area of a slide that is not copied.
        objects: A label image (H, W) of integers, or outlines, boxes and points in the patch's own pixels. Outlines
            that overlap are flattened (later rows lie on top) and keep their geometry; boxes and points are never
            drawn.
        class_of: Label -> class name, for a label image.
        scores: Label -> confidence, for a label image.
        probabilities: (N, C) class probabilities, rows ascending by label, columns in the order of the classes.
        marks: Boxes and points beside a label image.
        source: Who or what made the objects of a label image.
        annotator: Who drew the objects.
        regions: (H, W) uint8 map of region classes; value k is ``info.region_classes[k - 1]``, 0 says nothing.
        region_outlines: Outlines of the layer *region*, kept as objects; they are not drawn into ``regions``.
        ignore: (H, W) bool, area that counts for nothing.
        ignore_outlines: Outlines drawn into the ignore area and kept as objects of the layer *ignore*.
        facts: What only reading told about the patch; it goes over ``Item.facts``.
        remarks: What was remarkable.
        pixels_lost: Pixels that overlap cost while the importer made ``objects`` (not what the writer will flatten).
        objects_lost: Whole objects, likewise.
    """

    image: npt.NDArray[np.uint8] | SlideArea
    objects: npt.NDArray[np.integer] | Instances | None = None
    class_of: Mapping[int, str | None] | None = None
    scores: Mapping[int, float] | None = None
    probabilities: npt.NDArray[np.floating] | None = None
    marks: Instances | None = None
    source: str | None = None
    annotator: str | None = None
    regions: npt.NDArray[np.uint8] | None = None
    region_outlines: Instances | None = None
    ignore: npt.NDArray[np.bool_] | None = None
    ignore_outlines: Instances | None = None
    facts: PatchFacts = field(default_factory=PatchFacts)
    remarks: Sequence[Remark] = ()
    pixels_lost: int = 0
    objects_lost: int = 0
