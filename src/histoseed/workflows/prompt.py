"""``prompt``: a box, clicks, or a file of crude annotations become outlines; or a region, with no click at all."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import shapely

from histoseed.annotations import Instances
from histoseed.annotations.formats import AnnotatedImage, WriteOptions, format_of_name
from histoseed.errors import InputError, OutputError
from histoseed.files import atomic_path
from histoseed.geometry import Region
from histoseed.slides import Slide, open_slide
from histoseed.workflows.progress import Progress

if TYPE_CHECKING:
    from histoseed.workflows.prompting.asking import Finish
    from histoseed.workflows.prompting.automatic import Look, Proposals

__all__ = ["PromptResult", "prompt"]


@dataclass(frozen=True, slots=True, eq=False)
class PromptResult:
    """Outlines and what is to be said about them.

    Args:
        instances: A row an outline, level-0 pixels; ``score`` is the IoU that the model expects. The best outline of a
            prompt has the prompt's id. With candidates, ``measurements`` hold their ``candidate`` rank from 0.
        rows: One mapping a prompt (of ``auto``: one an object that was found): ``id``, ``status`` (``outlined``;
            ``unchanged``: the outline that was given is kept; ``empty``: the model found no object, and an outline that
            was given is kept; ``locked``), ``given_id`` where the file's id is no UUID,
            ``score``, ``area_px``, ``area_um2``, ``vertices``, ``iou`` with the outline that was given or proposed.
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
    auto: Proposals | Look | None = None,
    region: Region | tuple[float, float, float, float] | None = None,
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
            ids, names, classes, measurements and locks; locked objects are not touched, and where the answer agrees
            with the outline that was given, that one is kept.
        use: What of a crude outline in ``prompts`` is told to the model: box, mask or box+mask.
        auto: Instead of all these: ``grid`` or ``nuclei`` outlines everything that is found, see
            :class:`~histoseed.workflows.prompting.automatic.Look`, which may be given in its place.
        region: Of ``auto``: x, y, width, height in level-0 pixels; None is the whole slide.
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
        progress: Told about every prompt; of ``auto``, about every window.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; a bad prompt is named, and nothing is written then.
    """
    from histoseed.prompting.cleanup import get_clean_up
    from histoseed.workflows.prompting.asking import Finish
    from histoseed.workflows.prompting.overlay import overlay_png

    paths = [Path(p) for p in (out, overlay) if p is not None]
    _check_free(paths, overwrite=overwrite)
    writer = None if out is None else format_of_name(Path(out))
    look = _look(auto, region, (box, *points, *negatives, prompts), candidates=candidates)
    finish = Finish(clean=get_clean_up(clean), tolerance_um=simplify_um or None, budget=budget)
    with open_slide(Path(source), mpp=mpp) as slide:
        work = _Work(slide, finish, device, dtype, progress)
        if look is not None:
            done = work.everything(look, model)
        else:
            given, notes = _given(prompts, slide, box, points, negatives)
            done = work.answers(given, use, model, notes, several=candidates)
        result = done.result
        if out is not None and writer is not None:
            image = AnnotatedImage(slide.path.name, slide.size, result.instances, slide.mpp)
            result.facts["losses"] = writer.write(Path(out), [image], WriteOptions(overwrite=overwrite))
        if overlay is not None:
            with atomic_path(Path(overlay)) as temporary:
                drawn = overlay_png(slide, done.marks, result.instances, result.rows, region=done.region)
                temporary.write_bytes(drawn)
    return result


class _Done(NamedTuple):
    """A result, and what its picture shows beside it."""

    result: PromptResult
    marks: Instances
    region: Region | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What is the same whoever points."""

    slide: Slide
    finish: Finish
    device: str
    dtype: str
    progress: Progress | None

    def answers(self, given: _Given, use: str, model: str | Path, notes: list[str], *, several: bool) -> _Done:
        """Answer what was pointed at."""
        from histoseed.workflows.prompting.asking import ask
        from histoseed.workflows.prompting.models import load_prompt_model, weights_notes
        from histoseed.workflows.prompting.overlay import marks_of
        from histoseed.workflows.prompting.rows import rows_of_answers

        asked_rows = np.flatnonzero(~given.objects.locked)
        questions = given.questions(asked_rows, use)
        answering = load_prompt_model(model, device=self.device, dtype=self.dtype)
        labels = None if given.labels is None else [given.labels[row] for row in asked_rows.tolist()]
        answers = ask(
            self.slide, answering, questions, finish=self.finish, several=several, labels=labels,
            progress=self.progress,
        )  # fmt: skip
        answer_of = dict(zip(asked_rows.tolist(), answers, strict=True))
        rows, instances = rows_of_answers(given.objects, answer_of, self.slide.mpp, crude=given.crude)
        facts = _facts(self.slide, answering.name, rows, [*notes, *weights_notes(answering)]) | {"prompts": len(rows)}
        marks = given.objects if given.single is None else marks_of(given.single)
        return _Done(PromptResult(instances, rows, facts), marks)

    def everything(self, look: Look, model: str | Path) -> _Done:
        """Look through a region."""
        from histoseed.workflows.prompting.automatic import find_everything
        from histoseed.workflows.prompting.models import load_prompt_model, weights_notes
        from histoseed.workflows.prompting.rows import rows_of_found

        answering = load_prompt_model(model, device=self.device, dtype=self.dtype)
        found = find_everything(
            self.slide, answering, look, finish=self.finish, device=self.device, dtype=self.dtype,
            progress=self.progress,
        )  # fmt: skip
        rows, instances = rows_of_found(found, self.slide, answering)
        r = found.region
        place = [int(r.x), int(r.y), int(r.width), int(r.height)]
        facts = _facts(self.slide, answering.name, rows, weights_notes(answering)) | {
            "prompts": found.asked, "auto": look.proposals, "region": place, "windows": found.windows
        }  # fmt: skip
        return _Done(PromptResult(instances, rows, facts), Instances.empty(), r)


def _look(auto: Proposals | Look | None, region: Any, marked: Sequence[Any], *, candidates: bool) -> Look | None:
    """How a region is looked through; None where somebody pointed."""
    from histoseed.workflows.prompting.automatic import Look

    if auto is None:
        if region is not None:
            what = "A region is looked through only where nothing is pointed at."
            raise InputError(what, where="--region", fix="Add --auto nuclei or --auto grid.")
        return None
    if any(one is not None for one in marked):
        what = "Something was pointed at, and everything is to be outlined."
        raise InputError(what, where="--auto", fix="Give the one or the other.")
    if candidates:
        what = "Automatic outlines are chosen among the candidates."
        raise InputError(what, where="--candidates", fix="Leave it out.")
    look = auto if isinstance(auto, Look) else Look(proposals=auto)
    return look if region is None else replace(look, region=region)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What was pointed at: the objects of a file; or one prompt, and a row that only lends its id."""

    objects: Instances
    single: Any = None
    crude: bool = False
    labels: list[str] | None = None

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
    from histoseed.workflows.prompting.questions import labels_of, read_objects
    from histoseed.workflows.prompting.rows import NAMESPACE

    marked = box is not None or len(points) > 0 or len(negatives) > 0
    if prompts is not None:
        if marked:
            what = "Boxes and points were given beside a file of prompts."
            raise InputError(what, where="--prompts", fix="Give the one or the other.")
        if isinstance(prompts, Instances):
            return _Given(prompts, crude=True), []
        objects, notes = read_objects(Path(prompts), slide.size)
        return _Given(objects, crude=True, labels=labels_of(objects, Path(prompts))), notes
    if not marked:
        raise InputError("Nothing was pointed at.", fix="Give --box, --point, --prompts or --auto.")
    positive, negative = (np.array(list(p), float).reshape(-1, 2) for p in (points, negatives))
    one = Prompt(box=box, positive=positive, negative=negative)
    told = f"{slide.path.name} {box} {positive.tolist()} {negative.tolist()}"
    row = Instances.build([shapely.Point(0, 0)], kind="point", id=[str(uuid.uuid5(NAMESPACE, told))])
    return _Given(row, one), []


def _facts(slide: Slide, model: str, rows: Sequence[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    counts = {name: sum(row["status"] == name for row in rows) for name in ("outlined", "unchanged", "empty", "locked")}
    return {"slide": str(slide.path), "mpp": slide.mpp, "model": model, **counts, "notes": [*slide.notes, *notes]}


def _check_free(paths: Sequence[Path], *, overwrite: bool) -> None:
    for path in paths:
        if path.is_dir():
            raise OutputError("This is a folder.", where=path, fix="Name a file in it.")
        if path.exists() and not overwrite:
            raise OutputError("The file exists.", where=path, fix="Choose another name, or add --overwrite.")
