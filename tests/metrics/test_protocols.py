"""Named protocols against loops over images, classes and objects, written from the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from histoseed.errors import InputError
from histoseed.metrics import PROTOCOLS, Accumulator, Scores, get_protocol

CLASSES = ("a", "b", "c")
MPP = 0.5


def crowd(rng, count, absent=()):
    """A label image of squares with a class each, none of the absent ones."""
    image = np.zeros((60, 60), dtype=np.int32)
    for label in range(1, count + 1):
        y, x, size = rng.integers(0, 54), rng.integers(0, 54), rng.integers(3, 9)
        image[y : y + size, x : x + size] = label
    kinds = rng.choice([k for k in (1, 2, 3) if k not in absent], count + 1)
    kinds[0] = 0
    return image, kinds


@pytest.fixture(scope="module")
def images():
    """Ten images of two organs: most shifted by a pixel, two with an empty side, one empty on both."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(10):
        truth, true_kinds = crowd(rng, 9, absent=(3,) if number % 2 else ())
        predicted, pred_kinds = np.roll(truth, (1, number % 3), (0, 1)), true_kinds.copy()
        predicted[:, 45:] = crowd(rng, 4)[0][:, 45:]
        pred_kinds[rng.integers(1, 10, 3)] = rng.integers(1, 4, 3)
        if number in (6, 8):
            truth = truth * 0
        if number in (7, 8):
            predicted = predicted * 0
        found.append((truth, true_kinds, predicted, pred_kinds, "x" if number < 7 else "y"))
    return found


def fill(name, images, **options):
    accumulator = Accumulator(name, classes=CLASSES, mpp=MPP, **options)
    for number, (truth, true_kinds, predicted, pred_kinds, organ) in enumerate(images):
        accumulator.update(
            truth,
            predicted,
            truth_classes=true_kinds,
            predicted_classes=pred_kinds,
            organ=organ,
            group=str(number // 2),
            patch_id=str(number),
        )
    return accumulator


def pq_sums(truth, predicted):
    """tp, objects of both sides, sum of IoU."""
    true = [truth == k for k in np.unique(truth) if k]
    pred = [predicted == k for k in np.unique(predicted) if k]
    found = [(t & p).sum() / (t | p).sum() for t in true for p in pred]
    found = [value for value in found if value > 0.5]
    return np.array([len(found), len(true), len(pred), sum(found)])


def pq(sums):
    weight = (sums[1] + sums[2]) / 2
    return sums[3] / weight if weight else math.nan


def of_class(image, kinds, k):
    return np.where(kinds[image] == k, image, 0)


def class_sums(item):
    truth, true_kinds, predicted, pred_kinds, _ = item
    return [pq_sums(of_class(truth, true_kinds, k), of_class(predicted, pred_kinds, k)) for k in (1, 2, 3)]


def nanmean(values):
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else math.nan


def test_histoseed_is_the_mean_over_images(images):
    scores = fill("histoseed", images).compute()
    sums = [pq_sums(item[0], item[2]) for item in images]
    assert scores["n_empty"] == 1
    assert scores["pq"] == pytest.approx(nanmean([pq(s) for s in sums]))
    assert scores["pq_pooled"] == pytest.approx(pq(sum(sums)))
    assert scores["mean_iou_matched"] == pytest.approx(sum(sums)[3] / sum(sums)[0])
    assert scores["mpq"] == pytest.approx(nanmean([nanmean([pq(s) for s in class_sums(item)]) for item in images]))
    assert 0.1 < scores["pq"] < 0.9
    assert scores["n_patches"] == 10
    assert scores["n_instances"] == sum(s[1] for s in sums)
    assert scores["n_predicted"] == sum(s[2] for s in sums)


def test_conic_pools_classes_and_counts_empty_images_as_zero(images):
    scores = fill("conic", images).compute()
    binary = [pq(pq_sums(item[0], item[2])) for item in images]
    assert scores["pq"] == pytest.approx(np.mean(np.nan_to_num(binary)))
    pooled = [pq(sum(class_sums(item)[k] for item in images)) for k in range(3)]
    assert [scores[f"pq_{name}"] for name in CLASSES] == pytest.approx(pooled)
    assert scores["mpq_plus"] == pytest.approx(np.mean(pooled))
    assert fill("histoseed", images).compute()["mpq_plus"] == pytest.approx(np.mean(pooled))


def test_pannuke_is_image_then_tissue_then_mean(images):
    scores = fill("pannuke", images).compute()
    binary, multi, by_class = {"x": [], "y": []}, {"x": [], "y": []}, []
    for item in images:
        sums = pq_sums(item[0], item[2])
        binary[item[4]].append(pq(sums) if sums[1] else math.nan)
        by_class.append([pq(s) if s[1] else math.nan for s in class_sums(item)])
        multi[item[4]].append(nanmean(by_class[-1]))
    assert scores["pq"] == pytest.approx(np.mean([nanmean(values) for values in binary.values()]))
    assert scores["mpq"] == pytest.approx(np.mean([nanmean(values) for values in multi.values()]))
    assert scores["pq_images"] == pytest.approx(nanmean([*binary["x"], *binary["y"]]))
    assert scores["mpq_images"] == pytest.approx(nanmean([*multi["x"], *multi["y"]]))
    assert scores["pq_tissue_y"] == pytest.approx(nanmean(binary["y"]))
    assert scores["mpq_tissue_y"] == pytest.approx(nanmean(multi["y"]))
    classes = [nanmean(column) for column in np.array(by_class).T]
    assert [scores[f"pq_{name}"] for name in CLASSES] == pytest.approx(classes)
    assert scores["pq"] != pytest.approx(scores["pq_images"])


def centroids(image):
    return {k: np.array([c.mean() + 0.5 for c in np.nonzero(image == k)]) for k in np.unique(image) if k}


def hovernet_counts(images):
    """Pairs, and objects without a partner, with their classes: least total distance, then the radius."""
    paired, single_true, single_pred = [], [], []
    for truth, true_kinds, predicted, pred_kinds, _ in images:
        true, pred = centroids(truth), centroids(predicted)
        distance = np.array([[np.linalg.norm(t - p) for p in pred.values()] for t in true.values()])
        distance = distance.reshape(len(true), len(pred))
        rows, columns = linear_sum_assignment(distance)
        kept = [(r, c) for r, c in zip(rows, columns, strict=True) if distance[r, c] * MPP <= 3]
        t, p = list(true), list(pred)
        paired += [(true_kinds[t[r]], pred_kinds[p[c]]) for r, c in kept]
        single_true += [true_kinds[k] for i, k in enumerate(t) if i not in {r for r, _ in kept}]
        single_pred += [pred_kinds[k] for i, k in enumerate(p) if i not in {c for _, c in kept}]
    return paired, single_true, single_pred


def test_hovernet_detection_and_classes(images):
    scores = fill("hovernet", images).compute()
    paired, single_true, single_pred = hovernet_counts(images)
    tp = len(paired)
    assert scores["f1_detection"] == pytest.approx(2 * tp / (2 * tp + len(single_true) + len(single_pred)))
    assert scores["precision_detection"] == pytest.approx(tp / (tp + len(single_pred)))
    assert scores["recall_detection"] == pytest.approx(tp / (tp + len(single_true)))
    assert scores["accuracy_classes"] == pytest.approx(np.mean([t == p for t, p in paired]))
    for k, name in enumerate(CLASSES, 1):
        both = sum(t == p == k for t, p in paired)
        confused = sum((t == k) != (p == k) for t, p in paired)
        single = single_true.count(k) + single_pred.count(k)
        assert scores[f"f1_{name}"] == pytest.approx(2 * both / (2 * both + 2 * confused + single))
    plain = fill("histoseed", images).compute()
    assert all(plain[f"f1_{name}"] > scores[f"f1_{name}"] for name in CLASSES)


def test_hovernet_pairs_before_it_looks_at_the_radius():
    truth, predicted = np.zeros((2, 1, 40), dtype=np.int32)
    truth[0, [0, 4]], predicted[0, [3, 39]] = (1, 2), (1, 2)
    scores = {name: Accumulator(name, mpp=1.0, radius_um=1).update(truth, predicted).compute() for name in PROTOCOLS}
    assert scores["histoseed"]["f1_detection"] == 0.5
    assert scores["hovernet"]["f1_detection"] == 0


def test_r2_of_counts(images):
    counts = np.array(
        [
            [[sum(kinds[k] == c for k in np.unique(image) if k) for c in (1, 2, 3)] for image, kinds in sides]
            for sides in (((i[0], i[1]), (i[2], i[3])) for i in images)
        ]
    )

    def r2(t, p):
        return 1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum()

    by_class = [r2(counts[:, 0, c], counts[:, 1, c]) for c in range(3)]
    conic, ours = fill("conic", images).compute(), fill("histoseed", images).compute()
    assert [ours[f"r2_{name}"] for name in CLASSES] == pytest.approx(by_class)
    assert conic["r2"] == pytest.approx(np.mean(by_class)) == ours["r2_classes"]
    assert ours["r2"] == pytest.approx(r2(counts[:, 0].sum(1), counts[:, 1].sum(1)))


def one(*corners):
    image = np.zeros((20, 20), dtype=np.int32)
    for label, (y, x) in enumerate(corners, 1):
        image[y : y + 4, x : x + 4] = label
    return image


@pytest.mark.parametrize("name", ["histoseed", "conic", "hovernet", "pannuke"])
def test_a_false_positive_costs_in_a_class_that_is_absent_from_the_image(name):
    truth, extra = one((0, 0)), one((0, 0), (10, 10))
    both = (one((0, 0), (10, 10)), [0, 1, 2])

    def score(predicted, kinds):
        accumulator = Accumulator(name, classes=("a", "b"))
        accumulator.update(both[0], both[0], truth_classes=both[1], predicted_classes=both[1])
        return accumulator.update(truth, predicted, truth_classes=[0, 1], predicted_classes=kinds).compute()

    clean, false = score(truth, [0, 1]), score(extra, [0, 1, 2])
    assert clean["mpq_plus"] == 1
    assert false["mpq_plus"] == pytest.approx((1 + 2 / 3) / 2)
    # PanNuke's mPQ is blind to it: the class is not in the truth of that image.
    assert false["mpq"] == (1 if name == "pannuke" else pytest.approx((1 + (1 + 0) / 2) / 2))


def test_a_class_absent_from_the_whole_set():
    image = one((0, 0), (10, 10))

    def score(name, kinds):
        accumulator = Accumulator(name, classes=("a", "b"))
        return accumulator.update(image, image, truth_classes=[0, 1, 1], predicted_classes=kinds).compute()

    assert score("histoseed", [0, 1, 1])["mpq_plus"] == 1
    assert score("histoseed", [0, 1, 2])["mpq_plus"] == pytest.approx((2 / 3 + 0) / 2)
    assert score("conic", [0, 1, 1])["mpq_plus"] == 0.5
    assert score("histoseed", [0, 1, 1])["pq_b"] is None


def test_unclassified_truth_counts_for_binary_scores_only():
    image = one((0, 0), (10, 10))
    accumulator = Accumulator(classes=("a", "b"), mpp=0.5)
    scores = accumulator.update(image, image, truth_classes=[0, 1, 0], predicted_classes=[0, 1, 2]).compute()
    assert scores["pq"] == scores["f1_detection"] == scores["pq_a"] == scores["f1_a"] == scores["accuracy_classes"] == 1
    assert scores["pq_b"] is None
    assert scores["f1_b"] is None
    assert scores["n_instances"] == 2


def test_only_empty_images():
    empty = one()
    for name in PROTOCOLS:
        scores = Accumulator(name, classes=("a",), mpp=0.5).update(empty, empty).compute()
        assert scores["n_empty"] == scores["n_patches"] == 1
        assert scores["pq"] == (0 if name == "conic" else None)
        assert scores["aji"] is scores["dice"] is scores["f1_detection"] is None
    assert Accumulator().compute()["n_patches"] == 0


def test_an_unknown_resolution_leaves_detection_undefined():
    image = one((0, 0))
    scores = Accumulator().update(image, image).compute()
    assert scores["pq"] == 1
    assert scores["f1_detection"] is scores["hausdorff95_um"] is None
    assert scores["n_without_mpp"] == 1
    mixed = Accumulator().update(image, one(), mpp=0.5).update(image, image).compute()
    assert (mixed["f1_detection"], mixed["n_without_mpp"]) == (0, 1)


def test_rapid_cytomine_scores_answers_only():
    truth, answers = one((0, 0), (10, 10)), one((0, 0), (10, 12))
    scores = Accumulator("rapid-cytomine").update(truth, answers).update(truth, one()).compute()
    assert scores["iou"] == pytest.approx((1 + 1 / 3) / 4)
    assert scores["dice"] == pytest.approx((1 + 1 / 2) / 4)
    assert scores["precision"] == scores["recall"] == pytest.approx((1 + 1 / 2) / 4)
    assert scores["pq"] is None


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean pannuke"):
        get_protocol("panuke")


@pytest.mark.parametrize("classes", [("a", "a"), ("",), ("detection",), ("pooled",), ("tissue_x",), ("classes",)])
def test_class_names_that_cannot_be_keys_are_refused(classes):
    with pytest.raises(InputError):
        Accumulator(classes=classes)


@pytest.mark.parametrize("kinds", [[0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 1.0], [[0, 1, 1]]])
def test_class_ids_that_do_not_fit_are_refused(kinds):
    image = one((0, 0), (10, 10))
    with pytest.raises(InputError, match="classes of the truth"):
        Accumulator(classes=("a", "b")).update(image, image, truth_classes=kinds)


def test_scores_carry_their_protocol_and_are_frozen(images):
    for name in PROTOCOLS:
        scores = fill(name, images, hausdorff=False).compute()
        assert scores.protocol == name
        assert scores["averaging"]
        assert scores["radius_um"] == 3.0
    with pytest.raises(TypeError):
        scores["pq"] = 1.0
    with pytest.raises(InputError, match="protocol"):
        Scores({"pq": 1.0})
    with pytest.raises(InputError, match="no such score"):
        scores.number("qp")
