"""Packages of the extra ``cluster``: imported when an executor needs them."""

from __future__ import annotations

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
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        fix = "pip install '.[cluster]', or run on this machine by --cluster processes."
        raise DependencyError(f"This executor needs {package} ({error}).", where=package, fix=fix) from error
