"""``evaluate``: hold a model, or predictions, against the annotations of a data set.

What finds nuclei is judged here, what tells areas apart in :mod:`histoseed.workflows.evaluate_areas`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed._version import __version__
from histoseed.datasets import Dataset, read_dataset
from histoseed.errors import DatasetError, InputError
from histoseed.files import write_text
from histoseed.metrics import DEFAULT_RADIUS_UM, get_protocol
from histoseed.wording import agreed
from histoseed.workflows.area_evaluation import AreaEvaluation, is_semantic
from histoseed.workflows.evaluate_areas import evaluate_areas
from histoseed.workflows.evaluation import (
    Comparison,
    Evaluation,
    Exposure,
    Subject,
    Tally,
    match_classes,
    render_report,
    scored_kinds,
    subject_of,
    truth_of,
)
from histoseed.workflows.evaluation.pictures import Extremes
from histoseed.workflows.evaluation.remarks import (
    check_mpp,
    checked_report,
    group_unit,
    notes_on_groups,
    side_names,
)
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.progress import Progress, Silent

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["evaluate"]


def evaluate(
    dataset: Dataset | Path | str,
    *,
    model: Segmenter | Path | str | None = None,
    predictions: Dataset | Path | str | None = None,
    protocol: str = "histoseed",
    against: Segmenter | Dataset | Path | str | None = None,
    report: Path | str | None = None,
    mpp: float | None = None,
    split: str | None = None,
    radius_um: float = DEFAULT_RADIUS_UM,
    classes: bool = True,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    seed: int = 0,
    resamples: int = 2000,
    progress: Progress | None = None,
) -> Evaluation | AreaEvaluation:
    """Score a model, or predictions, on the annotated patches of a data set.

    Args:
        dataset: The truth, in the common format.
        model: ``bundled``, a model folder or a segmenter; it is run on every patch.
        predictions: A data set with the same patch ids, as ``segment DATASET --out`` writes it; instead of a model.
        protocol: One of :data:`histoseed.metrics.PROTOCOLS`.
        against: Another model, or other predictions: paired differences on the same patches.
        report: Where to write an HTML page that shows where it fails.
        mpp: Microns per pixel to assume where a patch states none.
        split: Only the patches of this split.
        radius_um: Radius of the detection scores, micrometres.
        classes: Score classes, matched by name, where both sides have them.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: ``auto``, ``float32``, ``bfloat16``.
        overwrite: Replace what stands at ``report``.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
        progress: Told about every patch.

    Returns:
        A mapping of JSON values by name (``docs/evaluate.md``), which also keeps what the scores were made of. Of a
        semantic model, or of predicted regions, it holds Dice and IoU of classes.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; no report is written then.
    """
    if (model is None) == (predictions is None):
        what = "Exactly one of a model and predictions is evaluated."
        raise InputError(what, where="evaluate", fix="Give --model MODEL or --predictions DS2, for instance bundled.")
    if resamples < 1:
        raise InputError(f"{resamples} resamples give no interval.", where="--resamples", fix="Use 2000.")
    named = model if predictions is None else predictions
    if is_semantic(named):
        return evaluate_areas(
            dataset if isinstance(dataset, Dataset) else read_dataset(dataset), named, protocol=protocol,
            against=against, report=report, mpp=mpp, split=split, classes=classes, device=device, dtype=dtype,
            overwrite=overwrite, seed=seed, resamples=resamples, progress=progress,
        )  # fmt: skip
    get_protocol(protocol)
    check_mpp(mpp)
    target = checked_report(report, overwrite=overwrite)
    whole = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    scored = whole if split is None else whole.select(split=split)
    kinds = scored_kinds(scored)
    if get_protocol(protocol).prompted and not kinds.outlined:
        fix = "Use a data set with outlines, or --protocol histoseed."
        raise DatasetError(f"Nothing is outlined, and {protocol} scores outlines.", where=scored.path, fix=fix)
    subjects = [
        subject_of(what, whole=whole, scored=scored, device=device, dtype=dtype)
        for what in (named, against)
        if what is not None
    ]
    tallies = _tallies(scored, subjects, protocol, radius_um, known=_sizes_known(scored, mpp), classes=classes)
    entrants = list(zip(subjects, tallies, strict=True))
    colors = {**subjects[0].colors, **{c.name: c.color for c in scored.classes}}
    extremes = Extremes(tallies[0].match, colors, radius_um=radius_um) if target is not None else None
    told = progress or Silent()
    _score(scored, entrants, extremes, mpp, told, outlined=kinds.outlined)
    told.start(1, "steps", f"Drawing {resamples:,} resamples for the intervals")
    result = _result(scored, entrants, extremes, colors, {
        "dataset": whole.name,
        "dataset_path": str(whole.path),
        "dataset_version": whole.info.version,
        "dataset_fingerprint": fingerprint(whole.path),
        "split": split,
        "mpp_assumed": mpp,
        "kinds": kinds.counts,
        "scored": kinds.scored(radius_um),
        "undefined": kinds.undefined,
        "seed": seed,
        "resamples": resamples,
        "histoseed_version": __version__,
    })  # fmt: skip
    told.advance(1)
    told.done()
    if target is not None:
        write_text(target, render_report(result, whole.info, date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    return result


def _tallies(
    dataset: Dataset,
    subjects: Sequence[Subject],
    protocol: str,
    radius_um: float,
    *,
    known: bool,
    classes: bool,
) -> list[Tally]:
    """An empty tally a subject; all errors of classes come before the first patch is predicted."""
    names = [c.name for c in dataset.classes]
    matches = [match_classes(names, s.classes, name=repr(s.name), ignore=not classes) for s in subjects]
    plain = len({match.classes for match in matches}) > 1
    return [Tally(match, protocol, radius_um, sizes_um=known, plain=plain) for match in matches]


def _sizes_known(dataset: Dataset, mpp: float | None) -> bool:
    """Whether every object has a size in micrometres."""
    return mpp is not None or dataset.patches["mpp"].null_count() == 0


def _score(
    dataset: Dataset,
    entrants: Sequence[tuple[Subject, Tally]],
    extremes: Extremes | None,
    mpp: float | None,
    told: Progress,
    *,
    outlined: bool,
) -> None:
    """Every subject on every patch, one patch in memory at a time."""
    who = " against ".join(subject.name for subject, _ in entrants)
    told.start(len(dataset), "patches", f"Evaluating {who} on {dataset.name}")
    for patch in dataset:
        truth = truth_of(patch, mpp, outlined=outlined)
        for place, (subject, tally) in enumerate(entrants):
            answer = subject.answer(patch, mpp)
            found = tally.add(truth, answer)
            if place == 0 and extremes is not None:
                extremes.offer(truth, answer, found)
        told.advance(1, **entrants[0][1].progress())
    told.done()


def _result(
    dataset: Dataset,
    entrants: Sequence[tuple[Subject, Tally]],
    extremes: Extremes | None,
    colors: dict[str, str],
    facts: dict[str, Any],
) -> Evaluation:
    subject, tally = entrants[0]
    n, seed = facts["resamples"], facts["seed"]
    intervals = tally.intervals(n=n, seed=seed)
    unit = group_unit(dataset)
    seen = _remarks(dataset, subject, tally)
    names = side_names([subject for subject, _ in entrants])
    comparison = None
    if len(entrants) > 1:
        other, other_tally = entrants[1]
        theirs = _remarks(dataset, other, other_tally)
        comparison = Comparison(
            name=names[1],
            facts=other.facts(),
            accumulator=other_tally.scores,
            intervals=other_tally.intervals(n=n, seed=seed),
            differences=tally.differences(other_tally, n=n, seed=seed),
            warnings=theirs.warnings,
            notes=theirs.notes,
        )
    groups = next((interval.n_groups for interval in intervals.values()), 0)
    return Evaluation(
        name=names[0],
        facts={**facts, **subject.facts()},
        accumulator=tally.scores,
        intervals=intervals,
        group_unit=unit,
        failures=tally.failures,
        warnings=seen.warnings,
        notes=(
            *scored_kinds(dataset).notes(tally.scores.radius_um),
            *seen.notes,
            *_notes_on_data(dataset, facts["mpp_assumed"]),
            *notes_on_groups(groups, unit),
        ),
        comparison=comparison,
        colors={name: colors[name] for name in tally.match.classes},
        worst=extremes.worst if extremes else (),
        best=extremes.best if extremes else (),
    )


def _remarks(dataset: Dataset, subject: Subject, tally: Tally) -> Exposure:
    """What to say about the scores of one subject."""
    seen = subject.exposure(dataset)
    notes = [*seen.notes, *subject.remarks(), *([tally.match.note] if tally.match.note else [])]
    return seen._replace(notes=tuple(notes))


def _notes_on_data(dataset: Dataset, mpp: float | None) -> Iterator[str]:
    patches = dataset.patches
    unknown = patches["mpp"].null_count()
    if unknown and mpp is not None:
        of_them = agreed("{count} {patch that states|patches that state} none", unknown)
        yield f"{mpp:g} microns per pixel were assumed for {of_them}."
    if unknown and mpp is None:
        text = agreed("{count} {patch does|patches do} not state the microns per pixel: {it is|they are}", unknown)
        yield f"{text} left out of detection and distances (--mpp gives a value)."
    partial = int((~patches["exhaustive"]).sum())
    if partial:
        text = agreed("{count} {patch is|patches are} partly annotated: only the surroundings of {its|their}", partial)
        yield f"{text} annotated objects were scored."
    if not (dataset.instances["layer"] == "nucleus").any():
        yield "No patch has an annotated nucleus: every prediction counts as a false one."
