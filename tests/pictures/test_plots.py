"""Plots are PNGs in the right colours, take any name, and refuse what they cannot draw."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from PIL import Image
from scipy import ndimage

from histoseed.errors import InputError
from histoseed.pictures import charts as charts_module
from histoseed.pictures import confusion_matrix, learning_curve, loss_curve, paired_differences, size_histogram
from histoseed.pictures import curves as curves_module
from histoseed.pictures import figures as figures_module
from histoseed.pictures.colors import rgb
from histoseed.pictures.figures import LOOKS, even_ticks, log_ticks

NASTY = ["_hidden", "$\\frac{$", "<script>", "核", "a" * 200, "line\nbreak", "\udcff"]


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has(png: bytes, color: str) -> bool:
    return bool(np.all(pixels(png) == rgb(color), axis=2).any())


def history(parts=("semantic", "class"), n=12):
    rows = [{"step": i, "loss": 2.0 / (i + 1), "learning_rate": 1e-3, "pq": None} for i in range(n)]
    for row in rows:
        row.update(dict.fromkeys(parts, row["loss"] / 2))
    rows[5]["pq"], rows[9]["pq"] = 0.3, 0.5
    return rows


PLOTS = {
    "loss": lambda theme="light": loss_curve(history(), theme=theme),
    "learning": lambda theme="light": learning_curve({"a": {1: [0.3, 0.4], 8: [0.5]}, "b": {2: [0.1]}}, theme=theme),
    "sizes": lambda theme="light": size_histogram({"matched": [10, 20, 30.0], "missed": []}, theme=theme),
    "confusion": lambda theme="light": confusion_matrix([[3, 1], [0, 0]], ["x", "y"], theme=theme),
    "paired": lambda theme="light": paired_differences([0.1, -0.2, 0.0, np.nan], interval=(-0.2, 0.1), theme=theme),
}


@pytest.mark.parametrize("name", PLOTS)
def test_themes_have_their_paper_and_state_their_resolution(name):
    for theme, look in LOOKS.items():
        png = PLOTS[name](theme)
        assert tuple(pixels(png)[0, 0]) == rgb(look.paper)
        assert Image.open(io.BytesIO(png)).info["dpi"][0] == pytest.approx(160, abs=0.1)
    with pytest.raises(InputError):
        PLOTS[name]("sepia")


def test_the_same_plot_gives_the_same_bytes_in_any_thread():
    first = PLOTS["learning"]()
    found = []
    threads = [threading.Thread(target=lambda: found.append(PLOTS["learning"]())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [first, first]


def test_any_name_is_drawn():
    assert pixels(loss_curve(history(NASTY))).any()
    assert pixels(learning_curve({name: {1: [0.5]} for name in NASTY}, baselines={NASTY[1]: 0.2}, title=NASTY[1])).any()
    assert pixels(size_histogram({name: [5.0] for name in NASTY}, quantity=NASTY[1])).any()
    assert pixels(confusion_matrix(np.eye(len(NASTY)), NASTY, title=NASTY[3])).any()
    assert pixels(paired_differences([0.1], names=(NASTY[1], NASTY[0]), score=NASTY[1])).any()


LONG = "bundled adapted to a_data_set_with_a_long_name, second version, after the corrections"
LONG_PLOTS = {
    "loss": lambda: loss_curve(history([f"{LONG} {i}" for i in range(9)]), score_name=f"validation of {LONG}"),
    "learning": lambda: learning_curve(
        {f"{LONG} {i}": {1: [0.3, 0.4], 8: [0.5]} for i in range(7)}, baselines={LONG: 0.5}, title=LONG, score=LONG
    ),
    "sizes": lambda: size_histogram({f"{LONG} {i}": [10, 20, 30.0] for i in range(6)}, quantity=LONG, title=LONG),
    "confusion": lambda: confusion_matrix(np.eye(3), [f"{LONG} {i}" for i in range(3)], title=LONG),
    "wide": lambda: confusion_matrix(np.eye(12), [f"nuclei_{i * 'x'}" for i in range(12)], title=LONG),
    "paired": lambda: paired_differences(
        [0.1, -0.2, 0.0], interval=(-0.2, 0.1), names=(f"{LONG} 1", f"{LONG} 2"), title=LONG, score="PQ of nuclei"
    ),
}


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is drawn."""
    drawn = []
    draw = figures_module.to_png

    def remember(figure):
        drawn.append(figure)
        return draw(figure)

    for module in (curves_module, charts_module):
        monkeypatch.setattr(module, "to_png", remember)
    return drawn


@pytest.mark.parametrize("name", [*LONG_PLOTS, *(f"short {name}" for name in PLOTS)])
def test_no_text_is_cut_off_and_the_legend_lies_below(name, figures):
    png = PLOTS[name.removeprefix("short ")]() if name.startswith("short ") else LONG_PLOTS[name]()
    image = pixels(png)
    paper = image[0, 0]
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == paper).all()  # ink at the edge would be a text that goes on beyond it
    (figure,) = figures
    width, height = figure.bbox.size
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    whole = " ".join("".join(text.get_text() for text in texts).split())
    assert "…" not in whole
    if not name.startswith("short ") and name != "wide":
        assert "".join(LONG.split()) in "".join(whole.split())
    for text in texts:
        box = text.get_window_extent()
        if 0 <= box.x0 <= width and 0 <= box.y0 <= height:  # ticks beyond the axes are kept, and not drawn
            assert box.x1 <= width + 1, text
            assert box.y1 <= height + 1, text
    for box in figure.legends:
        assert all(ax.get_window_extent().y0 >= box.get_window_extent().y1 for ax in figure.axes)
    assert all(ax.get_window_extent().height > 60 for ax in figure.axes)


@given(st.floats(-6, 6), st.floats(-3, 1))
def test_every_log_axis_has_three_to_seven_ticks_that_say_what_they_are(power, decades):
    low = 10.0**power
    high = low * 10 ** (10**decades)
    ticks, labels = log_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert ticks == sorted(ticks)
    assert low <= ticks[0] < ticks[-1] <= high
    assert [float(text.replace(",", "")) for text in labels] == ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_equal_steps_are_equal_and_enough(low, width):
    ticks = even_ticks(low, low + width)
    assert 3 <= len(ticks) <= 7
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])
    assert low - 1e-9 * abs(low) <= ticks[0] < ticks[-1] <= (low + width) + 1e-9 * abs(low)


@pytest.mark.parametrize("loss", [(1.9, 1.3), (0.11, 0.1), (5.0, 5.0), (1e-3, 9e3)])
def test_the_loss_has_three_ticks_and_steps_are_whole(loss, figures):
    loss_curve([{"step": i + 1, "loss": value, "learning_rate": 1e-4} for i, value in enumerate(loss)])
    (figure,) = figures
    low, high = figure.axes[0].get_ylim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 3
    assert all(tick == round(tick) for tick in figure.axes[-1].get_xticks())


def test_one_size_of_objects_has_an_axis_too(figures):
    size_histogram({"matched": [5.0] * 3})
    low, high = figures[0].axes[0].get_xlim()
    assert high / low > 1.5
    assert all(tick == round(tick) for tick in figures[0].axes[0].get_yticks())


def test_a_panel_without_values_is_left_out():
    bare = [{"step": i, "loss": 1.0} for i in range(3)]
    whole, short = pixels(loss_curve(history())), pixels(loss_curve(bare))
    assert short.shape[0] < whole.shape[0]
    assert pixels(loss_curve(bare[:1])).any()  # one step is a history too


def test_parts_are_drawn_and_can_be_chosen():
    first = LOOKS["light"].series[0]
    rows = [{**row, "pq": None} for row in history()]
    assert has(loss_curve(rows), first)
    assert not has(loss_curve(rows, parts=[]), first)


def test_values_that_are_not_finite_are_skipped():
    rows = [*history(), {"step": 12, "loss": float("nan"), "pq": float("inf"), "semantic": 0.0}]
    assert loss_curve(rows) == loss_curve(history())


def test_a_single_draw_has_no_error_bar_and_more_draws_have():
    color = np.array(rgb(LOOKS["light"].series[0]))

    def height(draws):
        image = pixels(learning_curve({"a": {4: draws}}, baselines={"low": 0.0, "high": 1.0}))
        plot = image[:, : image.shape[1] // 2 + 60]
        rows = np.nonzero(np.all(plot == color, axis=2))[0]
        return np.ptp(rows)

    assert height([0.4, 0.6]) > height([0.5]) + 40


def test_the_shade_of_a_row_does_not_depend_on_its_size():
    image = pixels(confusion_matrix([[5000, 0], [0, 5]], ["x", "y"]))
    cells, _ = ndimage.label(np.all(image == rgb(LOOKS["light"].series[0]), axis=2))
    sizes = np.sort(np.bincount(cells.ravel())[1:])[-2:]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_the_sign_of_a_difference_has_its_colour():
    better, worse = (rgb(color) for color in LOOKS["light"].series[:2])
    gains = np.linspace(0.1, 0.3, 20)
    for values, more, less in ((gains, better, worse), (-gains, worse, better)):
        image = pixels(paired_differences(values))
        # The legend shows a marker of each, whatever their number.
        assert np.all(image == more, axis=2).sum() >= 3 * np.all(image == less, axis=2).sum()


@pytest.mark.parametrize(
    "call",
    [
        lambda: loss_curve([]),
        lambda: loss_curve([{"loss": 1.0}]),
        lambda: loss_curve([{"step": 1, "loss": float("nan")}]),
        lambda: learning_curve({}),
        lambda: learning_curve({"a": {0: [0.5]}}),
        lambda: learning_curve({"a": {1: []}}),
        lambda: size_histogram({}),
        lambda: size_histogram({"matched": []}),
        lambda: size_histogram({"matched": [1.0, 0.0]}),
        lambda: size_histogram({"matched": [1.0, np.nan]}),
        lambda: size_histogram({"matched": [1.0]}, bins=0),
        lambda: confusion_matrix([[1, 2]], ["x", "y"]),
        lambda: confusion_matrix(np.zeros((0, 0)), []),
        lambda: confusion_matrix([[-1]], ["x"]),
        lambda: confusion_matrix([[np.nan]], ["x"]),
        lambda: paired_differences([]),
        lambda: paired_differences([np.nan]),
        lambda: paired_differences(["x"]),
    ],
)
def test_what_cannot_be_plotted_is_refused(call):
    with pytest.raises(InputError):
        call()


def test_matplotlib_is_imported_only_when_a_plot_is_drawn_and_pyplot_never():
    code = (
        "import sys; from histoseed.pictures import paired_differences; before = set(sys.modules); "
        "paired_differences([0.1]); "
        "sys.exit(bool({'matplotlib', 'torch'} & before or {'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
