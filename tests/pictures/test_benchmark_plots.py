"""The plots of a benchmark: nothing is cut off, nothing is drawn that was not given, everything says its notice."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from histoseed.errors import InputError
from histoseed.pictures import (
    BudgetPanel,
    CostPoint,
    Curve,
    budget_curves,
    cost_chart,
    critical_difference_diagram,
    interval_chart,
    pareto_front,
)
from histoseed.pictures import panels as common
from histoseed.pictures.figures import LOOKS, Themed, to_png

LONG = "vit_giant_patch14_dinov2.lvd142m (random weights) · cellvit · side-branch · from a source with a long name"
NAMES = [f"{LONG} {i}" for i in range(9)]
STYLES = {name: (i % 6, i, i // 6) for i, name in enumerate(NAMES)}
NAN = math.nan


@pytest.fixture
def figures(monkeypatch):
    """Every figure, in place of its pixels."""
    made = []

    def remember(figure):
        made.append(figure)
        return Themed(b"", b"")

    monkeypatch.setattr(common, "to_both", remember)
    return made


def curves(names=NAMES, level=0.3):
    points = {1.0: (0.2, 0.1, 0.3), 4.0: (0.4, NAN, NAN), 40.0: (0.5, 0.45, 0.55)}
    ticks = {1.0: "1", 4.0: "4", 40.0: "all\n(40)"}
    shown = [Curve(name, {x: (y + 0.02 * i, a, b) for x, (y, a, b) in points.items()}) for i, name in enumerate(names)]
    shown[0] = Curve(names[0], points, level)
    return [BudgetPanel(f"a data set with a long name {i}", "PQ", shown, ticks) for i in range(2)]


def draw_curves(**options):
    return budget_curves(curves(), STYLES, **options)


def draw_costs(**options):
    points = [CostPoint(n, 0.1 * i, {"time (s)": 3.0**i, "memory (GB)": 5 - 0.4 * i}) for i, n in enumerate(NAMES)]
    return cost_chart(points, STYLES, **options)


def draw_ranks(**options):
    ranks = [1.2, 1.3, 2.0, 3.5, 4.0, 4.1, 7.0, 8.0, 8.8]
    return critical_difference_diagram(NAMES, ranks, 1.9, [(0, 2), (2, 4), (3, 5), (6, 8)], **options)


def draw_intervals(**options):
    return interval_chart([(n, 0.1 * i, 0.1 * i - 0.05, NAN if i else 0.2) for i, n in enumerate(NAMES)], **options)


EVERY = [draw_curves, draw_costs, draw_ranks, draw_intervals]


@pytest.mark.parametrize("draw", EVERY)
def test_no_text_is_cut_off_and_none_lies_on_another(draw, figures):
    draw(notice="Random weights: not a ranking")
    (figure,) = figures
    to_png(figure)
    width, height = figure.bbox.size
    beyond = {
        label
        for ax in figure.axes
        for label, at, low, high in [
            *((label, label.get_position()[0], *ax.get_xlim()) for label in ax.get_xticklabels()),
            *((label, label.get_position()[1], *sorted(ax.get_ylim())) for label in ax.get_yticklabels()),
        ]
        if not (ax.axison and low <= at <= high)  # matplotlib keeps such labels and does not draw them
    }
    boxes = []
    for text in figure.findobj(Text):
        if text not in beyond and text.get_visible() and text.get_text().strip():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y1 <= height + 1, text
            boxes.append((text, box))
    named = [(text, box) for text, box in boxes if text.get_text().startswith(("vit", "Random", "a data set"))]
    shown = [" ".join(text.get_text().split()) for text, _ in named]
    assert [name for name in shown if name.startswith("vit")] == sorted(NAMES, key=shown.index)
    for i, (one, a) in enumerate(named):
        for other, b in named[i + 1 :]:
            assert not (a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1), (one, other)


@pytest.mark.parametrize("draw", EVERY)
def test_every_plot_says_its_notice(draw, figures):
    draw(notice="Random weights: not a ranking")
    draw()
    with_notice, without = ([t.get_text() for t in figure.findobj(Text)] for figure in figures)
    assert "Random weights: not a ranking" in with_notice
    assert "Random weights: not a ranking" not in without


@pytest.mark.parametrize("draw", EVERY)
def test_plots_are_pictures_that_follow_the_theme_and_nothing_else(draw, monkeypatch):
    drawn = draw(notice="Random weights: not a ranking")
    corners = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[0, 0].tolist() for data in drawn]
    assert corners == [[255, 255, 255], [24, 28, 33]]
    # Painted over is the same as drawn in these colours from the start.
    monkeypatch.setitem(LOOKS, "light", LOOKS["dark"])
    assert draw(notice="Random weights: not a ranking") == (drawn.dark, drawn.dark)


def test_curves_are_drawn_where_they_are(figures):
    draw_curves()
    (figure,) = figures
    ax = figure.axes[0]
    line = next(line for line in ax.lines if len(line.get_xdata()) == 3)
    assert line.get_ydata().tolist() == [0.2, 0.4, 0.5]
    assert line.get_xdata() == pytest.approx([1, 4, 40], rel=0.14)
    levels = [line for line in ax.lines if list(line.get_ydata()) == [0.3, 0.3]]
    assert len(levels) == 1
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4", "all\n(40)"]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert "level: N = 0" in texts


def test_curves_without_a_level_have_no_entry_for_it(figures):
    budget_curves(curves(level=None)[:1], STYLES)
    assert "level: N = 0" not in [text.get_text() for text in figures[0].findobj(Text)]


def test_the_pareto_front_is_what_nothing_beats():
    rng = np.random.default_rng(3)
    points = [CostPoint(str(i), s, {"c": c}) for i, (s, c) in enumerate(rng.integers(1, 9, (60, 2)).tolist())]
    front = pareto_front(points, "c")
    for point in points:
        beaten = any(
            o.score >= point.score
            and o.costs["c"] <= point.costs["c"]
            and (o.score, -o.costs["c"]) != (point.score, -point.costs["c"])
            for o in points
        )
        twin = any((o.score, o.costs) == (point.score, point.costs) for o in front)
        assert twin == (not beaten)
    assert [p.score for p in front] == sorted(p.score for p in front)


def test_points_without_a_cost_or_a_score_are_not_drawn(figures):
    points = [
        CostPoint("fine", 0.5, {"c": 2.0}),
        CostPoint("free", 0.9, {"c": 0.0}),
        CostPoint("unknown", 0.9, {}),
        CostPoint("unscored", NAN, {"c": 1.0}),
    ]
    assert [point.name for point in pareto_front(points, "c")] == ["fine"]
    cost_chart(points, {point.name: (i, i, i) for i, point in enumerate(points)})
    texts = [text.get_text() for text in figures[0].findobj(Text)]
    assert "fine" in texts
    assert not {"free", "unknown", "unscored"} & set(texts)


def test_a_cost_chart_without_a_front_marks_none(figures):
    draw_costs(front=False)
    draw_costs(front=True)
    without, with_front = ({t.get_text() for t in figure.findobj(Text)} for figure in figures)
    assert len(with_front - without) == 1
    assert len(figures[0].axes[0].lines) == len(NAMES)


def test_ranks_stand_where_they_are_and_bars_do_not_overlap(figures):
    draw_ranks()
    ax = figures[0].axes[0]
    bars = [line for line in ax.lines if line.get_linewidth() == 3.4]
    assert len(bars) == 4
    spans = [(line.get_ydata()[0], *line.get_xdata()) for line in bars]
    for i, (y, left, right) in enumerate(spans):
        for other_y, other_left, other_right in spans[i + 1 :]:
            assert y != other_y or right < other_left or other_right < left


@pytest.mark.parametrize(
    "draw",
    [
        lambda: budget_curves([], {}),
        lambda: budget_curves([BudgetPanel("a", "PQ", [Curve("a", {0: (1, 1, 1)})], {0: "0"})], {"a": (0, 0, 0)}),
        lambda: cost_chart([], {}),
        lambda: cost_chart([CostPoint("a", 0.5, {"c": 0.0})], {"a": (0, 0, 0)}),
        lambda: critical_difference_diagram(["a"], [1.0], 1.0, []),
        lambda: critical_difference_diagram(["a", "b"], [2.0, 1.0], 1.0, []),
        lambda: interval_chart([]),
        lambda: interval_chart([("a", NAN, NAN, NAN)]),
    ],
)
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(InputError):
        draw()
