"""The folder of results: what stands in it, and whether this version may use it.

::

    benchmark.json          version of the results
    places.json             fingerprint -> path of data sets and weights on this machine
    plans/<name>.json       (<name>.<preset>.json) the runs of a plan as it was last run, and what was missing
    units/<key>.json        one record a run or model: result or error
    models/<key>/           models that runs start from
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from histoseed._version import __version__
from histoseed.benchmarking.expand import Expansion
from histoseed.benchmarking.units import RESULT_VERSION
from histoseed.errors import InputError, OutputError
from histoseed.files import write_json
from histoseed.inference.executors import Unit

__all__ = ["Recorded", "check_results", "open_results", "read_planned", "write_planned"]

_MARK = "benchmark.json"


def check_results(folder: Path) -> bool:
    """Whether results stand in a folder that this version may go on with; False where there is nothing yet.

    Raises:
        OutputError: results of another version, or a folder of something else.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise OutputError("A file of that name is in the way.", where=folder, fix="Choose another folder.")
    if not any(folder.iterdir()):
        return False
    path = folder / _MARK
    try:
        mark = json.loads(path.read_text("utf-8"))
        version, by = mark["version"], mark["histoseed"]
    except FileNotFoundError as error:
        what = "The folder is not empty, and holds no results of a benchmark."
        raise OutputError(what, where=folder, fix="Choose another folder.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"It cannot be read ({error}).", where=path, fix="Choose another folder.") from error
    if version != RESULT_VERSION:
        what = f"The results are of version {version} (histoseed {by}); this histoseed writes version {RESULT_VERSION}."
        raise OutputError(what, where=path, fix="Choose another folder, or the histoseed that wrote it.")
    return True


def open_results(folder: Path, places: Mapping[str, str]) -> None:
    """Make or check the folder, and note where inputs lie on this machine.

    Raises:
        OutputError: see :func:`check_results`, or the folder cannot be written.
    """
    if not check_results(folder):
        write_json(folder / _MARK, {"version": RESULT_VERSION, "histoseed": __version__})
    path = folder / "places.json"
    try:
        old = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        old = {}
    write_json(path, {**old, **places})


class Recorded(Protocol):
    """A plan as the folder of results notes it."""

    @property
    def record(self) -> str:
        """Name of the note."""

    def as_json(self) -> dict[str, Any]:
        """What the report wants to know of it."""


def write_planned(folder: Path, plan: Recorded, made: Expansion[Any]) -> None:
    """Note the runs of a plan, for the report, which needs no data."""
    content = {
        "version": RESULT_VERSION,
        "plan": plan.as_json(),
        "models": {name: unit.as_json() for name, unit in made.models.items()},
        "runs": [
            {
                "unit": run.unit.as_json(), "arm": run.arm.facts, "label": run.arm.label,
                "dataset": run.dataset, "budget": dict(run.budget),
                "model": None if run.model is None else run.model.key,
            }
            for run in made.runs
        ],
        "missing": [
            {"arm": dict(one.arm), "dataset": one.dataset, "why": one.why, "runs": one.runs} for one in made.missing
        ],
    }  # fmt: skip
    write_json(folder / "plans" / f"{plan.record}.json", content)


def read_planned(folder: Path, name: str) -> dict[str, Any]:
    """What :func:`write_planned` noted; units are :class:`Unit` again.

    Raises:
        OutputError: results of another version.
        InputError: no plan of that name was run into this folder.
    """
    path = folder / "plans" / f"{name}.json"
    if not check_results(folder) or not path.is_file():
        ran = sorted(one.stem for one in (folder / "plans").glob("*.json"))
        fix = f"Run it first: histoseed benchmark run. In this folder: {', '.join(ran) or 'none'}."
        raise InputError(f"The plan {name!r} was not run into this folder.", where=folder, fix=fix)
    try:
        content = json.loads(path.read_text("utf-8"))
        for run in content["runs"]:
            run["unit"] = Unit.from_json(run["unit"])
        content["models"] = {key: Unit.from_json(unit) for key, unit in content["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"It cannot be read ({error}).", where=path, fix="Run the plan again.") from error
    return dict(content)
