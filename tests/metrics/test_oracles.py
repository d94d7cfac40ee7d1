"""Every pixel score against loops over objects, written from the definitions, and against torchmetrics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from histoseed.metrics import Accumulator, aji, aji_plus, contingency, dice, mean_matched_iou, panoptic_quality

LABELS = 5
shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))


def images(shape, count):
    return st.tuples(*[hnp.arrays(np.int32, shape, elements=st.integers(0, LABELS))] * count)


pairs = shapes.flatmap(lambda shape: images(shape, 2))


def masks(image):
    return [image == label for label in np.unique(image) if label]


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def loop_pq(truth, predicted):
    true, pred = masks(truth), masks(predicted)
    found = [iou(t, p) for t in true for p in pred if iou(t, p) > 0.5]
    weight = len(found) + (len(true) - len(found)) / 2 + (len(pred) - len(found)) / 2
    if not weight:
        return math.nan, math.nan, math.nan
    return sum(found) / weight, len(found) / weight, sum(found) / len(found) if found else 0.0


def aggregate(true, pred, chosen):
    shared = sum((true[i] & pred[j]).sum() for i, j in chosen)
    union = sum((true[i] | pred[j]).sum() for i, j in chosen)
    union += sum(t.sum() for i, t in enumerate(true) if i not in {i for i, _ in chosen})
    union += sum(p.sum() for j, p in enumerate(pred) if j not in {j for _, j in chosen})
    return shared / union if union else math.nan


def loop_aji(truth, predicted):
    """All values that ties of the best IoU allow."""
    true, pred = masks(truth), masks(predicted)
    options = []
    for i, t in enumerate(true):
        scores = [iou(t, p) for p in pred]
        best = max(scores, default=0)
        options.append([(i, j) for j, s in enumerate(scores) if best > 0 and s == best] or [None])
    return [aggregate(true, pred, [pair for pair in chosen if pair]) for chosen in itertools.product(*options)]


def loop_aji_plus(truth, predicted):
    """All values that one-to-one pairings of the largest total IoU allow, by trying every pairing."""
    true, pred = masks(truth), masks(predicted)
    best, values = -1.0, []
    columns = [*range(len(pred)), *[None] * len(true)]
    for order in set(itertools.permutations(columns, len(true))):
        chosen = [(i, j) for i, j in enumerate(order) if j is not None and (true[i] & pred[j]).any()]
        total = sum(iou(true[i], pred[j]) for i, j in chosen)
        if total > best + 1e-12:
            best, values = total, []
        if total > best - 1e-12:
            values.append(aggregate(true, pred, chosen))
    return values


def one_of(value, values):
    return any(value == pytest.approx(other, nan_ok=True) for other in values)


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_panoptic_quality_equals_loops(pair):
    assert panoptic_quality(*pair) == pytest.approx(loop_pq(*pair), nan_ok=True)


@given(pairs)
@settings(max_examples=100, deadline=None)
def test_aji_equals_loops(pair):
    assert one_of(aji(*pair), loop_aji(*pair))


@given(st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(lambda shape: images(shape, 2)))
@settings(max_examples=60, deadline=None)
def test_aji_plus_equals_the_best_of_all_pairings(pair):
    truth, predicted = (np.minimum(image, 3) for image in pair)
    assert one_of(aji_plus(truth, predicted), loop_aji_plus(truth, predicted))


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_dice_and_mean_matched_iou_equal_loops(pair):
    truth, predicted = pair
    both, sizes = ((truth > 0) & (predicted > 0)).sum(), (truth > 0).sum() + (predicted > 0).sum()
    assert dice(*pair) == pytest.approx(2 * both / sizes if sizes else math.nan, nan_ok=True)
    found = [iou(t, p) for t in masks(truth) for p in masks(predicted) if iou(t, p) > 0.5]
    assert mean_matched_iou(*pair) == pytest.approx(np.mean(found) if found else math.nan, nan_ok=True)


def blobs(rng, size, count, radius):
    """Discs drawn over one another: crowded enough that objects have several rivals."""
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size), dtype=np.int32)
    for label in range(1, count + 1):
        cy, cx, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.5, 1) * radius
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = label
    return image


@pytest.mark.parametrize("seed", range(3))
def test_aji_plus_pairs_like_a_dense_assignment(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = blobs(rng, 120, 60, 12), blobs(rng, 120, 70, 11)
    true, pred = masks(truth), masks(predicted)
    table = np.array([[iou(t, p) for p in pred] for t in true])
    rows, columns = linear_sum_assignment(-table)
    chosen = [(i, j) for i, j in zip(rows, columns, strict=True) if table[i, j] > 0]
    assert aji_plus(truth, predicted) == pytest.approx(aggregate(true, pred, chosen))


def test_contingency_equals_scikit_image():
    from skimage.metrics import contingency_table

    rng = np.random.default_rng(5)
    truth, predicted = blobs(rng, 90, 40, 9), blobs(rng, 90, 30, 10)
    table = contingency(truth, predicted)
    dense = contingency_table(truth, predicted, sparse_type="array").toarray()
    shares = np.zeros_like(dense)
    rows, columns = table.truth.labels[table.pair_truth], table.predicted.labels[table.pair_predicted]
    shares[rows, columns] = table.intersection
    np.testing.assert_array_equal(shares[1:, 1:], dense[1:, 1:])


def test_class_scores_equal_torchmetrics():
    from torch import from_numpy
    from torchmetrics.detection import PanopticQuality

    rng = np.random.default_rng(1)
    classes = ("a", "b", "c")
    ours = Accumulator("conic", classes=classes)
    theirs = PanopticQuality(things={1, 2, 3}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)
    for _ in range(6):
        truth = blobs(rng, 60, 25, 8)
        predicted = np.roll(truth, (1, 1), (0, 1))
        predicted[:, :30] = blobs(rng, 60, 25, 8)[:, :30]
        kinds = [np.concatenate(([0], rng.integers(1, 4, 25))) for _ in range(2)]
        kinds[1] = np.where(rng.random(26) < 0.7, kinds[0], kinds[1])
        ours.update(truth, predicted, truth_classes=kinds[0], predicted_classes=kinds[1])
        stacked = [np.stack((k[i], i), axis=-1)[None] for k, i in ((kinds[1], predicted), (kinds[0], truth))]
        theirs.update(*(from_numpy(image.astype(np.int64)) for image in stacked))
    scores = ours.compute()
    per_class = theirs.compute().reshape(-1, 3).numpy()[:3]  # the last one is the background, which we do not score
    assert [scores[f"pq_{name}"] for name in classes] == pytest.approx(per_class[:, 0].tolist())
    assert scores["mpq_plus"] == pytest.approx(per_class[:, 0].mean())
    assert 0.1 < scores["mpq_plus"] < 0.9
