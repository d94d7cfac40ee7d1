"""What stands in the cells of a report: text escaped, numbers in one format."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

__all__ = ["Cell", "Strong", "breakable", "cell_html", "escaped", "natural_alignment", "row_html"]

Cell = object
"""What a table or list of facts shows: text, a number, or None where there is nothing."""


@dataclass(frozen=True, slots=True)
class Strong:
    """A value that stands out in its table."""

    value: Cell


_DASH = "\N{EN DASH}"
_LONG_NAME = 16  # characters beyond which the name of a row is given room, so that it does not become a tall column
# HTML allows no control characters but tab, line feed and carriage return.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def escaped(text: object) -> str:
    """Text as HTML: special characters escaped, what no file can hold replaced."""
    clean = str(text).encode("utf-8", "replace").decode("utf-8")
    return html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", clean), quote=True)


def breakable(text: object) -> str:
    """Text as HTML that may go on in the next line after an underscore, as names of models and data sets have them.

    >>> breakable("a_b <c>")
    'a_<wbr>b &lt;c&gt;'
    """
    return escaped(text).replace("_", "_<wbr>")


def cell_html(value: Cell) -> str:
    """A value as HTML: integers with thousands, floats with three decimals, None and NaN as a dash."""
    if isinstance(value, Strong):
        return f"<strong>{cell_html(value.value)}</strong>"
    if value is None:
        return _DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return _number(float(value))
    return escaped(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return _DASH if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value and abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def natural_alignment(column: Sequence[Cell]) -> str:
    """Right for a column of numbers and gaps, else left."""
    numbers = [cell for cell in column if cell is not None]
    right = numbers and all(isinstance(cell, Real) and not isinstance(cell, bool | np.bool_) for cell in numbers)
    return "r" if right else "l"


def row_html(row: Sequence[Cell], css: Sequence[str]) -> str:
    """The cells of a row, the first one as its header, with a CSS class for each."""
    long = " long" if row and len(cell_html(row[0])) > _LONG_NAME else ""
    first = f'<th scope="row" class="{css[0]}{long}">{cell_html(row[0])}</th>' if row else ""
    return first + "".join(f'<td class="{c}">{cell_html(cell)}</td>' for cell, c in zip(row[1:], css[1:], strict=True))
