"""``histoseed prompt`` as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from safetensors.torch import save_file

from histoseed.annotations import Instances, write_geojson
from histoseed.bundled import bundled_prompt_folder

Run = Callable[..., Any]
Refused = Callable[..., str]


def test_a_box_and_clicks(run: Run, tmp_path: Path, picture: Path) -> None:
    out, overlay = tmp_path / "one.geojson", tmp_path / "one.png"
    result = run(
        "prompt", picture, "--mpp", "0.25", "--box", "5,5,30,30", "--point", "15,15", "--negative", "2,2",
        "--candidates", "--out", out, "--overlay", overlay,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"Written to {out}" in " ".join(result.stdout.split())
    assert overlay.read_bytes().startswith(b"\x89PNG")
    features = json.loads(out.read_text())["features"]
    assert {"Polygon", "MultiPolygon"} >= {f["geometry"]["type"] for f in features}
    result = run("prompt", picture, "--mpp", "0.25", "--box", "5,5,30,30", "--json", "-")
    facts = json.loads(result.stdout)
    assert (facts["command"], facts["prompts"], facts["model"]) == ("prompt", 1, "histoseed bundled prompts (H&E)")
    assert set(facts["rows"][0]) >= {"id", "status", "score", "iou"}


def test_everything_with_no_click(run: Run, tmp_path: Path, picture: Path) -> None:
    out, overlay = tmp_path / "all.geojson", tmp_path / "all.png"
    options = ("--auto", "grid", "--every", 3, "--min-score", 0.3, "--min-stability", 0.3, "--region", "0,0,64,40")
    result = run("prompt", picture, "--mpp", "0.25", *options, "--out", out, "--overlay", overlay)
    assert result.exit_code == 0, result.output
    assert "15 points of a grid" in " ".join(result.stdout.split())
    assert overlay.read_bytes().startswith(b"\x89PNG")
    found = json.loads(out.read_text())["features"]
    facts = json.loads(run("prompt", picture, "--mpp", "0.25", *options, "--json", "-").stdout)
    assert (facts["auto"], facts["region"], facts["windows"]) == ("grid", [0, 0, 64, 40], 1)
    assert [row["id"] for row in facts["rows"]] == [feature["id"] for feature in found]


def test_limits_of_a_region(refused: Refused, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_MAX_PROMPT_PIXELS", "1000")
    message = refused("prompt", picture, "--auto", "grid", names="max_prompt_pixels = 1,000")
    assert "HISTOSEED_MAX_PROMPT_PIXELS" in message


def test_a_mask_of_another_size_and_a_checkpoint_of_another_model(
    refused: Refused, picture: Path, tmp_path: Path
) -> None:
    labels, weights = tmp_path / "labels.png", tmp_path / "resnet.safetensors"
    Image.fromarray(np.pad(np.ones((9, 9), np.uint16), 20)).save(labels)
    refused("prompt", picture, "--prompts", labels, names="49 x 49")
    save_file({"layer1.0.conv1.weight": torch.zeros(4, 4, 3, 3)}, weights)
    refused("prompt", picture, "--box", "5,5,30,30", "--model", weights, names="resnet.safetensors")


def test_a_name_that_tells_no_format(refused: Refused, picture: Path, tmp_path: Path) -> None:
    message = refused("prompt", picture, "--box", "5,5,30,30", "--out", tmp_path / "b.xyz", names="Let its name end")
    assert "--to" not in message


def test_a_negative_tolerance_is_told_by_its_option(run: Run, picture: Path) -> None:
    result = run("prompt", picture, "--box", "5,5,30,30", "--simplify", "-1")
    assert result.exit_code == 2
    assert "--simplify" in result.stderr


def test_a_promptable_model_finds_no_nuclei(refused: Refused, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    shutil.copytree(bundled_prompt_folder(), folder)
    for arguments in (
        ["segment", picture, "--mpp", "0.25", "--model", folder, "--out", tmp_path / "out"],
        ["prompt", picture, "--mpp", "0.25", "--auto", "nuclei", "--segmenter", folder],
        ["evaluate", tmp_path / "absent", "--model", folder],
    ):
        if arguments[0] == "evaluate":
            (tmp_path / "absent").mkdir()
        message = refused(*arguments, names="This is a promptable model")
        assert f"histoseed prompt IMAGE --model {folder}" in message


def test_a_bad_prompt_of_a_file_is_named(refused: Refused, picture: Path, tmp_path: Path) -> None:
    names = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]
    objects = Instances.build([shapely.box(5, 5, 20, 20), shapely.box(700, 5, 720, 20)], id=names)
    write_geojson(tmp_path / "crude.geojson", objects)
    message = refused("prompt", picture, "--prompts", tmp_path / "crude.geojson", names=names[1])
    assert "outside the slide" in message


def test_the_help_stands_in_panels(run: Run) -> None:
    text = run("prompt", "--help").stdout
    titles = ["One object", "Many objects", "Everything there is", "Model", "Outline", "Computing", "Output"]
    places = [text.index(f"\u256d\u2500 {title} \u2500") for title in titles]
    assert places == sorted(places)
    assert " Options " not in text


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--box", "500,500,530,530"], "lies outside the slide"),
        (["--box", "5,5,5,30"], "no extent"),
        (["--point", "nan,5"], "not a finite number"),
        (["--point", "500,5"], "lies outside the slide"),
        (["--box", "5,5,30,30", *["--point", "9,9"] * 1001], "1,001 points in one prompt"),
        (["--auto", "grid", "--region", "0,0,0,9"], "has no extent"),
        (["--auto", "grid", "--region", "99,0,9,9"], "does not touch"),
        (["--auto", "grid", "--region", "1,2,3"], "--region"),
        (["--auto", "grid", "--every", "0"], "--every"),
        (["--auto", "grid", "--every", "4"], "microns per pixel"),
        (["--auto", "nuclei", "--every", "4", "--mpp", "0.25"], "only a grid has a distance"),
        (["--auto", "nuclei"], "microns per pixel"),
        (["--auto", "nuclei", "--mpp", "0.25", "--segmenter", "absent"], "absent"),
        (["--auto", "grid", "--box", "5,5,30,30"], "--auto"),
        (["--auto", "grid", "--candidates"], "--candidates"),
        (["--region", "0,0,9,9", "--point", "5,5"], "--region"),
        (["--every", "4", "--point", "5,5"], "--every"),
        (["--auto", "grid", "--segmenter", "bundled", "--mpp", "0.25"], "A grid asks no segmenter"),
        (["--box", "5,5,30,30", "--overlay", "a.txt"], "Let its name end in .png"),
        (["--min-score", "0.5", "--point", "5,5"], "--min-score"),
        (["--auto", "grid", "--min-score", "7"], "--min-score"),
        (["--box", "5,5,30"], "--box"),
        (["--box", "a,b,c,d"], "--box"),
        (["--point", "5"], "--point"),
        (["--negative", "5,5"], "needs a box"),
        (["--box", "30,5,5,30"], "reversed"),
        (["--box", "nan,5,5,30"], "not finite"),
        (["--box", "5,5,30,30", "--point", "40,40"], "outside the box"),
        (["--prompts", "absent.geojson"], "absent.geojson"),
        (["--box", "5,5,30,30", "--clean", "defualt"], "default"),
        (["--box", "5,5,30,30", "--model", "sam-vit-q"], "sam-vit"),
        ([], "Nothing was pointed at"),
    ],
)
def test_what_is_refused(refused: Refused, picture: Path, arguments: list[str], names: str) -> None:
    refused("prompt", picture, *arguments, "--out", picture.parent / "new.geojson", names=names)
