"""Two small data sets, and plans that run on them in a second or two."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.disc_sets import write_discs


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two data sets: ``discs`` without classes, ``typed`` with two."""
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    write_discs(folder / "discs")
    write_discs(folder / "typed", classes=("even", "odd"), seed=50)
    return folder


@pytest.fixture
def write_plan(tmp_path: Path):
    """Writes a plan; what is left out has a short form."""

    def write(arms: str, *, protocol: str = "patches = [1]\ndraws = 1", datasets: str = "", models: str = "") -> Path:
        sets = datasets or '[[datasets]]\nname = "discs"\n'
        text = f'name = "tiny"\n[protocol]\n{protocol}\nresamples = 20\n{sets}\n{models}\n{arms}\n'
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return write
