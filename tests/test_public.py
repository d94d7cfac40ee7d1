"""What the package shows to the outside, and the rules that hold for every file of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import histoseed
from histoseed import errors
from histoseed.settings import SETTINGS

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "histoseed").rglob("*.py"))


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_what_is_exported_is_what_is_visible() -> None:
    # Modules become attributes once they are imported; they are reached by their own import, not listed here.
    visible = {n for n in vars(histoseed) if not n.startswith("_") and not hasattr(getattr(histoseed, n), "__spec__")}
    used_inside = {"annotations", "import_module", "TYPE_CHECKING", "Any"}
    lazy = set(histoseed._HOME)
    assert (visible - used_inside) | lazy | {"__version__"} == set(histoseed.__all__)
    assert dir(histoseed) == sorted(histoseed.__all__)
    assert list(histoseed.__all__) == sorted(histoseed.__all__)


def test_every_error_is_exported() -> None:
    assert set(errors.__all__) <= set(histoseed.__all__)


@pytest.mark.parametrize("name", sorted(histoseed._HOME))
def test_every_name_leads_to_a_documented_function(name: str) -> None:
    value = getattr(histoseed, name)
    assert callable(value)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="segmnt"):
        histoseed.segmnt  # noqa: B018


def test_import_is_light() -> None:
    heavy = ["torch", "timm", "polars", "matplotlib", "scipy", "skimage", "cv2", "shapely", "pyarrow", "numpy"]
    code = f"import sys, histoseed; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_data_sets_and_slides_need_no_torch() -> None:
    code = (
        "import sys, histoseed; histoseed.read_dataset, histoseed.open_slide, histoseed.adapt\n"
        "print('torch' in sys.modules)"
    )
    assert run_python(code) == "False"


def test_imports_point_to_lower_floors() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path} has no docstring"


def test_every_room_has_an_export_list() -> None:
    rooms = [path for path in SOURCES if path.name == "__init__.py"]
    without = [str(path.parent.name) for path in rooms if not _exports(path)]
    assert without == ["workflows"]  # one module a verb; there is nothing to gather


def _exports(path: Path) -> bool:
    targets = [
        t for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.Assign) for t in node.targets
    ]
    return any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets)


def test_settings_are_documented() -> None:
    """``docs/limits.md`` holds the table of the settings, each with its default and its sentence."""
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `([^`]*)` \| (.*) \|$", text, re.MULTILINE)
    assert rows == [(row.name, row.env, str(row.default), row.help) for row in SETTINGS.values()]
