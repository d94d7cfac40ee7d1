"""Grouped splits: nothing on two sides, deterministic, about the shares asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, read_dataset, split_dataset
from histoseed.datasets.splits import _deal, _Unit
from histoseed.errors import DatasetError, InputError

IMAGE = np.zeros((8, 8, 3), np.uint8)


def _dataset(path: Path, facts: list[dict], objects: list[int] | None = None) -> Dataset:
    """One patch a row; ``objects[i]`` objects of one pixel each in patch i."""
    with DatasetWriter(path, DatasetInfo(name="x")) as writer:
        for i, fact in enumerate(facts):
            labels = np.zeros(64, np.int32)
            count = 3 if objects is None else objects[i]
            labels[:count] = np.arange(1, count + 1)
            writer.add(f"p{i:02d}", IMAGE, labels.reshape(8, 8), **fact)
    return read_dataset(path)


def _sides(path: Path, column: str) -> pl.DataFrame:
    patches = read_dataset(path).patches.drop_nulls(column)
    return patches.group_by(column).agg(pl.col("split").n_unique().alias("n"))


def test_no_patient_stands_on_two_sides(tmp_path: Path):
    facts = [{"patient": f"P{i % 10}", "slide": f"S{i}"} for i in range(30)]
    dataset = _dataset(tmp_path / "ds", facts, [i % 7 for i in range(30)])
    table = split_dataset(dataset, seed=1)
    assert (_sides(tmp_path / "ds", "patient")["n"] == 1).all()
    assert table["patches"].sum() == 30
    assert table["objects"].sum() == dataset.instances.height
    assert table["unit"].sort().to_list() == sorted({f["patient"] for f in facts})
    assert set(table["split"]) == {"train", "val", "test"}
    again = read_dataset(tmp_path / "ds", verify=True)
    assert again.select(split="train").instances.height == table.filter(pl.col("split") == "train")["objects"].sum()
    assert again.describe()["leakage"] == {"patient": [], "slide": [], "group": [], "object": []}


def test_a_split_by_slide_keeps_a_patient_together(tmp_path: Path):
    facts = [{"patient": f"P{i // 2}", "slide": f"S{i}"} for i in range(12)]
    table = split_dataset(_dataset(tmp_path / "ds", facts), by="slide")
    assert (_sides(tmp_path / "ds", "patient")["n"] == 1).all()
    assert table["unit"].sort().to_list()[0] == "S0, S1"


def test_an_object_annotated_twice_ties_its_patches(tmp_path: Path):
    same = Instances.build([shapely.box(0, 0, 2, 2)])
    with DatasetWriter(tmp_path / "ds", DatasetInfo(name="x")) as writer:
        for i in range(6):
            writer.add(f"p{i}", IMAGE, same if i < 2 else None, slide=f"s{i}")
    table = split_dataset(read_dataset(tmp_path / "ds"), by="slide")
    assert table["unit"].to_list().count("s0, s1") == 1
    assert read_dataset(tmp_path / "ds").describe()["leakage"]["object"] == []


def test_the_seed_decides_and_the_order_of_rows_does_not(tmp_path: Path):
    facts = [{"patient": f"P{i}"} for i in range(20)]
    dataset = _dataset(tmp_path / "ds", facts)
    one, two, other = (split_dataset(dataset, seed=s, overwrite=True) for s in (3, 3, 4))
    assert one.equals(two)
    assert not one.equals(other)
    path = dataset.path / "patches.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    reverse = read_dataset(dataset.path)
    assert split_dataset(reverse, seed=3, overwrite=True).equals(one)


@settings(max_examples=50, deadline=None)
@given(
    objects=st.lists(st.integers(0, 500), min_size=3, max_size=40),
    seed=st.integers(0, 100),
    fractions=st.sampled_from([(0.7, 0.15, 0.15), (0.98, 0.01, 0.01), (0.4, 0.3, 0.3)]),
)
def test_every_split_gets_something_and_is_no_further_off_than_the_largest_unit(
    objects: list[int], seed: int, fractions: tuple[float, ...]
):
    units = [_Unit([str(i)], n) for i, n in enumerate(objects)]
    shares = dict(zip(("train", "val", "test"), fractions, strict=True))
    chosen = _deal(units, shares, seed)
    weight = np.array(objects) + 1
    assert set(chosen) == set(shares)
    for name, share in shares.items():
        got = weight[[c == name for c in chosen]].sum()
        assert abs(got - share * weight.sum()) <= 2 * weight.max()


def test_a_share_of_zero_leaves_a_split_out(tmp_path: Path):
    dataset = _dataset(tmp_path / "ds", [{"centre": c} for c in "abcd"])
    assert set(split_dataset(dataset, by="centre", fractions=(0.5, 0, 0.5))["split"]) == {"train", "test"}


def test_patches_without_a_patient_need_a_fallback(tmp_path: Path):
    facts = [{"patient": f"P{i}", "centre": "abc"[i % 3]} for i in range(9)]
    facts[0]["patient"] = None
    dataset = _dataset(tmp_path / "ds", facts)
    with pytest.raises(
        DatasetError, match=r"1 patch of 9 does not state its patient \(p00\).*--fallback centre, which keeps"
    ) as caught:
        split_dataset(dataset)
    assert "patches.parquet" in str(caught.value)
    table = split_dataset(dataset, fallback="centre")
    # The unknown patient may be any patient of its centre, so that centre is one unit.
    assert table["unit"].sort().to_list() == ["P1", "P2", "P3, P6, a", "P4", "P5", "P7", "P8"]
    assert table.filter(pl.col("unit") == "P3, P6, a")["patches"].item() == 3


def test_a_split_that_is_there_is_kept_unless_told(tmp_path: Path):
    dataset = _dataset(tmp_path / "ds", [{"patient": f"P{i}", "split": "test"} for i in range(3)])
    before = (tmp_path / "ds" / "patches.parquet").read_bytes()
    with pytest.raises(DatasetError, match="--overwrite"):
        split_dataset(dataset)
    assert (tmp_path / "ds" / "patches.parquet").read_bytes() == before
    split_dataset(dataset, overwrite=True)
    assert set(read_dataset(tmp_path / "ds").patches["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"by": "patientt"}, InputError, "'patient'"),
        ({"fractions": (0.5, 0.5)}, InputError, "sum to 1"),
        ({"fractions": (0.5, 0.4, 0.2)}, InputError, "sum to 1"),
        ({"fractions": (1.5, -0.5, 0.0)}, InputError, "sum to 1"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, InputError, "sum to 1"),
        ({"by": "centre"}, DatasetError, "No patch states its centre"),
        ({"by": "centre", "fallback": "slide"}, DatasetError, "3 patches state neither centre nor slide"),
        ({}, DatasetError, "there are 2"),
    ],
)
def test_what_cannot_be_split_is_said_and_changes_nothing(
    tmp_path: Path, options: dict, error: type[Exception], word: str
):
    dataset = _dataset(tmp_path / "ds", [{"patient": "a"}, {"patient": "b"}, {"patient": "b"}])
    before = (tmp_path / "ds" / "patches.parquet").read_bytes()
    with pytest.raises(error) as caught:
        split_dataset(dataset, **options)
    assert word in str(caught.value)
    assert (tmp_path / "ds" / "patches.parquet").read_bytes() == before


def test_a_selection_is_not_split(tmp_path: Path):
    dataset = _dataset(tmp_path / "ds", [{"patient": str(i)} for i in range(4)])
    with pytest.raises(DatasetError, match="selection"):
        split_dataset(dataset.subset([0, 1, 2]))
