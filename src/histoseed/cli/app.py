"""The command ``histoseed``: its options, its commands, and the place where errors become messages."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from histoseed._version import __version__
from histoseed.cli import (
    adapt,
    benchmark,
    convert,
    dataset,
    demo,
    doctor,
    encoders,
    evaluate,
    import_,
    info,
    model,
    prompt,
    segment,
    suggest,
    weights,
)
from histoseed.cli.commands import Commands, Group
from histoseed.cli.failures import ARGUMENTS, failures_reported

__all__ = ["app", "main"]


class _Reporting(Group):
    """The root group: whatever a command raises is told in words, with an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the arguments as they were typed, for the message after Ctrl-C."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        with failures_reported(ctx):
            return super().invoke(ctx)


app = Commands(
    name="histoseed",
    cls=_Reporting,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"histoseed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="On any error, print the Python traceback too (for bug reports).")
    ] = False,
) -> None:
    """Grow trustworthy instance segmentation of histology slides from a few annotations.

    Every command has a [bold]--help[/bold] with an example, and [bold]--json PATH[/bold] for scripts.
    Settings are given in the environment as HISTOSEED_<NAME>; docs/limits.md lists them.

    First look: [cyan]histoseed segment slide.svs --out result[/cyan]

    Is everything installed? [cyan]histoseed doctor[/cyan]
    """
    del version, traceback  # the first acts by itself, the second is read where errors are reported
    from histoseed.cli.environment import prepare

    prepare()


app.command("info")(info.info)
app.command("import")(import_.import_)
app.command("convert")(convert.convert)
app.add_typer(dataset.app, name="dataset")
app.add_typer(encoders.app, name="encoders")
app.add_typer(weights.app, name="weights")
app.add_typer(model.app, name="model")
app.command("adapt")(adapt.adapt)
app.command("prompt")(prompt.prompt)
app.command("segment")(segment.segment)
app.command("evaluate")(evaluate.evaluate)
app.command("suggest")(suggest.suggest)
app.add_typer(benchmark.app, name="benchmark")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


def main() -> None:
    """Entry point of the installed command."""
    app()
