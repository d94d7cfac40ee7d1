"""The sections of the report, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from histoseed.benchmarking.prompted.report.experiments import Experiment, shown_score
from histoseed.benchmarking.prompted.report.figures import curve_plots, loss_plot, score_plot
from histoseed.benchmarking.prompted.report.labels import common_words
from histoseed.benchmarking.prompted.report.limits import limit_sentences
from histoseed.benchmarking.prompted.report.shapes import shape_tables
from histoseed.benchmarking.prompted.report.sheets import case_photos
from histoseed.benchmarking.prompted.report.sizes import empty_strata, size_table
from histoseed.benchmarking.prompted.report.tables import score_table, set_table
from histoseed.benchmarking.prompted.report.times import time_table
from histoseed.benchmarking.report.document import Block, Document, Facts, Note, Numbers, Section, Table, Text, Value
from histoseed.benchmarking.report.wording import LEVEL_WORDS, joined
from histoseed.wording import counted

__all__ = ["document_of"]

_READABLE = 40
"""Letters of a fact; fingerprints are for machines, and stand in the JSON."""


def document_of(experiments: Sequence[Experiment], folder: Path, title: str) -> Document:
    """The whole report as content.

    Args:
        experiments: In the order of the page.
        folder: Of the results, where the pictures of cases lie.
        title: Of the page.
    """
    experiments = _ordered(experiments)
    repeated = Counter(found.title for found in experiments)
    sections = [
        Section("Summary", list(_summary(experiments))),
        *(
            Section(_title(found, repeated), [block for block in _experiment(found, folder) if block is not None])
            for found in experiments
        ),
        Section("Sources of published figures", list(_sources(experiments))),
        Section("Failed and missing runs", list(_lost(experiments))),
        Section("How it was measured", list(_protocol(experiments))),
        Section("What this page cannot show", [Text(sentence) for sentence in limit_sentences(experiments)]),
    ]
    results = sum(len(found.results) for found in experiments)
    how_many = f"{counted(len(experiments), 'experiment')}, {counted(results, 'result')}"
    beside = ", beside what was published" if any(found.published for found in experiments) else ""
    subtitle = f"{how_many}{beside}."
    return Document(title, subtitle, sections)


def _ordered(experiments: Sequence[Experiment]) -> list[Experiment]:
    """What says something comes first; random weights stand beside published figures only where nothing else does."""
    real = {found.plan for found in experiments if found.results and not found.random}
    shown = [replace(found, compared=False) if found.random and found.plan in real else found for found in experiments]
    return sorted(shown, key=lambda found: (not found.results, found.random))


def _title(found: Experiment, repeated: Mapping[str, int]) -> str:
    """Plans that were run with several presets are told apart."""
    return f"{found.title} ({found.preset})" if repeated[found.title] > 1 and found.preset else found.title


def _summary(experiments: Sequence[Experiment]) -> Iterator[Block]:
    random = [found for found in experiments if found.random]
    if random:
        which = "All experiments" if len(random) == len(experiments) else counted(len(random), "experiment")
        yield Note(
            f"{which} of this page ran with models that started from random weights. These show that every step runs; "
            "no score of theirs may be held against a published one.",
            "warning",
        )
    results = [one for found in experiments for one in found.results]
    real = [one for one in results if not one.model.random_weights]
    failed, missing = (sum(len(getattr(one, kind)) for one in experiments) for kind in ("failed", "missing"))
    yield Numbers(
        {
            "experiments": (len(experiments), ""),
            "results": (len(results), f"{len(real)} with trained weights"),
            "data sets": (len({name for one in results for name in one.test_sets}), ""),
            "objects": (max((one.objects for one in results), default=0), "in the largest result"),
            "not there": (failed + missing, f"{failed} failed, {missing} missing"),
        }
    )
    rows = [_overview(found) for found in experiments]
    header = ["experiment", "preset", "weights", "results", "objects", "Dice here", "Dice published"]
    yield Table("All experiments; data differ, so that scores stand side by side and are no comparison", header, rows,
                "lllrrrr")  # fmt: skip


def _overview(found: Experiment) -> list[Value]:
    ours = [given.value for one in found.results if (given := one.scores.get("dice")) is not None]
    theirs = [row.scores.get("dice") for row in found.published.rows] if found.published is not None else []
    numbers = [end for given in theirs if given is not None for end in (given if isinstance(given, list) else [given])]
    weights = "random" if found.random else "trained" if found.results else None
    objects = max((one.objects for one in found.results), default=None)
    return [found.title, found.preset or None, weights, len(found.results), objects, _ends(ours),
            _ends(numbers)]  # fmt: skip


def _ends(values: Sequence[float | None]) -> str | None:
    """The lowest and the highest of some values."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = f"{min(known):.3f}", f"{max(known):.3f}"
    return low if low == high else f"{low} to {high}"


def _experiment(found: Experiment, folder: Path) -> Iterator[Block | None]:
    score = shown_score(found.results)
    if found.description:
        yield Text(found.description)
    if found.random:
        yield Note("Random weights: the rows here show that every step runs, and say nothing else.", "warning")
    if not found.results:
        yield Text("There is no result of it yet.")
    yield from _comparison(found)
    if found.results and (words := common_words(found.results)):
        yield Text(words)
    yield score_plot(found, score)
    yield score_table(found)
    yield from curve_plots(found, score)
    yield set_table(found, score)
    yield size_table(found, score)
    if empty := empty_strata(found):
        yield Text(f"No object was {joined(empty)} pixels long: nothing here speaks of these sizes.")
    yield from shape_tables(found)
    yield time_table(found)
    yield loss_plot(found)
    yield from case_photos(found, score, folder)


def _comparison(found: Experiment) -> Iterator[Block]:
    """What was published, on which data, and what to know before looking at both."""
    published = found.published
    if not found.compared:
        return
    if published is None:
        yield Text("Nothing that was published of this experiment is at hand.")
        return
    here = f"here on {joined(list(found.data_sets))}" if found.data_sets else "not run here"
    names = joined([source.short for source in published.sources])
    yield Text(f"Published ({names}) on {published.data}; {here}. Different data: side by side, not a comparison.")
    if published.note:
        yield Note(published.note)


def _sources(experiments: Sequence[Experiment]) -> Iterator[Block]:
    known = dict.fromkeys(
        source for found in experiments if found.published is not None for source in found.published.sources
    )
    if known:
        yield Facts({source.short: source.full for source in known})


def _lost(experiments: Sequence[Experiment]) -> Iterator[Block]:
    for caption, kind, reason in (("Failed runs", "failed", "error"), ("Missing runs", "missing", "why")):
        grouped: dict[tuple[str, str], list[str]] = {}
        for found in experiments:
            for row in getattr(found, kind):
                grouped.setdefault((found.title, str(row.get(reason) or "unknown")), []).append(str(row.get("what")))
        rows: list[list[Value]] = [[title, _several(whats), len(whats), why] for (title, why), whats in grouped.items()]
        if rows:
            yield Table(caption, ["experiment", "what", "runs", reason], rows, "llrl")
    if not any(found.failed or found.missing for found in experiments):
        yield Text("No run failed, and none is missing.")


def _several(whats: Sequence[str]) -> str:
    names = list(dict.fromkeys(whats))
    return "; ".join([*names[:4], *([f"and {len(names) - 4} more"] if len(names) > 4 else [])])


def _protocol(experiments: Sequence[Experiment]) -> Iterator[Block]:
    yield Text(
        "Protocol rapid-cytomine (docs/metrics.md): Dice, IoU, precision and recall of every answer against its own "
        "object, then the mean over all objects of all sets; an empty answer scores 0 in all four. Of several "
        "candidates the one counts that the model itself scores highest."
    )
    yield Text(
        f"Intervals hold {LEVEL_WORDS} of the bootstrap resamples of patients or slides. Rows called \u201crule\u201d "
        "are what a simple rule makes of the same prompts."
    )
    yield Text(
        "Cases are chosen by rule: some by chance, some nearest to the median Dice, and the lowest. The picture shows "
        "the surroundings of the object; points outside it may lie beyond."
    )
    facts: dict[str, dict[str, None]] = {}
    for found in experiments:
        for one in found.results:
            for name, value in one.facts.items():
                if isinstance(value, str) and len(value) <= _READABLE:
                    facts.setdefault(name.replace("_", " "), {})[value] = None
    if facts:
        yield Facts({name: ", ".join(values) for name, values in sorted(facts.items())})
