"""Automatic mode held against annotated objects: nobody pointed at them, so each gets what fits it best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import shapely

from histoseed.datasets import Dataset, Patch
from histoseed.errors import InputError
from histoseed.geometry import polygons_to_label
from histoseed.prompting import PromptableModel
from histoseed.prompting.cleanup import get_clean_up
from histoseed.prompting.masks import ObjectMask
from histoseed.slides import open_slide
from histoseed.workflows.prompting.answering import Answered, Target, laid_over
from histoseed.workflows.prompting.asking import Finish
from histoseed.workflows.prompting.automatic import Look, find_everything
from histoseed.workflows.prompting.conditions import AUTO, Condition

__all__ = ["answer_unprompted"]


def answer_unprompted(
    data: Dataset,
    patch: Patch,
    targets: Sequence[Target],
    model: PromptableModel,
    condition: Condition,
    *,
    mpp: float | None = None,
) -> Iterator[Answered]:
    """What was found where the objects of a patch are.

    Pairs of an object and an outline are taken by falling IoU, each object and each outline once. An object without
    one has an empty answer; outlines without an object are not looked at, since sets need not be annotated throughout.

    Args:
        data: The data set that the patch is from; its picture is opened as a slide.
        patch: With its objects.
        targets: Those that are scored.
        model: Answers.
        condition: An automatic one.
        mpp: Assumed where the patch states none.

    Raises:
        InputError: a patch whose picture is no file of its own.
        UnknownMppError: nuclei are to be found where no resolution is known.
    """
    with open_slide(_file(data, patch), mpp=patch.mpp if patch.mpp is not None else mpp) as slide:
        look = Look(proposals="grid" if AUTO[condition.prompts] == "grid" else "nuclei")
        found = find_everything(slide, model, look, finish=Finish(clean=get_clean_up(condition.clean)))
    outlines = [(_drawn(one.geometry), one.score) for one in found.outlines if one.geometry is not None]
    boxes = np.array([_box(mask) for mask, _ in outlines]).reshape(-1, 4)
    pairs: list[tuple[float, int, int]] = []
    for i, target in enumerate(targets):
        x0, y0, x1, y1 = _box(target.truth)
        near = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
        for k in np.flatnonzero(near).tolist():
            answered = laid_over(target, [outlines[k][0]], patch)
            shared = int((answered.truth & answered.candidates[0]).sum())
            if shared:
                pairs.append((shared / int((answered.truth | answered.candidates[0]).sum()), i, k))
    taken: dict[int, int] = {}
    for _, i, k in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if i not in taken and k not in taken.values():
            taken[i] = k
    for i, target in enumerate(targets):
        mine = [outlines[taken[i]]] if i in taken else []
        yield laid_over(target, [mask for mask, _ in mine], patch, score=mine[0][1] if mine else 0.0)


def _file(data: Dataset, patch: Patch) -> Path:
    name = data.patches["image"][data.row(patch.patch_id)]
    if name is None:
        what = "The patch is an area of a slide; automatic mode is scored on pictures of their own."
        raise InputError(what, where=f"patch {patch.patch_id}", fix="Cut them out: histoseed dataset windows.")
    return data.path / str(name)


def _drawn(outline: shapely.Geometry) -> ObjectMask:
    """An outline on whole pixels."""
    x0, y0, x1, y1 = outline.bounds
    left, top = int(np.floor(x0)), int(np.floor(y0))
    shape = (int(np.ceil(y1)) - top, int(np.ceil(x1)) - left)
    moved = shapely.transform(outline, lambda xy: xy - (left, top))
    return ObjectMask(polygons_to_label([moved], shape) > 0, left, top)


def _box(mask: ObjectMask) -> tuple[int, int, int, int]:
    rows, columns = mask.mask.shape
    return mask.x, mask.y, mask.x + columns, mask.y + rows
