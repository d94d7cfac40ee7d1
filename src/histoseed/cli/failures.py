"""From exceptions to messages and exit codes.

- 2: an error of :mod:`histoseed.errors`, and what the operating system refuses: what, where, what to do next.
- 130: Ctrl-C, with one line on how to go on.
- 143: the same after SIGTERM (``kill``, the end of a job's time on a cluster).
- 1: anything else; that is a bug of ours, and said so. ``histoseed --traceback`` shows where.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from histoseed._version import __version__
from histoseed.cli.output import console_of
from histoseed.errors import HistoseedError, NoMemoryError, OutputError
from histoseed.workflows.memory import is_out_of_memory

__all__ = ["ARGUMENTS", "failures_reported"]

ARGUMENTS = "histoseed.arguments"
"""Where the context of the root command keeps the arguments as typed (``Context.meta``)."""

_RESUMABLE = frozenset({"adapt", "benchmark", "segment"})
"""Verbs whose unfinished output folder is gone on with."""

_USUAL_FIX = {
    "bad-slide": "Copy or export the image again, or leave it out.",
    "bad-annotation": "Correct the file, or export it again.",
    "bad-dataset": "Correct the file, or import the data set again.",
    "bad-model": "Copy the model folder again, or name another model.",
    "limit-exceeded": "docs/limits.md lists the settings that can be raised.",
    "bad-output": "Choose another place to write to.",
    "missing-package": "`histoseed doctor` tells what is missing.",
    "cluster": "Run the same command again: what is done stays done.",
}
"""Code of an error -> what to do where the error itself does not know better."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def failures_reported(ctx: Any) -> Iterator[None]:
    """Turn what a command raises into a message on standard error and an exit code.

    Args:
        ctx: Context of the root command; its ``--traceback`` and the name of the invoked command are looked at.
    """
    try:
        with _terminated_like_interrupted():
            yield
    except BrokenPipeError:
        raise  # whoever read our output has gone; typer ends without a word
    except KeyboardInterrupt as interrupt:
        console_of(sys.stderr).print(Text(_how_to_resume(ctx), style="yellow"), soft_wrap=True)
        raise typer.Exit(143 if isinstance(interrupt, _Terminated) else 130) from interrupt
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"typer", "click"}:
            raise  # usage errors and exits: typer prints them itself
        if ctx.params.get("traceback"):
            traceback.print_exc()
        known = _explained(error)
        if known is None:
            _report_bug(error)
        else:
            _report(known, ctx)
        raise typer.Exit(1 if known is None else known.exit_code) from error


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: what is done is kept, as after Ctrl-C."""


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM interrupt the work instead of ending the process at once."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers nowhere else
        yield
        return

    def terminate(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _explained(error: Exception) -> HistoseedError | None:
    """The error in our own words, or None where it is a bug."""
    if isinstance(error, HistoseedError):
        return error
    if is_out_of_memory(error):
        fix = "Use a smaller --batch or --region, or a machine with more memory."
        return NoMemoryError("There is not enough memory.", fix=fix)
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in _DISK_FULL:
            return OutputError("The disk is full.", where=error.filename, fix="Free some space, then run it again.")
        return OutputError(f"The operating system refuses: {error.strerror}.", where=error.filename)
    return None


def _report(error: HistoseedError, ctx: Any) -> None:
    """What, where and fix, a line each; long paths are not broken."""
    text = Text()
    text.append("Error: ", style="bold red").append(error.what, style="red")
    if error.where is not None:
        text.append("\nWhere: ", style="bold").append(error.where)
    options = f"`histoseed {ctx.invoked_subcommand} --help` explains the options."
    text.append("\nFix:   ", style="bold").append(error.fix or _USUAL_FIX.get(error.code, options))
    console_of(sys.stderr).print(text, soft_wrap=True)


def _report_bug(error: Exception) -> None:
    text = Text("This is a bug", style="bold red")
    text.append(f" of histoseed {__version__}: {type(error).__name__}: {error}", style="red")
    text.append("\nFix:   ", style="bold").append(
        "Run it again as `histoseed --traceback ...` and report what it prints."
    )
    console_of(sys.stderr).print(text, soft_wrap=True)


def _how_to_resume(ctx: Any) -> str:
    typed = ctx.meta.get(ARGUMENTS, ())
    if ctx.invoked_subcommand == "import" or {"dataset", "windows"} <= set(typed[:2]):
        return "Interrupted. To go on where it stopped, run the same command again."
    of_data = ctx.invoked_subcommand == "segment" and any(Path(word, "dataset.json").is_file() for word in typed)
    if ctx.invoked_subcommand not in _RESUMABLE or of_data:  # a data set of predictions appears whole or not at all
        return "Interrupted. The same command starts anew."
    if "--overwrite" in typed:
        return "Interrupted. To go on, run the same command without --overwrite."
    return "Interrupted. To go on where it stopped, run the same command again."
