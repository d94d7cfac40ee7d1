"""The contingency table: what is counted, what is ignored, what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.errors import InputError
from histoseed.metrics import contingency, panoptic_quality

shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
triples = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.int32, shape, elements=st.integers(0, 5)),
        hnp.arrays(np.int32, shape, elements=st.integers(0, 5)),
        hnp.arrays(bool, shape),
    )
)


def same(a, b):
    for field in ("pair_truth", "pair_predicted", "intersection"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    for side in ("truth", "predicted"):
        for field in dataclasses.fields(a.truth):
            np.testing.assert_array_equal(getattr(getattr(a, side), field.name), getattr(getattr(b, side), field.name))


def loop_clean(image, ignore):
    """The policy in words: mostly ignored objects vanish, of the others the ignored pixels do."""
    clean = image.copy()
    for label in np.unique(image):
        mask = image == label
        if label and 2 * (mask & ignore).sum() > mask.sum():
            clean[mask] = 0
    clean[ignore] = 0
    return clean


@given(triples)
@settings(max_examples=150, deadline=None)
def test_ignoring_is_cleaning_both_images_first(triple):
    truth, predicted, ignore = triple
    cleaned = contingency(loop_clean(truth, ignore), loop_clean(predicted, ignore))
    same(contingency(truth, predicted, ignore=ignore), cleaned)


@given(triples)
@settings(max_examples=60, deadline=None)
def test_areas_and_centroids_equal_loops(triple):
    truth, predicted, _ = triple
    table = contingency(truth, predicted)
    for image, side in ((truth, table.truth), (predicted, table.predicted)):
        assert sorted(side.labels) == [label for label in np.unique(image) if label]
        for label, area, (x, y) in zip(side.labels, side.area, side.centroid, strict=True):
            rows, columns = np.nonzero(image == label)
            assert area == len(rows)
            assert (x, y) == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5))


@given(triples)
@settings(max_examples=60, deadline=None)
def test_the_drawn_images_are_the_images_renumbered(triple):
    truth, predicted, _ = triple
    table = contingency(truth, predicted)
    for image, drawn, side in zip((truth, predicted), table.images(), (table.truth, table.predicted), strict=True):
        np.testing.assert_array_equal(np.concatenate(([0], side.labels))[drawn], image)


@given(triples, st.permutations(range(1, 6)), st.sampled_from([1, 1000, 10**12]))
@settings(max_examples=60, deadline=None)
def test_labels_are_names_only(triple, names, factor):
    truth, predicted, ignore = triple
    lookup = np.array([0, *names], dtype=np.int64) * factor
    table = contingency(truth, predicted, ignore=ignore)
    renamed = contingency(lookup[truth], lookup[predicted].astype(np.uint64), ignore=ignore)
    np.testing.assert_array_equal(lookup[table.truth.labels], renamed.truth.labels)
    np.testing.assert_array_equal(table.pair_predicted, renamed.pair_predicted)
    np.testing.assert_array_equal(table.intersection, renamed.intersection)


def test_exactly_half_inside_the_ignore_area_stays():
    image = np.array([[1, 1, 2, 2, 2]])
    ignore = np.array([[True, False, True, True, False]])
    table = contingency(image, image, ignore=ignore)
    assert table.truth.labels.tolist() == [1]
    assert table.truth.area.tolist() == [1]


def test_objects_inside_the_ignore_area_change_nothing():
    truth = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 2, 2]])
    predicted = np.array([[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 2, 0]])
    ignore = np.zeros(truth.shape, dtype=bool)
    ignore[0, 3:] = True
    before = panoptic_quality(truth, predicted, ignore=ignore)
    truth[0, 3], predicted[0, 4:] = 9, 8
    assert panoptic_quality(truth, predicted, ignore=ignore) == before
    assert panoptic_quality(truth, predicted) != before


def test_detached_parts_are_one_object():
    image = np.array([[1, 0, 1], [0, 2, 0]])
    assert contingency(image, image).truth.area.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int), "integers, not float64"),
        (np.zeros((2, 2), bool), np.zeros((2, 2), int), "integers, not bool"),
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "(2, 3)"),
        (np.zeros((2, 2, 3), int), np.zeros((2, 2), int), "two dimensions"),
        (np.zeros((0, 2), int), np.zeros((0, 2), int), "one pixel"),
        (np.array([[-1]]), np.array([[0]]), "negative"),
        (np.array([[2**64 - 1]], np.uint64), np.array([[0]]), "63 bits"),
        ([[1]], np.array([[0]]), "list"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, predicted, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")):
        contingency(truth, predicted)


def test_an_ignore_area_of_another_size_is_refused():
    image = np.zeros((2, 2), int)
    with pytest.raises(InputError, match="ignore area"):
        contingency(image, image, ignore=np.zeros((3, 2), bool))
