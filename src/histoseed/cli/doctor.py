"""``histoseed doctor``."""

from __future__ import annotations

import typer
from rich.text import Text

from histoseed.cli.options import Json, Overwrite, Quiet
from histoseed.cli.output import Output

__all__ = ["doctor"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(json: Json = None, overwrite: Overwrite = False, quiet: Quiet = False) -> None:
    """Print what is installed, what works and what to do about the rest; exit code 2 when something needed fails.

    Example: [cyan]histoseed doctor[/cyan]
    """
    from histoseed.workflows.doctor import examine

    out = Output("doctor", json=json, quiet=quiet, overwrite=overwrite)
    findings = []
    for finding in examine():
        findings.append(finding)
        line = Text.assemble((f"{finding.status:<5}", _STYLES[finding.status]), f"{finding.name}: {finding.found}")
        out.say(line)
        if finding.fix is not None:
            out.say(f"     Fix: {finding.fix}")
    failed = [finding.name for finding in findings if finding.status == "fail"]
    warned = [finding.name for finding in findings if finding.status == "warn"]
    out.say(
        f"Failed: {', '.join(failed)}." if failed else "Everything needed works." if warned else "Everything works."
    )
    out.result({"ok": not failed, "findings": [finding.as_dict() for finding in findings]})
    if failed:
        raise typer.Exit(2)
