"""docs/datasets.md is what its script makes of the cards, and the importer that it shows runs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from PIL import Image

from histoseed.datasets import IMPORTERS, DatasetCard, read_dataset

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "dataset_table.py"
PAGE = (ROOT / "docs" / "datasets.md").read_text("utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dataset_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def card(**options) -> DatasetCard:
    facts = {"name": "x", "title": "X", "task": "nuclei", "organ": "skin", "stain": "H&E", "mpp": "0.25", "counts": "1",
             "licence": None, "commercial": "unknown", "where": "https://x.org/a_b", "citation": "A", "group": "slide",
             "layout": "SOURCE/<id>.png"}  # fmt: skip
    return DatasetCard(**{**facts, **options})


def test_the_page_is_up_to_date(script: ModuleType):
    assert script.filled(PAGE, script.cards()) == PAGE, "run python scripts/dataset_table.py"


def test_every_card_has_a_row_and_a_section():
    named = [name for name, importer in IMPORTERS.items() if importer.card is not None]
    rows = re.findall(r"^\| \[(\w+)\]\(#\1\) \|", PAGE, re.MULTILINE)
    sections = re.findall(r"^### (\w+)$\n\n\*\*", PAGE, re.MULTILINE)
    assert rows == sections == named
    cells = [len(re.split(r"(?<!\\)\|", line)) for line in PAGE.splitlines() if line.startswith("| ")]
    assert set(cells) == {11}  # nine columns


def test_cells_of_the_table_are_short_and_the_sections_are_whole(script: ModuleType):
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| [")]
    assert max(len(cell) for row in rows for cell in row) <= 100
    assert max(len(cell) for row in rows for cell in row[1:-1]) <= 62
    for name, importer in IMPORTERS.items():
        if importer.card is not None:
            section = PAGE.split(f"\n### {name}\n")[1].split("\n### ")[0]
            card = importer.card
            facts = (card.organ, card.task, card.mpp, card.group, card.licence or "not stated")
            for text in (*card.known_problems, *facts):
                assert script.escaped(text) in section, (name, text)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.25", "0.25"), ("0.2265 to 0.254, for each image in a sheet", "0.2265 to 0.254"),
        ("image (patients and slides are not published); and more", "image"),
        ("about 0.2 (cell) and 0.8, in metadata.json for each", "about 0.2 (cell) and 0.8"),
        ("one two three four five six seven eight nine ten", "one two three four five..."),
    ],
)  # fmt: skip
def test_long_texts_end_at_a_mark_or_a_word(script: ModuleType, text: str, short: str):
    assert script.brief(text, 30) == short


def test_layouts_without_a_card_are_explained():
    for name, importer in IMPORTERS.items():
        assert importer.card is not None or f"histoseed import {name} " in PAGE


def test_links_lead_somewhere():
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    for target, anchor in re.findall(r"\]\(([\w.-]*)(?:#([\w-]+))?\)", PAGE):
        assert not target or (ROOT / "docs" / target).is_file(), target
        if anchor and not target:
            assert anchor in anchors
        elif anchor:
            page = (ROOT / "docs" / target).read_text("utf-8").lower()
            assert f"\n## {anchor.replace('-', ' ')}" in page


def test_a_change_of_a_card_changes_the_page(script: ModuleType):
    page = "\n".join(
        f"<!-- {n}: {e} (scripts/dataset_table.py) -->" for n in ("table", "sections") for e in ("begin", "end")
    )
    made = script.filled(f"top\n{page}\nend", [card(known_problems=("Two | of them <b>.",), licence="MIT")])
    assert made.startswith("top\n")
    assert made.endswith("\nend")
    assert r"| Two \| of them &lt;b> |" in made
    assert "- Two | of them &lt;b>." in made
    assert "- Licence: MIT; commercial use: unknown" in made
    assert "SOURCE/<id>.png" in made  # within a code block as it is
    assert script.filled(made, [card(licence="CC0-1.0")]) == script.filled(
        f"top\n{page}\nend", [card(licence="CC0-1.0")]
    )


def test_a_page_without_a_marker_is_refused(script: ModuleType):
    with pytest.raises(ValueError, match="sections: begin"):
        script.filled(
            "<!-- table: begin (scripts/dataset_table.py) --><!-- table: end (scripts/dataset_table.py) -->", []
        )


def test_schemes_and_parts_are_listed_with_the_default(script: ModuleType):
    one = script.section(card(schemes={"only": ("a", "b")}))
    assert "- Classes: a, b" in one
    assert "--classes" not in one
    two = script.section(card(schemes={"raw": ("a", "b"), "few": ("c",)}, parts={"p": "first", "q": "second"}))
    assert "- `raw` (default): a, b\n- `few`: c" in two
    assert "- `p` (default): first\n- `q`: second" in two
    assert "| a, b; `few`: 1 |" in script.table([card(schemes={"raw": ("a", "b"), "few": ("c",)})])


def test_the_script_checks_without_changing():
    before = (ROOT / "docs" / "datasets.md").stat().st_mtime_ns
    subprocess.run([sys.executable, SCRIPT, "--check"], check=True, timeout=120)
    assert (ROOT / "docs" / "datasets.md").stat().st_mtime_ns == before


def test_the_importer_of_twenty_lines_runs_and_its_report_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for folder in ("photos", "nuclei"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    labels = np.zeros((64, 48), np.uint16)
    labels[4:24, 4:24], labels[30:50, 10:30] = 1, 2
    for stem in ("P07_a", "P07_b", "P08_a"):
        Image.new("RGB", (48, 64), (200, 150, 190)).save(tmp_path / "mine" / "photos" / f"{stem}.jpg")
        np.save(tmp_path / "mine" / "nuclei" / f"{stem}.npy", labels)
        np.save(tmp_path / "mine" / "nuclei" / f"{stem}.classes.npy", np.array([2, 1]))
    code = PAGE.split("### In twenty lines")[1].split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/datasets.md", "exec"), {})
    data = read_dataset(tmp_path / "data" / "mine", verify=True)
    report = json.loads((data.path / "import.json").read_text("utf-8"))
    section = (ROOT / "docs" / "data-format.md").read_text("utf-8").split("**import.json**")[1].split("\n## ")[0]
    listed = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert sorted(report) == sorted(name for row in listed for name in re.findall(r"`(\w+)`", row))
    assert data.describe()["classes"] == {"tumour": 3, "stroma": 3}
    assert data.patches["patient"].to_list() == ["P07", "P07", "P08"]
    assert data.patches.select("width", "height", "mpp").unique().rows() == [(24, 32, 0.5)]
    assert data.instances.filter(pl.col("label") == 1)["area_px"].to_list() == [100.0] * 3
