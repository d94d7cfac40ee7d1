"""Everything that a report of promptable models leaves on the disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from histoseed._version import __version__
from histoseed.benchmarking.prompted.report.contents import document_of
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import FIELDS, value_of
from histoseed.benchmarking.prompted.report.limits import limit_sentences
from histoseed.benchmarking.report.files import check_page, publish, read_clock
from histoseed.benchmarking.report.machine import REPORT_KIND

__all__ = ["without_cases", "write_prompt_report"]


def without_cases(found: Experiment) -> Experiment:
    """An experiment without pictures of its objects, for a page that holds no part of a data set."""
    return replace(found, results=tuple(replace(one, cases=()) for one in found.results))


def write_prompt_report(
    experiments: Sequence[Experiment],
    *,
    results: Path | str,
    out: Path | str,
    title: str = "Promptable segmentation",
    overwrite: bool = False,
) -> Path:
    """Write the report of one or more plans: a page, Markdown with pictures, tables for others.

    Args:
        experiments: In the order of the page.
        results: Folder of the results; the pictures of cases lie in it.
        out: The folder to write; absent, empty, or with ``overwrite`` an earlier report.
        title: Of the page.
        overwrite: Replace an earlier report.

    Returns:
        The page, ``out/index.html``.

    Raises:
        InputError: the picture of a case is damaged.
        OutputError: ``out`` is not empty, or is no report that may be replaced.
    """
    folder = Path(out)
    check_page(folder, overwrite=overwrite)
    date = read_clock()
    document = document_of(experiments, Path(results), title)
    report = {
        "kind": REPORT_KIND,
        "task": "prompt",
        "version": 1,
        "histoseed_version": __version__,
        "date": date,
        "title": title,
        "experiments": [_experiment(found) for found in experiments],
        "limits": list(limit_sentences(experiments)),
    }
    return publish(document, folder, table=_table(experiments), report=report, date=date, overwrite=overwrite)


def _experiment(found: Experiment) -> dict[str, Any]:
    rows = found.published.rows if found.published is not None else ()
    return {
        "plan": found.plan,
        "preset": found.preset,
        "title": found.title,
        "random_weights": found.random,
        "published": [
            {name: getattr(row, name) for name in ("source", "model", "keys", "scores", "usability")} for row in rows
        ],
        "results": [one.as_json() for one in found.results],
        "failed": [dict(row) for row in found.failed],
        "missing": [dict(row) for row in found.missing],
    }


def _table(experiments: Sequence[Experiment]) -> pl.DataFrame:
    """One row a result: what it is, its scores with intervals, its times; the rest stands in the JSON."""
    rows: list[dict[str, Any]] = []
    scores = sorted({name for found in experiments for one in found.results for name in one.scores})
    for found in experiments:
        for one in found.results:
            row: dict[str, Any] = {"plan": found.plan, "preset": found.preset}
            row |= {name: value_of(one, name) for name in FIELDS}
            row |= {"random_weights": one.model.random_weights, "objects": one.objects, "groups": one.groups}
            row["training_json"] = json.dumps(dict(one.model.training), sort_keys=True)
            for name in scores:
                given = one.scores.get(name)
                ends = (None, None, None) if given is None else (given.value, given.low, given.high)
                row |= dict(zip((f"score_{name}", f"low_{name}", f"high_{name}"), ends, strict=True))
            timing = one.timing
            row["seconds_encode"] = None if timing is None else timing.encode
            row["seconds_decode"] = None if timing is None else timing.decode
            rows.append(row)
    columns = rows[0] if rows else {}
    numbers = {name: pl.Float64 for name in columns if name.startswith(("score_", "low_", "high_", "seconds_"))}
    return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)
