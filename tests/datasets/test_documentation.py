"""docs/data-format.md names every column, and its small reader runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from histoseed.datasets import INSTANCE_SCHEMA, PATCH_SCHEMA, Dataset

PAGE = (Path(__file__).parents[2] / "docs" / "data-format.md").read_text("utf-8")


def _table(heading: str) -> dict[str, str]:
    """Column -> type, from the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize(
    ("heading", "schema"), [("patches.parquet", PATCH_SCHEMA), ("instances.parquet", INSTANCE_SCHEMA)]
)
def test_columns_and_types_are_documented(heading: str, schema: dict):
    names = {"String": "string", "Boolean": "bool", "Binary": "binary"}
    assert _table(heading) == {name: names.get(str(kind), str(kind).lower()) for name, kind in schema.items()}


def test_keys_of_dataset_json_are_documented(tiny: Dataset):
    section = PAGE.split("## dataset.json\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(tiny.info.to_json())


def test_the_small_reader_runs(tiny: Dataset, monkeypatch: pytest.MonkeyPatch):
    code = PAGE.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tiny.path.parent)
    names: dict = {"seen": {}}
    exec(code.replace('"DS"', f'"{tiny.path.name}"') + "    seen[row['patch_id']] = image, labels, class_of", names)
    assert list(names["seen"]) == ["a", "b", "c", "d"]
    for patch in tiny:
        image, labels, class_of = names["seen"][patch.patch_id]
        np.testing.assert_array_equal(np.asarray(image), patch.image)
        if patch.patch_id == "d":
            assert (labels, class_of) == (None, {})
        else:
            np.testing.assert_array_equal(labels, patch.labels)
            assert class_of == {1: "tumour", 3: "stroma", 4: None}
