"""The look of all plots: a light and a dark theme, axes without clutter, PNG out.

Only matplotlib's objects are used, never ``pyplot`` and its global state, so that plots can be drawn in any thread.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LOOKS", "Look", "Theme"]

Theme = Literal["light", "dark"]
"""For white paper, or for a dark page."""


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of a theme."""

    paper: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


LOOKS: dict[str, Look] = {
    "light": Look("#ffffff", "#1b1f24", "#5d6670", "#e3e6ea", (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)),
    "dark": Look("#181c21", "#e8eaed", "#a3acb6", "#333a42", (SKY, ORANGE, GREEN, VERMILLION, PURPLE, "#f0e442")),
}

_DPI = 160
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
        ax.set_facecolor(look.paper)
        ax.grid(visible=True, color=look.grid, linewidth=0.8)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            ax.spines[side].set_color(look.muted)
        ax.tick_params(which="both", colors=look.muted, labelcolor=look.ink, labelsize=9.5, length=3)
    return figure, axes


def label(ax: Axes, look: Look, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes; the unit stands in the name."""
    ax.set_xlabel(x, color=look.ink, fontsize=10.5)
    ax.set_ylabel(y, color=look.ink, fontsize=10.5)
    if title:
        ax.set_title(title, color=look.ink, fontsize=12, loc="left", fontweight="bold", pad=10)


def legend(ax: Axes, look: Look, handles: Sequence[Any], names: Sequence[str], **options: Any) -> None:
    """A frameless legend; the names are drawn as they are, also those that start with an underscore."""
    box = ax.legend(handles, [""] * len(handles), frameon=False, fontsize=9.5, labelcolor=look.ink, **options)
    for text, name in zip(box.get_texts(), names, strict=True):
        text.set_text(name)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names come from users and may hold a dollar sign
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Class names in scripts that the typeface lacks are drawn as boxes; the text of a report holds them in full.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(stream, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()


def plain(text: object, longest: int = 40) -> str:
    """A name as one line that matplotlib can draw, cut when it is very long."""
    line = " ".join(str(text).encode("utf-8", "replace").decode().split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


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


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks of a log axis from ``low`` to ``high``, and their labels: 1, 2 and 5 of each decade, or decades alone.

    >>> log_ticks(3, 60)
    ([5.0, 10.0, 20.0, 50.0], ['5', '10', '20', '50'])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high < 300 * low else (1,)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high] or [low, high]
    return ticks, [short(float(f"{tick:.2g}")) for tick in ticks]
