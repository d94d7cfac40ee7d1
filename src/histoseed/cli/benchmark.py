"""``histoseed benchmark plan | run | report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histoseed.cli.commands import Commands
from histoseed.cli.options import Json, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.cli.progress import duration
from histoseed.wording import agreed, counted, some

__all__ = ["app"]

app = Commands(help="Which encoder, which adaptation, how many annotations: plan, run and report a benchmark.")

PlanFile = Annotated[
    str, typer.Argument(metavar="PLAN", help="A TOML file, or a ready plan: smoke, trail, rapid_cytomine/jitter ...")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", "-d", metavar="DIR", help="Folder of the data sets and weights that the plan names."),
]
Preset = Annotated[
    str | None, typer.Option("--preset", "-p", metavar="P", help="Of plans that have some: published, smoke, bundled.")
]
Results = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of results; plans may share it.")]

_SHOWN = 12


@app.command("plan")
def plan(
    plan: PlanFile,
    data: Data = None,
    preset: Preset = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of results: what is done, and its times.")
    ] = None,
    measure: Annotated[
        float,
        typer.Option("--measure", min=0, metavar="S", help="Most seconds spent on timing a step of each arm; 0: none."),
    ] = 30.0,
    workers: Annotated[
        int, typer.Option("--workers", min=1, metavar="N", help="For the estimate of the time that is left.")
    ] = 1,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show every run, what is missing and why, and what it will cost. Nothing is trained.

    Exit code 2 where no run can be made because --data is missing.

    Example: [cyan]histoseed benchmark plan smoke --data bench_data[/cyan]
    """
    output = Output("benchmark plan", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.benchmarking import plan_benchmark

    with output.progress() as progress:
        found = plan_benchmark(plan, preset=preset, data=data, out=out, measure_seconds=measure, progress=progress)
    name = f"{found['title'] or found['name']} ({found['plan']})"
    output.say(facts_table({"plan": name, **_run_facts(found, workers), **_missing_facts(found)}))
    if found["arms"]:
        output.say("", rows_table(["arm", "data set", "N", "runs", "done", "seconds"], _rows(found), right=["seconds"]))
    absent = [one for one in found["lacking"] if one["kind"] == "data set"]
    weights = [one for one in found["lacking"] if one["kind"] == "weights"]
    for head, lacking in (("data set that is not here", absent), ("weights that are not here", weights)):
        if lacking:
            rows = [[one["name"], f"{one['runs']:,}", one["get"]] for one in lacking]
            output.say("", rows_table([head, "runs", "how to get it"], rows, right=["runs"]))
    told = {one["why"] for one in found["lacking"]}
    rows = _missing([one for one in found["missing"] if one["why"] not in told])
    if rows:
        output.say("", rows_table(["cannot be run", "data set", "runs", "why"], rows, right=["runs"]))
    output.result(found)
    if absent and data is None:
        verb = "is" if len(absent) == 1 else "are"
        where = f"{some(one['name'] for one in absent)} {verb} not beside the plan"
        output.warn([f"Name the folder of the data sets by --data DIR: {where}."])
        if not found["runs"]:
            raise typer.Exit(2)


@app.command("run")
def run(
    plan: PlanFile,
    out: Results,
    data: Data = None,
    preset: Preset = None,
    cluster: Annotated[
        str,
        typer.Option("--cluster", metavar="C", help="serial, processes:2, dask:4, slurm, an address or a .toml file."),
    ] = "serial",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Make failed runs again.")] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Run what is not done yet. Interrupted, the same command goes on; a finished run is never repeated.

    A run that fails stops no other; its error is told here and in the report. Exit code 2 where a run failed.

    Example: [cyan]histoseed benchmark run smoke --data bench_data --out results --cluster processes:2[/cyan]
    """
    output = Output("benchmark run", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.benchmarking import run_benchmark

    with output.progress() as progress:
        made = run_benchmark(
            plan, preset=preset, data=data, out=out, cluster=cluster, retry_failed=retry_failed, progress=progress
        )
    failed = made["failed"]
    output.say(
        facts_table(
            {
                "runs": f"{made['done']} of {made['runs']} done, {made['reused']} of them before",
                "failed": str(len(failed)),
                "missing": f"{made['missing']} (see `histoseed benchmark plan`)" if made["missing"] else "none",
                "time": duration(made["seconds"]),
            }
        ),
        f"See it: histoseed benchmark report {plan}{'' if preset is None else f' --preset {preset}'} --out {out}",
    )
    output.warn([f"{_name(one)}: {one['error']}" for one in failed[:_SHOWN]])
    output.result(made)
    if failed:
        raise typer.Exit(2)


@app.command("report")
def report(
    plan: PlanFile,
    out: Results,
    preset: Preset = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="DIR", help="Folder of the page (default: in the results).")
    ] = None,
    cases: Annotated[
        bool,
        typer.Option("--cases/--no-cases", help="Pictures of single objects; a page without them holds no data."),
    ] = True,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the page of a plan that was run: HTML, Markdown, plots, CSV, Parquet. Needs no data.

    Example: [cyan]histoseed benchmark report smoke --out results --page page[/cyan]
    """
    output = Output("benchmark report", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.benchmarking import report_benchmark

    with output.working("Writing the page"):
        made = report_benchmark(plan, preset=preset, out=out, page=page, cases=cases, overwrite=overwrite)
    names = {"page": "page", "runs": "runs", "failed": "failed", "missing": "missing", "waiting": "not run yet"}
    facts = {text: str(made[name]) for name, text in names.items()}
    if made.get("plans_waiting"):
        facts["plans not run"] = f"{made['plans_waiting']} of {made['plans']}; above are the others' runs"
    output.say(facts_table(facts))
    output.result(made)


def _run_facts(found: dict[str, Any], workers: int) -> dict[str, str]:
    """How many runs there are and how long they take."""
    if not found["runs"]:
        return {"runs": " ".join(found["estimate"]["how"])}
    estimate = found["estimate"]
    left = "nothing is left" if not found["left"] else duration(estimate["seconds"] / workers)
    if estimate["unknown_runs"] == found["left"] > 0:
        left = "not estimated"
    elif estimate["unknown_runs"]:
        left += " and " + agreed("{count} {run that is|runs that are} not estimated", estimate["unknown_runs"])
    return {
        "runs": f"{found['runs']}: {found['done']} done, {found['failed']} failed, {found['left']} left",
        f"time with {counted(workers, 'worker')}": left,
        "how": " ".join(estimate["how"]),
    }


def _missing_facts(found: dict[str, Any]) -> dict[str, str]:
    count = sum(one["runs"] for one in found["missing"])
    return {"missing": f"{counted(count, 'run')}, see below"} if count else {}


def _rows(found: dict[str, Any]) -> list[list[str]]:
    return [
        [
            row["label"], row["dataset"], " ".join(map(str, row["budgets"])), str(row["runs"]),
            str(row["done"]) + (f", {row['failed']} failed" if row["failed"] else ""),
            "?" if row["seconds"] is None else f"{row['seconds']:.0f}",
        ]
        for row in found["arms"]
    ]  # fmt: skip


def _missing(rows: list[dict[str, Any]]) -> list[list[str]]:
    """One row a reason and encoder; many data sets, decoders and methods with one reason are one row."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for one in rows:
        arm = one["arm"]
        network = arm.get("encoder") or arm["model"]
        row = merged.setdefault((network, one["why"]), {"how": [], "datasets": [], "runs": 0})
        row["how"].append(", ".join(str(arm[key]) for key in ("decoder", "fusion", "method") if arm.get(key)))
        row["datasets"].append(one["dataset"])
        row["runs"] += one["runs"]

    def named(encoder: str, how: list[str]) -> str:
        kinds = list(dict.fromkeys(how))
        return ", ".join([encoder, *(kinds if len(kinds) == 1 else [counted(len(kinds), "adaptation")])])

    return [
        [named(encoder, row["how"]), ", ".join(dict.fromkeys(row["datasets"])), f"{row['runs']:,}", why]
        for (encoder, why), row in merged.items()
    ]


def _name(one: dict[str, Any]) -> str:
    arm = one["arm"]
    if "encoder" not in arm:
        return f"{one['dataset']}, {one['label']}, seed {one['seed']}"
    return f"{one['dataset']}, {arm['encoder']}, {arm['decoder']}, {arm['method']}, N = {one['budget']['asked']}"
