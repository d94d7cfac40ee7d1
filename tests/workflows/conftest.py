"""A small synthetic data set: dark discs on a pale ground, two slides, two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes


def draw_discs(seed: int, size: int = 128, count: int = 14, radius: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Image (S, S, 3) uint8 and labels (S, S) int32."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for k in range(count):
        cy, cx = rng.integers(radius, size - radius, 2)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
    image = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]) + rng.normal(0, 6, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8), labels


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """Folder of a data set with four patches at 0.5 microns per pixel (64 um each)."""
    info = DatasetInfo(name="discs", classes=named_classes(["odd", "even"]), licence="CC0-1.0")
    with DatasetWriter(tmp_path / "discs", info) as writer:
        for k in range(4):
            image, labels = draw_discs(k)
            names = {int(i): ("even", "odd")[i % 2] for i in np.unique(labels) if i}
            writer.add(f"p{k}", image, labels, class_of=names, mpp=0.5, slide=f"s{k % 2}", patient=f"s{k % 2}")
    return tmp_path / "discs"
