"""The command line: a skin over :mod:`histoseed.workflows`, one file a verb.

Nothing heavy is imported before a command runs, so that ``histoseed --help`` and completion answer at once.
"""

from __future__ import annotations

from histoseed.cli.app import app, main

__all__ = ["app", "main"]
