"""``histoseed convert`` as it is typed: what it prints, writes and answers, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

from histoseed.annotations import Instances, read_geojson, write_geojson
from histoseed.annotations.formats import FORMATS

Run = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def outlines(tmp_path: Path) -> Path:
    corner = shapely.box(2, 3, 12, 13) - shapely.box(2, 3, 5, 6)
    shapes = [corner, shapely.box(20, 2, 26, 9), shapely.Point(30, 20)]
    objects = Instances.build(shapes, kind=["polygon", "polygon", "point"], class_name=["rosé", "rosé", None])
    write_geojson(tmp_path / "case [1].geojson", objects)
    return tmp_path / "case [1].geojson"


def test_a_table_of_what_was_converted_and_every_loss(run: Run, tmp_path: Path, outlines: Path) -> None:
    out = tmp_path / "mask.png"
    result = run("convert", outlines, out, "--size", "40,30")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "case [1] 40 x 30 3 2 0 1 rosé: 2, unclassified: 1" in words
    assert f"3 objects of 1 image, from geojson to labels: {out}" in words
    notes = [line for line in result.stderr.splitlines() if line.startswith("Note: ")]
    assert notes == [
        "Note: labels: 1 point is left out.",
        "Note: labels: the classes of 2 objects are not kept.",
        "Note: labels: 1 class colour is not kept.",
        "Note: labels: the ids of 3 objects are not kept.",
    ]


def test_the_answer_as_json(run: Run, tmp_path: Path, outlines: Path, picture: Path) -> None:
    result = run("convert", outlines, tmp_path / "a.json", "--to", "coco", "--image", picture, "--json", "-")
    facts = json.loads(result.stdout)
    assert (facts["command"], facts["from"], facts["to"], facts["objects"]) == ("convert", "geojson", "coco", 3)
    assert facts["images"] == [
        {
            "name": "picture.png", "file": str(tmp_path / "a.json"), "width": 64, "height": 64, "mpp": None,
            "objects": 3, "polygons": 2, "boxes": 0, "points": 1, "classes": {"rosé": 2}, "unclassified": 1,
        }
    ]  # fmt: skip
    assert facts["notes"] == facts["losses"] == []


def test_quiet_still_tells_losses(run: Run, tmp_path: Path, outlines: Path) -> None:
    result = run("convert", outlines, tmp_path / "a.tif", "--size", "40,30", "--quiet")
    assert result.stdout == ""
    assert "the ids of 3 objects are not kept" in result.stderr


def test_a_data_set_and_a_long_table(run: Run, tmp_path: Path, data: Path, outlines: Path) -> None:
    result = run("convert", data, tmp_path / "out", "--to", "labelme")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p0.json", "p1.json"]
    assert f"12 objects of 2 images, from dataset to labelme: {tmp_path / 'out'}" in " ".join(result.stdout.split())
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / f"{number}.geojson").write_bytes(outlines.read_bytes())
    assert "... and 6 more images" in run("convert", tmp_path / "many", tmp_path / "all", "--to", "asap").stdout


def test_replacing_needs_overwrite(run: Run, refused: Refused, tmp_path: Path, outlines: Path) -> None:
    out = tmp_path / "a.xml"
    out.write_text("mine")
    assert "--overwrite" in refused("convert", outlines, out, "--to", "asap", names=out)
    assert run("convert", outlines, out, "--to", "asap", "--overwrite").exit_code == 0
    assert run("convert", out, tmp_path / "b.geojson").exit_code == 0
    assert read_geojson(tmp_path / "b.geojson")[0].kind.tolist() == ["polygon", "polygon", "point"]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["nowhere.json", "a.geojson"], "no such file or folder"),
        (["case [1].geojson", "a.json"], "--to FORMAT; one of geojson, coco"),
        (["case [1].geojson", "a.json", "--to", "cooc"], "Did you mean coco"),
        (["case [1].geojson", "a.geojson", "--from", "qupath"], "There is no annotation format 'qupath'"),
        (["case [1].geojson", "a.png"], "--size W,H or --image IMAGE"),
        (["case [1].geojson", "a.png", "--size", "40x30"], "'40x30' is no width and height"),
        (["case [1].geojson", "a.png", "--size", "-4,30"], "An image of -4 x 30"),
        (["case [1].geojson", "a.geojson", "--from", "coco"], "no COCO file"),
        (["case [1].geojson", "a.json", "--to", "coco", "--image", "case [1].geojson"], "No reader knows this file"),
        (["case [1].geojson", "case [1].geojson", "--overwrite"], "is the source"),
        (["case [1].geojson", "a.geojson", "--classes", "nowhere.json"], "There is no such file"),
    ],
)
def test_what_is_refused(
    refused: Refused, tmp_path: Path, outlines: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused("convert", *arguments, names=names)


def test_the_help_names_every_format(run: Run) -> None:
    words = " ".join(run("convert", "--help").stdout.split())
    assert all(name in words for name in FORMATS)
