"""What holds for every command: help, start-up, exit codes, output streams."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from histoseed import __version__, errors
from histoseed.cli import app
from histoseed.errors import HistoseedError, InputError

COMMAND = [sys.executable, "-c", "from histoseed.cli import main; main()"]


def commands(group: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, as it is typed."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def test_the_commands_of_this_release() -> None:
    names = {" ".join(path) for path in commands()}
    assert names >= {
        "info", "import", "convert", "dataset list", "dataset info", "dataset split", "dataset verify",
        "dataset leakage", "dataset diff", "dataset merge", "dataset windows", "encoders list", "encoders show",
        "adapt", "segment", "evaluate", "doctor", "demo",
    }  # fmt: skip


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_help_with_an_example(run: Callable[..., Any], path: tuple[str, ...]) -> None:
    help_text = " ".join(run(*path, "--help").stdout.split())
    assert f"Example: histoseed {' '.join(path)}" in help_text
    for option in ("--json", "--quiet", "--overwrite"):
        assert option in help_text


def test_help_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from histoseed.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print([m for m in ('torch', 'timm', 'polars', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(run: Callable[..., Any]) -> None:
    assert run("--version").stdout == f"histoseed {__version__}\n"


def test_python_dash_m_is_the_same_command() -> None:
    command = [sys.executable, "-m", "histoseed", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"histoseed {__version__}\n"


@pytest.mark.parametrize("arguments", [["segmnt"], ["info"], ["info", "--no-such-option"], ["adapt", "x"]])
def test_usage_errors_exit_with_2(run: Callable[..., Any], arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: " in result.stderr


def test_a_mistyped_setting_is_found_by_every_command(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_MAX_PIXEL", "5")
    result = run("encoders", "list")
    assert result.exit_code == 2
    assert "HISTOSEED_MAX_PIXELS" in result.stderr


def test_threads_are_limited_before_the_libraries_start(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(name, "9")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HISTOSEED_THREADS", "3")
    run("encoders", "list")
    assert os.environ["OMP_NUM_THREADS"] == os.environ["POLARS_MAX_THREADS"] == "3"


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Run ``info`` where the work behind it raises."""

    def raising(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("histoseed.workflows.info.slide_info", raising)
    return CliRunner().invoke(app, [*arguments, "info", "x.svs"])


def test_our_errors_are_what_where_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    error = InputError("It is [broken].", where="/a/[b] c.svs", fix="Mend it.")
    result = failing(error, monkeypatch)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["Error: It is [broken].", "Where: /a/[b] c.svs", "Fix:   Mend it."]


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__])
def test_every_error_has_a_fix(monkeypatch: pytest.MonkeyPatch, kind: type[HistoseedError]) -> None:
    first, second = failing(kind("No."), monkeypatch).stderr.splitlines()
    assert first == "Error: No."
    assert second.startswith("Fix:   ")
    assert len(second) > len("Fix:   ") + 10


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/out/x"), 2, "Error: The disk is full.\nWhere: /out/x"),
        (PermissionError(errno.EACCES, "Permission denied", "/out/x"), 2, "Permission denied"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (ZeroDivisionError("division by zero"), 1, f"This is a bug of histoseed {__version__}: ZeroDivisionError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_other_exceptions(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str) -> None:
    result = failing(error, monkeypatch)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), InputError("no")])
def test_the_traceback_is_there_for_those_who_ask(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert "Traceback" in failing(error, monkeypatch, "--traceback").stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [([], "run the same command again"), (["--overwrite"], "run the same command without --overwrite")],
)
def test_ctrl_c_says_how_to_go_on(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, data: Path, options: list[str], words: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("histoseed.workflows.adapt.adapt", interrupted)
    result = run("adapt", data, "--out", data.parent / "model", *options)
    assert result.exit_code == 130
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_is_kept(data: Path, tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "model"
    arguments = ["adapt", str(data), "--weights", "random", "--steps", "100000", "--batch", "1", "--out", str(out)]
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Adapting bundled to discs")
        time.sleep(0.3)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("Interrupted. To go on")
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert not (out / "model.json").exists()


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [*COMMAND, "encoders", "list", "--json", "-"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def parameters(path: tuple[str, ...]) -> list[Any]:
    """The options of a command."""
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    with command.make_context("histoseed", [], resilient_parsing=True) as ctx:
        return [one for one in command.get_params(ctx) if one.param_type_name == "option" and not one.hidden]


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_the_help_names_no_python_types_and_every_choice(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(*path, "--help").stdout
    options = shown[shown.index("─ Arguments") if "─ Arguments" in shown else 0 :].split("╰", 1)[-1]
    assert not re.findall(r"<[a-z|\[\]A-Z -]+>", options)
    for one in parameters(path):
        choices = [str(choice.value) for choice in getattr(one.type_descriptor, "choices", None) or ()]
        words = re.findall(r"[\w-]+", one.help or "")
        assert set(choices) <= set(words), one.opts
        assert len(one.metavar or "") <= len("X,Y,W,H ..."), one.opts


def test_the_options_of_adapt_stand_in_groups_with_room_for_their_text(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("adapt", "--help").stdout
    titles = re.findall(r"╭─ (\w+) ─", shown)
    assert titles == ["Arguments", "Data", "Model", "Training", "Prompts", "Computing", "Output"]
    assert "quality" not in shown
    assert "Weight of the start in the final average" in shown  # on one line
    assert max(map(len, shown.splitlines())) <= 80


def test_a_selection_that_does_not_exist_yet_is_not_offered(run: Callable[..., Any], data: Path) -> None:
    result = run("adapt", data, "--select", "quality", "--out", "nowhere")
    assert result.exit_code == 2
    assert "'random', 'diverse', 'uncertain'" in " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())
