"""Small synthetic data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, named_classes, read_dataset

INFO = DatasetInfo(name="tiny", classes=named_classes(["tumour", "stroma"]), licence="CC0-1.0", stain="H&E")


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def squares(height: int = 24, width: int = 32) -> np.ndarray:
    """Three objects, one touching another, number 2 left out."""
    labels = np.zeros((height, width), np.int32)
    labels[2:8, 3:9] = 1
    labels[2:8, 9:12] = 3
    labels[15:20, 20:30] = 4
    return labels


@pytest.fixture
def tiny(tmp_path: Path) -> Dataset:
    """Four patches of two patients, the last without an object, one with an ignore area."""
    ignore = np.zeros((24, 32), bool)
    ignore[20:, :] = True
    path = tmp_path / "tiny"
    with DatasetWriter(path, INFO) as writer:
        classes = {1: "tumour", 3: "stroma", 4: None}
        writer.add("a", picture(0), squares(), class_of=classes, mpp=0.25, patient="p1", slide="s1", ignore=ignore)
        writer.add("b", picture(1), squares(), class_of=classes, mpp=0.25, patient="p1", slide="s2")
        writer.add("c", picture(2), squares(), class_of=classes, mpp=0.5, patient="p2", slide="s3", split="test")
        writer.add("d", picture(3), patient="p2", exhaustive=False)
    return read_dataset(path)


@pytest.fixture
def edit() -> Callable[[Dataset, str, Callable[[pl.DataFrame], pl.DataFrame]], None]:
    """Rewrite one of the two tables of a data set."""

    def apply(dataset: Dataset, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        path = dataset.path / f"{table}.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    return apply
