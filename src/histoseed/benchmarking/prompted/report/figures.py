"""The plots of an experiment: scores beside published ones, scores against lengths and numbers, losses."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping

from histoseed.benchmarking.prompted.report.cells import estimate_of, score_name
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import CONDITION, SETTING, label_of, said, value_of, varying
from histoseed.benchmarking.prompted.report.lines import RULE, lines_of, rule_words
from histoseed.benchmarking.prompted.results import PromptResult, Score
from histoseed.benchmarking.report.document import Plot
from histoseed.benchmarking.report.wording import LEVEL_WORDS
from histoseed.pictures import NumberPanel, Points, Themed, interval_chart, number_curves
from histoseed.prompting.simulate import Length

__all__ = ["curve_plots", "loss_plot", "score_plot"]

ROWS_IN_CHART = 60
PANELS, CURVES = 6, 12
"""Most panels and curves of a plot."""

_AXES = {
    "jitter": "largest move of a side of the box",
    "shift": "move of the rough mask",
    f"{SETTING}patches": "annotated patches",
}
"""Fields that are numbers, and what an axis of them is called."""
_UNITS = {"um": "µm", "px": "level-0 pixels", "%": "% of the diameter", "w": "pixels of a window of 1024"}
_TRAINING = ("model", "fusion", "histology", "method", "train_sets", "training_prompts", "loss", "seed")
"""Fields by which trainings differ, besides their settings."""

_Row = tuple[float, float, float]


def score_plot(found: Experiment, score: str) -> Plot | None:
    """A score of every line: results with intervals, and what was published, as open diamonds.

    None where there are fewer than two lines, more than a chart holds, or none of ours.
    """
    rows: list[tuple[str, float, float, float]] = []
    hollow: list[int] = []
    for line in lines_of(found):
        row = _row(line.scores.get(score))
        if row is not None:
            if line.published:
                hollow.append(len(rows))
            source = f" ({line.source})" if line.published or line.source == RULE else ""
            rows.append((f"{_head(found, line.key)}{line.name}{source}", *row))
    if not 2 <= len(rows) <= ROWS_IN_CHART or len(rows) == len(hollow):
        return None
    name = score_name(score)
    theirs = " Open diamonds are published figures, on other data." if hollow else ""
    caption = f"{name}, mean over objects, with {LEVEL_WORDS} intervals over groups.{theirs}"
    draw = functools.partial(interval_chart, rows, score=name, notice=found.notice, hollow=hollow)
    return _plot(f"{found.slug}-scores", draw, caption, "The table holds the numbers.")


def _head(found: Experiment, key: tuple[str, ...]) -> str:
    """What heads the lines of a condition, in words."""
    words = ", ".join(filter(None, map(said, found.keys, key)))
    return f"{words}: " if words else ""


def _row(given: object) -> _Row | None:
    """Value and ends of an interval; None for what cannot be drawn."""
    if isinstance(given, Score):
        return estimate_of(given)
    return (float(given), math.nan, math.nan) if isinstance(given, int | float) else None


def curve_plots(found: Experiment, score: str) -> Iterator[Plot]:
    """A score against the jitter of boxes, the shift of masks and the number of patches, a panel a unit.

    Simple rules have curves as well where they see what is varied.
    """
    for name, words in _AXES.items():
        others = [one for one in varying(found.results) if one != name]
        panels: dict[str, dict[str, dict[float, _Row]]] = {}
        for one in found.results:
            rows = {label_of(one, others): _row(one.scores.get(score))}
            asked = [other for other in others if other in CONDITION]
            rows |= {rule_words(rule, one, asked): _row(scores.get(score)) for rule, scores in one.baselines.items()}
            for unit, x in _places(name, value_of(one, name)):
                for who, row in rows.items():
                    if row is not None:
                        panels.setdefault(unit, {}).setdefault(who, {})[x] = row
        shown = [
            NumberPanel("", several, score_name(score), f"{words} ({unit})" if unit else words)
            for unit, curves in panels.items()
            if (several := {who: points for who, points in curves.items() if len(points) > 1})
        ]
        if shown and len({who for panel in shown for who in panel.curves}) <= CURVES:
            caption = f"{score_name(score)} against {words}, with {LEVEL_WORDS} intervals over groups."
            draw = functools.partial(number_curves, shown, log_x=name.startswith(SETTING), notice=found.notice)
            file = f"{found.slug}-by-{name.removeprefix(SETTING)}"
            yield _plot(file, draw, caption, "The table holds the numbers.")


def _places(name: str, text: str) -> list[tuple[str, float]]:
    """Unit and place on an axis; no length at all has a place in every unit."""
    if name.startswith(SETTING):
        return [("", float(text))] if text.isdecimal() else []
    if text == "0":
        return [(words, 0.0) for words in _UNITS.values()]
    length = Length.parse(text)
    return [(_UNITS[length.unit], length.value)]


def loss_plot(found: Experiment) -> Plot | None:
    """Losses of the trainings, a panel each; the same training is shown once.

    None where no training was followed over two epochs.
    """
    trained: dict[object, PromptResult] = {}
    for one in found.results:
        if len(one.history) > 1:
            trained.setdefault(one.history, one)
    if not trained:
        return None
    results = list(trained.values())
    names = [name for name in varying(results) if name in _TRAINING or name.startswith(SETTING)]
    shown = [NumberPanel(label_of(one, names), _losses(one), "loss", "epochs") for one in results[:PANELS]]
    more = f" {len(shown)} of {len(results)} trainings are shown." if len(results) > len(shown) else ""
    caption = f"Losses of the trainings, each on its own scale: different losses cannot be compared.{more}"
    draw = functools.partial(number_curves, shown, log=True, notice=found.notice)
    return _plot(f"{found.slug}-losses", draw, caption, "The rows of results.csv hold the numbers.")


def _losses(result: PromptResult) -> Mapping[str, Points]:
    """The curves of a training; a loss that was not computed has no point."""
    train = {one.number: one.train for one in result.history}
    validation = {one.number: one.validation for one in result.history}
    return {
        name: {x: (y, math.nan, math.nan) for x, y in values.items() if y is not None}
        for name, values in {"training part": train, "validation part": validation}.items()
    }


def _plot(name: str, draw: Callable[[], Themed], caption: str, more: str) -> Plot:
    """A plot that is drawn once."""
    return Plot(name, functools.cache(draw), caption, f"{caption} {more}")
