"""Progress on standard error: bars on a terminal, a line now and then where it is a file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self, TextIO

import rich.progress as drawing
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from histoseed.workflows.progress import Progress

__all__ = ["Bars", "Lines", "duration", "facts_in_words", "progress_on_stderr"]

_SECONDS_BETWEEN_LINES = 10.0
_PHASES_SHOWN = 4
_COUNTED = ("objects",)
"""Facts that are counts: they are shown with their number a second."""


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """What suits standard error; the bars are taken away when the block ends, however it ends."""
    if not sys.stderr.isatty():
        yield Lines(sys.stderr)
        return
    with Bars(Console(stderr=True)) as bars:
        yield bars


def facts_in_words(facts: Mapping[str, float], seconds: float) -> str:
    """Running totals of a phase.

    >>> facts_in_words({"objects": 1520, "loss": 0.5, "pq": 0.25}, 10.0)
    '1,520 objects (152/s), loss 0.5000, pq 0.2500'
    """
    words = []
    for name, value in facts.items():
        if name in _COUNTED:
            words.append(f"{value:,.0f} {name} ({value / max(seconds, 1e-3):,.0f}/s)")
        else:
            words.append(f"{name} {value:,.0f}" if float(value).is_integer() else f"{name} {value:.4f}")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """A duration for people.

    >>> duration(8), duration(95), duration(7300)
    ('8 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class _FactsColumn(drawing.ProgressColumn):
    """The facts of the phase, beside its bar."""

    def render(self, task: drawing.Task) -> Text:
        """One line of words."""
        return Text(facts_in_words(task.fields["facts"], task.elapsed or 0.0), style="cyan")


class _TimeColumn(drawing.ProgressColumn):
    """The time left of a phase that runs, the time taken of one that has ended."""

    max_refresh = 0.5

    def render(self, task: drawing.Task) -> Text:
        """A few words."""
        if task.finished or task.stop_time is not None:
            return Text(duration(task.elapsed or 0.0))
        left = task.time_remaining
        return Text("" if left is None else f"{duration(left)} left")


class Bars:
    """One bar a phase, drawn by rich; of a long row of phases the last ones stay on the screen."""

    def __init__(self, console: Console) -> None:
        self._drawn = drawing.Progress(
            drawing.TextColumn("{task.description}"),
            drawing.BarColumn(bar_width=16),
            drawing.MofNCompleteColumn(),
            drawing.TextColumn("{task.fields[unit]},"),
            _TimeColumn(),
            _FactsColumn(),
            console=console,
        )
        self._bar: drawing.TaskID | None = None

    def __enter__(self) -> Self:
        self._drawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.stop()

    def start(self, total: int, unit: str, description: str) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        self.done()
        for old in self._drawn.task_ids[:-_PHASES_SHOWN]:
            self._drawn.remove_task(old)
        self._bar = self._drawn.add_task(escape(description), total=total, unit=unit, facts={})

    def advance(self, n: int, **facts: float) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        if self._bar is not None:
            self._drawn.update(self._bar, advance=n)
            if facts:
                self._drawn.update(self._bar, facts=facts)

    def done(self) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        if self._bar is not None:
            self._drawn.stop_task(self._bar)
            self._bar = None


class Lines:
    """A line at the beginning and the end of a phase, and every ten seconds in between.

    Args:
        stream: Where they go.
        clock: Seconds that only grow.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._total = 0

    def start(self, total: int, unit: str, description: str) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        self._total, self._unit, self._made = total, unit, 0
        self._facts: Mapping[str, float] = {}
        self._begin = self._last = self._clock()
        self._print(description)

    def advance(self, n: int, **facts: float) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        self._made += n
        self._facts = facts or self._facts
        now = self._clock()
        if now - self._last >= _SECONDS_BETWEEN_LINES and self._made < self._total:
            self._last = now
            left = (now - self._begin) * (self._total - self._made) / max(self._made, 1)
            self._print(f"  {self._where_it_stands(now)}, {duration(left)} left")

    def done(self) -> None:
        """See :class:`~histoseed.workflows.progress.Progress`."""
        now = self._clock()
        self._print(f"  {self._where_it_stands(now)}, {duration(now - self._begin)}")

    def _where_it_stands(self, now: float) -> str:
        words = facts_in_words(self._facts, now - self._begin)
        return f"{self._made:,}/{self._total:,} {self._unit}" + (f", {words}" if words else "")

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
