"""A picture to read back, and ways to store it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image


@pytest.fixture(scope="session")
def tissue() -> np.ndarray:
    """(300, 421, 3) uint8: smooth blobs and noise, no symmetry, odd width."""
    rows, columns = np.mgrid[:300, :421]
    waves = [
        np.sin(columns / a + channel) * np.cos(rows / b) for channel, (a, b) in enumerate(((9, 7), (5, 13), (17, 4)))
    ]
    noise = np.random.default_rng(5).normal(0, 6, (300, 421, 3))
    return np.clip(150 + 60 * np.stack(waves, -1) + noise, 0, 250).astype(np.uint8)


def halved(pixels: np.ndarray) -> np.ndarray:
    """Area average of 2 x 2, the last odd row and column dropped, as pyramids are made."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    blocks = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return blocks.mean((1, 3)).astype(pixels.dtype).reshape(height, width, *pixels.shape[2:])


@pytest.fixture
def pyramid(tmp_path: Path) -> Callable[..., tuple[Path, list[np.ndarray]]]:
    """A function that stores a picture as a tiled pyramidal TIFF and answers its path and levels."""

    def make(
        pixels: np.ndarray,
        *,
        subifds: bool = False,
        bigtiff: bool = False,
        count: int = 3,
        ome: bool = False,
        **options: Any,
    ) -> tuple[Path, list[np.ndarray]]:
        levels = [pixels]
        while len(levels) < count:
            levels.append(halved(levels[-1]))
        path = tmp_path / f"pyramid-{len(list(tmp_path.iterdir()))}.tif"
        metadata = options.pop("metadata", None)
        options = {"tile": (64, 64), "photometric": "rgb", **options}
        byteorder = options.pop("byteorder", None)
        if options.get("planarconfig") == "separate":
            stored = [np.moveaxis(level, -1, 0) for level in levels]
        else:
            stored = levels
        with tifffile.TiffWriter(path, bigtiff=bigtiff, ome=ome, byteorder=byteorder) as writer:
            writer.write(stored[0], subifds=count - 1 if subifds else None, metadata=metadata, **options)
            for level in stored[1:]:
                writer.write(level, subfiletype=1, metadata=None, **options)
        return path, levels

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """A function that stores an array or a Pillow image under a name."""

    def store(image: np.ndarray | Image.Image, name: str = "picture.png", **options: Any) -> Path:
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        path = tmp_path / name
        picture.save(path, **options)
        return path

    return store
