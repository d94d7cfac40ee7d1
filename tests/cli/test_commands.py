"""Every command once on input that is right: what it prints, writes and answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from histoseed.annotations import read_geojson
from histoseed.datasets import Collection, DatasetInfo, Item, PatchContent, SlideArea, read_dataset, take_in
from histoseed.workflows.doctor import Finding

Run = Callable[..., Any]


def answer(run: Run, *arguments: object) -> dict[str, Any]:
    """The JSON of a command on standard output."""
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["command"] == " ".join(map(str, arguments[: found["command"].count(" ") + 1]))
    return found


def test_info(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a [b].png"
    Image.new("RGB", (400, 200)).save(path)
    facts = answer(run, "info", path, "--mpp", 0.25)
    assert (facts["width"], facts["height"], facts["width_mm"], facts["height_mm"]) == (400, 200, 0.1, 0.05)
    assert facts["levels"] == [{"width": 400, "height": 200, "downsample": 1.0, "mpp": 0.25}]
    assert (facts["reader"], facts["vendor"], facts["mpp_source"]) == ("plain", "png", "user")
    assert "properties" not in facts
    text = run("info", path).stdout
    assert str(path) in text
    assert "unknown; say it with --mpp" in text


def test_properties_are_shown_when_asked_for(run: Run, picture: Path) -> None:
    assert answer(run, "info", picture, "--properties")["properties"] == {"format": "png", "mode": "RGB"}


def test_import_labels_then_look_and_split(run: Run, folder: Path, tmp_path: Path) -> None:
    for stem in "bcd":
        for part in ("images", "labels"):
            (folder / part / f"{stem}.png").write_bytes((folder / part / "a.png").read_bytes())
    (folder / "groups.csv").write_text("patch_id,patient\na,p1\nb,p1\nc,p2\nd,p3\n")
    out = tmp_path / "ds"
    made = answer(run, "import", "labels", folder, "--mpp", 0.25, "--stain", "H&E", "--partial", "--out", out)
    assert (made["patches"], made["stain"], made["mpp"], made["exhaustive"]) == (4, "H&E", {"0.25": 4}, 0)
    sheet = tmp_path / "sheet.png"
    seen = answer(run, "dataset", "info", out, "--sheet", sheet, "--patches", 2)
    assert (seen["objects"], seen["sheet"], seen["groups"]["patient"]) == (made["objects"], str(sheet), 3)
    with Image.open(sheet) as image:
        assert image.width >= 800
    parts = answer(run, "dataset", "split", out, "--by", "patient", "--fractions", ".34,.33,.33", "--seed", 1)
    assert parts["splits"].keys() == {"train", "val", "test"}
    splits = read_dataset(out).patches.group_by("patient").agg(split="split").to_dicts()
    assert all(len(set(row["split"])) == 1 for row in splits)


def test_the_summary_of_a_data_set(run: Run, data: Path) -> None:
    words = " ".join(run("dataset", "info", data).stdout.split())
    for part in (
        "data set discs",
        "licence CC0-1.0",
        "patches 2 of 64 x 64 pixels",
        "objects 12",
        "odd: 6, even: 6",
        "0.5: 2",
    ):
        assert part in words


def test_a_data_set_whose_slides_lie_elsewhere(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "slides"
    source.mkdir()
    Image.new("RGB", (64, 48), "pink").save(source / "s.png")
    item = Item(patch_id="s", read=lambda: PatchContent(image=SlideArea("s.png", 64, 48)), facts={"x": 0.0, "y": 0.0})
    out = tmp_path / "ds"
    take_in(Collection(info=DatasetInfo(name="s"), items=[item]), out, importer="test", source=source)
    assert "missing" in run("dataset", "info", out).stderr
    seen = answer(run, "dataset", "info", out, "--slides", source, "--sheet", tmp_path / "sheet.png")
    assert (seen["patches"], seen["objects"]) == (1, 0)
    with Image.open(tmp_path / "sheet.png") as image:
        assert (255, 192, 203) in {color for _, color in image.convert("RGB").getcolors(1 << 24)}


def test_import_geojson(run: Run, picture: Path, tmp_path: Path) -> None:
    ring = [[10, 10], [30, 10], [30, 30], [10, 10]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
               "properties": {"objectType": "annotation", "classification": {"name": "Tumour"}}}  # fmt: skip
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    facts = answer(run, "import", "geojson", picture, tmp_path / "a.geojson", "--mpp", 0.5, "--out", tmp_path / "ds")
    assert facts["classes"] == {"Tumour": 1}


def test_dataset_list(run: Run) -> None:
    assert {row["name"] for row in answer(run, "dataset", "list")["importers"]} >= {"labels", "geojson"}
    assert "IMAGE GEOJSON" in run("dataset", "list").stdout


def test_encoders(run: Run) -> None:
    names = [card["name"] for card in answer(run, "encoders", "list", "dinov2-*")["encoders"]]
    assert names == ["dinov2-small", "dinov2-base", "dinov2-large", "dinov2-giant"]
    card = answer(run, "encoders", "show", "dinov2-small")
    assert (card["licence"], card["patch_size"], card["unavailable"]) == ("apache-2.0", 14, None)
    assert "No encoder matches" in run("encoders", "list", "nothing-*").stdout
    words = run("encoders", "show", "bundled").stdout
    assert "licence" in words
    assert "Apache-2.0" in words


def test_adapt(run: Run, data: Path, tmp_path: Path) -> None:
    options = ["--weights", "random", "--patches", 1, "--steps", 2, "--batch", 1, "--name", "mine", "--seed", 7]
    made = answer(run, "adapt", data, *options, "--out", tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert made["card"] == card
    assert (card["name"], card["training"]["steps"], card["training"]["seed"]) == ("mine", 2, 7)


def test_segment_a_picture_a_region_and_several(run: Run, picture: Path, tmp_path: Path) -> None:
    one = answer(run, "segment", picture, "--mpp", 0.5, "--format", "geojson,parquet", "--out", tmp_path / "one")
    found, _ = read_geojson(tmp_path / "one" / "nuclei.geojson")
    assert one["objects"] == len(found) > 0
    assert not (tmp_path / "one" / "labels.tif").exists()

    where = ["--region", "0,0,32,32", "--format", "geojson", "--out", tmp_path / "corner"]
    corner = answer(run, "segment", picture, "--mpp", 0.5, *where)
    assert corner["region"] == [0, 0, 32, 32]
    x, y = found.centroids().T
    assert corner["objects"] == int(((x < 32) & (y < 32)).sum())

    (tmp_path / "other.png").write_bytes(picture.read_bytes())
    several = [picture, tmp_path / "other.png", "--mpp", 0.5, "--format", "geojson", "--out", tmp_path / "both"]
    both = answer(run, "segment", *several)
    assert {name: row["objects"] for name, row in both["slides"].items()} == dict.fromkeys(
        ("picture", "other"), one["objects"]
    )


def test_segment_and_evaluate_a_data_set(run: Run, data: Path, tmp_path: Path) -> None:
    predicted, report = tmp_path / "predicted", tmp_path / "report.html"
    assert answer(run, "segment", data, "--out", predicted)["patches"] == 2
    options = ["--predictions", predicted, "--against", "bundled", "--report", report, "--resamples", 10]
    scores = answer(run, "evaluate", data, *options)
    wanted = {"pq", "dq", "sq", "aji", "aji_plus", "dice", "f1_detection", "n_patches", "n_instances", "protocol"}
    assert wanted <= scores.keys()
    assert (scores["protocol"], scores["n_patches"], scores["n_instances"]) == ("histoseed", 2, 12)
    assert scores["against"]["differences"]["pq"]["value"] == 0.0  # the predictions are those of this model
    assert report.read_text().startswith("<!DOCTYPE html>")


def test_scores_of_classes_stand_in_a_table(run: Run, data: Path) -> None:
    result = run("evaluate", data, "--predictions", data, "--resamples", 10)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["PQ", "1.000", "1.000", "to", "1.000"] in rows
    assert ["even", "1.000", "1.000"] in rows


def test_doctor_says_what_works(run: Run) -> None:
    facts = answer(run, "doctor")
    assert facts["ok"] is True
    assert {"torch", "openslide", "bundled model"} <= {row["name"] for row in facts["findings"]}


def test_doctor_fails_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("torch", "fail", "not installed", "pip install torch"), Finding("python", "ok", "3.11")]
    monkeypatch.setattr("histoseed.workflows.doctor.examine", lambda: iter(findings))
    result = run("doctor")
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert lines[0] == "fail torch: not installed"
    assert lines[1].strip() == "Fix: pip install torch"
    assert lines[-1] == "Failed: torch."


def test_demo_tells_before_and_after(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def quick(out: Path, *, overwrite: bool, device: str, progress: object) -> dict[str, Any]:
        scores = {"pq": 0.4, "aji": None, "f1_detection": 0.7}
        return {
            "before": scores, "after": scores | {"pq": 0.5}, "protocol": "histoseed", "measured_on": 31,
            "objects": 1234, "verdict": "Adaptation helped.", "report": str(out / "report.html"),
        }  # fmt: skip

    monkeypatch.setattr("histoseed.workflows.demo.demo", quick)
    words = " ".join(run("demo", "--out", tmp_path / "out").stdout.split())
    for part in ("0.400 0.500", "undefined", "Adaptation helped.", "1,234 nuclei", "report.html", "31 nuclei"):
        assert part in words
