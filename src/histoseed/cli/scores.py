"""Scores on the terminal: of nuclei and of areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from histoseed.cli.output import rows_table
from histoseed.wording import counted

__all__ = ["told_of_areas", "told_of_nuclei"]


def told_of_nuclei(scores: Any) -> list[str | Table]:
    """A sentence, the scores with their intervals and, where there are classes, a line for each.

    Args:
        scores: The result of ``evaluate`` for nuclei.
    """
    from histoseed.workflows.evaluation.words import SCORE_WORDS

    sentence = (
        f"{scores.name} on {scores['dataset']}, protocol {scores['protocol']}: "
        f"{counted(scores['n_patches'], 'patch')}, {scores['n_instances']:,} annotated and "
        f"{counted(scores['n_predicted'], 'predicted object')}."
    )
    classes = scores.accumulator.classes
    rows = [(name, _number(scores.get(f"pq_{name}")), _number(scores.get(f"f1_{name}"))) for name in classes]
    by_class = [rows_table(["class", "PQ", "F1"], rows, right=["PQ", "F1"])] if classes else []
    return [sentence, _score_table(scores, SCORE_WORDS), *by_class]


def told_of_areas(scores: Any) -> list[str | Table]:
    """A sentence, the scores with their intervals, and a line for each class.

    Args:
        scores: The result of ``evaluate`` for areas.
    """
    from histoseed.workflows.area_evaluation.words import AREA_WORDS

    unit = scores["group_unit"]
    groups = "" if unit == "patch" else f" of {counted(scores['n_groups'], unit)}"
    sentence = (
        f"{scores.name} on {scores['dataset']}, areas of {scores['areas']}, protocol {scores['protocol']}: "
        f"{counted(scores['n_patches'], 'patch')}{groups}, {counted(scores['pixels'], 'pixel')} judged."
    )
    kinds = {"Dice": "dice", "IoU": "iou", "Dice, pooled": "dice_pooled", "IoU, pooled": "iou_pooled"}
    rows = []
    for name in scores.accumulator.classes:
        dice, *others = (_number(scores[f"{kind}_{name}"]) for kind in kinds.values())
        rows.append([name, dice, _interval(scores["intervals"].get(f"dice_{name}")), *others])
    columns = ["class", "Dice", _level(scores), *list(kinds)[1:]]
    return [sentence, _score_table(scores, AREA_WORDS), rows_table(columns, rows, right=list(kinds))]


def _score_table(scores: Mapping[str, Any], words: Mapping[str, tuple[str, str]]) -> Table:
    """A line a score with its interval; beside it the other subject and the paired difference, where there is one."""
    other, level = scores["against"], _level(scores)
    columns = ["score", "value", level] + ([] if other is None else ["against", "difference", level])
    rows = []
    for key, (name, _) in words.items():
        if scores.get(key) is None:
            continue
        row = [name, _number(scores[key]), _interval(scores["intervals"].get(key))]
        if other is not None:
            difference = other["differences"].get(key, {})
            bounds = (difference.get("low"), difference.get("high"))
            row += [_number(other.get(key)), _number(difference.get("value"), signed=True), _interval(bounds)]
        rows.append(row)
    return rows_table(columns, rows, right=["value", "against", "difference"])


def _level(scores: Mapping[str, Any]) -> str:
    return "interval" if scores["interval_level"] is None else f"{scores['interval_level']:.0%} interval"


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(bounds: Sequence[float | None] | None) -> str:
    low, high = bounds or (None, None)
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
