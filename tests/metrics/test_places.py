"""Objects without an outline: they count as places, and never in scores of pixels."""

import numpy as np
import pytest

from histoseed.errors import InputError
from histoseed.metrics import PROTOCOLS, Accumulator

OF_PIXELS = ("pq", "dq", "sq", "pq_pooled", "aji", "aji_plus", "dice", "mean_iou_matched", "hausdorff95_um")
PLAIN = [name for name, protocol in PROTOCOLS.items() if not protocol.prompted]


def squares(corners, size=5, shape=(40, 60)):
    labels = np.zeros(shape, np.int32)
    for k, (x, y) in enumerate(corners, start=1):
        labels[y : y + size, x : x + size] = k
    return labels


PREDICTED = squares([(2, 2), (20, 2), (40, 20)])
MIDDLES = np.array([[4.5, 4.5], [22.5, 4.5], [10.5, 30.5]])
EVERYWHERE = np.ones(PREDICTED.shape, bool)


@pytest.mark.parametrize("protocol", PLAIN)
def test_points_give_detection_and_never_pixels(protocol):
    scores = Accumulator(protocol, classes=("a", "b")).update(
        np.zeros_like(PREDICTED), PREDICTED, predicted_classes=[0, 1, 1, 2], points=MIDDLES, point_classes=[1, 2, 2],
        unlabelled=EVERYWHERE, mpp=0.5,
    ).compute()  # fmt: skip
    undefined = (*OF_PIXELS, "mpq", "mpq_plus", "pq_a", "pq_b")
    assert {key: scores[key] for key in undefined} == dict.fromkeys(undefined)
    assert (scores["n_instances"], scores["n_predicted"], scores["n_without_outline"]) == (3, 3, 3)
    assert scores.number("f1_detection") == pytest.approx(2 / 3)
    assert scores.number("accuracy_classes") == 0.5
    if protocol == "histoseed":
        # One right "a", one "b" taken for "a", one "b" missed, one false "b".
        assert scores.number("f1_a") == pytest.approx(2 / 3)
        assert scores.number("f1_b") == 0.0


def test_points_score_like_outlines_with_those_centroids():
    truth = squares([(2, 2), (21, 2), (8, 28)])
    outlined = Accumulator(classes=("a",)).update(truth, PREDICTED, truth_classes=[0, 1, 0, 1],
                                                  predicted_classes=[0, 1, 1, 1], mpp=0.5).compute()  # fmt: skip
    middles = [[4.5, 4.5], [23.5, 4.5], [10.5, 30.5]]
    places = Accumulator(classes=("a",)).update(
        np.zeros_like(truth), PREDICTED, predicted_classes=[0, 1, 1, 1], points=middles, point_classes=[1, 0, 1],
        unlabelled=EVERYWHERE, mpp=0.5,
    ).compute()  # fmt: skip
    for key in ("f1_detection", "precision_detection", "recall_detection", "f1_a", "mf1", "n_instances", "n_predicted"):
        assert places[key] == outlined[key], key


def test_outlines_beside_boxes_are_scored_by_overlap_where_no_box_may_be():
    truth = squares([(2, 2)])
    boxed = np.zeros(truth.shape, bool)
    boxed[0:10, 18:28] = True
    scores = Accumulator().update(truth, PREDICTED, points=[[22.5, 4.5]], unlabelled=boxed, mpp=0.5).compute()
    # Of pixels: one match, one false object; the one in the box is left out. As places: two found, one false.
    assert scores.number("dq") == pytest.approx(1 / 1.5)
    assert scores.number("f1_detection") == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert (scores["n_instances"], scores["n_without_outline"], scores["n_predicted"]) == (2, 1, 3)


def test_a_patch_of_points_does_not_change_the_scores_of_outlines():
    one, both = Accumulator("conic"), Accumulator("conic")
    for accumulator in (one, both):
        accumulator.update(squares([(2, 2), (30, 30)]), PREDICTED, mpp=0.5)
    both.update(np.zeros_like(PREDICTED), PREDICTED, points=MIDDLES, unlabelled=EVERYWHERE, mpp=0.5)
    for key in OF_PIXELS:
        assert one.compute()[key] == both.compute()[key], key
    assert both.compute()["n_instances"] == one.compute()["n_instances"] + 3


def test_a_patch_without_any_point_still_costs_false_detections():
    scores = Accumulator().update(np.zeros_like(PREDICTED), PREDICTED, unlabelled=EVERYWHERE, mpp=0.5).compute()
    assert (scores["pq"], scores["f1_detection"], scores["n_predicted"]) == (None, 0.0, 3)


def test_a_prompted_protocol_needs_outlines():
    with pytest.raises(InputError, match="needs outlines"):
        Accumulator("rapid-cytomine").update(PREDICTED, PREDICTED, unlabelled=EVERYWHERE, mpp=0.5)


def test_intervals_of_places():
    accumulator = Accumulator()
    for k in range(4):
        accumulator.update(np.zeros_like(PREDICTED), PREDICTED, points=MIDDLES[: k + 1], unlabelled=EVERYWHERE, mpp=0.5)
    interval = accumulator.intervals(["f1_detection"], n=50)["f1_detection"]
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
