"""From the folder of results to what the report shows: one experiment a plan and preset."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from histoseed.benchmarking.plan_files import ready_plans
from histoseed.benchmarking.prompted.plan import read_presets, task_of
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.results import PromptResult
from histoseed.benchmarking.results import read_planned
from histoseed.benchmarking.states import failed_runs, is_done, outcomes_of, unplaced, waiting_runs
from histoseed.errors import InputError
from histoseed.toml_files import read_toml

__all__ = ["prompt_plans", "read_experiments"]


def prompt_plans(plan: Path | str) -> list[Path]:
    """The plans of promptable models that are meant: one, or all of a folder; none where another plan is meant.

    Raises:
        InputError: no such file or name.
    """
    folder = Path(plan)
    inside = [path for name, path in ready_plans().items() if name.startswith(f"{str(plan).removeprefix('plans/')}/")]
    files = sorted(folder.glob("*.toml")) if folder.is_dir() else inside
    if files:
        return [path for path in files if task_of(path) == "prompt"]
    if task_of(plan) != "prompt":
        return []
    return [folder if folder.is_file() else ready_plans()[str(plan).removesuffix(".toml").removeprefix("plans/")]]


def read_experiments(
    plans: Sequence[Path], preset: str | None, folder: Path
) -> tuple[list[Experiment], dict[str, int]]:
    """What was run of plans, as the report takes it, and numbers: runs done, failed, missing and waiting; plans.

    Args:
        plans: Their files; of several those that were not run are left out.
        preset: Only this one; None: every one that was run.
        folder: Of results.

    Raises:
        InputError: none of them was run into the folder.

    Of the numbers, ``plans`` counts the files and ``plans_waiting`` those of which nothing was run: how many runs these
    would have is known only where their data are.
    """
    experiments: list[Experiment] = []
    counts: Counter[str] = Counter(runs=0, failed=0, missing=0, waiting=0, plans=len(plans), plans_waiting=0)
    for path in plans:
        table, _ = read_toml(path, "plan")
        before = len(experiments)
        wanted = [preset] if preset is not None else [*read_presets(path), None]
        for one in wanted:
            record = str(table["name"]) if one is None else f"{table['name']}.{one}"
            if (folder / "plans" / f"{record}.json").is_file():
                experiments.append(_experiment(read_planned(folder, record), table, one, folder, counts))
        counts["plans_waiting"] += len(experiments) == before
    if not experiments:
        hint = "" if preset is None else f" --preset {preset}"
        fix = f"Run it first: histoseed benchmark run {plans[0]}{hint} --out {folder}."
        raise InputError("No such plan was run into this folder.", where=folder, fix=fix)
    return experiments, dict(counts)


def _experiment(
    planned: Mapping[str, Any], table: Mapping[str, Any], preset: str | None, folder: Path, counts: Counter[str]
) -> Experiment:
    """One plan with one preset; titles are those that stand in the file now."""
    known = outcomes_of(folder, planned)
    own = {} if preset is None else table["presets"].get(preset, {})
    results = []
    for run in planned["runs"]:
        if is_done(run, known):
            rows = [PromptResult.from_json(row) for row in known[run["unit"].key].result]
            results += [dataclasses.replace(row, plan=table["name"], preset=preset or "") for row in rows]
    failed, waiting = failed_runs(planned, known), waiting_runs(planned, known)
    counts.update(
        runs=sum(is_done(run, known) for run in planned["runs"]), failed=len(failed), waiting=len(waiting),
        missing=sum(one["runs"] for one in planned["missing"]),
    )  # fmt: skip
    return Experiment(
        plan=table["name"],
        title=own.get("title", table.get("title")) or table["name"],
        description=" ".join(filter(None, (table.get("description"), own.get("description")))),
        preset=preset or "",
        results=results,
        failed=[{"what": f"{row['label']}: {row['dataset']}", "error": unplaced(row["error"])} for row in failed],
        missing=[
            {"what": unplaced(_words(row)), "why": unplaced(row["why"])} for row in (*planned["missing"], *waiting)
        ],
    )


def _words(row: Mapping[str, Any]) -> str:
    """A run that is not there, in a few words."""
    arm = row["arm"]
    said = [
        str(value) for value in (arm.get("model"), arm.get("fusion"), arm.get("method")) if value not in {None, "none"}
    ]
    return f"{', '.join(said)}: {row['dataset']}"
