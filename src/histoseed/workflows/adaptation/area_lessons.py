"""A data set as a semantic model sees it: regions, or the area of nuclei.

Four things are kept apart. *Ignore* is judged by nobody, *unlabelled* is where no region is drawn: neither is trained
on. *Background* is what is known to be nothing: around nuclei, and outside of regions where the user says so. "Other"
is a class like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from histoseed.datasets import (
    OBJECT_KINDS,
    ClassInfo,
    Crop,
    Dataset,
    Marks,
    Patch,
    annotated_crops,
    crop_patch,
    named_classes,
)
from histoseed.errors import DatasetError, InputError
from histoseed.wording import counted
from histoseed.workflows.annotated import Annotated, Order, draw_patches, in_turns, pictures_of
from histoseed.workflows.known_regions import NUCLEI, has_regions, known_classes
from histoseed.workflows.patches import needed_mpp

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter, SemanticEntry
    from histoseed.training import Picture

__all__ = ["AreaLessons", "area_options"]

_NO_OUTLINE = "No patch has an outlined nucleus: points and boxes have no area."

Classes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


def area_options(data: Dataset, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of the decoder with the areas that are to be learned: regions, where the data set has some."""
    return {"areas": "regions" if has_regions(data) else "nuclei", **(options or {})}


@dataclass(frozen=True, slots=True)
class AreaLessons:
    """Areas: the regions of a data set, or its nuclei taken together.

    Args:
        data: The data set.
        entry: Says which areas, and whether there is background.
        crop_um: Side of a crop of the training; a patch of a draw of regions is one.

    Raises:
        DatasetError: there are no regions, or nothing to be told apart.
    """

    data: Dataset
    entry: SemanticEntry
    crop_um: float

    def __post_init__(self) -> None:
        if self.entry.areas == "nuclei":
            return
        if not has_regions(self.data):
            fix = "Use a data set with regions, or learn the area of nuclei: --set decoder.areas=nuclei."
            raise DatasetError("No patch has a map of regions.", where=self.data.path, fix=fix)
        if len(self.classes) == 1 and not self.entry.background:
            what = f"There is one region class ({self.classes[0].name!r}), and nothing else is labelled."
            fix = "Where everything outside is known to be something else, say so: --set decoder.background=true."
            raise DatasetError(what, where=self.data.path, fix=fix)

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """See :class:`~histoseed.workflows.adaptation.lessons.Lessons`."""
        if self.entry.areas == "regions":
            return self.data.info.region_classes
        return self.data.classes or named_classes([NUCLEI])

    def draw(
        self,
        count: int | None,
        seed: int,
        *,
        nuclei: int | None = None,
        mpp: float | None = None,
        order: Order | None = None,
    ) -> Annotated:
        """See :class:`~histoseed.workflows.adaptation.lessons.Lessons`.

        Of regions, the candidates are squares of the size that the network trains on, and those that are labelled by
        less than half come last.
        """
        if self.entry.areas == "nuclei":
            drawn = draw_patches(self.data, count, seed, nuclei=nuclei, mpp=mpp, order=order)
            return self._outlined(drawn)
        if nuclei is not None:
            what = "The budget of regions is counted in patches, not in nuclei."
            raise InputError(what, where="--nuclei", fix="Use --patches, or --set decoder.areas=nuclei.")
        splits = set(self.data.patches["split"].drop_nulls().to_list())
        training = self.data.select(split="train") if "train" in splits else self.data
        named = self._all(training) if count is None else self._drawn(training, count, seed, mpp, order or in_turns)
        patches = [(source, patch) for source, patch in named if not self._known(patch)[1].all()]
        if not patches:
            raise DatasetError("No patch has a labelled pixel.", where=self.data.path)
        groups = {patch.group or patch.patient or patch.slide or patch.patch_id for _, patch in patches}
        return Annotated(
            patches=[patch for _, patch in patches],
            instances=sum(_areas(self._known(patch)[0]) for _, patch in patches),
            kinds=dict.fromkeys(OBJECT_KINDS, 0),
            groups=tuple(sorted(groups)),
            sources=tuple(source for source, _ in patches),
        )

    def check(self, annotated: Annotated, first: Segmenter | None) -> None:
        """Any start will do."""

    def pictures(
        self, patches: list[Patch], model_mpp: float, *, mpp: float | None, ignore_unlabelled: bool
    ) -> list[Picture]:
        """See :class:`~histoseed.workflows.adaptation.lessons.Lessons`; "labels" are classes here."""
        from histoseed.training import Picture

        if self.entry.areas == "nuclei":
            given = pictures_of(patches, model_mpp, mpp=mpp, ignore_unlabelled=ignore_unlabelled)
            return [self._without_marks(picture) for picture in given]
        if ignore_unlabelled:
            what = "Of regions, what is not labelled is not trained on anyway."
            raise InputError(what, where="--ignore-unlabelled", fix="Leave it out.")
        own = np.arange(len(self.classes) + 1, dtype=np.int64)
        pictures = []
        for patch in patches:
            classes, unknown = self._known(patch)
            zoom = needed_mpp(patch.mpp, mpp, patch.patch_id) / model_mpp
            group, organ = patch.group or patch.patch_id, patch.organ or ""
            pictures.append(Picture(patch.image, classes.astype(np.int32), own, unknown, zoom, group, organ=organ))
        return pictures

    def trained(self, annotated: Annotated) -> str:
        """See :class:`~histoseed.workflows.adaptation.lessons.Lessons`."""
        classes = counted(len(self.classes), "class")
        if self.entry.areas == "nuclei":
            outlines = counted(annotated.instances, "outline")
            return f"{outlines}: the area of nuclei in {classes}, against what is around them."
        rest = "background" if self.entry.background else "not trained on"
        return f"{counted(annotated.instances, 'region')} of {classes}; what lies in no region is {rest}."

    def _without_marks(self, picture: Picture) -> Picture:
        """Outlines alone; where there are no classes, every nucleus is of class 1."""
        one = (np.arange(int(picture.labels.max(initial=0)) + 1) > 0).astype(np.int64)
        return replace(picture, classes=picture.classes if self.data.classes else one, marks=Marks(), background=None)

    def _known(self, patch: Patch) -> tuple[Classes, Bools]:
        return known_classes(patch, background=self.entry.background)

    @staticmethod
    def _all(training: Dataset) -> Iterator[tuple[str, Patch]]:
        return ((patch.patch_id, patch) for patch in training)

    def _drawn(
        self, training: Dataset, count: int, seed: int, mpp: float | None, order: Order
    ) -> Iterator[tuple[str, Patch]]:
        for row in training.patches.iter_rows(named=True):
            needed_mpp(row["mpp"], mpp, row["patch_id"])
        crops = [crop for crop in self._candidates(training, mpp) if crop.objects]
        for i in order(training, crops, seed, count):
            crop = crops[i]
            yield crop.patch_id, crop_patch(training.patch(crop.patch_id), crop.x, crop.y, crop.side)

    def _candidates(self, training: Dataset, mpp: float | None) -> Iterator[Crop]:
        """Squares with the tenths of them that are labelled as their "objects"; at least 1 where anything is."""
        patch: Patch | None = None
        for crop in annotated_crops(training, self.crop_um, mpp=mpp, min_objects=0):
            if patch is None or patch.patch_id != crop.patch_id:
                patch = training.patch(crop.patch_id)
                known = ~self._known(patch)[1]
            window = known[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side]
            yield replace(crop, objects=max(int(10 * window.mean()), int(window.any())))

    def _outlined(self, drawn: Annotated) -> Annotated:
        """The patches whose nuclei are outlined: points and boxes have no area."""
        if not any(patch.class_ids[patch.label_ids].any() or not patch.classes for patch in _with_outlines(drawn)):
            what = "No patch has an outlined nucleus with a class." if self.data.classes else _NO_OUTLINE
            raise DatasetError(what, where=self.data.path)
        kept = [bool(patch.labels.any()) or not len(patch.marks) for patch in drawn.patches]
        patches = [patch for patch, keep in zip(drawn.patches, kept, strict=True) if keep]
        sources = tuple(source for source, keep in zip(drawn.sources, kept, strict=True) if keep)
        outlines = drawn.kinds.get("mask", 0) + drawn.kinds.get("polygon", 0)
        return replace(drawn, patches=patches, sources=sources, instances=outlines)


def _with_outlines(drawn: Annotated) -> list[Patch]:
    return [patch for patch in drawn.patches if patch.labels.any()]


def _areas(classes: Classes) -> int:
    from histoseed.inference import count_areas

    return count_areas(classes)
