"""``python -m histoseed.inference.executors FOLDER``: one task of a SLURM array, as its batch script calls it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from histoseed.errors import HistoseedError
from histoseed.inference.executors.array import run_share
from histoseed.wording import counted

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """One task of the array; a unit that failed stands in its record and is no failure of the task."""
    parser = argparse.ArgumentParser(prog="python -m histoseed.inference.executors", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=int, required=True)
    parser.add_argument("--shares", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--retry-failed", action="store_true")
    given = vars(parser.parse_args(arguments))
    try:
        outcomes = run_share(given.pop("folder"), given.pop("share"), given.pop("shares"), **given)
    except HistoseedError as error:
        parser.exit(error.exit_code, f"{error}\n")
    failed = sum(not outcome.ok for outcome in outcomes)
    parser.exit(0, f"{counted(len(outcomes) - failed, 'unit')} done, {failed} failed.\n")


if __name__ == "__main__":
    main()
