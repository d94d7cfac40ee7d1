"""Maps -> instances: what goes in as labels comes out again, wherever the tile is cut."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from histoseed.segmenters import (
    PostProcessing,
    class_probabilities,
    foreground_scores,
    instance_labels,
    make_targets,
)
from histoseed.segmenters.instances import energy_of

MPP = 0.25
HOW = PostProcessing()


def blobs(seed: int, side: int = 160, tries: int = 90) -> npt.NDArray[np.int32]:
    """Ellipses the size of nuclei at 0.25 mpp, many of them touching."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    y, x = np.mgrid[:side, :side]
    for _ in range(tries):
        (cx, cy), (a, b), turn = rng.uniform(0, side, 2), rng.uniform(6, 12, 2), rng.uniform(0, np.pi)
        u, v = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        if inside.sum() > 60 and (labels[inside] > 0).mean() < 0.1:
            labels[inside & (labels == 0)] = labels.max() + 1
    return labels


def maps_of(labels: npt.NDArray[np.int32], *, noise: float = 0.0, seed: int = 0) -> tuple[npt.NDArray, npt.NDArray]:
    """What a good network would say: the targets, a little blurred and noisy."""
    target = make_targets(torch.from_numpy(labels)[None].long())
    hot = np.moveaxis(np.eye(3, dtype=np.float32)[target.semantic[0].numpy()], -1, 0)
    rng = np.random.default_rng(seed)
    semantic = np.stack([cv2.GaussianBlur(plane, (0, 0), 0.8) for plane in hot])
    semantic = np.clip(semantic + noise * rng.standard_normal(semantic.shape), 1e-3, None)
    semantic /= semantic.sum(0)
    distances = target.distances[0].numpy() + noise * rng.standard_normal((4, *labels.shape))
    return semantic.astype(np.float32), np.clip(distances, -1, 1).astype(np.float32)


def f1(truth: npt.NDArray, predicted: npt.NDArray, iou: float = 0.5) -> float:
    """Detection F1, by the definition: pairs of objects with a greater intersection over union."""
    hits = 0
    for label in np.unique(truth[truth > 0]):
        own = truth == label
        for other in np.unique(predicted[own & (predicted > 0)]):
            it = predicted == other
            hits += (own & it).sum() / (own | it).sum() > iou
    return 2 * hits / (len(np.unique(truth[truth > 0])) + len(np.unique(predicted[predicted > 0])))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_labels_come_back_from_their_targets(seed: int) -> None:
    labels = blobs(seed)
    assert f1(labels, instance_labels(*maps_of(labels), HOW, MPP)) >= 0.93


def test_noise_costs_little() -> None:
    labels = blobs(3)
    assert f1(labels, instance_labels(*maps_of(labels, noise=0.1), HOW, MPP)) >= 0.9


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_labels_are_numbered_without_gaps_and_none_is_too_small(seed: int) -> None:
    found = instance_labels(*maps_of(blobs(seed, tries=40), noise=0.3, seed=seed), HOW, MPP)
    numbers, area = np.unique(found[found > 0], return_counts=True)
    assert numbers.tolist() == list(range(1, found.max() + 1))
    assert area.min(initial=1000) * MPP * MPP >= HOW.min_area_um2


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_shortened_flood_equals_the_watershed_of_the_whole_image(seed: int) -> None:
    """Oracle: the plain algorithm, every pixel in the queue."""
    semantic, distances = maps_of(blobs(seed), noise=0.15, seed=seed)
    how = PostProcessing(max_hole_um2=0, min_area_um2=0, min_marker_um2=0)
    mask = semantic[0] <= 0.5
    energy = energy_of(semantic, distances, how, MPP)
    markers, count = ndimage.label(mask & (energy >= how.marker), np.ones((3, 3)))
    parts, _ = ndimage.label(mask)
    alone = mask & ~np.isin(parts, parts[markers > 0])
    plain = watershed(-energy, np.where(alone, parts + count, markers), mask=mask)
    found = instance_labels(semantic, distances, how, MPP)
    pairs = np.unique(np.stack([plain.ravel(), found.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_what_lies_far_from_the_border_of_a_tile_does_not_depend_on_the_tile() -> None:
    """No map is rescaled by its own extremes, and no object depends on another component."""
    labels = blobs(11, side=320, tries=400)
    semantic, distances = maps_of(labels, noise=0.05)
    whole = instance_labels(semantic, distances, HOW, MPP)
    tile = instance_labels(semantic[:, 64:256, 64:256], distances[:, 64:256, 64:256], HOW, MPP)
    checked = 0
    for label in np.unique(tile[48:144, 48:144]):
        y, x = np.nonzero(tile == label)
        if label and y.min() > 16 and x.min() > 16 and y.max() < 175 and x.max() < 175:
            same = whole[y + 64, x + 64]
            assert (same == same[0]).all()
            assert (whole == same[0]).sum() == len(y)
            checked += 1
    assert checked > 15


def test_small_holes_are_filled_and_holes_that_may_go_on_outside_are_not() -> None:
    semantic = np.zeros((3, 40, 60), np.float32)
    semantic[1] = 1.0
    distances = np.zeros((4, 40, 60), np.float32)
    for rows, columns in ((slice(18, 22), slice(18, 22)), (slice(0, 4), slice(40, 44))):
        semantic[0, rows, columns], semantic[1, rows, columns] = 1.0, 0.0
    found = instance_labels(semantic, distances, PostProcessing(max_hole_um2=20 * MPP * MPP), MPP)
    assert found[20, 20] == 1
    assert found[2, 42] == 0


def test_a_component_without_a_marker_is_one_object() -> None:
    semantic = np.zeros((3, 30, 30), np.float32)
    semantic[0] = 1.0
    semantic[0, 5:20, 5:20], semantic[1, 5:20, 5:20] = 0.2, 0.8
    faint = np.full((4, 30, 30), 0.9, np.float32)  # far from every centre: no pixel reaches the marker level
    found = instance_labels(semantic, faint, HOW, MPP)
    assert found.max() == 1
    assert (found == 1).sum() == 15 * 15


def test_empty_maps_give_no_objects() -> None:
    semantic = np.zeros((3, 16, 16), np.float32)
    semantic[0] = 1.0
    found = instance_labels(semantic, np.zeros((4, 16, 16), np.float32), HOW, MPP)
    assert found.max() == 0
    assert foreground_scores(found, semantic).shape == (0,)
    assert class_probabilities(found, np.ones((3, 16, 16), np.float32)).shape == (0, 2)


def test_classes_and_scores_are_sums_over_the_pixels_of_each_object() -> None:
    """Brute force, one object after the other."""
    rng = np.random.default_rng(2)
    labels = blobs(2)
    classes = rng.dirichlet(np.ones(4), labels.shape).transpose(2, 0, 1).astype(np.float32)
    semantic = rng.dirichlet(np.ones(3), labels.shape).transpose(2, 0, 1).astype(np.float32)
    sums = np.array([classes[1:, labels == k].sum(1) for k in range(1, labels.max() + 1)])
    assert class_probabilities(labels, classes) == pytest.approx(sums / sums.sum(1, keepdims=True), abs=1e-5)
    scores = [semantic[1:, labels == k].sum(0).mean() for k in range(1, labels.max() + 1)]
    assert foreground_scores(labels, semantic) == pytest.approx(np.array(scores), abs=1e-5)
