"""``adapt --task prompt``, as a user types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.disc_sets import write_discs


@pytest.fixture
def discs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    return write_discs(tmp_path / "discs", patches=4)


def test_it_trains_says_what_came_out_and_is_used(run: Callable[..., Any], discs: Path, tmp_path: Path) -> None:
    other = write_discs(tmp_path / "others", patches=4, seed=9)
    out = tmp_path / "model"
    result = run(
        "adapt", discs, "--also", other, "--task", "prompt", "--decoder", "prompt", "--prompts", "box,1pos", "--steps",
        1, "--batch", 2, "--max-objects", 4, "--split", "0.5,0.5,0", "--accumulate", 2, "--out", out, "--json",
        tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "4 objects" in said
    assert f"histoseed prompt IMAGE --box X0,Y0,X1,Y1 --model {out}" in said.replace(" /", " /")
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["objects"]["train"] == 4
    assert {name.split("/")[0] for name in told["patches"]["val"]} == {"discs", "others"}
    image = next((discs / "images").iterdir())
    asked = run("prompt", image, "--box", "10,10,30,30", "--model", out, "--out", tmp_path / "a.geojson")
    assert asked.exit_code == 0, asked.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "prompt", "--stain", "macenko"], "--stain"),
        (["--task", "prompt", "--start", "m"], "--start"),
        (["--task", "semantic", "--decoder", "prompt"], "--task"),
        (["--task", "prompt", "--split", "0.7"], "--split"),
        (["--task", "prompt", "--prompts", "boxes"], "boxes"),
        (["--prompts", "box"], "--prompts"),
        (["--task", "prompt", "--fusion", "concat", "--histology", "uni"], "--encoder sam-vit-b"),
        (["--epochs", "3"], "--epochs"),
        (["--validation", "split"], "--validation"),
        (["--start", "m", "--encoder", "bundled"], "--encoder"),
    ],
)
def test_what_does_not_go_together_is_told(
    run: Callable[..., Any], discs: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    result = run("adapt", discs, *options, "--out", tmp_path / "m")
    assert result.exit_code == 2
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())
    assert not (tmp_path / "m").exists()
