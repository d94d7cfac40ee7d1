"""Where a command's words go."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histoseed import __version__
from histoseed.cli.output import Output, facts_table, plain_values, rows_table


def test_json_on_standard_output_stands_alone(run: Callable[..., Any], picture: Path) -> None:
    result = run("info", picture, "--json", "-")
    facts = json.loads(result.stdout)
    assert (facts["histoseed"], facts["command"]) == (__version__, "info")
    assert (facts["width"], facts["height"], facts["mpp"]) == (64, 64, None)


def test_json_in_a_file_beside_the_summary(run: Callable[..., Any], picture: Path, tmp_path: Path) -> None:
    result = run("info", picture, "--mpp", 0.5, "--json", tmp_path / "new" / "facts.json")
    assert "64 x 64 pixels (0.032 x 0.032 mm)" in result.stdout
    assert json.loads((tmp_path / "new" / "facts.json").read_text())["mpp_source"] == "user"


def test_quiet_leaves_the_result(run: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = run("dataset", "info", data, "--sheet", sheet, "--json", tmp_path / "a.json", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert sheet.is_file()
    assert json.loads((tmp_path / "a.json").read_text())["patches"] == 2


def test_a_result_may_be_made_again(run: Callable[..., Any], picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.touch()  # as `mktemp` makes it
    for mpp in (0.5, 0.25):
        assert run("info", picture, "--mpp", mpp, "--json", path).exit_code == 0
        assert json.loads(path.read_text())["mpp"] == mpp


@pytest.mark.parametrize("content", ['{"type": "FeatureCollection"}', "no json", "[1]"])
def test_another_file_is_not_replaced_by_a_result(
    run: Callable[..., Any], refused: Callable[..., str], picture: Path, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "annotations.geojson"
    path.write_text(content)
    refused("info", picture, "--json", path, names=path)
    assert run("info", picture, "--json", path, "--overwrite").exit_code == 0
    assert json.loads(path.read_text())["command"] == "info"


def test_a_folder_is_no_file(refused: Callable[..., str], picture: Path, tmp_path: Path) -> None:
    refused("info", picture, "--json", tmp_path, names=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_result(run: Callable[..., Any], picture: Path) -> None:
    result = run("info", picture, "--json", "/dev/full")
    assert result.exit_code == 2
    assert "The disk is full" in result.stderr


def test_a_named_pipe_is_written_to(run: Callable[..., Any], picture: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("info", picture, "--json", pipe).exit_code == 0
        assert json.loads(os.read(reading, 1 << 16))["width"] == 64
    finally:
        os.close(reading)


@pytest.mark.parametrize("width", [20, 140])
def test_tables_have_no_spaces_at_the_ends_of_lines(width: int, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    output = Output("x", json=None, quiet=False)
    output.say(facts_table({"a": "word " * 12, "longer": "", "c": "[b]"}), rows_table(["x", "n"], [("left", "7")]))
    text = capsys.readouterr().out
    assert text.splitlines() == [line.rstrip() for line in text.splitlines()]
    assert "".join(text.split()) == "a" + "word" * 12 + "longer" + "c[b]" + "xn" + "left7"
    assert "\nx     n\nleft  7\n" in text


def test_plain_values() -> None:
    value = {"a": np.float64("inf"), "b": np.arange(2), 3: Path("x"), "d": (True, None), "e": np.int64(4)}
    assert plain_values(value) == {"a": None, "b": [0, 1], "3": "x", "d": [True, None], "e": 4}
