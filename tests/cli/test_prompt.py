"""``histoseed prompt`` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
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
