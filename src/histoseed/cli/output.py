"""Where a command's words go: the summary to standard output, everything else to standard error, JSON to a file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from histoseed._version import __version__
from histoseed.cli.progress import progress_on_stderr
from histoseed.errors import OutputError
from histoseed.files import write_text
from histoseed.workflows.progress import Progress

__all__ = ["Output", "console_of", "facts_table", "plain_values", "rows_table"]


_FILE_WIDTH = 140
"""Characters a line where the output is no terminal and COLUMNS is not set: there is no window to fold tables for."""


def console_of(stream: TextIO) -> Console:
    """A console that prints names and paths as they are, brackets included."""
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else _FILE_WIDTH  # None: rich looks
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


class Output:
    """What a command says. Made before the work begins, so that a bad ``--json`` is found at once.

    Args:
        command: The command as it is typed, for instance ``dataset info``.
        json: Value of ``--json``.
        quiet: Value of ``--quiet``.
        overwrite: Value of ``--overwrite``.

    Raises:
        OutputError: the JSON file would replace something that is no earlier result.
    """

    def __init__(self, command: str, *, json: str | None, quiet: bool, overwrite: bool = False) -> None:
        self.command = command
        self._json = json
        self._quiet = quiet
        self._summary = not quiet and json != "-"
        if json is not None and json != "-" and not overwrite:
            _refuse_other_file(Path(json))

    def say(self, *parts: RenderableType) -> None:
        """A summary for people; left out under ``--quiet`` and where the JSON goes to standard output."""
        if self._summary:
            console = console_of(sys.stdout)
            for part in parts:
                shown = _Trimmed(part) if isinstance(part, Table) else part
                console.print(shown, soft_wrap=isinstance(part, str | Text))

    def warn(self, texts: Sequence[str]) -> None:
        """What the user should know, a line each, on standard error."""
        console = console_of(sys.stderr)
        for text in texts:
            console.print(Text.assemble(("Note: ", "bold yellow"), text), soft_wrap=True)

    def progress(self) -> AbstractContextManager[Progress | None]:
        """Bars on a terminal, sparse lines elsewhere, nothing under ``--quiet``; all on standard error."""
        return nullcontext() if self._quiet else progress_on_stderr()

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """For work whose length is not known: a spinner on a terminal, else one line, on standard error."""
        console = console_of(sys.stderr)
        if self._quiet:
            yield
        elif console.is_terminal:
            with console.status(Text(text)):
                yield
        else:
            console.print(Text(text), soft_wrap=True)
            yield

    def result(self, facts: Mapping[str, Any]) -> None:
        """Write the result as JSON, if it was asked for; NaN and infinities become null."""
        if self._json is None:
            return
        value = {"histoseed": __version__, "command": self.command, **plain_values(facts)}
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if self._json == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
        elif Path(self._json).exists() and not Path(self._json).is_file():  # /dev/stdout, a named pipe
            with Path(self._json).open("w", encoding="utf-8") as stream:
                stream.write(text)
        else:
            write_text(Path(self._json), text)


class _Trimmed:
    """A table without the spaces that fill its lines up to its width."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._table, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            yield from line[:-1]
            if line:
                yield Segment(line[-1].text.rstrip(), line[-1].style)
            yield Segment.line()


def _refuse_other_file(path: Path) -> None:
    """Scripts may run twice, but nobody's annotations are replaced by a result because a name was mistyped.

    Raises:
        OutputError: ``path`` is a folder, or a file that no histoseed command wrote with ``--json``.
    """
    if path.is_dir():
        raise OutputError("This is a folder.", where=f"--json {path}", fix="Name a file in it.")
    if not path.is_file() or path.stat().st_size == 0:
        return
    try:
        old = json.loads(path.read_bytes())
    except ValueError:
        old = None
    if not (isinstance(old, dict) and {"histoseed", "command"} <= old.keys()):
        fix = "Name another file, or add --overwrite."
        raise OutputError("The file is no result of histoseed and is not replaced.", where=f"--json {path}", fix=fix)


def plain_values(value: Any) -> Any:
    """A value as JSON knows it.

    >>> plain_values({"pq": float("nan"), "path": Path("a"), "sizes": (1, 2)})
    {'pq': None, 'path': 'a', 'sizes': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_values(one) for one in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain_values(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names on the left, values on the right, long values folded."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), Text(value))
    return table


def rows_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in ``right`` hold numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
