"""Which plots the report shows, and what is drawn in them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from histoseed.benchmarking.report.arms import ARM_FIELDS, Arm
from histoseed.benchmarking.report.costs import COSTS, cost_points
from histoseed.benchmarking.report.document import Plot
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.ranking import Ranking
from histoseed.benchmarking.report.ranks import cliques
from histoseed.benchmarking.report.results import Budget, Cell, mean_of
from histoseed.benchmarking.report.wording import LEVEL_WORDS
from histoseed.pictures import (
    BudgetPanel,
    Curve,
    Style,
    Themed,
    budget_curves,
    cost_chart,
    critical_difference_diagram,
    interval_chart,
)
from histoseed.wording import counted

__all__ = ["cost_plot", "critical_plot", "curve_plots", "ranking_plot"]

CURVES_A_PLOT = 12
INTERVALS = 6
"""With more curves in a plot, their intervals hide each other."""
CURVE_PLOTS = 24
"""Beyond, curves are only in the tables."""
RANKED_IN_PLOT = 40
NAMES_IN_DIAGRAM = 24

_Places = Mapping[tuple[str, Budget], tuple[float, str]]
"""Data set and budget -> place on the axis, and what is written there."""


def ranking_plot(found: Findings, ranking: Ranking) -> Plot:
    """The overall scores and their intervals."""
    arms = ranking.arms[:RANKED_IN_PLOT]
    rows = [(found.names[arm], *ranking.overall[arm]) for arm in arms]
    score = found.mean_words()
    left = len(ranking.arms) - len(arms)
    more = f" The {len(arms)} best of {len(ranking.arms)} arms." if left else ""
    caption = f"{score[0].upper()}{score[1:]} over what is named above, with {LEVEL_WORDS} intervals.{more}"
    alt = f"{caption} First is {rows[0][0]} with {rows[0][1]:.3f}."
    label = f"{score}, {LEVEL_WORDS} interval"
    return _plot(
        found,
        "ranking",
        lambda: interval_chart(rows, score=label, notice=found.notice),
        caption,
        alt,
    )


def critical_plot(found: Findings, ranking: Ranking) -> Plot | None:
    """The critical-difference diagram; None without a Friedman test."""
    tested = ranking.friedman
    if tested is None:
        return None
    places = sorted(range(len(ranking.arms)), key=lambda i: (tested.ranks[i], i))[:NAMES_IN_DIAGRAM]
    names = [found.names[ranking.arms[i]] for i in places]
    ranks = [float(tested.ranks[i]) for i in places]
    bars = cliques(tested.ranks[places], ranking.critical)
    more = f" The {len(places)} best of {len(ranking.arms)} arms." if len(places) < len(ranking.arms) else ""
    caption = (
        f"Mean ranks over {counted(tested.blocks, 'block')}, the best at the left. Arms under one bar are not told "
        f"apart (Nemenyi, 5 % for all pairs together): they differ by less than {ranking.critical:.2f} ranks.{more}"
    )
    alt = f"{caption} {', '.join(f'{name} {rank:.2f}' for name, rank in zip(names, ranks, strict=True))}."
    return _plot(
        found,
        "critical-difference",
        lambda: critical_difference_diagram(names, ranks, ranking.critical, bars, notice=found.notice),
        caption,
        alt,
    )


def curve_plots(found: Findings) -> Iterator[Plot]:
    """Scores against annotations: one plot, or one an encoder where there are many arms."""
    units = dict.fromkeys(budget.unit for budget in found.results.budgets if budget.asked != 0)
    sheets = list(_sheets(found))
    places = _places(found)
    count = 0
    for unit, (title, arms) in itertools.product(units, sheets):
        plot = _curves(found, arms, unit, title, count, places)
        if plot is not None:
            count += 1
            yield plot
        if count == CURVE_PLOTS:
            return


def _sheets(found: Findings) -> Iterator[tuple[str, Sequence[Arm]]]:
    """Which arms share a plot, and what they have in common."""
    if len(found.arms) <= CURVES_A_PLOT:
        yield "", found.arms
        return
    for encoder in dict.fromkeys(arm["encoder"] for arm in found.arms):
        arms = [arm for arm in found.arms if arm["encoder"] == encoder]
        for start in range(0, len(arms), CURVES_A_PLOT):
            yield encoder, arms[start : start + CURVES_A_PLOT]


def _curves(  # noqa: PLR0917 - one caller
    found: Findings, arms: Sequence[Arm], unit: str, title: str, number: int, places: _Places
) -> Plot | None:
    panels = (_panel(found, arms, name, unit, places) for name in found.results.datasets)
    shown = [panel for panel in panels if panel is not None]
    if not any(len(panel.ticks) > 1 or any(c.level is not None for c in panel.curves) for panel in shown):
        return None  # a single number of annotations makes no curve
    styles = styles_of(arms, found)
    who = f" of {title}" if title else ""
    spread = f"with {LEVEL_WORDS} intervals" if len(arms) <= INTERVALS else "without intervals, which the tables hold"
    caption = (
        f"{found.score_words()}{who} against the number of annotated {unit}, a panel a data set: means over draws and "
        f"seeds, {spread}. The axis is logarithmic."
    )
    alt = f"{caption} {counted(len(styles), 'arm')} on {counted(len(shown), 'data set')}; the tables hold the numbers."
    return _plot(
        found,
        f"curves-{number + 1}",
        lambda: budget_curves(shown, styles, unit=f"annotated {unit}", notice=found.notice),
        caption,
        alt,
    )


def _panel(found: Findings, arms: Sequence[Arm], dataset: str, unit: str, places: _Places) -> BudgetPanel | None:
    """The curves on a data set; None where no arm has a score with annotations of this unit."""
    budgets = [b for b in found.results.budgets if b.unit == unit and b.asked != 0]
    ticks: dict[float, str] = {}
    curves = []
    for arm in arms:
        points = {}
        for budget in budgets:
            got = found.estimates.get((arm, dataset, budget))
            if got is not None:
                x, text = places[dataset, budget]
                ticks[x] = text
                ends = (got.low, got.high) if len(arms) <= INTERVALS else (math.nan, math.nan)
                points[x] = (got.value, *ends)
        start = found.estimates.get((arm, dataset, Budget("patches", 0)))
        if points or start is not None:
            curves.append(Curve(found.names[arm], points, start.value if start else None))
    return BudgetPanel(dataset, found.score_of(dataset), curves, ticks) if ticks else None


def _places(found: Findings) -> _Places:
    """Where every budget of a data set stands; "all" stands at what all is, if that is more than the others."""
    cells: dict[tuple[str, Budget], list[Cell]] = {}
    for (_, dataset, budget), cell in found.results.cells.items():
        cells.setdefault((dataset, budget), []).append(cell)
    return {(dataset, budget): _place(found, budget, own) for (dataset, budget), own in cells.items()}


def _place(found: Findings, budget: Budget, cells: Sequence[Cell]) -> tuple[float, str]:
    if budget.asked is not None:
        return float(budget.asked), budget.label
    numbers = [b.asked for b in found.results.budgets if b.unit == budget.unit and b.asked]
    count = mean_of([cell.mean_count(budget.unit) for cell in cells])
    known = round(count) if math.isfinite(count) else 0
    text = f"all\n({known:,})" if known else "all"
    return float(max(known, 1, 1.5 * max(numbers, default=0))), text


def cost_plot(found: Findings) -> Plot | None:
    """Cost against score; None where nothing was measured."""
    points = cost_points(found)
    drawn = [cost for cost in COSTS if any(0 < point.costs.get(cost, 0) < math.inf for point in points)]
    if not drawn or len(points) < 2:
        return None
    styles = styles_of([arm for arm in found.arms if found.names[arm] in {point.name for point in points}], found)
    front = not found.random
    caption = f"{', '.join(drawn)} against the mean score, on logarithmic axes."
    caption = caption[0].upper() + caption[1:]
    caption += " Rings mark what no other arm beats in both." if front else ""
    return _plot(
        found,
        "cost",
        lambda: cost_chart(points, styles, score=found.mean_words(), front=front, notice=found.notice),
        caption,
        f"{caption} {counted(len(points), 'arm')}; the table below holds the numbers.",
    )


def styles_of(arms: Sequence[Arm], found: Findings) -> Mapping[str, Style]:
    """A line a name: colour by encoder, marker and dash by the rest, where six of each are enough."""
    encoders = sorted({(arm["encoder"], arm["weights"]) for arm in arms})
    rests = sorted({_rest(arm) for arm in arms})
    if len(encoders) > 6 or len(rests) > 6 or len(encoders) == 1:
        return {found.names[arm]: (i % 6, i + i // 6, i // 6) for i, arm in enumerate(arms)}
    at = {arm: (encoders.index((arm["encoder"], arm["weights"])), rests.index(_rest(arm))) for arm in arms}
    return {found.names[arm]: (encoder, rest, rest) for arm, (encoder, rest) in at.items()}


def _plot(found: Findings, name: str, draw: Callable[[], Themed], caption: str, alt: str) -> Plot:
    """A plot that is drawn once, whose texts say what the picture says above itself."""
    said = f"{found.notice}. " if found.notice else ""
    return Plot(name, functools.cache(draw), said + caption, said + alt)


def _rest(arm: Arm) -> tuple[str, ...]:
    start = ("encoder", "weights")
    return (*(value for name, value in zip(ARM_FIELDS, arm.fields, strict=True) if name not in start), arm.options)
