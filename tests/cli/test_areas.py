"""``adapt --task semantic`` and what follows, as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from fixtures.tissue import painted, regions, write_tissue
from histoseed.cli.adapt import _Task
from histoseed.segmenters import Task

Run = Callable[..., Any]


def answer(run: Run, *arguments: object) -> dict[str, Any]:
    """What a command writes as JSON to standard output."""
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_every_task_is_offered() -> None:
    assert [task.value for task in _Task] == [*get_args(Task), "prompt"]


def test_from_a_data_set_of_regions_to_areas_and_their_scores(run: Run, tmp_path: Path) -> None:
    tissue, model = write_tissue(tmp_path / "tissue", patches=2), tmp_path / "model"
    made = run(
        "adapt", tissue, "--task", "semantic", "--patches", 1, "--steps", 1, "--batch", 1, "--weights", "random",
        "--method", "full", "--set", "decoder.widths=[8,8,8,8]", "--set", "decoder.image_widths=[4,4]", "--out", model,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "tumour, stroma, other" in made.output
    assert "regions of 3 classes" in made.output
    assert "mean Dice of the fit" in made.output

    picture = tmp_path / "field.png"
    Image.fromarray(painted(regions(1, 90, 120))).save(picture)
    told = run("segment", picture, "--mpp", 0.5, "--model", model, "--out", tmp_path / "areas")
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    summary = json.loads((tmp_path / "areas" / "summary.json").read_text())
    assert f"mm2, {summary['share_of_tissue']:.1%} of the tissue" in words
    assert f"tissue {summary['tissue_mm2']:.4f} of {summary['region_mm2']:.4f} mm2" in words
    assert sorted(path.name for path in (tmp_path / "areas").iterdir()) == [
        "areas.geojson", "classes.tif", "overlay.png", "run.json", "summary.json",
    ]  # fmt: skip
    several = answer(run, "segment", picture, tissue / "images" / "t0.png", "--mpp", 0.5, "--model", model, "--out",
                     tmp_path / "both")  # fmt: skip
    assert set(several["slides"]) == {"field", "t0"}

    predicted = tmp_path / "predicted"
    described = run("segment", tissue, "--model", model, "--out", predicted)
    assert "regions in 2 patches" in described.output
    ran = answer(run, "evaluate", tissue, "--model", model, "--resamples", 10)
    read = answer(run, "evaluate", tissue, "--predictions", predicted, "--resamples", 10)
    assert (ran["protocol"], ran["task"]) == ("histoseed-areas", "semantic")
    assert ran["dice"] == read["dice"]
    shown = run("evaluate", tissue, "--model", model, "--against", predicted, "--resamples", 10)
    assert "Dice, pooled" in shown.output
    assert "stroma" in shown.output


@pytest.mark.parametrize("option", [["--decoder", "stardist"], ["--classifier", "tokens"], ["--nuclei", 3]])
def test_what_makes_no_sense_is_refused(refused: Run, tmp_path: Path, option: list[object]) -> None:
    tissue = write_tissue(tmp_path / "tissue", patches=1)
    refused("adapt", tissue, "--task", "semantic", *option, "--out", tmp_path / "m", names=option[0])
