"""`scripts/benchmark_data.py` as it is typed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark_data.py"


def _made(source: Path, out: Path) -> str:
    done = subprocess.run([sys.executable, SCRIPT, source, out], capture_output=True, text=True, check=True)
    return done.stdout


def test_what_is_absent_is_left_out(tmp_path: Path, shared_data: Path) -> None:
    """One folder is whole, one has no labels, the others are not there."""
    source, out = tmp_path / "source", tmp_path / "out"
    for part in ("images", "labels"):
        (source / "gbm40" / part).mkdir(parents=True)
        for path in sorted((shared_data / "gbm40" / part).iterdir())[:2]:
            shutil.copy(path, source / "gbm40" / part)
    (source / "monuseg16" / "images").mkdir(parents=True)
    said = _made(source, out).splitlines()
    assert said[0].startswith("gbm40: 2 patches, ")
    assert said[1] == f"monuseg16: left out, there is no folder {source / 'monuseg16' / 'labels'}"
    assert [line.split(":")[0] for line in said[2:]] == ["tcga_lgg", "nucls_sample", "dsb2018"]
    assert [path.name for path in out.iterdir()] == ["gbm40"]
