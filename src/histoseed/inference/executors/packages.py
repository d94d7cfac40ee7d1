"""Packages of the extra ``cluster``: imported when an executor needs them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from histoseed.errors import DependencyError

__all__ = ["optional"]


def optional(module: str) -> Any:
    """A module of the extra ``cluster``.

    Raises:
        DependencyError: its package is not installed.
    """
    try:
        with _signals_kept():
            return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        fix = "pip install '.[cluster]', or run on this machine by --cluster processes."
        raise DependencyError(f"This executor needs {package} ({error}).", where=package, fix=fix) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Importing dask-jobqueue makes Ctrl-C end the process without a word; it is to stay what the caller made of it."""
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be changed
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
