"""A small synthetic data set: dark discs on a pale ground, two slides, two classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fixtures import disc_sets
from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes

draw_discs = partial(disc_sets.draw_discs, size=128, count=14, radius=9)


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
