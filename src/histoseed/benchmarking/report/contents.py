"""The sections of the report, in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histoseed.benchmarking.report.arms import arm_of
from histoseed.benchmarking.report.document import Block, Document, Note, Numbers, Section, Table, Text, Value
from histoseed.benchmarking.report.exposure import exposure_table, licence_tables
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.limits import limit_sentences
from histoseed.benchmarking.report.plots import cost_plot, critical_plot, curve_plots, ranking_plot
from histoseed.benchmarking.report.protocol_words import protocol_blocks
from histoseed.benchmarking.report.ranking import ALPHA, Ranking
from histoseed.benchmarking.report.results import budget_of
from histoseed.benchmarking.report.tables import (
    arm_table,
    budget_tables,
    class_tables,
    cost_table,
    pair_tables,
    ranking_table,
    spread_tables,
)
from histoseed.benchmarking.report.wording import duration, joined, p_value
from histoseed.errors import InputError
from histoseed.wording import counted

__all__ = ["document_of"]


def document_of(found: Findings) -> Document:
    """The whole report as content."""
    name = str(found.plan.get("title") or found.plan.get("name") or "Benchmark")
    title = f"{name} \N{EN DASH} random weights, not a ranking" if found.random else name
    sections = [
        Section("Summary", list(_summary(found))),
        *_ranking_sections(found),
        Section("Score against annotations", [*curve_plots(found), *budget_tables(found)]),
        Section("Draws and seeds", list(_spread(found))),
        Section("Cost", list(_cost(found))),
        Section("Classes", list(class_tables(found))),
        Section("Seen in pre-training, licences", list(_exposure(found))),
        Section("Failed and missing runs", list(_lost(found))),
        Section("How it was measured", list(protocol_blocks(found))),
        Section("What this page cannot show", [Text(sentence) for sentence in limit_sentences(found)]),
    ]
    return Document(title, _subtitle(found), sections, sortable=not found.random)


def _subtitle(found: Findings) -> str:
    what = (
        f"{counted(len(found.arms), 'arm')} on {counted(len(found.results.datasets), 'data set')}, "
        f"{counted(len(found.results.runs), 'run')}"
    )
    description = str(found.plan.get("description") or "").strip()
    return f"{description} {what[0].upper()}{what[1:]}." if description else f"{what[0].upper()}{what[1:]}."


def _summary(found: Findings) -> Iterator[Block]:
    if found.random:
        yield Note(
            "Encoders of this page started from random weights. The page shows that everything runs and what "
            "training from "
            "nothing reaches; it is not a ranking, and none may be read from it.",
            "warning",
        )
    results = found.results
    missing = sum(int(row.get("runs") or 1) for row in found.missing)
    yield Numbers(
        {
            "arms": (len(found.arms), ""),
            "data sets": (len(results.datasets), ", ".join(results.datasets[:6])),
            "runs": (len(results.runs), _trained_for(found)),
            "failed": (len(found.failed), ""),
            "missing": (missing, ""),
        }
    )
    ranking = found.ranking
    if ranking is not None and len(ranking.arms) > 1:
        yield Text(_outcome(found, ranking))
    if not results.runs:
        yield Note("There is no result yet.")


def _trained_for(found: Findings) -> str:
    seconds = [cost for run in found.results.runs if math.isfinite(cost := run.cost("train_seconds"))]
    return f"{duration(sum(seconds))} of training" if seconds else ""


def _outcome(found: Findings, ranking: Ranking) -> str:
    """What the ranking comes to, in words."""
    first = found.names[ranking.arms[0]]
    against = [pair for pair in ranking.pairs if pair.first == ranking.arms[0]]
    open_ones = [found.names[pair.second] for pair in against if not pair.corrected < ALPHA]
    value = ranking.overall[ranking.arms[0]].value
    text = f"{first} has the highest mean ({value:.3f})."
    if not open_ones:
        return f"{text} It is ahead of every other arm by more than the choice of test groups explains."
    if len(open_ones) == len(against):
        return f"{text} The tests do not tell it apart from any other arm."
    more = [f"{len(open_ones) - 4} more"] if len(open_ones) > 4 else []
    some = joined([*open_ones[:4], *more])
    return f"{text} The tests do not tell it apart from {some}."


def _ranking_sections(found: Findings) -> Iterator[Section]:
    ranking = found.ranking
    if found.random:
        yield Section("Arms", [arm_table(found)])
        return
    if ranking is None:
        return
    words, table = Text(_ranked_over(ranking)), ranking_table(found, ranking)
    if len(ranking.arms) == 1:
        yield Section("Result", [words, table])
        return
    yield Section("Ranking", [words, table, ranking_plot(found, ranking)])
    plot = critical_plot(found, ranking)
    tested = ranking.friedman
    if plot is not None and tested is not None:
        alike = "some arms differ" if tested.p < ALPHA else "the arms are not told apart"
        text = f"Friedman test over {counted(tested.blocks, 'block')}: p {_with_sign(tested.p)}, {alike}."
        yield Section("Critical difference", [Text(text), plot])
    if ranking.pairs:
        text = (
            "Every two arms on the same test groups and draws. A difference counts as shown where p after Holm is "
            f"below {ALPHA}; \u201cahead in draws\u201d counts the draws of every data set."
        )
        yield Section("Paired tests", [Text(text), *pair_tables(found, ranking)])


def _ranked_over(ranking: Ranking) -> str:
    datasets = list(dict.fromkeys(name for name, _ in ranking.cells))
    budgets = sorted({budget for _, budget in ranking.cells})
    numbers = ", ".join(budget.label for budget in budgets)
    several = len(datasets) > 1, len(budgets) > 1
    return (
        f"{counted(len(ranking.arms), 'arm')} with results on {joined(datasets)} at N = {numbers}. {_MEANS[several]}"
    ).strip()


_MEANS = {
    (True, True): "The score is the mean over data sets of the mean over N; few annotations and many weigh alike.",
    (True, False): "The score is the mean over data sets.",
    (False, True): "The score is the mean over N; few annotations and many weigh alike.",
    (False, False): "",
}


def _with_sign(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _spread(found: Findings) -> Iterator[Block]:
    tables = list(spread_tables(found))
    if tables:
        yield Text(
            "Standard deviations that another draw of annotations, and another seed of the training on the same "
            "annotations, would cause; seeds lie within draws, and the parts come from an analysis of variance that "
            "is pooled over arms and data sets."
        )
        yield from tables


def _cost(found: Findings) -> Iterator[Block]:
    plot, table = cost_plot(found), cost_table(found)
    if plot is not None:
        yield plot
    if table is not None:
        yield table


def _exposure(found: Findings) -> Iterator[Block]:
    table = exposure_table(found)
    if table is not None and table.rows:
        yield table
    yield from licence_tables(found)


def _lost(found: Findings) -> Iterator[Block]:
    if found.failed:
        yield _failed(found, found.failed)
    if found.missing:
        yield _missing(found, found.missing)
    if not found.failed and not found.missing:
        yield Text("No run failed, and none is missing.")


def _failed(found: Findings, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Runs that failed for one reason stand in one line."""
    grouped: dict[tuple[str, str, str, str], int] = {}
    for row in rows:
        name = found.names[arm_of(row.get("arm") or {})]
        key = (name, str(row.get("dataset") or ""), _budget_words(row), str(row.get("error") or "unknown"))
        grouped[key] = grouped.get(key, 0) + 1
    body: list[list[Value]] = [[arm, data, n, count, error] for (arm, data, n, error), count in grouped.items()]
    return Table("Failed runs", ["arm", "data set", "N", "runs", "error"], body, "llrrl")


def _budget_words(row: Mapping[str, Any]) -> str:
    try:
        return budget_of(row.get("budget") or {}).label
    except InputError:
        return ""


def _missing(found: Findings, rows: Sequence[Mapping[str, Any]]) -> Table:
    """What is missing for one reason stands in one line."""
    grouped: dict[tuple[str, str], tuple[dict[str, None], int]] = {}
    for row in rows:
        key = found.names[arm_of(row.get("arm") or {})], str(row.get("why") or "unknown")
        datasets, count = grouped.get(key, ({}, 0))
        grouped[key] = {**datasets, str(row.get("dataset") or ""): None}, count + int(row.get("runs") or 1)
    body: list[list[Value]] = [
        [arm, ", ".join(sorted(datasets)) or None, count, why] for (arm, why), (datasets, count) in grouped.items()
    ]
    return Table("Missing runs", ["arm", "data sets", "runs", "why"], body, "llrl")
