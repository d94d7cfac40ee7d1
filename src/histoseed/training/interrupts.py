"""Ctrl-C and SIGTERM between two steps of a training, never within what must change as a whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

__all__ = ["Interrupts", "Stepped", "run_steps"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context in which some blocks are not interrupted: a signal that comes meanwhile is handled at their end.

    Python handles signals in the main thread only; anywhere else nothing comes that could be held back.
    """

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._holding = False
        self._came: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: handler for number, handler in found.items() if callable(handler)}
            for number in self._before:
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A block that is not interrupted."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._came is not None:
                (number, frame), self._came = self._came, None
                self._before[number](number, frame)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._came = (number, frame)
        else:
            self._before[number](number, frame)


class Stepped(Protocol):
    """What changes in a training from step to step."""

    step: int
    unmeasured: bool

    def save(self) -> None:
        """Write the checkpoint."""


def run_steps(
    state: Stepped,
    total: int,
    interrupts: Interrupts,
    *,
    take_step: Callable[[int], None],
    look_back: Callable[[], None],
) -> None:
    """All steps that are left; an interruption keeps the checkpoint of the last whole one.

    Args:
        state: Its ``step`` is the number of steps that were taken.
        total: Steps of the whole training.
        interrupts: Holds back what comes while the checkpoint is written.
        take_step: Takes the step of a number, counted from 0.
        look_back: Measures the step that was taken, tells it, keeps regular checkpoints.
    """
    with interrupts:
        try:
            if state.unmeasured:  # the interruption came while the last step was looked at
                look_back()
            for step in range(state.step, total):
                take_step(step)
                look_back()
        except KeyboardInterrupt:
            with interrupts.held():
                state.save()
            raise
