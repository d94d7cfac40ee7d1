"""Bars and lines on standard error."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from histoseed.cli.progress import Bars, Lines, facts_in_words


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_are_sparse_and_know_the_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.start(100, "tiles", "Segmenting a.svs")
    for _ in range(100):
        clock.now += 0.5
        lines.advance(1, objects=10)
    lines.done()
    first, *middle, last = stream.getvalue().splitlines()
    assert first == "Segmenting a.svs"
    assert middle[0] == "  20/100 tiles, 10 objects (1/s), 40 s left"
    assert len(middle) == 4
    assert last == "  100/100 tiles, 10 objects (0/s), 50 s"


def test_facts_stay_until_they_are_told_anew() -> None:
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.start(2, "steps", "Adapting")
    lines.advance(1, loss=0.25)
    lines.advance(1)
    lines.done()
    assert "loss 0.2500" in stream.getvalue()


def test_rates_of_objects_only() -> None:
    assert facts_in_words({"objects": 30, "pq": 0.5, "epoch": 3.0}, 10.0) == "30 objects (3/s), pq 0.5000, epoch 3"
    assert facts_in_words({"objects": 30}, 0.0).startswith("30 objects")


def test_bars_draw_every_phase() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=140, color_system=None)
    with Bars(console) as bars:
        bars.start(4, "steps", "Adapting [bold]x")
        bars.advance(3, loss=0.5)
        bars.start(2, "tiles", "Segmenting")  # a phase that nobody ended
        bars.advance(2, objects=7)
        bars.done()
    drawn = stream.getvalue()
    assert "Adapting [bold]x" in drawn
    assert "3/4 steps" in drawn
    assert "loss 0.5000" in drawn
    assert "2/2 tiles" in drawn
    assert "7 objects" in drawn


def test_bars_are_taken_away_when_the_work_fails() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    bars = Bars(console)

    def work() -> None:
        with bars:
            bars.start(4, "steps", "Adapting")
            bars.advance(1 // 0)

    with pytest.raises(ZeroDivisionError):
        work()
    assert bars._drawn.live.is_started is False
