"""``histoseed demo``."""

from __future__ import annotations

from histoseed.cli.options import Device, Json, Out, Overwrite, Quiet
from histoseed.cli.output import Output, rows_table
from histoseed.wording import counted

__all__ = ["demo"]


def demo(
    out: Out, device: Device = "auto", json: Json = None, overwrite: Overwrite = False, quiet: Quiet = False
) -> None:
    """Run the main job on real tissue: adapt the bundled model to an unseen stain, segment, measure before and after.

    Needs no network and no data: picture, annotated crops and model come with the package. Open report.html then.

    Example: [cyan]histoseed demo --out demo-output[/cyan]
    """
    output = Output("demo", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.workflows.demo import SCORES
    from histoseed.workflows.demo import demo as run_demo

    with output.progress() as progress:
        facts = run_demo(out, overwrite=overwrite, device=device, progress=progress)
    before, after = facts["before"], facts["after"]
    rows = [(name, _score(before[key]), _score(after[key])) for key, name in SCORES.items()]
    output.say(f"\nOn a crop kept apart, {counted(facts['measured_on'], 'nucleus')}, protocol {facts['protocol']}:")
    output.say(rows_table(["", "before", "after"], rows, right=["before", "after"]))
    output.say(facts["verdict"])
    output.say(f"{counted(facts['objects'], 'nucleus')} found in the whole picture. Look at them: {facts['report']}")
    output.result(facts)


def _score(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
