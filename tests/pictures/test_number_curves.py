"""Curves over a number: what is drawn, and what cannot be."""

from __future__ import annotations

import math

import pytest
from matplotlib.collections import LineCollection

from histoseed.errors import InputError
from histoseed.pictures import NumberPanel, Themed, number_curves, panels
from histoseed.pictures.figures import to_png

NAN = math.nan
JITTER = {0.0: (0.9, 0.88, 0.92), 1.0: (0.87, 0.85, 0.89), 2.0: (0.8, 0.75, 0.84)}


@pytest.fixture
def figures(monkeypatch):
    made = []

    def remember(figure):
        made.append(figure)
        return Themed(b"", b"")

    monkeypatch.setattr(panels, "to_both", remember)
    return made


def curve(ax, number):
    return [tuple(point) for point in ax.get_lines()[number].get_xydata().tolist()]


def test_points_stand_at_their_numbers(figures):
    number_curves([NumberPanel("", {"box": JITTER}, "Dice", "jitter (µm)")])
    (ax,) = figures[0].axes
    assert curve(ax, 0) == [(0.0, 0.9), (1.0, 0.87), (2.0, 0.8)]
    intervals = [one for one in ax.collections if isinstance(one, LineCollection)]
    assert intervals[0].get_segments()[0].tolist() == [[0.0, 0.88], [0.0, 0.92]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("jitter (µm)", "Dice")


def test_intervals_of_several_curves_do_not_lie_on_each_other(figures):
    number_curves([NumberPanel("", {"a": JITTER, "b": JITTER}, "Dice", "x")])
    (ax,) = figures[0].axes
    first, second = (curve(ax, i)[0][0] for i in range(2))
    assert first < 0 < second
    assert second - first < 0.1


def test_a_name_looks_the_same_in_all_panels(figures):
    both, single = {"a": JITTER, "b": JITTER}, {"b": JITTER}
    shown = [NumberPanel("one", both, "Dice", "x"), NumberPanel("two", single, "Dice", "x")]
    number_curves(shown, notice="Random weights: not a ranking")
    one, two = figures[0].axes
    assert one.get_lines()[1].get_color() == two.get_lines()[0].get_color() != one.get_lines()[0].get_color()
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["a", "b"]
    assert one.get_ylim() == two.get_ylim()
    assert figures[0].get_suptitle() == "Random weights: not a ranking"


def test_logarithmic_axes(figures):
    losses = {1.0: (0.5, NAN, NAN), 4.0: (0.05, NAN, NAN), 16.0: (0.0, NAN, NAN)}
    number_curves([NumberPanel("", {"training": losses}, "loss", "patches")], log=True, log_x=True)
    (ax,) = figures[0].axes
    assert curve(ax, 0) == [(1.0, 0.5), (4.0, 0.05)]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4"]


@pytest.mark.parametrize("curves", [{}, {"a": {}}, {"a": {0.0: (NAN, NAN, NAN)}}])
def test_nothing_to_draw_is_an_error(curves):
    with pytest.raises(InputError, match="no value to draw"):
        number_curves([NumberPanel("", curves, "Dice", "x")])


def test_it_is_a_picture_in_both_themes():
    found = number_curves([NumberPanel("", {"box": JITTER}, "Dice", "x")])
    assert found.light[:8] == found.dark[:8] == b"\x89PNG\r\n\x1a\n"
    assert found.light != found.dark


def test_no_text_is_cut_off(figures):
    names = [f"vit_giant_patch14 with a long name {i}" for i in range(8)]
    number_curves([NumberPanel(f"panel {i}", dict.fromkeys(names, JITTER), "Dice", "x") for i in range(4)])
    (figure,) = figures
    to_png(figure)
    width, height = figure.bbox.size
    for text in figure.legends[0].get_texts():
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= width + 1
        assert box.y0 >= -1
        assert box.y1 <= height + 1
