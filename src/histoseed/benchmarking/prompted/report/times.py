"""What answers cost: seconds and sizes of models, beside published ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from histoseed.benchmarking.prompted.report.cells import figure, published_rows, seconds, source_of
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import CONDITION, label_of, varying
from histoseed.benchmarking.prompted.report.lines import HERE
from histoseed.benchmarking.prompted.results import Timing
from histoseed.benchmarking.report.document import Table, Value
from histoseed.wording import counted

__all__ = ["TIMES", "device_words", "time_table"]

TIMES = ("encode", "decode", "frames_per_second", "million_parameters")
"""Published numbers that stand in the table of times."""
_NOT_MODEL = (*CONDITION, "clean", "recirculate", "test_sets", "seed")


def time_table(found: Experiment) -> Table | None:
    """Seconds of embedding a window and of answering a prompt; None where nothing was timed.

    Over all conditions but those that give answers back, which ask more than once.
    """
    rows: list[list[Value]] = []
    for row in published_rows(found):
        if row.scores.keys() & set(TIMES):
            encode, decode, frames, size = (row.scores.get(name) for name in TIMES)
            note = f"{frames:g} frames a second" if isinstance(frames, int | float) else None
            rows.append([row.model, source_of(row), seconds(encode), seconds(decode), None, figure(size), note])
    arms = [name for name in varying(found.results) if name not in _NOT_MODEL]
    timed: dict[tuple[object, ...], list[Timing]] = {}
    for one in found.results:
        if one.timing is not None and not one.condition.recirculate:
            entry = (label_of(one, ["model", *(n for n in arms if n != "model")]), one.model.parameters)
            timed.setdefault((*entry, one.timing.side, device_words(one.timing)), []).append(one.timing)
    for (name, parameters, side, device), timings in timed.items():
        millions = figure(parameters / 1e6) if isinstance(parameters, int) else None
        encode, decode = (_median([getattr(t, kind) for t in timings]) for kind in ("encode", "decode"))
        window = None if side is None else f"{side} px"
        rows.append([name, HERE, seconds(encode), seconds(decode), window, millions, device])
    header = ["model", "source", "embed a window", "answer a prompt", "window", "parameters (M)", "device"]
    return Table("Time, medians", header, rows, "llrrrrl", folded=found.folds(rows, 24)) if rows else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def device_words(timing: Timing) -> str:
    """What answered, and on how many threads."""
    return timing.device if timing.threads is None else f"{timing.device}, {counted(timing.threads, 'thread')}"
