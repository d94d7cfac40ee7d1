"""Answers as a table of outlines, and as rows of facts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.inference.identity import object_ids
from histoseed.prompting import PromptableModel
from histoseed.slides import Slide
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.prompting.asking import Asked, Outlined
from histoseed.workflows.prompting.automatic import Found

__all__ = ["NAMESPACE", "UNCHANGED", "rows_of_answers", "rows_of_found"]

UNCHANGED = 0.95
"""IoU with the outline that was given from which on the answer counts as unchanged."""

NAMESPACE = uuid.UUID("5b1c5be4-36a5-4b59-9f2c-0f9f62d3d1a6")
"""Of ids of prompts and candidates."""

_SOURCE = "histoseed prompt"
_COPIED = ("class_name", "locked", "id", "kind", "score", "quality", "source", "texts")

Row = dict[str, Any]


def rows_of_answers(
    objects: Instances, answers: Mapping[int, Asked], mpp: float | None, *, crude: bool
) -> tuple[list[Row], Instances]:
    """A row a prompt, and the outlines; what was not asked comes through as it is.

    Args:
        objects: What was pointed at.
        answers: Row of ``objects`` -> what came back.
        mpp: Microns per pixel of level 0, or None.
        crude: Outlines in ``objects`` are to be refined.
    """
    rows: list[Row] = []
    made: list[Row] = []
    for index in range(len(objects)):
        base = {"class_name": objects.class_name[index], "locked": bool(objects.locked[index])}
        name, before = str(objects.id[index]), objects.geometry[index]
        outlined_before = crude and objects.kind[index] == "polygon"
        row: Row = {"id": name, "status": "locked", "score": None, "iou": None}
        texts = objects.texts[index]
        row |= {"given_id": texts["id"]} if texts and "id" in texts else {}
        kept = {
            **base, "geometry": before, "id": name, "kind": objects.kind[index], "score": objects.score[index],
            "quality": objects.quality[index], "source": objects.source[index], "texts": texts,
            "measurements": objects.measurements[index],
        }  # fmt: skip
        answer = answers.get(index)
        if answer is None:
            made.append(kept)
            rows.append(row)
            continue
        best = answer.outlines[0]
        row |= {"status": "empty"} | _figures(best, mpp)
        if best.geometry is None and outlined_before:
            made.append(kept)
        elif best.geometry is not None:
            row["status"] = "outlined"
            if outlined_before:
                row["iou"] = round(_iou(before, best.geometry), 4)
                if row["iou"] >= UNCHANGED:
                    row |= {"status": "unchanged"} | _figures(_with_outline(best, before), mpp)
        ranked = [(rank, o) for rank, o in enumerate(answer.outlines) if o.geometry is not None]
        for rank, outline in ranked:
            many = {"candidate": float(rank)} if len(answer.outlines) > 1 else {}
            new = {
                **base, "geometry": outline.geometry, "kind": "polygon", "score": outline.score, "quality": np.nan,
                "source": _SOURCE,
            }  # fmt: skip
            if rank:
                own = str(uuid.uuid5(NAMESPACE, f"{name}/{rank}"))
                made.append({**new, "id": own, "texts": None, "measurements": many})
                continue
            changed = {"score": outline.score} if row["status"] == "unchanged" else new
            made.append({**kept, **changed, "measurements": {**objects.measurements[index], **many}})
        rows.append(row)
    return rows, _built(made, objects.colors)


def rows_of_found(found: Found, slide: Slide, model: PromptableModel) -> tuple[list[Row], Instances]:
    """A row an object that was found with no click, and the outlines.

    Nuclei keep the id and the class that the segmenter gave them; what a grid found has ids made of the slide, the
    model and the outline.
    """
    shapes: npt.NDArray[np.object_] = np.array([one.geometry for one in found.outlines], dtype=object)
    nuclei = found.proposed
    if nuclei is None:
        own = object_ids(shapes, fingerprint(slide.path), model.fingerprint)
        objects = Instances.build(shapes, id=own)
        given: list[float | None] = [None] * len(shapes)
    else:
        row_of = {name: row for row, name in enumerate(nuclei.id.tolist())}
        objects = nuclei.select(np.array([row_of[prompt.id] for prompt in found.prompts], int))
        given = [round(_iou(a, b), 4) for a, b in zip(objects.geometry, shapes, strict=True)]
    rows = [
        {"id": str(name), "status": "outlined", "iou": iou} | _figures(one, slide.mpp)
        for name, iou, one in zip(objects.id, given, found.outlines, strict=True)
    ]
    outlines = Instances.build(
        shapes, class_name=objects.class_name, id=objects.id, score=[one.score for one in found.outlines],
        source=_SOURCE, colors=objects.colors,
    )  # fmt: skip
    return rows, outlines


def _with_outline(answer: Outlined, given: shapely.Polygon | shapely.MultiPolygon) -> Outlined:
    """An answer whose outline is the one that was given."""
    return Outlined(given, answer.score, float(given.area), int(shapely.get_num_coordinates(given)))


def _figures(outline: Outlined, mpp: float | None) -> Row:
    um2 = None if mpp is None else round(outline.area_px * mpp**2, 3)
    return {
        "score": round(outline.score, 4), "area_px": outline.area_px, "area_um2": um2, "vertices": outline.vertices
    }  # fmt: skip


def _built(made: Sequence[Row], colors: Mapping[str, str]) -> Instances:
    columns = {key: [m[key] for m in made] for key in _COPIED}
    measured = np.empty(len(made), dtype=object)
    measured[:] = [m["measurements"] for m in made]
    return Instances.build([m["geometry"] for m in made], measurements=measured, colors=colors, **columns)


def _iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    one = shapely.make_valid(one)
    union = shapely.union(one, other).area
    return float(shapely.intersection(one, other).area / union) if union else 0.0
