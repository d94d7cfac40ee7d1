"""The tables of scores, comparisons, spread, cost and classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from histoseed.benchmarking.report.arms import Arm
from histoseed.benchmarking.report.costs import COSTS, cost_cells, cost_points
from histoseed.benchmarking.report.document import Strong, Table, Value
from histoseed.benchmarking.report.exposure import commercial_words, licence_of, seen_words
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.ranking import ALPHA, Pair, Ranking
from histoseed.benchmarking.report.results import Budget, number, score_name
from histoseed.benchmarking.report.variance import Components
from histoseed.benchmarking.report.wording import LEVEL_WORDS, p_value, signed, with_interval
from histoseed.pictures import pareto_front

__all__ = ["arm_table", "budget_tables", "class_tables", "cost_table", "pair_tables", "ranking_table", "spread_tables"]

PAIRS_SHOWN = 500
_PROVENANCE = ("seen in pre-training", "licence", "commercial")
_CLASS_SCORES = ("pq", "f1_detection")


def ranking_table(found: Findings, ranking: Ranking) -> Table:
    """Place, score, mean rank, what was seen, licence."""
    rows: list[list[Value]] = []
    for place, arm in enumerate(ranking.arms, start=1):
        mean_rank = float(ranking.friedman.ranks[place - 1]) if ranking.friedman else None
        name: Value = Strong(found.names[arm]) if place == 1 < len(ranking.arms) else found.names[arm]
        rank = None if mean_rank is None else f"{mean_rank:.2f}"
        score = with_interval(ranking.overall[arm])
        rows.append([name, place, score, rank, *_provenance(found, arm)])
    header = ["arm", "place", f"{found.mean_words()} [{LEVEL_WORDS}]", "mean rank", *_PROVENANCE]
    if len(rows) == 1:
        only = [rows[0][0], rows[0][2], *rows[0][4:]]
        return Table("The arm", [header[0], header[2], *header[4:]], [only], "lrlll")
    return Table("The highest mean stands first", header, rows, "lrrrlll")


def arm_table(found: Findings) -> Table:
    """The arms in alphabetical order, without scores: what a page that ranks nothing says of them."""
    rows: list[list[Value]] = []
    for arm in found.arms:
        runs = len(found.results.of_arm(arm))
        start = "random" if arm.random else arm["weights"] or None
        rows.append([found.names[arm], start, runs, *_provenance(found, arm)])
    header = ["arm", "weights at the start", "runs", *_PROVENANCE]
    return Table("Arms, in alphabetical order", header, rows, "llrlll")


def _provenance(found: Findings, arm: Arm) -> list[Value]:
    return [seen_words(found, arm), licence_of(found, arm), commercial_words(found, arm)]


def pair_tables(found: Findings, ranking: Ranking) -> Iterator[Table]:
    """The first arm against each other one, and all pairs."""
    header = [
        "arm",
        "against",
        f"difference [{LEVEL_WORDS}]",
        "p",
        "p, Holm",
        "ahead in draws",
        "difference shown",
    ]
    leader = [pair for pair in ranking.pairs if pair.first == ranking.arms[0]]
    rows = [_pair(found, pair)[1:] for pair in leader]
    yield Table(f"{found.names[ranking.arms[0]]} against the others", header[1:], rows, "lrrrll")
    others = [pair for pair in ranking.pairs if pair.first != ranking.arms[0]]
    if others:
        shown = sorted(others, key=lambda pair: (math.isnan(pair.p), pair.p))[:PAIRS_SHOWN]
        left = len(others) - len(shown)
        caption = f"All other pairs ({len(shown):,}{f' of {len(others):,}, smallest p first' if left else ''})"
        rows = [_pair(found, pair) for pair in (shown if left else others)]
        yield Table(caption, header, rows, "llrrrll", folded=True)


def _pair(found: Findings, pair: Pair) -> list[Value]:
    won, of = pair.draws
    clear = math.isfinite(pair.corrected) and pair.corrected < ALPHA
    return [
        found.names[pair.first],
        found.names[pair.second],
        signed(pair.difference),
        p_value(pair.p),
        p_value(pair.corrected),
        f"{won} of {of}",
        Strong("yes") if clear else "no",
    ]


def budget_tables(found: Findings) -> Iterator[Table]:
    """For each data set the scores by number of annotations."""
    for dataset in found.results.datasets:
        budgets = [b for b in found.results.budgets if any((a, dataset, b) in found.estimates for a in found.arms)]
        arms = [arm for arm in found.arms if any((arm, dataset, b) in found.results.cells for b in budgets)]
        if not budgets:
            continue
        best = {b: _best(found, arms, dataset, b) for b in budgets}
        rows = [[found.names[arm], *(_score(found, arm, dataset, b, best[b]) for b in budgets)] for arm in arms]
        header = ["arm", *(_head(found, dataset, budget) for budget in budgets)]
        stands = "" if found.random or len(arms) < 2 else "; the highest mean of a column is set bold"
        score = found.score_of(dataset)
        caption = f"{dataset}: {score} by number of annotations, mean [{LEVEL_WORDS} interval]{stands}"
        yield Table(caption, header, rows, "l" + "r" * len(budgets))


def _head(found: Findings, dataset: str, budget: Budget) -> str:
    """``N = 4``, and for all what all is."""
    unit = "" if budget.unit == "patches" else f" {budget.unit}"
    if budget.asked is not None:
        return f"N = {budget.label}{unit}"
    counts = {
        round(cell.mean_count(budget.unit))
        for (_, name, its), cell in found.results.cells.items()
        if name == dataset and its == budget and math.isfinite(cell.mean_count(budget.unit))
    }
    return f"all ({counts.pop():,}{unit})" if len(counts) == 1 else f"all{unit}"


def _best(found: Findings, arms: Sequence[Arm], dataset: str, budget: Budget) -> float:
    """The highest mean of a column; nothing is best alone, or where weights are random."""
    values = [got.value for arm in arms if (got := found.estimates.get((arm, dataset, budget))) is not None]
    return math.nan if found.random or len(values) < 2 else max(values)


def _score(found: Findings, arm: Arm, dataset: str, budget: Budget, best: float) -> Value:
    got = found.estimates.get((arm, dataset, budget))
    text = with_interval(got, digits=2)
    return Strong(text) if got is not None and got.value == best else text


def spread_tables(found: Findings) -> Iterator[Table]:
    """Standard deviations of draw and seed, by number of annotations and by arm."""
    whole = found.components()
    if not _known(whole):
        return
    apart = whole.both is None
    header = ["SD of the draw", "SD of the seed"] if apart else ["SD of draw and seed together"]
    header += ["degrees of freedom, draw", "degrees of freedom, seed"] if apart else ["degrees of freedom"]
    budgets = [(b, found.components(budget=b)) for b in found.results.budgets]
    rows: list[list[Value]] = [["all together", *_spread(whole, apart=apart)]]
    rows += [[f"N = {b.label}", *_spread(c, apart=apart)] for b, c in budgets if _known(c)]
    align = "l" + "r" * len(header)
    yield Table(f"Spread of {found.score_words()} by number of annotations", ["annotations", *header], rows, align)
    arms = [(found.names[arm], found.components(arm=arm)) for arm in found.arms]
    by_arm = [[name, *_spread(c, apart=apart)] for name, c in arms if _known(c)]
    yield Table("The same by arm", ["arm", *header], by_arm, align, folded=True)


def _known(found: Components) -> bool:
    return bool(found.draws or found.seeds)


def _spread(found: Components, *, apart: bool) -> list[Value]:
    if not apart:
        return [_deviation(found.both), found.draws]
    return [_deviation(found.draw), _deviation(found.seed), found.draws, found.seeds]


def _deviation(variance: float | None) -> str | None:
    return None if variance is None else f"{math.sqrt(variance):.4f}"


def cost_table(found: Findings) -> Table | None:
    """Costs and scores of the arms; None where nothing was measured."""
    points = cost_points(found)
    cells = cost_cells(found)
    if not any(point.costs for point in points):
        return None
    fronts = {name: {point.name for point in pareto_front(points, name)} for name in COSTS}
    rows: list[list[Value]] = []
    for arm, point in zip(cells, points, strict=True):
        whole = [cell.mean_cost("parameters") / 1e6 for cell in cells[arm]]
        known = [value for value in whole if math.isfinite(value)]
        row: list[Value] = [point.name, *(_figure(point.costs.get(name)) for name in COSTS)]
        row += [_figure(float(np.mean(known))) if known else None, f"{point.score:.3f}"]
        if not found.random and len(points) > 1:
            row.append(", ".join(cost.word for name, cost in COSTS.items() if point.name in fronts[name]) or None)
        rows.append(row)
    header = ["arm", *(cost.head for cost in COSTS.values()), "parameters (M)", found.mean_words()]
    if found.random or len(points) < 2:
        return Table("Cost and score", header, rows, "lrrrrr")
    return Table("Cost and score", [*header, "Pareto front"], rows, "lrrrrrl")


def _figure(value: float | None) -> str | None:
    """A cost with about three figures."""
    if value is None or not math.isfinite(value):
        return None
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def class_tables(found: Findings) -> Iterator[Table]:
    """For each data set with classes the scores of every class, at the largest number of annotations."""
    for dataset in found.results.datasets:
        runs = found.results.of_dataset(dataset)
        for budget in reversed(found.results.budgets):
            chosen = [run for run in runs if run.budget == budget and run.row.get("classes")]
            if not chosen:
                continue
            names = list(dict.fromkeys(name for run in chosen for name in run.row["classes"]))
            for key in _CLASS_SCORES:
                rows: list[list[Value]] = []
                for arm in found.arms:
                    own = [run.row["classes"] for run in chosen if run.arm == arm]
                    if own:
                        rows.append([found.names[arm], *(_mean(own, name, key) for name in names)])
                if any(cell is not None for row in rows for cell in row[1:]):
                    counts = {name: _mean([run.row["classes"] for run in chosen], name, "instances") for name in names}
                    header = ["arm", *(_class_head(name, counts[name]) for name in names)]
                    head = "all patches" if budget.asked is None else f"N = {budget.label}"
                    caption = f"{dataset}: {score_name(key)} of each class, {head}, mean over draws and seeds"
                    yield Table(caption, header, rows, "l" + "r" * len(names), folded=key != _CLASS_SCORES[0])
            break


def _class_head(name: str, count: float | None) -> str:
    return name if count is None else f"{name} ({count:,.0f})"


def _mean(rows: Sequence[object], name: str, key: str) -> float | None:
    values = [number((row.get(name) or {}).get(key)) for row in rows if isinstance(row, dict)]
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else None
