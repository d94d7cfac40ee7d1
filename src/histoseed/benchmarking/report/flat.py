"""Results as one flat table, a run a row, for others to analyse."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from histoseed.benchmarking.report.exposure import verdict_of
from histoseed.benchmarking.report.results import Run, number

__all__ = ["flat_table"]

_TEXT = ("dataset", "dataset_fingerprint", "encoder", "weights", "decoder", "method", "classifier", "stain", "task",
         "source", "selection", "protocol", "seen_why", "trained", "scored")  # fmt: skip
_COUNTS = ("patches", "nuclei", "draw", "seed", "train_groups", "test_patches", "steps", "batch")
_NUMBERS = ("learning_rate", "model_mpp", "balance")
_COSTS = ("train_seconds", "evaluate_seconds", "peak_memory_bytes", "parameters", "trainable_parameters", "steps")
_LICENCES = ("encoder", "commercial", "dataset")
_JSON = ("options", "kinds", "annotated", "test_groups", "groups", "classes")


def flat_table(runs: Sequence[Run]) -> pl.DataFrame:
    """One row a run.

    Columns are always there and always of one type, but for ``score_*``, ``low_*`` and ``high_*``, which follow from
    the scores. What is a list or a mapping stands as JSON in the columns ``*_json``.
    """
    columns: dict[str, pl.Series] = {}

    def add(name: str, values: Sequence[Any], dtype: type[pl.DataType]) -> None:
        columns[name] = pl.Series(name, values, dtype=dtype)

    rows = [run.row for run in runs]
    for name in _TEXT:
        add(name, [_text(row.get(name)) for row in rows], pl.String)
    add("seen", [verdict_of(row) for row in rows], pl.String)
    add("seen_related", [_text("; ".join(map(str, row.get("seen_related") or ()))) for row in rows], pl.String)
    add("random_weights", [run.arm.random for run in runs], pl.Boolean)
    add("budget_unit", [run.budget.unit for run in runs], pl.String)
    add("budget_asked", ["all" if run.budget.asked is None else str(run.budget.asked) for run in runs], pl.String)
    for name in _COUNTS:
        add(name, [_whole(row.get(name)) for row in rows], pl.Int64)
    for name in _NUMBERS:
        add(name, [_float(row.get(name)) for row in rows], pl.Float64)
    for key in sorted({key for row in rows for key in row["scores"]}):
        add(f"score_{key}", [_float(row["scores"].get(key)) for row in rows], pl.Float64)
    for key in sorted({key for row in rows for key in row.get("intervals") or {}}):
        ends = [(row.get("intervals") or {}).get(key) or (None, None) for row in rows]
        add(f"low_{key}", [_float(low) for low, _ in ends], pl.Float64)
        add(f"high_{key}", [_float(high) for _, high in ends], pl.Float64)
    for name in _COSTS:
        add(f"cost_{name}", [_float((row.get("cost") or {}).get(name)) for row in rows], pl.Float64)
    add("cost_device", [_text((row.get("cost") or {}).get("device")) for row in rows], pl.String)
    for name in _LICENCES:
        add(f"licence_{name}", [_text((row.get("licence") or {}).get(name)) for row in rows], pl.String)
    for name in _JSON:
        add(f"{name}_json", [json.dumps(row.get(name), sort_keys=True, default=str) for row in rows], pl.String)
    return pl.DataFrame(list(columns.values()))


def _text(value: object) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _float(value: object) -> float | None:
    found = number(value)
    return found if math.isfinite(found) else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None
