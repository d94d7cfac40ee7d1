"""``evaluate`` for areas: hold a semantic model, or predicted regions, against the annotations of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histoseed._version import __version__
from histoseed.datasets import Dataset
from histoseed.errors import InputError
from histoseed.files import write_text
from histoseed.metrics import AREAS, paired_area_intervals
from histoseed.wording import counted
from histoseed.workflows.area_evaluation import (
    AreaComparison,
    AreaEvaluation,
    AreaExtremes,
    Areas,
    AreaTally,
    area_answer,
    area_truth,
    areas_of_subject,
    render_area_report,
)
from histoseed.workflows.evaluation import Exposure, Subject, subject_of
from histoseed.workflows.evaluation.remarks import (
    check_mpp,
    checked_report,
    group_unit,
    notes_on_groups,
    side_names,
)
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.progress import Progress, Silent

__all__ = ["evaluate_areas"]


def evaluate_areas(
    whole: Dataset,
    subject: Any,
    *,
    protocol: str = AREAS,
    against: Any = None,
    report: Path | str | None = None,
    mpp: float | None = None,
    split: str | None = None,
    classes: bool = True,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    seed: int = 0,
    resamples: int = 2000,
    progress: Progress | None = None,
) -> AreaEvaluation:
    """Dice and IoU of areas; arguments and errors as in :func:`histoseed.workflows.evaluate.evaluate`.

    Args:
        whole: The truth. A model of regions is held against regions, one of nuclei against outlined nuclei.
        subject: A semantic model, its folder, or a data set with predicted regions.
        protocol: ``histoseed`` or ``histoseed-areas``, which are one for areas.
        against: Another one: paired differences.
        report: Where to write an HTML page.
        mpp: Microns per pixel to assume where a patch states none.
        split: Only the patches of this split.
        classes: Tell classes of nuclei apart, where both sides have them.
        device: For models.
        dtype: For models.
        overwrite: Replace what stands at ``report``.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
        progress: Told about every patch.

    Returns:
        A mapping of JSON values by name (``docs/evaluate.md``).
    """
    if protocol not in {AREAS, "histoseed"}:
        what = f"The protocol {protocol!r} is about single nuclei."
        raise InputError(what, where="--protocol", fix=f"Leave it out: areas have the protocol {AREAS}.")
    check_mpp(mpp)
    target = checked_report(report, overwrite=overwrite)
    scored = whole if split is None else whole.select(split=split)
    named = [what for what in (subject, against) if what is not None]
    subjects = [subject_of(what, whole=whole, scored=scored, device=device, dtype=dtype) for what in named]
    areas = _same_areas(subjects, scored)
    tallies = [AreaTally(scored, one, areas, classes=classes) for one in subjects]
    if len({tally.by_class for tally in tallies}) > 1:
        tallies = [AreaTally(scored, one, areas, classes=False) for one in subjects]
    first = tallies[0]
    colors = {**subjects[0].colors, **{c.name: c.color for c in (*scored.classes, *scored.info.region_classes)}}
    colors = {name: colors.get(name, "#56b4e9") for name in first.scores.classes}
    extremes = AreaExtremes(first.scores.classes, colors) if target is not None else None
    told = progress or Silent()
    told.start(len(scored), "patches", f"Evaluating {' against '.join(s.name for s in subjects)} on {whole.name}")
    for patch in scored:
        truth = area_truth(patch, areas, classes=first.by_class, mpp=mpp)
        for place, (one, tally) in enumerate(zip(subjects, tallies, strict=True)):
            predicted = tally.add(truth, area_answer(one, patch, mpp))
            if place == 0 and extremes is not None:
                extremes.offer(truth, predicted)
        told.advance(1)
    told.done()
    facts = {
        "dataset": whole.name,
        "dataset_path": str(whole.path),
        "dataset_version": whole.info.version,
        "dataset_fingerprint": fingerprint(whole.path),
        "split": split,
        "mpp_assumed": mpp,
        "seed": seed,
        "resamples": resamples,
        "histoseed_version": __version__,
    }
    result = _result(scored, list(zip(subjects, tallies, strict=True)), areas, facts, extremes, colors)
    if target is not None:
        page = render_area_report(result, whole.info, date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
        write_text(target, page)
    return result


def _same_areas(subjects: Sequence[Subject], scored: Dataset) -> Areas:
    """What all of them are judged by.

    Raises:
        InputError: one is about regions and the other about nuclei.
    """
    found = [areas_of_subject(subject, scored) for subject in subjects]
    if len(set(found)) > 1:
        told = " and ".join(f"{one.of}{' with background' if one.background else ''}" for one in found)
        raise InputError(f"The two sides are about different things: {told}.", where="--against")
    return found[0]


def _result(  # noqa: PLR0917 - one caller
    scored: Dataset,
    entrants: Sequence[tuple[Subject, AreaTally]],
    areas: Areas,
    facts: dict[str, Any],
    extremes: AreaExtremes | None,
    colors: dict[str, str],
) -> AreaEvaluation:
    subject, tally = entrants[0]
    n, seed, unit = facts["resamples"], facts["seed"], group_unit(scored)
    names = side_names([one for one, _ in entrants])
    intervals = tally.scores.intervals(n=n, seed=seed)
    seen = _remarks(scored, subject, tally)
    comparison = None
    if len(entrants) > 1:
        other, other_tally = entrants[1]
        theirs = _remarks(scored, other, other_tally)
        comparison = AreaComparison(
            name=names[1],
            facts=other.facts(),
            accumulator=other_tally.scores,
            intervals=other_tally.scores.intervals(n=n, seed=seed),
            differences=paired_area_intervals(tally.scores, other_tally.scores, n=n, seed=seed),
            warnings=theirs.warnings,
            notes=theirs.notes,
        )
    groups = next((interval.n_groups for interval in intervals.values()), 0)
    return AreaEvaluation(
        name=names[0],
        facts={**facts, **subject.facts()},
        areas=areas,
        accumulator=tally.scores,
        intervals=intervals,
        group_unit=unit,
        warnings=seen.warnings,
        notes=(*seen.notes, *_notes(tally, areas), *notes_on_groups(groups, unit)),
        comparison=comparison,
        colors=colors,
        worst=extremes.worst if extremes else (),
        best=extremes.best if extremes else (),
    )


def _remarks(scored: Dataset, subject: Subject, tally: AreaTally) -> Exposure:
    seen = subject.exposure(scored)
    notes = [*seen.notes, *subject.remarks(), *([tally.match.note] if tally.match.note else [])]
    return seen._replace(notes=tuple(notes))


def _notes(tally: AreaTally, areas: Areas) -> Iterator[str]:
    empty = int(tally.scores.compute().number("n_without_truth"))
    if empty:
        yield f"Of {counted(empty, 'patch')} nothing was judged."
    if areas.of == "regions" and not areas.background:
        yield "What lies in no region of the truth was not judged."
