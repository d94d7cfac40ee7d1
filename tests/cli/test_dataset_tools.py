"""``histoseed dataset leakage | diff | merge | windows`` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import typer
from PIL import Image
from typer.testing import CliRunner

from histoseed.annotations import Instances, write_geojson
from histoseed.cli.app import _Reporting
from histoseed.cli.dataset_tools import attach
from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes, read_dataset
from histoseed.workflows.dataset_merge import list_class_maps

root = typer.Typer(cls=_Reporting)
group = typer.Typer()
attach(group)
root.add_typer(group, name="dataset")


@root.callback()
def _root() -> None:
    """As the real one reports errors."""


def run(*arguments: object) -> Any:
    return CliRunner().invoke(root, ["dataset", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["command"] == f"dataset {arguments[0]}"
    return found


@pytest.fixture
def other(data: Path, tmp_path: Path) -> Path:
    """A data set with another picture and a TCGA patient."""
    image = np.random.default_rng(9).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with DatasetWriter(tmp_path / "other", DatasetInfo(name="other", classes=named_classes(["x"]))) as writer:
        writer.add("q", image, np.ones((64, 64), np.int32), class_of={1: "x"}, patient="TCGA-A1-A0SP")
    return tmp_path / "other"


@pytest.mark.parametrize("command", ["leakage", "diff", "merge", "windows"])
def test_help_has_an_example(command: str) -> None:
    text = " ".join(run(command, "--help").stdout.split())
    assert f"Example: histoseed dataset {command}" in text
    for option in ("--json", "--quiet", "--overwrite"):
        assert option in text


def test_leakage_exits_with_3_only_where_it_is_asked_to_and_something_is_shared(
    data: Path, other: Path, tmp_path: Path
) -> None:
    alone = run("leakage", data, other, "--fail")
    assert (alone.exit_code, alone.stdout) == (0, "Nothing is shared.\n")
    copy = tmp_path / "copy"
    with DatasetWriter(copy, DatasetInfo(name="copy")) as writer:
        for patch in read_dataset(data):
            writer.add(patch.patch_id, np.rot90(patch.image).copy())
    assert run("leakage", data, copy).exit_code == 0
    found = run("leakage", data, copy, "--fail", "--csv", tmp_path / "found.csv")
    assert found.exit_code == 3
    assert "p0 = p0" in found.stdout
    assert "rotated by 90 degrees clockwise" in found.stdout
    assert (tmp_path / "found.csv").is_file()
    facts = answer("leakage", data, copy)
    assert [row["kind"] for row in facts["findings"]] == ["image", "image"]
    assert run("leakage", data, copy, "--fail", "--no-images").exit_code == 0
    assert run("leakage", data, copy, "--distance", "12").exit_code == 2


def test_leakage_lists_a_few_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with DatasetWriter(tmp_path / name, DatasetInfo(name=name)) as writer:
            for k in range(25):
                writer.add(f"{name}{k}", np.zeros((4, 4, 3), np.uint8), patient=f"TCGA-A1-A0{k:02}")
    text = run("leakage", tmp_path / "a", tmp_path / "b").stdout
    assert "... and 5 more" in text
    assert text.count("TCGA-A1-A0") == 20


def test_diff(data: Path, tmp_path: Path) -> None:
    text = run("diff", data, data, "--out", tmp_path / "diff").stdout
    assert "2 in both, 2 of them unchanged" in text
    assert str(tmp_path / "diff") in text
    facts = answer("diff", data, data)
    assert facts["objects"]["nucleus"]["kept"] == read_dataset(data).instances.height
    refused = run("diff", data, data, "--out", tmp_path / "diff")
    assert refused.exit_code == 2
    assert "not empty" in refused.stderr


def test_diff_of_data_sets_that_have_no_patch_in_common(data: Path, other: Path) -> None:
    refused = run("diff", data, other)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--by-image" in refused.stderr


def test_merge(data: Path, other: Path, tmp_path: Path) -> None:
    facts = answer("merge", data, other, "--out", tmp_path / "both", "--name", "both")
    assert (facts["patches"], facts["name"]) == (3, "both")
    assert facts["licence"] == "discs: CC0-1.0; other: not stated (together: commercial use not settled)"
    chosen = tmp_path / "map.toml"
    chosen.write_text('[discs]\nodd = "cell"\n[other]\nx = "cell"\n')
    refused = run("merge", data, other, "--map", chosen, "--out", tmp_path / "mapped")
    assert refused.exit_code == 2
    assert "discs: 'even'" in refused.stderr
    assert not (tmp_path / "mapped").exists()
    chosen.write_text('[discs]\nodd = "cell"\neven = "unclassified"\n[other]\nx = "cell"\n')
    assert list(answer("merge", data, other, "--map", chosen, "--out", tmp_path / "mapped")["classes"]) == ["cell"]


def test_merge_lists_its_maps_and_needs_two_sets_and_a_place(data: Path, other: Path, tmp_path: Path) -> None:
    text = run("merge", "--list-maps").stdout
    for name in ("common", "pannuke", "lizard", "consep", "monusac", "nucls-main", "nucls-super"):
        assert name in text
    assert "macrophages are in nonTIL_stromal" in text
    for arguments, words in (
        ((), "two data sets"), ((data, "--out", tmp_path / "x"), "two data sets"), ((data, other), "Where"),
        ((data, other, "--out", tmp_path / "x", "--map", "comon"), "Did you mean 'common'"),
    ):  # fmt: skip
        refused = run("merge", *arguments)
        assert refused.exit_code == 2
        assert words in refused.stderr


def test_windows(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), "pink").save(tmp_path / "a.png")
    objects = Instances.build([shapely.box(20, 20, 30, 30), shapely.box(40, 20, 60, 40)], class_name=["x", "y"])
    write_geojson(tmp_path / "a.geojson", objects)
    sources = (tmp_path / "a.png", tmp_path / "a.geojson")
    facts = answer("windows", *sources, "--out", tmp_path / "w", "--dezoom", 3, "--size", 40, "--mpp", 0.5)
    assert (facts["patches"], facts["patch_sizes"], facts["mpp"]) == (
        2, {"40x40": 1, "30x30": 1}, {"0.75": 1, "0.5": 1},
    )  # fmt: skip
    one = answer("windows", *sources, "--out", tmp_path / "y", "--class", "y", "--leave-out", "x", "--complete")
    assert (one["patches"], one["classes"], one["exhaustive"]) == (1, {"y": 1}, 1)
    refused = run("windows", *sources, "--out", tmp_path / "w")
    assert refused.exit_code == 2
    assert "not empty" in refused.stderr
    assert run("windows", *sources, "--out", tmp_path / "w", "--overwrite").exit_code == 0


PAGE = (Path(__file__).parents[2] / "docs" / "dataset-tools.md").read_text("utf-8")


def test_the_page_names_only_options_that_exist_and_every_ready_map() -> None:
    commands = typer.main.get_command(group).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^histoseed dataset (.*)$", PAGE, re.MULTILINE):
        name, *words = line.partition("#")[0].split()
        known = {one for parameter in commands[name].params for one in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    assert {row["name"] for row in list_class_maps()} == set(re.findall(r"`([a-z-]+)`", _column(PAGE, "| ready map |")))


def _column(page: str, heading: str) -> str:
    """The first column of the table under a heading, without the heading."""
    rows = page.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return " ".join(row.split(" | ")[0] for row in rows)
