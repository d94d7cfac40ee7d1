"""Targets against closed forms and a per-object loop."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.segmenters import make_targets

small_labels = hnp.arrays(np.int64, st.tuples(st.integers(3, 12), st.integers(3, 12)), elements=st.integers(0, 4))


def brute_force_distances(labels):
    """The definition, object by object and pixel by pixel."""
    out = np.zeros((4, *labels.shape), np.float32)
    for label in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == label)
        for k, along in enumerate((columns, rows, columns + rows, columns - rows)):
            low, high = along.min(), along.max()
            out[k, rows, columns] = 0 if high == low else 2 * (along - low) / (high - low) - 1
    return out


@settings(max_examples=60, deadline=None)
@given(small_labels)
def test_distances_equal_a_loop_over_objects(labels):
    targets = make_targets(torch.from_numpy(labels)[None])
    np.testing.assert_allclose(targets.distances[0].numpy(), brute_force_distances(labels), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(small_labels, st.integers(1, 2))
def test_boundary_is_where_another_nucleus_is_near(labels, width):
    semantic = make_targets(torch.from_numpy(labels)[None], boundary=width).semantic[0].numpy()
    for i, j in np.ndindex(labels.shape):
        window = labels[max(0, i - width) : i + width + 1, max(0, j - width) : j + width + 1]
        other = bool(((window > 0) & (window != labels[i, j])).any())
        expected = 0 if labels[i, j] == 0 else 2 if other else 1
        assert semantic[i, j] == expected


@settings(max_examples=30, deadline=None)
@given(small_labels, st.integers(1, 1000))
def test_renumbering_objects_changes_nothing(labels, offset):
    moved = np.where(labels > 0, labels * 3 + offset, 0)
    first, second = (make_targets(torch.from_numpy(x)[None]) for x in (labels, moved))
    assert torch.equal(first.semantic, second.semantic)
    assert torch.equal(first.distances, second.distances)


def test_images_of_a_batch_do_not_mix():
    left = torch.zeros(1, 8, 8, dtype=torch.int64)
    left[0, 1:4, 1:4] = 1
    right = torch.zeros(1, 8, 8, dtype=torch.int64)
    right[0, 2:8, 2:8] = 1
    both = make_targets(torch.cat([left, right]))
    assert torch.equal(both.distances[0], make_targets(left).distances[0])
    assert torch.equal(both.distances[1], make_targets(right).distances[0])


def test_ignore_has_no_weight_and_classes_stay_inside_objects():
    labels = torch.tensor([[[0, 1], [1, 0]]])
    ignore = torch.tensor([[[True, False], [False, False]]])
    targets = make_targets(labels, classes=torch.full_like(labels, 2), ignore=ignore)
    assert targets.weight.tolist() == [[[0.0, 1.0], [1.0, 1.0]]]
    assert targets.classes.tolist() == [[[0, 2], [2, 0]]]
