"""The report for machines: what the page says, as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from histoseed._version import __version__
from histoseed.benchmarking.report.arms import ARM_FIELDS, Arm
from histoseed.benchmarking.report.costs import cost_points
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.limits import limit_sentences
from histoseed.benchmarking.report.ranking import Pair, Ranking
from histoseed.benchmarking.report.repeats import RESAMPLES
from histoseed.benchmarking.report.resampling import LEVEL, Estimate

__all__ = ["REPORT_KIND", "machine_report"]

REPORT_KIND = "histoseed benchmark report"
"""Says what the file is; also by what a folder is known that may be replaced."""


def machine_report(found: Findings, date: str = "") -> dict[str, Any]:
    """The report as a JSON object; what is undefined is null, NaN never occurs.

    Args:
        found: What was found.
        date: As it shall be read.
    """
    report = {
        "kind": REPORT_KIND,
        "version": 1,
        "histoseed_version": __version__,
        "date": date,
        "plan": dict(found.plan),
        "random_weights": found.random,
        "scores": dict(found.results.scores),
        "interval_level": LEVEL,
        "resamples": RESAMPLES,
        "arms": [_arm(found, arm) for arm in found.arms],
        "cells": list(_cells(found)),
        "ranking": _ranking(found, found.ranking) if found.ranking else None,
        "spread": {
            "all": dataclasses.asdict(found.components()),
            **{b.label: dataclasses.asdict(found.components(budget=b)) for b in found.results.budgets},
        },
        "costs": [dataclasses.asdict(point) for point in cost_points(found)],
        "failed": list(found.failed),
        "missing": list(found.missing),
        "limits": list(limit_sentences(found)),
    }
    plain: dict[str, Any] = _finite(report)
    return plain


def _arm(found: Findings, arm: Arm) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": found.names[arm], **dict(zip(ARM_FIELDS, arm.fields, strict=True))}
    return facts | {"options": json.loads(arm.options), "random_weights": arm.random}


def _cells(found: Findings) -> Any:
    for (arm, dataset, budget), cell in found.results.cells.items():
        yield {
            "arm": found.names[arm],
            "dataset": dataset,
            "budget": {"unit": budget.unit, "asked": "all" if budget.asked is None else budget.asked},
            "score": cell.key,
            **_estimate(found.estimates.get((arm, dataset, budget))),
            "draws": len({run.draw for run in cell.runs}),
            "runs": len(cell.runs),
        }


def _ranking(found: Findings, ranking: Ranking) -> dict[str, Any]:
    tested = ranking.friedman
    return {
        "arms": [{"arm": found.names[arm], **_estimate(ranking.overall[arm])} for arm in ranking.arms],
        "cells": [{"dataset": name, "n": budget.label, "unit": budget.unit} for name, budget in ranking.cells],
        "not_ranked": [found.names[arm] for arm, _ in ranking.left_out],
        "blocks": len(ranking.blocks),
        "block_units": dict(ranking.block_units),
        "friedman": None if tested is None else {
            "mean_ranks": [float(rank) for rank in tested.ranks],
            "blocks": tested.blocks, "chi2": tested.chi2, "f": tested.f, "p": tested.p,
            "critical_difference": ranking.critical,
        },
        "pairs_tested": ranking.family,
        "pairs": [_pair(found, pair) for pair in ranking.pairs],
    }  # fmt: skip


def _pair(found: Findings, pair: Pair) -> dict[str, Any]:
    return {
        "first": found.names[pair.first],
        "second": found.names[pair.second],
        "difference": _estimate(pair.difference),
        "p": pair.p,
        "p_holm": pair.corrected,
        "ahead_in": pair.draws[0],
        "of": pair.draws[1],
    }


def _estimate(found: Estimate | None) -> dict[str, Any]:
    return Estimate(math.nan)._asdict() if found is None else found._asdict()


def _finite(value: Any) -> Any:
    """JSON without NaN and infinities, and with nothing that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
