"""What holds for every command before it starts: settings are checked, threads limited, log lines readable."""

from __future__ import annotations

import logging
import os
import sys

from histoseed.settings import read_settings

__all__ = ["prepare"]

_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def prepare() -> None:
    """Read the settings once, so that a mistyped name is found by every command and not by the one that needs it.

    Raises:
        InputError: an unknown name that starts with ``HISTOSEED_``, or a value that cannot be used.
    """
    settings = read_settings()
    if settings.threads > 0:
        # The numeric libraries look at these when they are imported, which happens inside the commands.
        for name in _THREAD_COUNTS:
            os.environ.setdefault(name, str(settings.threads))
    log = logging.getLogger("histoseed")
    if not any(isinstance(handler, _StandardError) for handler in log.handlers):
        log.addHandler(_StandardError())


class _StandardError(logging.Handler):
    """Prints to the standard error of this moment (tests and notebooks exchange it)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr)  # noqa: T201
