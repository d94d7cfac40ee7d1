"""How a verb tells its caller how far it is; the command line draws bars from it, a service its job state."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Receives the steps of one verb. Phases follow each other and never overlap.

    A caller that wants to stop the work raises from :meth:`advance`; it comes out of the verb unchanged.
    """

    def start(self, total: int, unit: str, description: str) -> None:
        """A phase begins.

        Args:
            total: Units of work in it.
            unit: Name of the unit, in the plural ("tiles").
            description: What is being done, a few words.
        """

    def advance(self, n: int, **facts: float) -> None:
        """``n`` more units are done; ``facts`` are running totals of the phase, such as ``objects=1520``."""

    def done(self) -> None:
        """The phase has ended; no further :meth:`advance` before the next :meth:`start`."""


class Silent:
    """The progress that nobody watches."""

    def start(self, total: int, unit: str, description: str) -> None:
        """See :meth:`Progress.start`."""

    def advance(self, n: int, **facts: float) -> None:
        """See :meth:`Progress.advance`."""

    def done(self) -> None:
        """See :meth:`Progress.done`."""
