"""``prompt``: a box, clicks, or a file of crude annotations become outlines."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histoseed.annotations import Instances
from histoseed.annotations.formats import AnnotatedImage, WriteOptions, format_of_name
from histoseed.errors import InputError, OutputError
from histoseed.files import atomic_path
from histoseed.geometry import Region
from histoseed.slides import Slide, open_slide
from histoseed.workflows.progress import Progress

__all__ = ["PromptResult", "prompt"]

UNCHANGED = 0.95
"""IoU with the outline that was given from which on the answer counts as unchanged."""

_NAMESPACE = uuid.UUID("5b1c5be4-36a5-4b59-9f2c-0f9f62d3d1a6")
_COLORS = {"prompt": "#ffd92f", "outline": "#4daf4a"}
_OVERLAY_SIDE, _OVERLAY_LEAST = 2048, 512


@dataclass(frozen=True, slots=True, eq=False)
class PromptResult:
    """Outlines and what is to be said about them.

    Args:
        instances: A row an outline, level-0 pixels; ``score`` is the IoU that the model expects. The best outline of a
            prompt has the prompt's id. With candidates, ``measurements`` hold their ``candidate`` rank from 0.
        rows: One mapping a prompt: ``id``, ``status`` (``outlined``; ``unchanged``; ``empty``: the model found no
            object, and an outline that was given is kept; ``locked``), ``score``, ``area_px``, ``area_um2``,
            ``vertices``, ``iou`` with the outline that was given.
        facts: Slide, model, counts.
    """

    instances: Instances
    rows: list[dict[str, Any]]
    facts: dict[str, Any]


def prompt(
    source: str | Path,
    *,
    box: tuple[float, float, float, float] | None = None,
    points: Sequence[tuple[float, float]] = (),
    negatives: Sequence[tuple[float, float]] = (),
    prompts: str | Path | Instances | None = None,
    use: str = "box",
    model: str | Path = "bundled",
    mpp: float | None = None,
    candidates: bool = False,
    clean: str = "default",
    simplify_um: float = 0.25,
    budget: int | None = None,
    out: str | Path | None = None,
    overlay: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> PromptResult:
    """Outline objects that somebody points at.

    Args:
        source: Image or slide.
        box: x0, y0, x1, y1 of one object, level-0 pixels.
        points: x, y inside it.
        negatives: x, y outside it.
        prompts: Instead of these: an annotation file of any format, or its objects, one prompt each. The answer keeps
            ids, classes and locks; locked objects are not touched.
        use: What of a crude outline in ``prompts`` is told to the model: box, mask or box+mask.
        model: ``bundled``, a model folder, or what :func:`histoseed.prompting.sam.load_promptable` takes.
        mpp: Microns per pixel, where the file does not say it or says it wrong.
        candidates: Hand out every candidate, not only the best.
        clean: Preset of the clean-up, see docs/cleanup.md.
        simplify_um: Farthest that a vertex may lie from the outline handed out, micrometres; 0 keeps pixel edges.
        budget: Most vertices of an outline.
        out: Annotation file to write; the suffix says the format.
        overlay: PNG to write: the picture, prompts and outlines.
        overwrite: Replace these files.
        device: auto, cpu, cuda ...
        dtype: auto, float32 or bfloat16.
        progress: Told about every prompt.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; a bad prompt is named, and nothing is written then.
    """
    from histoseed.prompting.cleanup import get_clean_up
    from histoseed.workflows.prompting.asking import Finish, ask
    from histoseed.workflows.prompting.models import load_prompt_model

    paths = [Path(p) for p in (out, overlay) if p is not None]
    _check_free(paths, overwrite=overwrite)
    finish = Finish(clean=get_clean_up(clean), tolerance_um=simplify_um or None, budget=budget)
    with open_slide(Path(source), mpp=mpp) as slide:
        given, notes = _given(prompts, slide, box, points, negatives)
        asked_rows = np.flatnonzero(~given.objects.locked)
        questions = given.questions(asked_rows, use)
        answering = load_prompt_model(model, device=device, dtype=dtype)
        answers = ask(slide, answering, questions, finish=finish, several=candidates, progress=progress)
        rows, instances = _table(given, asked_rows, answers, slide)
        facts = _facts(slide, answering.name, rows, [*slide.notes, *notes])
        result = PromptResult(instances, rows, facts)
        if out is not None:
            how = WriteOptions(overwrite=overwrite)
            image = AnnotatedImage(slide.path.name, slide.size, instances, slide.mpp)
            facts["losses"] = format_of_name(Path(out)).write(Path(out), [image], how)
        if overlay is not None:
            _write_overlay(Path(overlay), slide, given, instances)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What was pointed at: the objects of a file; or one prompt, and a row that only lends its id."""

    objects: Instances
    single: Any = None
    crude: bool = False

    def questions(self, rows: Any, use: str) -> list[Any]:
        from histoseed.workflows.prompting.questions import USES, prompts_of

        if use not in USES:
            raise InputError(f"There is no use {use!r}.", where="--use", fix=f"Use {', '.join(USES)}.")
        if self.single is not None:
            return [self.single]
        return prompts_of(self.objects.select(rows), use)


def _given(
    prompts: str | Path | Instances | None,
    slide: Slide,
    box: tuple[float, float, float, float] | None,
    points: Sequence[tuple[float, float]],
    negatives: Sequence[tuple[float, float]],
) -> tuple[_Given, list[str]]:
    from histoseed.prompting import Prompt
    from histoseed.workflows.prompting.questions import read_objects

    marked = box is not None or len(points) > 0 or len(negatives) > 0
    if prompts is not None:
        if marked:
            what = "Boxes and points were given beside a file of prompts."
            raise InputError(what, where="--prompts", fix="Give the one or the other.")
        if isinstance(prompts, Instances):
            return _Given(prompts, crude=True), []
        objects, notes = read_objects(Path(prompts), slide.size)
        return _Given(objects, crude=True), notes
    if not marked:
        raise InputError("Nothing was pointed at.", fix="Give --box, --point or --prompts.")
    positive, negative = (np.array(list(p), float).reshape(-1, 2) for p in (points, negatives))
    one = Prompt(box=box, positive=positive, negative=negative)
    told = f"{slide.path.name} {box} {positive.tolist()} {negative.tolist()}"
    row = Instances.build([shapely.Point(0, 0)], kind="point", id=[str(uuid.uuid5(_NAMESPACE, told))])
    return _Given(row, one), []


def _table(
    given: _Given, asked_rows: Any, answers: Sequence[Any], slide: Slide
) -> tuple[list[dict[str, Any]], Instances]:
    """A row a prompt, and the outlines; locked objects come through as they are."""
    objects, area = given.objects, 1.0 if slide.mpp is None else slide.mpp**2
    answer_of = dict(zip(asked_rows.tolist(), answers, strict=True))
    rows: list[dict[str, Any]] = []
    made: list[dict[str, Any]] = []
    for index in range(len(objects)):
        base = {"class_name": objects.class_name[index], "locked": bool(objects.locked[index])}
        name, before = str(objects.id[index]), objects.geometry[index]
        crude = given.crude and objects.kind[index] == "polygon"
        row: dict[str, Any] = {"id": name, "status": "locked", "score": None, "iou": None}
        kept = {**base, "geometry": before, "id": name, "score": objects.score[index], "source": objects.source[index]}
        answer = answer_of.get(index)
        if answer is None:
            made.append({**kept, "kind": objects.kind[index], "measurements": objects.measurements[index]})
            rows.append(row)
            continue
        best = answer.outlines[0]
        row |= {"status": "empty", "score": round(best.score, 4), "area_px": best.area_px, "vertices": best.vertices}
        row["area_um2"] = None if slide.mpp is None else round(best.area_px * area, 3)
        if best.geometry is None and crude:
            made.append({**kept, "kind": "polygon", "measurements": objects.measurements[index]})
        elif best.geometry is not None:
            row["status"] = "outlined"
            if crude:
                row["iou"] = round(_iou(before, best.geometry), 4)
                row["status"] = "unchanged" if row["iou"] >= UNCHANGED else "outlined"
        ranked = [(rank, o) for rank, o in enumerate(answer.outlines) if o.geometry is not None]
        for rank, outline in ranked:
            own = name if rank == 0 else str(uuid.uuid5(_NAMESPACE, f"{name}/{rank}"))
            many = {"candidate": float(rank)} if len(answer.outlines) > 1 else {}
            made.append(
                {**base, "geometry": outline.geometry, "id": own, "kind": "polygon", "score": outline.score,
                 "source": "histoseed prompt", "measurements": many}
            )  # fmt: skip
        rows.append(row)
    columns = {key: [m[key] for m in made] for key in ("class_name", "locked", "id", "kind", "score", "source")}
    measured = np.empty(len(made), dtype=object)
    measured[:] = [m["measurements"] for m in made]
    return rows, Instances.build([m["geometry"] for m in made], measurements=measured, colors=objects.colors, **columns)


def _iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    one = shapely.make_valid(one)
    union = shapely.union(one, other).area
    return float(shapely.intersection(one, other).area / union) if union else 0.0


def _facts(slide: Slide, model: str, rows: Sequence[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    counts = {name: sum(row["status"] == name for row in rows) for name in ("outlined", "unchanged", "empty", "locked")}
    return {"slide": str(slide.path), "mpp": slide.mpp, "model": model, "prompts": len(rows), **counts, "notes": notes}


def _check_free(paths: Sequence[Path], *, overwrite: bool) -> None:
    for path in paths:
        if path.is_dir():
            raise OutputError("This is a folder.", where=path, fix="Name a file in it.")
        if path.exists() and not overwrite:
            raise OutputError("The file exists.", where=path, fix="Choose another name, or add --overwrite.")


def _write_overlay(path: Path, slide: Slide, given: _Given, instances: Instances) -> None:
    """The surroundings of all objects, with prompts and outlines."""
    from histoseed.pictures import Strokes, png_bytes
    from histoseed.prompting import Window
    from histoseed.workflows.prompting.asking import read_window

    marks = given.objects if given.single is None else _marks(given.single)
    shapes = [*marks.geometry, *instances.geometry]
    x0, y0, x1, y1 = shapely.total_bounds(np.array(shapes, dtype=object))
    rim = 16 + 0.5 * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - rim)), max(0, int(y0 - rim))
    right, bottom = min(slide.size[0], int(x1 + rim) + 1), min(slide.size[1], int(y1 + rim) + 1)
    longest = max(right - left, bottom - top)
    reduction, zoom = max(1.0, longest / _OVERLAY_SIDE), max(1, _OVERLAY_LEAST // longest)
    region = Region(left, top, right - left, bottom - top, mpp=slide.mpp and slide.mpp * reduction)
    plain = round(region.height / reduction), round(region.width / reduction)
    shape = region.shape(slide.mpp) if slide.mpp else plain
    picture = read_window(slide, Window(region, shape)).repeat(zoom, 0).repeat(zoom, 1)
    shape = (picture.shape[0], picture.shape[1])
    strokes = Strokes(shape, offset=(left, top), scale=shape[1] / region.width, colors=_COLORS)
    strokes.add(_named(marks, "prompt"))
    strokes.add(_named(instances, "outline"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(strokes.over(picture)))


def _marks(one: Any) -> Instances:
    shapes = [shapely.Point(*p) for p in [*one.positive, *one.negative]]
    kinds = ["point"] * len(shapes)
    if one.box is not None:
        shapes.append(shapely.box(*one.box))
        kinds.append("box")
    return Instances.build(shapes, kind=kinds)


def _named(instances: Instances, name: str) -> Instances:
    return Instances.build(instances.geometry, kind=instances.kind, class_name=name, colors=_COLORS)
