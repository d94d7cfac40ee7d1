"""What became of the runs that a plan noted in the folder of results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoseed.inference.executors import Outcome
from histoseed.inference.executors.outcome import read_outcome

__all__ = ["failed_runs", "is_done", "outcomes_of", "unplaced", "waiting_runs"]

_PART = r"[^\s/'\"`,;:()\[\]]+"
_PATH = re.compile(rf"(?<![\w./~-])~?/(?:{_PART}/)*({_PART})")
"""An absolute path, and its last part."""


def unplaced(text: str) -> str:
    """A message without the places of the machine that it is from: pages are published.

    >>> unplaced("There is no data set 'a' in /mnt/data/sets or plans, see https://a.org/b: Fix: /home/me/x.png.")
    "There is no data set 'a' in sets or plans, see https://a.org/b: Fix: x.png."
    """
    return _PATH.sub(r"\1", text)


def outcomes_of(folder: Path, planned: Mapping[str, Any]) -> dict[str, Outcome]:
    """Key -> outcome of the units of a plan that have one.

    Args:
        folder: Of results.
        planned: From :func:`histoseed.benchmarking.results.read_planned`.
    """
    units = [*planned["models"].values(), *(run["unit"] for run in planned["runs"])]
    return {unit.key: outcome for unit in units if (outcome := read_outcome(folder, unit)) is not None}


def waiting_runs(planned: Mapping[str, Any], known: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Runs without an outcome, as the page lists them."""
    bad = {key for key, outcome in known.items() if not outcome.ok}
    left = [run for run in planned["runs"] if run["unit"].key not in known and run["model"] not in bad]
    return [{"arm": run["arm"], "dataset": run["dataset"], "why": "Not run yet.", "runs": 1} for run in left]


def is_done(run: Mapping[str, Any], known: Mapping[str, Outcome]) -> bool:
    """Whether a run has a result."""
    outcome = known.get(run["unit"].key)
    return outcome is not None and outcome.ok


def failed_runs(planned: Mapping[str, Any], known: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Runs that failed, and those whose model could not be trained."""
    rows = []
    for run in planned["runs"]:
        outcome = known.get(run["unit"].key)
        if outcome is None and run["model"] is not None:
            model = known.get(run["model"])
            outcome = model if model is not None and not model.ok else None
        if outcome is None or outcome.error is None:
            continue
        of_model = "" if outcome.unit.key == run["unit"].key else "the model it starts from: "
        arguments = run["unit"].arguments
        rows.append(
            {
                "arm": run["arm"], "label": run.get("label"), "dataset": run["dataset"], "budget": run["budget"],
                "draw": arguments.get("draw"), "seed": arguments["seed"],
                "error": f"{of_model}{outcome.error.type}: {outcome.error.message}",
            }
        )  # fmt: skip
    return rows
