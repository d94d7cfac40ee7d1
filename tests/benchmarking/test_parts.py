"""What is trained on and what is scored; data sets seen through a class map and a window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.disc_sets import write_discs
from histoseed.benchmarking.parts import Test as Chosen
from histoseed.benchmarking.parts import group_names, parts_of
from histoseed.benchmarking.view import viewed
from histoseed.datasets import read_dataset
from histoseed.datasets.mappings import Target
from histoseed.errors import DatasetError, UnknownMppError


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return read_dataset(write_discs(tmp_path_factory.mktemp("d") / "plain", patches=10))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.2, 0.5, 0.7]))
def test_no_group_is_on_both_sides(plain, seed, share):
    parts = parts_of(plain, Chosen(seed=seed, share=share))
    train, test = set(group_names(parts.train)), set(group_names(parts.test))
    assert not train & test
    assert train | test == set(group_names(plain))
    assert parts.test.patch_ids == parts_of(plain, Chosen(seed=seed, share=share)).test.patch_ids


def test_most_patches_are_a_part_of_all(plain):
    whole = parts_of(plain, Chosen())
    few = parts_of(plain, Chosen(patches=3))
    assert len(few.test) == 3
    assert set(few.test.patch_ids) < set(whole.test.patch_ids)
    assert few.train.patch_ids == whole.train.patch_ids
    assert len(set(group_names(few.test))) >= 2  # groups take turns


def test_an_official_split_is_kept(tmp_path):
    split = ["train", "train", "val", "val", "test", "test"]
    data = read_dataset(write_discs(tmp_path / "split", split=split))
    parts = parts_of(data, Chosen())
    assert (parts.train.patch_ids, parts.test.patch_ids) == (["p0", "p1"], ["p4", "p5"])
    assert parts_of(data, Chosen(split="val")).test.patch_ids == ["p2", "p3"]
    with pytest.raises(DatasetError, match="no fold 3"):
        parts_of(data, Chosen(fold=3))


def test_official_folds_are_kept(tmp_path):
    data = read_dataset(write_discs(tmp_path / "folds", fold=[1, 1, 2, 2, 3, 3]))
    assert parts_of(data, Chosen()).test.patch_ids == ["p4", "p5"]
    parts = parts_of(data, Chosen(fold=1))
    assert (parts.train.patch_ids, parts.test.patch_ids) == (["p2", "p3", "p4", "p5"], ["p0", "p1"])
    with pytest.raises(DatasetError, match=r"there are 1, 2, 3"):
        parts_of(data, Chosen(fold=7))


def test_one_group_cannot_be_divided(tmp_path):
    with pytest.raises(DatasetError, match="2 parts need as many independent groups"):
        parts_of(read_dataset(write_discs(tmp_path / "one", patches=2)), Chosen())


def test_a_class_map_changes_what_is_seen_and_nothing_on_the_disk(tmp_path):
    data = read_dataset(write_discs(tmp_path / "typed", classes=("a", "b", "c")))
    targets = {"a": Target("class", "x"), "b": Target("ignore"), "c": Target("drop")}
    seen = viewed(data, targets=targets)
    assert [c.name for c in seen.classes] == ["x"]
    assert set(seen.instances["class_name"]) == {"x"}
    for key in data.patch_ids:
        old, new = data.patch(key), seen.patch(key)
        of_pixels = old.class_ids[old.labels]
        np.testing.assert_array_equal(new.labels, np.where(of_pixels == 1, old.labels, 0))
        np.testing.assert_array_equal(new.ignore, of_pixels == 2)
        assert set(np.unique(new.class_ids[new.labels])) <= {0, 1}
        assert set(seen.instances_of(key).class_name) == {"x"}
        assert len(seen.objects(key)) == len(new.label_ids)
    assert [c.name for c in read_dataset(data.path).classes] == ["a", "b", "c"]
    assert seen.select(patch_ids=["p1"]).patch(0).classes == ("x",)  # a selection stays a view


def test_unclassified_objects_stay(tmp_path):
    data = read_dataset(write_discs(tmp_path / "typed", classes=("a", "b")))
    seen = viewed(data, targets={"a": Target("class", "x"), "b": Target("unclassified")})
    old, new = data.patch(0), seen.patch(0)
    np.testing.assert_array_equal(new.labels, old.labels)
    np.testing.assert_array_equal(new.class_ids > 0, old.class_ids == 1)
    assert set(seen.instances["class_name"]) == {"x", None}


@pytest.mark.parametrize(
    "fate", [Target("class", "x"), Target("class", "new"), Target("ignore"), Target("drop"), Target("unclassified")]
)
@pytest.mark.parametrize("classes", [("a", None), (None, None)])
def test_objects_without_a_class_become_what_the_map_says(tmp_path, fate, classes):
    data = read_dataset(write_discs(tmp_path / "half", classes=classes, patches=2))
    targets = {"a": Target("class", "x")} if "a" in classes else {}
    seen = viewed(data, targets=targets, unclassified=fate)
    names = dict.fromkeys(["x"] if targets else [])
    assert [c.name for c in seen.classes] == list(names | dict.fromkeys([fate.name] if fate.name else []))
    stays = fate.fate in {"class", "unclassified"}
    for key in data.patch_ids:
        old, new = data.patch(key), seen.patch(key)
        nameless = (old.class_ids[old.labels] == 0) & (old.labels > 0)
        np.testing.assert_array_equal(new.labels, np.where(nameless & (not stays), 0, old.labels))
        ignored = nameless if fate.fate == "ignore" else np.zeros_like(nameless)
        np.testing.assert_array_equal(np.zeros_like(nameless) if new.ignore is None else new.ignore, ignored)
        of_pixels = np.array(["", *new.classes])[new.class_ids[new.labels]]
        np.testing.assert_array_equal(of_pixels[nameless], fate.name)
        assert set(of_pixels[(old.labels > 0) & ~nameless]) <= {"x"}
        assert set(of_pixels[old.labels == 0]) == {""}
        was = data.instances_of(key).class_name
        expected = ["x" if name == "a" else fate.name or None for name in was if name == "a" or stays]
        assert list(seen.instances_of(key).class_name) == expected
        assert len(seen.objects(key)) == len(new.label_ids) == len(expected)
    was = data.instances["class_name"].to_list()
    assert seen.instances["class_name"].to_list() == [
        "x" if name == "a" else fate.name or None for name in was if name == "a" or stays
    ]


def test_a_window_is_the_middle(plain):
    seen = viewed(plain, window_um=32)
    old, new = plain.patch(0), seen.patch(0)
    np.testing.assert_array_equal(new.image, old.image[16:48, 16:48])
    assert new.patch_id == old.patch_id
    centres = plain.instances_of(0).centroids()
    inside = ((centres >= 16) & (centres < 48)).all(axis=1)
    np.testing.assert_allclose(seen.instances_of(0).centroids(), centres[inside] - 16)
    assert viewed(plain, window_um=1000).patch(0).labels.shape == old.labels.shape
    assert viewed(plain) is plain


def test_a_window_needs_a_resolution(plain):
    from dataclasses import replace

    import polars as pl

    unknown = replace(plain, patches=plain.patches.with_columns(pl.lit(None, pl.Float64).alias("mpp")))
    with pytest.raises(UnknownMppError):
        viewed(unknown, window_um=32).patch(0)
    assert viewed(unknown, window_um=32, mpp=0.5).patch(0).labels.shape == (64, 64)
