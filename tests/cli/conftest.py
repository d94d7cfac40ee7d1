"""Run the command line in this process, and small inputs for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from histoseed.cli import app
from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes


@pytest.fixture
def tree() -> Callable[[Path], dict[str, str]]:
    """A function that answers every file and folder below a folder, with its hash."""

    def look(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in folder.rglob("*")
        }

    return look


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedding cache of the user is left alone, and it is no part of what a test looks at."""
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def run() -> Callable[..., Any]:
    """A function that runs the command line; its arguments become texts."""

    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)

    return invoke


@pytest.fixture
def refused(run: Callable[..., Any], tmp_path: Path, tree: Callable[[Path], dict[str, str]]) -> Callable[..., str]:
    """A function that runs a command which must be refused: exit code 2, a message, nothing written or changed.

    It answers the message, and holds that it has the text `names` in it and says what to do.
    """

    def invoke(*arguments: object, names: object) -> str:
        before = tree(tmp_path)
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert "Traceback" not in result.stderr
        assert tree(tmp_path) == before
        _, error, message = f"\n{result.stderr}".rpartition("\nError: ")  # lines of progress may go before it
        assert error, result.stderr
        assert str(names) in message
        assert "\nFix:   " in message
        return message

    return invoke


def discs(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (S, S, 3) uint8 of dark discs on a pale ground, and labels (S, S) int32."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for k, (cy, cx) in enumerate(rng.integers(8, size - 8, (6, 2)), start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= 36] = k
    image = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]) + rng.normal(0, 6, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8), labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folder of a data set: two patches at 0.5 microns per pixel, two patients, two classes."""
    info = DatasetInfo(name="discs", classes=named_classes(["odd", "even"]), licence="CC0-1.0")
    with DatasetWriter(tmp_path / "data", info) as writer:
        for k in range(2):
            image, labels = discs(64, k)
            names = {int(i): ("even", "odd")[i % 2] for i in np.unique(labels) if i}
            writer.add(f"p{k}", image, labels, class_of=names, mpp=0.5, slide=f"s{k}", patient=f"s{k}")
    return tmp_path / "data"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG of 64 x 64 pixels with a few objects; it states no mpp."""
    path = tmp_path / "picture.png"
    Image.fromarray(discs(64, 5)[0]).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that ``import labels`` reads."""
    image, labels = discs(64, 3)
    for part, pixels in (("images", image), ("labels", labels.astype(np.uint16))):
        (tmp_path / "source" / part).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "source" / part / "a.png")
    return tmp_path / "source"
