"""Self-contained HTML reports: one file, nothing loaded from anywhere, pictures inside, no script unless tables sort.

>>> report = Report("Evaluation", "breast, 3 patches", version="0.1.0", date="2026-01-31")
>>> report.section("Scores")
>>> report.table(["patch", "PQ"], [["a", 0.5], ["b", None]])
>>> '<td class="r">0.500</td>' in report.render()
True
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources

from histoseed.errors import InputError
from histoseed.pictures.cells import Cell, breakable, cell_html, escaped, natural_alignment, row_html
from histoseed.pictures.figures import Theme
from histoseed.pictures.inline import Inlined, inlined
from histoseed.pictures.raster import Picture
from histoseed.pictures.sorting import SORTING, SORTING_SOURCE

__all__ = ["Report"]

_CLASSES = {"l": "l", "r": "r", "c": "c", "left": "l", "right": "r", "center": "c"}


class Report:
    """A report that grows section by section and is rendered once.

    All text is escaped, whatever it holds. What comes before the first :meth:`section` stands in one without a title.

    Args:
        title: Headline, also the title of the browser tab.
        subtitle: What the report is about, in a sentence.
        version: Version of the program that made it.
        date: Date as it shall be read; nothing here asks a clock.
        lang: Language of the text, BCP 47.
        max_side: Pictures given as arrays are reduced to this many pixels on their longer side.
        max_bytes: Most bytes of all pictures together, encoded. A picture that would go beyond is left out, and
            the report says so in its place.
    """

    def __init__(
        self,
        title: str,
        subtitle: str = "",
        *,
        version: str = "",
        date: str = "",
        lang: str = "en",
        max_side: int = 2000,
        max_bytes: int = 40_000_000,
    ) -> None:
        self.title, self.subtitle, self.version, self.date, self.lang = title, subtitle, version, date, lang
        self.max_side, self.max_bytes = max_side, max_bytes
        self._sections: list[tuple[str, list[str]]] = []
        self._bytes = 0
        self._sorts = False

    def section(self, title: str) -> None:
        """Begin a section; what follows goes into it."""
        self._sections.append((title, []))

    def text(self, *paragraphs: str) -> None:
        """Paragraphs; a blank line inside a text begins a new one too."""
        for text in paragraphs:
            self._add(*(f"<p>{escaped(part)}</p>" for part in re.split(r"\n\s*\n", text.strip()) if part))

    def note(self, text: str, *, kind: str = "note") -> None:
        """A sentence that must not be overlooked.

        Args:
            text: The sentence.
            kind: ``note`` or ``warning``.

        Raises:
            InputError: another kind.
        """
        if kind not in ("note", "warning"):
            raise InputError(f"There is no kind {kind!r} of note.", fix="Use note or warning.")
        self._add(f'<p class="note {kind}" role="note"><strong>{kind.capitalize()}.</strong> {escaped(text)}</p>')

    def code(self, text: str) -> None:
        """Text as it is, in a fixed-width typeface: a command, a piece of JSON."""
        self._add(f'<pre tabindex="0"><code>{escaped(text)}</code></pre>')

    def facts(self, facts: Mapping[str, Cell]) -> None:
        """Names and values, one a line."""
        rows = "".join(f"<dt>{escaped(name)}</dt><dd>{cell_html(value)}</dd>" for name, value in facts.items())
        self._add(f'<dl class="facts">{rows}</dl>')

    def numbers(self, numbers: Mapping[str, Cell | tuple[Cell, str]]) -> None:
        """The few numbers that matter most, set large; a value may be a pair of it and a detail set small."""
        tiles = []
        for name, value in numbers.items():
            main, detail = value if isinstance(value, tuple) else (value, "")
            below = f'<dd class="detail">{escaped(detail)}</dd>' if detail else ""
            tiles.append(f"<div><dt>{escaped(name)}</dt><dd>{cell_html(main)}</dd>{below}</div>")
        self._add(f'<dl class="numbers">{"".join(tiles)}</dl>')

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        align: Sequence[str] | None = None,
        *,
        caption: str = "",
        sortable: bool = False,
        folded: bool = False,
    ) -> None:
        """A table; its first column names the rows.

        Args:
            header: Names of the columns.
            rows: Cells; floats are shown with three decimals, None and NaN as a dash.
            align: For each column ``l``, ``r`` or ``c`` (or ``left``, ``right``, ``center``), as a list or one string
                of letters. By default columns of numbers are set right, others left.
            caption: A line above the table.
            sortable: A click on a head sorts by that column; the page then holds a few lines of script.
            folded: Only the caption is seen until the reader opens it.

        Raises:
            InputError: a row of another length than the header, or an alignment that does not exist.
        """
        for i, row in enumerate(rows):
            if len(row) != len(header):
                raise InputError(f"The row has {len(row)} cells, the header {len(header)}.", where=f"table row {i}")
        how = (
            [natural_alignment([row[j] for row in rows]) for j in range(len(header))] if align is None else list(align)
        )
        if len(how) != len(header) or not set(how) <= set(_CLASSES):
            raise InputError(f"{align!r} does not align {len(header)} columns.", fix="Give l, r or c for each.")
        css = [_CLASSES[name] for name in how]
        names = [breakable(name) for name in header]
        head = "".join(f'<th scope="col" class="{c}">{name}</th>' for name, c in zip(names, css, strict=True))
        body = "".join(f"<tr>{row_html(row, css)}</tr>" for row in rows)
        title = f"<caption>{escaped(caption)}</caption>" if caption and not folded else ""
        name = escaped(caption or "Table")
        kind = ' class="sortable"' if sortable else ""
        self._sorts |= sortable
        table = (
            f'<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table{kind}>{title}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
        self._add(f"<details><summary>{name}</summary>{table}</details>" if folded else table)

    def figure(self, picture: Picture | bytes, caption: str, alt: str, *, dark: bytes | None = None) -> None:
        """A picture with its caption.

        Args:
            picture: (H, W, 3) uint8, or the bytes of a PNG or JPEG, which go in unchanged.
            caption: Text below the picture.
            alt: What the picture shows, for those who cannot see it.
            dark: Another version of the picture, for readers whose system is set to dark.

        Raises:
            InputError: neither a picture nor the bytes of one, or no ``alt``.
        """
        self._add(self._figure(picture, caption, alt, dark))

    def plot(self, draw: Callable[[Theme], bytes], caption: str, alt: str) -> None:
        """A plot in both themes: ``draw`` is called with "light" and with "dark"."""
        self.figure(draw("light"), caption, alt, dark=draw("dark"))

    def gallery(self, figures: Sequence[tuple[Picture | bytes, str, str]]) -> None:
        """Several small pictures side by side, each (picture, caption, alt)."""
        inside = "".join(self._figure(picture, caption, alt, None) for picture, caption, alt in figures)
        self._add(f'<div class="gallery">{inside}</div>')

    def render(self) -> str:
        """The whole document."""
        css = resources.files("histoseed.pictures").joinpath("report.css").read_text(encoding="utf-8")
        made = " · ".join(part for part in (f"histoseed {self.version}" if self.version else "", self.date) if part)
        body = "\n".join(_section(i, *section) for i, section in enumerate(self._sections, start=1))
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        script, says = "", "loads nothing and runs no scripts"
        if self._sorts:
            policy += f"; script-src {SORTING_SOURCE}"
            script, says = f"<script>{SORTING}</script>\n", "loads nothing; its one script sorts tables"
        return f"""<!DOCTYPE html>
<html lang="{escaped(self.lang)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(self.title)}</title>
<style>
{css}</style>
</head>
<body>
<header class="page-head"><div class="wrap">
<h1>{escaped(self.title)}</h1>
{f'<p class="subtitle">{escaped(self.subtitle)}</p>' if self.subtitle else ""}
{f'<p class="made">{escaped(made)}</p>' if made else ""}
{self._contents()}
</div></header>
<main class="wrap">
{body}
</main>
<footer class="wrap">This file is complete in itself: it {says}.</footer>
{script}</body>
</html>
"""

    def _add(self, *fragments: str) -> None:
        if not self._sections:
            self.section("")
        self._sections[-1][1].extend(fragments)

    def _contents(self) -> str:
        """Links to the sections, where there are enough of them to get lost."""
        titled = [(i, title) for i, (title, _) in enumerate(self._sections, start=1) if title]
        if len(titled) < 3:
            return ""
        links = "".join(f'<li><a href="#s{i}">{escaped(title)}</a></li>' for i, title in titled)
        return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'

    def _figure(self, picture: Picture | bytes, caption: str, alt: str, dark: bytes | None) -> str:
        if not alt.strip():
            raise InputError("A figure needs a text that says what it shows.", where=caption, fix="Give alt.")
        versions = [inlined(version, self.max_side) for version in (picture, dark) if version is not None]
        size = sum(len(version.data) for version in versions)
        below = f"<figcaption>{escaped(caption)}</figcaption>" if caption else ""
        if self._bytes + size > self.max_bytes:
            limit = f"{self.max_bytes / 1e6:,.3g} MB"
            return f'<figure><p class="missing">Left out: the pictures of a report hold {limit}.</p>{below}</figure>'
        self._bytes += size
        first = versions[0]
        img = f'<img src="{_uri(first)}" width="{first.width}" height="{first.height}" alt="{escaped(alt)}">'
        if len(versions) == 1:
            return f'<figure class="paper">{img}{below}</figure>'
        source = f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_uri(versions[1])}">'
        return f"<figure><picture>{source}{img}</picture>{below}</figure>"


def _section(i: int, title: str, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    if not title:
        return f"<section>{inside}</section>"
    return f'<section id="s{i}" aria-labelledby="h{i}"><h2 id="h{i}">{escaped(title)}</h2>\n{inside}</section>'


def _uri(picture: Inlined) -> str:
    return f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode('ascii')}"
