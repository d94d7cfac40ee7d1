"""The look of all plots: a light and a dark theme, axes without clutter, PNG out.

Only matplotlib's objects are used, never ``pyplot`` and its global state, so that plots can be drawn in any thread.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from histoseed.pictures.lettering import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LOOKS", "Look", "Theme", "Themed"]

Theme = Literal["light", "dark"]
"""For white paper, or for a dark page."""


class Themed(NamedTuple):
    """A plot as PNG in both themes."""

    light: bytes
    dark: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of a theme."""

    paper: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]

    @property
    def colors(self) -> tuple[str, ...]:
        """All of them, in an order that is the same for every theme."""
        return (self.paper, self.ink, self.muted, self.grid, *self.series)


LOOKS: dict[str, Look] = {
    "light": Look("#ffffff", "#1b1f24", "#5d6670", "#e3e6ea", (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)),
    "dark": Look("#181c21", "#e8eaed", "#a3acb6", "#333a42", (SKY, ORANGE, GREEN, VERMILLION, PURPLE, "#f0e442")),
}

_DPI = 160
_ENOUGH, _MOST = 3, 7
"""Ticks of an axis: with fewer than three nobody sees whether it is logarithmic."""
_MARKERS = "osD^vP"


def look_of(theme: str) -> Look:
    """The colours of a theme.

    Raises:
        InputError: no such theme.
    """
    if theme not in LOOKS:
        raise InputError(f"There is no theme {theme!r}.", fix=f"Use one of {', '.join(LOOKS)}.")
    return LOOKS[theme]


def series_style(look: Look, i: int) -> tuple[str, str, str]:
    """Colour, marker and dash of the i-th series; no two of the first 36 are alike."""
    return look.series[i % len(look.series)], _MARKERS[(i + i // 6) % 6], ("-", "--", ":", "-.")[i // 6 % 4]


def canvas(
    look: Look, width: float, height: float, rows: int = 1, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches and its axes, one below the other with a shared x axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor=look.paper)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})
    axes = [grid[i, 0] for i in range(rows)]
    for ax in axes:
        dress(ax, look)
    return figure, axes


def dress(ax: Axes, look: Look) -> None:
    """The look of all axes: a faint grid behind the data, no box around it."""
    ax.set_facecolor(look.paper)
    ax.grid(visible=True, color=look.grid, linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(look.muted)
    ax.tick_params(which="both", colors=look.muted, labelcolor=look.ink, labelsize=9.5, length=3)


def label(ax: Axes, look: Look, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes; the unit stands in the name. Long names are folded once the size of the axes is known."""
    ax.set_xlabel(x, color=look.ink, fontsize=10.5)
    ax.set_ylabel(y, color=look.ink, fontsize=10.5)
    if title:
        ax.set_title(title, color=look.ink, fontsize=12, loc="left", fontweight="bold", pad=10)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, laid out and drawn once; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names come from users and may hold a dollar sign
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Class names in scripts that the typeface lacks are drawn as boxes; the text of a report holds them in full.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        _lay_out(figure)
        # ``savefig`` would lay out and walk through everything twice more before it draws.
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


def to_both(figure: Figure) -> Themed:
    """A figure in the colours of the light theme as PNG in both themes; what costs time, the layout, is done once."""
    light = to_png(figure)
    _repaint(figure, LOOKS["light"], LOOKS["dark"])
    return Themed(light, to_png(figure))


def _repaint(figure: Figure, before: Look, after: Look) -> None:
    """Give everything in a figure the colours of another theme."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    others = {to_rgb(old): new for old, new in zip(before.colors, after.colors, strict=True)}

    def other(color: Any) -> Any:
        """What is no colour of the theme, such as "none", stays; so does how much shines through."""
        if isinstance(color, str) and color == "none":
            return color
        return others.get(to_rgb(color), color)

    for text in figure.findobj(Text):
        text.set_color(other(text.get_color()))
    for line in figure.findobj(Line2D):
        inside, edge = other(line.get_markerfacecolor()), other(line.get_markeredgecolor())
        line.set(color=other(line.get_color()), markerfacecolor=inside, markeredgecolor=edge)
    for lines in figure.findobj(LineCollection):
        lines.set_color([other(color) for color in lines.get_color()])
    for patch in figure.findobj(Patch):
        patch.set(facecolor=other(patch.get_facecolor()), edgecolor=other(patch.get_edgecolor()))


def _lay_out(figure: Figure) -> None:
    """Find room for everything, and again where titles turn out to need more lines."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    longer = [_fold_labels(ax) for ax in figure.axes]
    if any(longer):
        engine.execute(figure)
    figure.set_layout_engine("none")


def _fold_labels(ax: Axes) -> bool:
    """Break the titles of axes that are laid out into lines no longer than their sides; whether that changed any."""
    from matplotlib.text import Text

    width, height = 0.97 * ax.bbox.width / _DPI, 0.97 * ax.bbox.height / _DPI
    titles = [one for one in ax.get_children() if isinstance(one, Text) and one not in ax.texts]
    changed = False
    for text, room in ((ax.yaxis.label, height), *((one, width) for one in (ax.xaxis.label, *titles))):
        before = text.get_text()
        lines = folded(before, room, float(text.get_fontsize()), bold=text.get_fontweight() == "bold")
        text.set_text(lines)
        changed |= lines != before
    return changed


def folded(text: object, inches: float, points: float = 9.5, *, bold: bool = False) -> str:
    r"""A name that matplotlib can draw, whole, in lines of at most so many inches.

    Args:
        text: The name.
        inches: Most that a line is wide.
        points: Size of the letters.
        bold: Bold letters.

    >>> folded("a model_of some sort", 1.0, 10)
    'a model_of\nsome sort'
    """
    # In tenths of a point, so that rounding does not matter.
    return "\n".join(wrapped(str(text), round(720 * inches), round(10 * points), bold=bold))


def finite(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """A flat float array without the values that are not finite.

    Raises:
        InputError: not numbers, or none of them finite.
    """
    try:
        array = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InputError("A plot needs numbers.", where=what) from error
    array = array[np.isfinite(array)]
    if not array.size:
        raise InputError("There is no finite number to plot.", where=what)
    return array


def short(value: float) -> str:
    """A number as a tick label, without exponents for everyday sizes.

    >>> short(0.5), short(1000.0), short(1e-05)
    ('0.5', '1,000', '1e-05')
    """
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.0e}"
    return f"{value:,.0f}" if value == math.floor(value) else f"{value:g}"


def tick_label(tick: float) -> str:
    """A tick, short where that says it exactly.

    >>> tick_label(1000.0), tick_label(1.5e-06), tick_label(1.0005)
    ('1,000', '1.5e-06', '1.0005')
    """
    text = short(tick)
    return text if float(text.replace(",", "")) == tick else f"{tick:.12g}"


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks of a log axis from ``low`` to ``high``, and their labels: as round as three or more of them can be.

    Decades, else 1, 2 and 5 of each decade, else finer ones; within less than a factor of 1.5, equal steps.

    >>> log_ticks(3, 60)
    ([5.0, 10.0, 20.0, 50.0], ['5', '10', '20', '50'])
    >>> log_ticks(4.2, 7.7)[1], log_ticks(1.00, 1.02)[1]
    (['5', '6', '7'], ['1', '1.01', '1.02'])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), (1, 3), (1, 2, 3, 5, 7), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if _ENOUGH <= len(ticks) <= _MOST:
            return ticks, [tick_label(tick) for tick in ticks]
    if len(ticks) > _MOST:
        ticks = [float(f"1e{decade}") for decade in decades[:: math.ceil(len(decades) / _MOST)]]
        ticks = [tick for tick in ticks if low <= tick <= high]
    else:
        ticks = even_ticks(low, high)
    return ticks, [tick_label(tick) for tick in ticks]


def even_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers with equal steps from ``low`` to ``high``.

    >>> even_ticks(0, 2), even_ticks(4.1, 4.9)
    ([0.0, 1.0, 2.0], [4.2, 4.4, 4.6, 4.8])
    """
    power = math.floor(math.log10(high - low))
    for exponent, factor in ((e, f) for e in (power, power - 1) for f in (5, 2, 1)):
        step = float(f"{factor}e{exponent}")
        ticks = [float(f"{step * k:.12g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(ticks) >= _ENOUGH:
            break
    return ticks
