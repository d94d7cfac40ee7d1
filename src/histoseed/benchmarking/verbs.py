"""``benchmark plan``, ``run`` and ``report``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from histoseed.benchmarking.estimate import Estimate, estimate_cost
from histoseed.benchmarking.expand import Expansion, expand
from histoseed.benchmarking.plan import Plan, read_plan, read_titles
from histoseed.benchmarking.prompted.collect import prompt_plans, read_experiments
from histoseed.benchmarking.prompted.estimate import estimate_prompts
from histoseed.benchmarking.prompted.expand import expand_prompts
from histoseed.benchmarking.prompted.plan import PromptPlan, read_prompt_plan, task_of
from histoseed.benchmarking.results import check_results, open_results, read_planned, write_planned
from histoseed.benchmarking.states import failed_runs, is_done, outcomes_of, unplaced, waiting_runs
from histoseed.errors import InputError
from histoseed.inference.executors import Outcome, Unit, make_executor
from histoseed.inference.executors.outcome import read_outcome
from histoseed.wording import counted, some
from histoseed.workflows.progress import Progress, Silent

__all__ = ["plan_benchmark", "report_benchmark", "run_benchmark"]


def plan_benchmark(
    plan: Path | str,
    *,
    preset: str | None = None,
    data: Path | str | None = None,
    out: Path | str | None = None,
    measure_seconds: float = 30.0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every run of a plan, what is missing and why, what is done, and what the rest will cost.

    Args:
        plan: A TOML file, or the name of a ready plan.
        preset: One of those that the plan has.
        data: Folder of the data sets.
        out: Folder of results, for what is done already and for its times.
        measure_seconds: Most seconds that are spent on measuring arms without a finished run; 0 measures nothing.
        progress: Told about every measurement.

    Returns:
        JSON values: ``name``, ``runs``, ``done``, ``failed``, ``left`` (numbers), ``arms`` (a row each), ``models``,
        ``datasets``, ``missing`` (arms, and why), ``lacking`` (data sets and weights that are not here, and how to
        get them), ``estimate`` (seconds of one worker, and how they were found).

    Raises:
        InputError: a plan that cannot be read; the message names the line.
        OutputError: the folder holds results of another version.
    """
    read, made = _expanded(plan, preset, data)
    folder = None if out is None else Path(out)
    known = _known(made, folder)
    left = [run for run in made.runs if run.unit.key not in known]
    waiting = [unit for unit in made.models.values() if unit.key not in known]
    price = estimate_prompts if isinstance(read, PromptPlan) else estimate_cost
    found: Estimate = price(left, waiting, made, folder, limit=measure_seconds, progress=progress or Silent())
    states = Counter("failed" if not outcome.ok else "done" for key, outcome in known.items() if key in _keys(made))
    return {
        "name": read.name,
        "preset": preset,
        "title": read.title,
        "plan": str(read.path),
        "runs": len(made.runs),
        "done": states["done"],
        "failed": states["failed"],
        "left": len(left),
        "arms": _arms(made, known, found.by_run),
        "models": [
            {"name": name, "key": unit.key, "dataset": _taught(unit), "done": unit.key in known}
            for name, unit in made.models.items()
        ],
        "datasets": made.facts,
        "lacking": [{**asdict(one), "runs": runs} for one, runs in made.lacking.items()],
        "missing": [{"arm": dict(m.arm), "dataset": m.dataset, "why": m.why, "runs": m.runs} for m in made.missing],
        "estimate": {"seconds": found.seconds, "how": found.how, "unknown_runs": found.unknown},
    }


def run_benchmark(
    plan: Path | str,
    *,
    preset: str | None = None,
    data: Path | str | None = None,
    out: Path | str,
    cluster: str = "serial",
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run what of a plan is not done yet.

    Models that runs start from come first. A run that fails stops no other. Interrupted, the same call goes on.

    Args:
        plan: A TOML file, or the name of a ready plan.
        preset: One of those that the plan has.
        data: Folder of the data sets.
        out: Folder of results; several plans may share it, and equal runs are made once.
        cluster: Where units run, see :func:`histoseed.inference.executors.make_executor`.
        retry_failed: Make failed runs again.
        progress: Told about every run.

    Returns:
        JSON values: ``runs``, ``done``, ``reused``, ``missing`` (numbers), ``failed`` (rows), ``seconds``.

    Raises:
        InputError: a plan that cannot be read, a cluster that does not exist, nothing to run.
        OutputError: the folder holds something else, or cannot be written.
    """
    executor = make_executor(cluster)
    folder = Path(out)
    check_results(folder)
    read, made = _expanded(plan, preset, data)
    if not made.runs:
        hint = "Give the folder of the data sets by --data. " if data is None else ""
        where = "" if data is None else f" --data {data}"
        fix = f"{hint}What is missing, and how to get it: histoseed benchmark plan {plan}{where}"
        raise InputError(f"Nothing of the plan can be run: {_reasons(made)}.", where=read.path, fix=fix)
    open_results(folder, made.places)
    write_planned(folder, read, made)
    told, begin = progress or Silent(), time.perf_counter()
    count = _Counting(told)

    def run(units: list[Unit], what: str, description: str) -> dict[str, Outcome]:
        told.start(len(units), what, description)
        outcomes = executor.run(units, folder, count, retry_failed=retry_failed)
        told.done()
        return {outcome.unit.key: outcome for outcome in outcomes}

    models = run(list(made.models.values()), "models", "Training models that runs start from") if made.models else {}
    broken = {key for key, outcome in models.items() if not outcome.ok}
    ready = [one.unit for one in made.runs if one.model is None or one.model.key not in broken]
    outcomes = run(ready, "runs", f"Running {read.title or read.name}")
    failed = failed_runs(read_planned(folder, read.record), {**models, **outcomes})
    return {
        "name": read.name,
        "preset": preset,
        "out": str(folder),
        "runs": len(made.runs),
        "done": sum(outcome.ok for outcome in outcomes.values()),
        "reused": sum(outcome.ok and outcome.reused for outcome in outcomes.values()),
        "failed": failed,
        "missing": sum(one.runs for one in made.missing),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def report_benchmark(
    plan: Path | str,
    *,
    preset: str | None = None,
    out: Path | str,
    page: Path | str | None = None,
    cases: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the page of a plan that was run, or one page of all plans of a folder.

    Args:
        plan: A TOML file, or the name of a ready plan; of plans of promptable models also the folder they lie in.
        preset: Only this one of those that were run.
        out: Folder of results.
        page: Folder to write; None is ``report`` with the name of the plan in the folder of results.
        cases: Show pictures of objects, for promptable models. Without them the page holds no part of a data set, and
            may be published where the pictures may not.
        overwrite: Replace an earlier page.

    Returns:
        JSON values: ``page`` (the file), ``runs``, ``failed``, ``missing``, ``waiting`` (numbers of runs); of
        plans of promptable models also ``plans``, and ``plans_waiting``: of how many of them nothing was run.

    Raises:
        InputError: the plan was not run into the folder.
        OutputError: the page cannot be written.
    """
    folder = Path(out)
    prompted = prompt_plans(plan)
    if prompted:
        return _report_prompts(prompted, Path(plan).stem, preset, folder, page, cases=cases, overwrite=overwrite)
    from histoseed.benchmarking.report import write_report  # noqa: PLC0415 - imports matplotlib

    titles = read_titles(plan)
    name = str(titles["name"])
    planned = read_planned(folder, name)
    known = outcomes_of(folder, planned)
    rows = [known[run["unit"].key].result for run in planned["runs"] if is_done(run, known)]
    failed = [{**row, "error": unplaced(row["error"])} for row in failed_runs(planned, known)]
    missing = [{**row, "why": unplaced(row["why"])} for row in (*planned["missing"], *waiting_runs(planned, known))]
    target = folder / f"report-{name}" if page is None else Path(page)
    made = write_report(
        rows, failed=failed, missing=missing,
        plan={**planned["plan"], **titles},  # as they stand in the file now
        out=target, overwrite=overwrite,
    )  # fmt: skip
    return {
        "page": str(made),
        "runs": len(rows),
        "failed": len(failed),
        "missing": sum(one["runs"] for one in planned["missing"]),
        "waiting": len(planned["runs"]) - len(rows) - len(failed),
    }


def _report_prompts(
    plans: Sequence[Path],
    name: str,
    preset: str | None,
    folder: Path,
    page: Path | str | None,
    *,
    cases: bool,
    overwrite: bool,
) -> dict[str, Any]:
    """One page of plans of promptable models."""
    from histoseed.benchmarking.prompted.report.files import without_cases, write_prompt_report  # noqa: PLC0415 - imports matplotlib

    experiments, counts = read_experiments(plans, preset, folder)
    title = {} if len(plans) > 1 else {"title": experiments[0].title}
    if not cases:
        experiments = [without_cases(found) for found in experiments]
    made = write_prompt_report(
        experiments, results=folder, out=folder / f"report-{name}" if page is None else page, overwrite=overwrite,
        **title,
    )  # fmt: skip
    return {"page": str(made), **counts}


def _expanded(
    plan: Path | str, preset: str | None, data: Path | str | None
) -> tuple[Plan | PromptPlan, Expansion[Any]]:
    """A plan and its runs.

    Raises:
        InputError: it cannot be read, or has no such preset.
    """
    if task_of(plan) == "prompt":
        asked = read_prompt_plan(plan, preset)
        return asked, expand_prompts(asked, data)
    read = read_plan(plan)
    if preset is not None:
        what = f"The plan has no preset {preset!r}."
        raise InputError(what, where=read.path, fix="Leave --preset out: plans of promptable models have presets.")
    return read, expand(read, data)


def _taught(unit: Unit) -> str:
    """The data sets that a model is trained on."""
    if "dataset" in unit.arguments:
        return str(unit.arguments["dataset"]["name"])
    return " + ".join(str(one["data"]["name"]) for one in unit.arguments["datasets"])


def _reasons(made: Expansion[Any]) -> str:
    """Why nothing can be run, in few words also where a thousand arms have a reason each."""
    kinds = Counter(one.kind for one in made.lacking)
    said = [counted(kinds["data set"], "data set")] if kinds["data set"] else []
    said += [f"the weights of {counted(kinds['weights'], 'encoder')}"] if kinds["weights"] else []
    known = {one.why for one in made.lacking}
    others = dict.fromkeys(one.why.removesuffix(".") for one in made.missing if one.why not in known)
    lacks = f"{' and '.join(said)} {'is' if kinds == {'data set': 1} else 'are'} not here" if said else ""
    return "; ".join(filter(None, [lacks, some(others)]))


class _Counting:
    """Turns outcomes into progress."""

    def __init__(self, told: Progress) -> None:
        self._told = told
        self._failed = 0

    def __call__(self, outcome: Outcome) -> None:
        self._failed += not outcome.ok
        self._told.advance(1, **({"failed": float(self._failed)} if self._failed else {}))


def _keys(made: Expansion[Any]) -> set[str]:
    return {run.unit.key for run in made.runs}


def _known(made: Expansion[Any], folder: Path | None) -> dict[str, Outcome]:
    """Outcomes that stand in the folder of results."""
    if folder is None or not check_results(folder):
        return {}
    units = [*made.models.values(), *(run.unit for run in made.runs)]
    return {unit.key: outcome for unit in units if (outcome := read_outcome(folder, unit)) is not None}


def _arms(made: Expansion[Any], known: Mapping[str, Outcome], seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row for each arm and data set: how many runs, how many are done, what the others cost."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for run in made.runs:
        empty = {"arm": run.arm.facts, "label": run.arm.label, "dataset": run.dataset, "budgets": [], "runs": 0}
        key = (str(sorted(run.arm.facts.items())), run.dataset)
        row = rows.setdefault(key, empty | {"done": 0, "failed": 0, "seconds": 0.0})
        if run.budget["asked"] not in row["budgets"]:
            row["budgets"].append(run.budget["asked"])
        row["runs"] += 1
        outcome = known.get(run.unit.key)
        row["done"] += outcome is not None and outcome.ok
        row["failed"] += outcome is not None and not outcome.ok
        if outcome is None and row["seconds"] is not None:
            row["seconds"] = row["seconds"] + seconds[run.unit.key] if run.unit.key in seconds else None
    return list(rows.values())
