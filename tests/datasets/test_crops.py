"""Crops of a patch, and the candidates for few-annotation experiments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.datasets import Dataset, Patch, annotated_crops, crop_patch
from histoseed.errors import InputError, UnknownMppError


@st.composite
def _cuts(draw: st.DrawFn) -> tuple[Patch, int, int, int]:
    shape = draw(st.tuples(st.integers(1, 10), st.integers(1, 10)))
    labels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 2, 3, 9])))
    image = draw(hnp.arrays(np.uint8, (*shape, 3)))
    class_ids = np.array([0, 0, 1, 2, 0, 0, 0, 0, 0, 1], np.int32)
    patch = Patch(
        patch_id="p", image=image, labels=labels, class_ids=class_ids, classes=("a", "b"), group="g", ignore=labels == 2
    )
    side = draw(st.integers(1, min(shape)))
    return patch, draw(st.integers(0, shape[1] - side)), draw(st.integers(0, shape[0] - side)), side


@settings(max_examples=60, deadline=None)
@given(_cuts())
def test_a_crop_shows_the_same_pixels_objects_and_classes(cut: tuple[Patch, int, int, int]):
    patch, x, y, side = cut
    crop = crop_patch(patch, x, y, side)
    window = patch.labels[y : y + side, x : x + side]
    np.testing.assert_array_equal(crop.image, patch.image[y : y + side, x : x + side])
    np.testing.assert_array_equal(crop.class_ids[crop.labels], patch.class_ids[window])
    np.testing.assert_array_equal(crop.ignore, window == 2)
    assert crop.label_ids.tolist() == list(range(1, len(crop.label_ids) + 1))
    assert len(crop.class_ids) == len(crop.label_ids) + 1
    # One old label to one new label, in the same order.
    pairs = sorted(set(zip(window.ravel().tolist(), crop.labels.ravel().tolist(), strict=True)))
    assert [new for _, new in pairs] == sorted(new for _, new in pairs)
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    assert (crop.group, crop.classes) == ("g", ("a", "b"))


@pytest.mark.parametrize(("x", "y", "side"), [(-1, 0, 3), (0, 0, 11), (8, 0, 3), (0, 8, 3), (0, 0, 0)])
def test_a_crop_stays_inside(x: int, y: int, side: int):
    patch = Patch(
        patch_id="p",
        image=np.zeros((10, 10, 3), np.uint8),
        labels=np.zeros((10, 10), np.int32),
        class_ids=np.zeros(1, np.int32),
    )
    with pytest.raises(InputError, match="leaves the patch"):
        crop_patch(patch, x, y, side)


def test_a_patch_checks_its_arrays():
    image, labels = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.int32)
    with pytest.raises(InputError, match="no entry for label 1"):
        Patch(patch_id="p", image=image, labels=labels, class_ids=np.zeros(1, np.int32))
    with pytest.raises(InputError, match="ignore has shape"):
        Patch(patch_id="p", image=image, labels=labels, class_ids=np.zeros(2, np.int32), ignore=np.zeros((3, 3), bool))


def test_candidates_touch_do_not_overlap_and_count_objects(tiny: Dataset):
    """Patches of 24 x 32 pixels: at 0.25 a crop of 2 um has 8 pixels and fits 3 x 4 times."""
    crops = annotated_crops(tiny.subset(["a"]), size_um=2.0, min_objects=0)
    assert len(crops) == 12
    covered = np.zeros((24, 32), int)
    for c in crops:
        covered[c.y : c.y + c.side, c.x : c.x + c.side] += 1
        assert (c.side, c.side_um, c.group) == (8, 2.0, "p1")
    assert (covered == 1).all()
    # Centroids: (6, 5), (10.5, 5) and (25, 17.5).
    assert {(c.x, c.y): c.objects for c in crops if c.objects} == {(0, 0): 1, (8, 0): 1, (24, 16): 1}
    with_objects = annotated_crops(tiny.subset(["a"]), size_um=2.0)
    assert with_objects == [c for c in crops if c.objects]


def test_candidates_follow_the_mpp_of_each_patch(tiny: Dataset):
    sides = {c.patch_id: c.side for c in annotated_crops(tiny.subset(["a", "b", "c"]), size_um=4.0)}
    assert sides == {"a": 16, "b": 16, "c": 8}


def test_a_small_patch_gives_its_own_square(tiny: Dataset):
    (crop,) = annotated_crops(tiny.subset(["a"]))
    assert (crop.x, crop.y, crop.side, crop.side_um) == (4, 0, 24, 6.0)


def test_a_stride_makes_crops_overlap(tiny: Dataset):
    crops = annotated_crops(tiny.subset(["a"]), size_um=4.0, stride_um=1.0, min_objects=0)
    assert [(c.x, c.y) for c in crops[:5]] == [(0, 0), (4, 0), (8, 0), (12, 0), (16, 0)]
    assert len(crops) == 15


def test_an_unknown_mpp_must_be_assumed(tiny: Dataset):
    with pytest.raises(UnknownMppError, match="patch 'd'"):
        annotated_crops(tiny)
    assert {c.patch_id for c in annotated_crops(tiny, mpp=0.25, min_objects=0)} == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    "options", [{"size_um": 0.0}, {"size_um": float("nan")}, {"stride_um": -1.0}, {"size_um": 0.01}]
)
def test_lengths_must_make_sense(tiny: Dataset, options: dict):
    with pytest.raises(InputError):
        annotated_crops(tiny.subset(["a"]), **options)
