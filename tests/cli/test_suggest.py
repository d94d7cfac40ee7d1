"""``histoseed suggest`` and ``histoseed encoders robustness``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes
from histoseed.metrics import Interval
from histoseed.workflows.suggest import Suggestions
from histoseed.workflows.suggestion import Curve

Run = Callable[..., Any]


def answer(run: Run, *arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def tissue(tmp_path: Path) -> Path:
    """A picture of 128 x 64 um: stripes, and discs."""
    y, x = np.mgrid[:64, :128]
    dark = np.where(x < 64, (x + y) % 16 < 6, (y % 16 - 8) ** 2 + (x % 16 - 8) ** 2 < 20)
    path = tmp_path / "tissue.png"
    Image.fromarray(np.where(dark[..., None], [95, 50, 130], [225, 150, 195]).astype(np.uint8)).save(path)
    return path


def test_suggest_says_where_and_why(run: Run, tissue: Path, tmp_path: Path) -> None:
    out = tmp_path / "next"
    found = answer(run, "suggest", tissue, "-n", 2, "--mpp", 1, "--out", out)
    assert (found["command"], found["how"], found["places"], found["out"]) == ("suggest", "diverse", 2, str(out))
    assert sorted(region["x"] for region in found["regions"]) == [0, 64]
    kept = json.loads((out / "regions.json").read_text())
    assert kept == {key: found[key] for key in kept}
    text = " ".join(run("suggest", tissue, "-n", 1, "--mpp", 1, "--size", 32).stdout.split())
    for part in ("tissue.png", "Stands for 100% of the candidates", "8 of 8 places with tissue were looked at"):
        assert part in text


def test_the_learning_curve_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(low: float, remark: str) -> str:
        gain = Interval(0.0123, low, 0.02, 6, 0.95)
        scores = np.array([0.4, 0.5, 0.55])[:, None, None] * np.ones((3, 2, 2))
        curve = Curve((1, 2, 4), scores, ("a", "b"), gain, remark)
        found = Suggestions((), "diverse", 0, 0, 9, "mine", "bundled", curve)
        monkeypatch.setattr("histoseed.workflows.suggest.suggest", lambda *arguments, **options: found)
        return " ".join(run("suggest", "mine", "--curve").stdout.split())

    known = told(0.004, "From 6 test groups.")
    assert "All 9 places with tissue are annotated." in known
    assert "PQ by annotated regions: 1: 0.400, 2: 0.500, 4: 0.550" in known
    assert "Expected gain of region 5: +0.0123 (95 % interval +0.0040 to +0.0200). From 6 test groups." in known
    assert "region 5: +0.0123. One" in told(float("nan"), "One group.")


def test_what_cannot_be_suggested(refused: Callable[..., str], tissue: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "next"
    refused("suggest", tissue, "--out", out, names="microns per pixel")
    refused("suggest", tissue, "--mpp", 1, "-n", 3, "--out", out, names="There are 2 places")
    refused("suggest", tissue, "--mpp", 1, "--curve", "--out", out, names="--curve")
    refused("suggest", data, "--out", out, names="is annotated")
    refused("suggest", tmp_path / "no.svs", names="no.svs")


def test_robustness_of_encoders(run: Run, refused: Callable[..., str], tmp_path: Path, data: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((24, 24), np.int32)
    labels[2:10, 2:10], labels[14:22, 14:22] = 1, 2
    with DatasetWriter(tmp_path / "ds", DatasetInfo(name="ds", classes=named_classes(["a", "b"]))) as writer:
        for k in range(20):
            image = rng.integers(0, 255, (24, 24, 3), np.uint8)
            names = {"class_of": {1: "a", 2: "b"}, "centre": "xy"[k % 2], "patient": f"p{k}"}
            writer.add(f"p{k}", image, labels, mpp=1.0, **names)
    arguments = ("encoders", "robustness", tmp_path / "ds", "-e", "bundled", "--weights", "random", "--samples", 5)
    (one,) = answer(run, *arguments)["encoders"]
    assert (one["encoder"], one["level"], one["samples"], one["samples_a_cell"]) == ("bundled", "nucleus", 20, 5)
    assert 0 <= one["pathorob"]["low"] <= one["pathorob"]["value"] <= one["pathorob"]["high"] <= 1
    text = run(*arguments, "--neighbours", 3).stdout
    assert "PathoROB" in text
    assert "0.5 is chance" in text
    refused("encoders", "robustness", data, names="and two are compared")
    refused("encoders", "robustness", tmp_path / "ds", names="nucleus: No two classes have 20 samples")
    refused(*arguments, "--neighbours", 900, names="--neighbours")
