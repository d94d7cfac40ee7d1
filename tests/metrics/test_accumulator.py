"""Accumulators: merging, permuting, relabelling and swapping; intervals over groups."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.errors import InputError
from histoseed.metrics import PROTOCOLS, Accumulator, Interval, bootstrap_interval, paired_difference, paired_intervals

CLASSES = ("a", "b")
images = hnp.arrays(np.int32, (6, 6), elements=st.integers(0, 4))
items = st.lists(
    st.tuples(images, images, hnp.arrays(bool, (6, 6)), st.sampled_from(["x", "y"]), st.booleans()), max_size=4
)
KINDS = (np.array([0, 1, 2, 0, 1]), np.array([0, 1, 1, 2, 0]))


def fill(protocol, rows, names=(0, 1, 2, 3, 4)):
    lookup = np.array(names)
    kinds = [np.zeros(5, int), np.zeros(5, int)]
    for side in (0, 1):
        kinds[side][lookup] = KINDS[side]
    accumulator = Accumulator(protocol, classes=CLASSES, radius_um=1.0)
    for truth, predicted, ignore, organ, known in rows:
        accumulator.update(
            lookup[truth],
            lookup[predicted],
            truth_classes=kinds[0],
            predicted_classes=kinds[1],
            ignore=ignore,
            organ=organ,
            mpp=0.5 if known else None,
        )
    return accumulator


def equal(left, right):
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert value == (pytest.approx(right[key]) if isinstance(value, float) else right[key]), key


protocols = st.sampled_from(list(PROTOCOLS))


@given(protocols, items, items, items)
@settings(max_examples=25, deadline=None)
def test_merging_is_associative_and_equals_one_pass(protocol, a, b, c):
    whole = fill(protocol, a + b + c).compute()
    left = fill(protocol, a).merge(fill(protocol, b)).merge(fill(protocol, c))
    right = fill(protocol, a).merge(fill(protocol, b).merge(fill(protocol, c)))
    assert dict(left.compute()) == dict(right.compute()) == dict(whole)


@given(protocols, items, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_images_does_not_matter(protocol, rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    equal(fill(protocol, rows).compute(), fill(protocol, shuffled).compute())


@given(protocols, items, st.permutations(range(1, 5)))
@settings(max_examples=25, deadline=None)
def test_relabelling_changes_nothing(protocol, rows, names):
    assert dict(fill(protocol, rows).compute()) == dict(fill(protocol, rows, (0, *names)).compute())


@given(items)
@settings(max_examples=40, deadline=None)
def test_swapping_truth_and_prediction_swaps_precision_and_recall(rows):
    swapped = [(p, t, *rest) for t, p, *rest in rows]
    left, right = (fill("histoseed", some).compute() for some in (rows, swapped))
    for key in ("pq", "dq", "sq", "pq_pooled", "dice", "f1_detection", "mean_iou_matched", "n_empty"):
        assert left[key] == pytest.approx(right[key]), key
    assert left["precision_detection"] == right["recall_detection"]
    assert left["n_instances"] == right["n_predicted"]


@given(items)
@settings(max_examples=25, deadline=None)
def test_scores_stay_in_their_range(rows):
    scores = fill("histoseed", rows).compute()
    for key, value in scores.items():
        if isinstance(value, float) and not key.startswith(("r2", "hausdorff")):
            assert 0 <= value <= 1, key
    json.dumps(scores.as_dict(), allow_nan=False)


def test_other_protocols_classes_and_radii_do_not_merge():
    ours = Accumulator(classes=("a",))
    for other in (Accumulator("conic", classes=("a",)), Accumulator(), Accumulator(classes=("a",), radius_um=2)):
        with pytest.raises(InputError, match="merged"):
            ours.merge(other)
        with pytest.raises(InputError, match="compared"):
            paired_intervals(ours, other)
    with pytest.raises(InputError, match="radius"):
        Accumulator(radius_um=0)


def square(shift):
    image = np.zeros((16, 16), dtype=np.int32)
    image[4:12, 2 + shift : 10 + shift] = 1
    return image


def shifted(shifts, groups=None):
    accumulator = Accumulator(mpp=0.5)
    for number, shift in enumerate(shifts):
        group = "" if groups is None else groups[number]
        accumulator.update(square(0), square(shift), group=group, patch_id=str(number))
    return accumulator


def test_accumulators_and_scores_cross_process_borders():
    accumulator = shifted([0, 1])
    copied = pickle.loads(pickle.dumps(accumulator))
    assert dict(copied.compute()) == dict(accumulator.compute())
    assert dict(pickle.loads(pickle.dumps(accumulator.compute()))) == dict(accumulator.compute())


def test_intervals_hold_the_value_and_are_reproducible():
    accumulator = shifted([0, 1, 2, 3, 0, 1])
    first = accumulator.intervals(("pq", "f1_detection"), n=200, seed=4)
    assert first == accumulator.intervals(("pq", "f1_detection"), n=200, seed=4)
    assert first["pq"].value == accumulator.compute()["pq"]
    assert first["pq"].low < first["pq"].value < first["pq"].high
    assert first["pq"].n_groups == 6
    assert first["f1_detection"][:3] == (1, 1, 1)
    with pytest.raises(InputError, match="protocol"):
        accumulator.intervals(("protocol",))


def test_groups_are_drawn_whole():
    """Two groups of equal images: every resample is one of three means."""
    rows, groups = np.array([0.0, 0.0, 0.0, 1.0]), ["a", "a", "a", "b"]
    seen = set()

    def statistic(part):
        seen.add(float(part.mean()))
        return part.mean()

    found = bootstrap_interval(rows, statistic, groups, n=200)
    assert seen == {0.0, 0.25, 1.0}
    assert found == Interval(0.25, 0.0, 1.0, 2, 0.95)


def test_the_interval_of_a_mean_is_the_textbook_one():
    rows = np.random.default_rng(0).normal(10, 2, 400)
    found = bootstrap_interval(rows, np.mean, n=1000)
    half = 1.96 * rows.std() / 20
    assert (found.low, found.high) == pytest.approx((rows.mean() - half, rows.mean() + half), abs=0.15 * half)


def test_one_group_gives_no_interval():
    found = shifted([0, 1], groups=["p", "p"]).intervals(("pq",), n=10)["pq"]
    assert found.n_groups == 1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(InputError, match="rows"):
        Accumulator().intervals(("pq",))
    with pytest.raises(InputError, match="level"):
        bootstrap_interval(np.ones(3), np.mean, level=1.0)
    with pytest.raises(InputError, match="groups"):
        bootstrap_interval(np.ones(3), np.mean, ["a"])
    with pytest.raises(InputError, match="paired"):
        paired_difference(np.ones(3), np.ones(2), np.mean)


def test_paired_differences_are_narrower_than_the_scores():
    """Images differ much, the two models little: only the paired interval sees it."""
    ours, theirs = shifted([0, 1, 2, 3, 2, 1]), shifted([1, 2, 3, 4, 3, 2])
    difference = paired_intervals(ours, theirs, ("pq",), n=300)["pq"]
    assert difference.value == pytest.approx(ours.compute()["pq"] - theirs.compute()["pq"])
    assert 0 < difference.low < difference.value < difference.high
    own = ours.intervals(("pq",), n=300)["pq"]
    assert difference.high - difference.low < own.high - own.low


def test_pairs_are_found_by_patch_id():
    ours, theirs = shifted([0, 1, 2]), Accumulator(mpp=0.5)
    for number in (2, 0, 1):
        theirs.update(square(0), square(number), patch_id=str(number))
    assert paired_intervals(ours, theirs, ("pq",), n=20)["pq"][:3] == (0, 0, 0)
    with pytest.raises(InputError, match="same images"):
        paired_intervals(ours, shifted([0, 1]), ("pq",))


def test_confusion_tables():
    image = np.zeros((12, 12), dtype=np.int32)
    image[:4, :4], image[6:10, 6:10], image[0, 11] = 1, 2, 3
    moved = np.roll(image, 2, axis=1)
    moved[0, 1], moved[11, 0] = 0, 3
    accumulator = Accumulator(classes=("a", "b"), mpp=1.0)
    accumulator.update(image, moved, truth_classes=[0, 1, 2, 1], predicted_classes=[0, 1, 1, 2])
    # Shifted by two of four pixels the squares overlap with IoU 1/3: no pair by IoU, pairs by centroid.
    assert accumulator.confusion().tolist() == [[0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 1], [0, 2, 1, 0]]
    assert accumulator.confusion(by="centroid").tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]
    with pytest.raises(InputError, match="centroid"):
        accumulator.confusion(by="distance")
