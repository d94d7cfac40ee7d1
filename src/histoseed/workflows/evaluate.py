"""``evaluate``: hold a model, or predictions, against the annotations of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed._version import __version__
from histoseed.datasets import Dataset, read_dataset
from histoseed.errors import DatasetError, InputError, OutputError
from histoseed.files import write_text
from histoseed.geometry import MPP_RANGE, known_mpp
from histoseed.metrics import DEFAULT_RADIUS_UM, get_protocol
from histoseed.workflows.evaluation import (
    Comparison,
    Evaluation,
    Exposure,
    Subject,
    Tally,
    match_classes,
    render_report,
    subject_of,
    truth_of,
)
from histoseed.workflows.evaluation.pictures import Extremes
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.progress import Progress, Silent

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["evaluate"]

FEW_GROUPS = 10
"""Below it a percentile interval is too narrow, and the reader is told."""


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
) -> Evaluation:
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
        A mapping of JSON values by name (``docs/evaluate.md``), which also keeps what the scores were made of.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; no report is written then.
    """
    if (model is None) == (predictions is None):
        what = "Exactly one of a model and predictions is evaluated."
        raise InputError(what, where="evaluate", fix="Give --model MODEL or --predictions DS2, for instance bundled.")
    get_protocol(protocol)
    _check_mpp(mpp)
    if resamples < 1:
        raise InputError(f"{resamples} resamples give no interval.", where="--resamples", fix="Use 2000.")
    target = _checked_report(report, overwrite=overwrite)
    whole = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    scored = whole if split is None else whole.select(split=split)
    _check_outlines(scored)
    subjects = [
        subject_of(what, whole=whole, scored=scored, device=device, dtype=dtype)
        for what in (model if predictions is None else predictions, against)
        if what is not None
    ]
    tallies = _tallies(scored, subjects, protocol, radius_um, known=_sizes_known(scored, mpp), classes=classes)
    entrants = list(zip(subjects, tallies, strict=True))
    colors = {**subjects[0].colors, **{c.name: c.color for c in scored.classes}}
    extremes = Extremes(tallies[0].match, colors) if target is not None else None
    told = progress or Silent()
    _score(scored, entrants, extremes, mpp, told)
    told.start(1, "steps", f"Drawing {resamples:,} resamples for the intervals")
    result = _result(scored, entrants, extremes, colors, {
        "dataset": whole.name,
        "dataset_path": str(whole.path),
        "dataset_version": whole.info.version,
        "dataset_fingerprint": fingerprint(whole.path),
        "split": split,
        "mpp_assumed": mpp,
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
) -> None:
    """Every subject on every patch, one patch in memory at a time."""
    who = " against ".join(subject.name for subject, _ in entrants)
    told.start(len(dataset), "patches", f"Evaluating {who} on {dataset.name}")
    total = tp = 0
    for patch in dataset:
        truth = truth_of(patch, mpp)
        for place, (subject, tally) in enumerate(entrants):
            answer = subject.answer(patch, mpp)
            found = tally.add(truth, answer)
            if place == 0:
                total += len(found.truth_labels)
                tp += found.counts()["truth"]["matched"]
                if extremes is not None:
                    extremes.offer(truth, answer, found)
        told.advance(1, objects=total, found=tp / total if total else 0.0)
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
    unit = _group_unit(dataset)
    seen, noted = _remarks(dataset, subject, tally)
    names = _names([subject for subject, _ in entrants])
    comparison = None
    if len(entrants) > 1:
        other, other_tally = entrants[1]
        their_warnings, their_notes = _remarks(dataset, other, other_tally)
        comparison = Comparison(
            name=names[1],
            facts=other.facts(),
            accumulator=other_tally.scores,
            intervals=other_tally.intervals(n=n, seed=seed),
            differences=tally.differences(other_tally, n=n, seed=seed),
            warnings=their_warnings,
            notes=their_notes,
        )
    groups = next((interval.n_groups for interval in intervals.values()), 0)
    return Evaluation(
        name=names[0],
        facts={**facts, **subject.facts()},
        accumulator=tally.scores,
        intervals=intervals,
        group_unit=unit,
        failures=tally.failures,
        warnings=seen,
        notes=(*noted, *_notes_on_data(dataset, facts["mpp_assumed"]), *_notes_on_groups(groups, unit)),
        comparison=comparison,
        colors={name: colors[name] for name in tally.match.classes},
        worst=extremes.worst if extremes else (),
        best=extremes.best if extremes else (),
    )


def _names(subjects: Sequence[Subject]) -> list[str]:
    """What they are called side by side; where two have one name, their places tell them apart."""
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        names = [f"{subject.name} ({subject.origin})" for subject in subjects]
    return [name if name not in names[:k] else f"{name}, again" for k, name in enumerate(names)]


def _remarks(dataset: Dataset, subject: Subject, tally: Tally) -> Exposure:
    """What to say about the scores of one subject."""
    seen = subject.exposure(dataset)
    notes = [*seen.notes, *subject.remarks(), *([tally.match.note] if tally.match.note else [])]
    return Exposure(seen.warnings, tuple(notes))


def _notes_on_data(dataset: Dataset, mpp: float | None) -> Iterator[str]:
    patches = dataset.patches
    unknown = patches["mpp"].null_count()
    if unknown and mpp is not None:
        yield f"{mpp:g} microns per pixel were assumed for {unknown:,} patches that state none."
    if unknown and mpp is None:
        text = f"{unknown:,} patches do not state their microns per pixel: they are left out of detection and distances"
        yield f"{text} (--mpp gives a value)."
    partial = int((~patches["exhaustive"]).sum())
    if partial:
        yield f"{partial:,} patches are partly annotated: only the surroundings of their annotated objects were scored."
    if dataset.instances["label"].count() == 0:
        yield "No patch has an outlined object: every prediction counts as a false one."


def _notes_on_groups(count: int, unit: str) -> Iterator[str]:
    if count == 1:
        yield f"All patches come from one {unit}: there are no intervals."
    elif 1 < count < FEW_GROUPS:
        yield f"There are only {count} {unit}s: intervals drawn from so few are too narrow."


def _group_unit(dataset: Dataset) -> str:
    """What the groups of a data set are, as far as its columns tell."""
    patches = dataset.patches
    if patches["group"].null_count() == len(dataset):
        return "patch"
    for unit in ("patient", "slide", "centre"):
        if (patches["group"].eq_missing(patches[unit])).all():
            return unit
    return "group"


def _check_mpp(mpp: float | None) -> None:
    if mpp is not None and known_mpp(mpp) is None:
        low, high = MPP_RANGE
        raise InputError(f"{mpp} microns per pixel is outside {low} to {high}.", where="--mpp")


def _checked_report(report: Path | str | None, *, overwrite: bool) -> Path | None:
    """The path of the report, refused before hours are spent on its content.

    Raises:
        OutputError: something stands there.
    """
    if report is None:
        return None
    path = Path(report)
    if path.is_dir():
        raise OutputError("A folder of that name is in the way.", where=path, fix="Name a file, such as report.html.")
    if path.exists() and not overwrite:
        raise OutputError("The file is there already.", where=path, fix="Choose another name, or add --overwrite.")
    return path


def _check_outlines(dataset: Dataset) -> None:
    """A truth of points or boxes alone has no pixels to be scored against.

    Raises:
        DatasetError: there are objects, and none has an outline.
    """
    objects = dataset.instances
    if objects.height and objects["label"].count() == 0 and (objects["layer"] == "nucleus").any():
        kinds = ", ".join(sorted(set(objects["kind"].to_list())))
        what = f"No object has an outline; there are only objects of kind {kinds}."
        raise DatasetError(what, where=dataset.path, fix="Evaluate on a data set with outlines or label images.")
