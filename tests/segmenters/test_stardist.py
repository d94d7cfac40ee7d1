"""The StarDist-type head: depth, rays, suppression and pixels against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fixtures.nuclei import blobs
from histoseed.segmenters import KINDS
from histoseed.segmenters.stardist import (
    GRID,
    RAYS,
    StarProcessing,
    directions,
    normalised_depth,
    radial_distances,
    star_labels,
    suppressed,
)
from histoseed.segmenters.watershed import largest_parts

MPP = 0.25
small_labels = hnp.arrays(np.int32, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(-1, 3))


def loop_depth(labels):
    """Distance of each pixel's centre to the nearest point of the border of its instance, by all border segments."""
    out = np.zeros(labels.shape)
    height, width = labels.shape
    for label in range(1, labels.max() + 1):
        segments = []
        for i, j in np.argwhere(labels == label):
            for (a, b), ends in {
                (i, j + 1): ((j + 1, i), (j + 1, i + 1)), (i, j - 1): ((j, i), (j, i + 1)),
                (i + 1, j): ((j, i + 1), (j + 1, i + 1)), (i - 1, j): ((j, i), (j + 1, i)),
            }.items():  # fmt: skip
                if 0 <= a < height and 0 <= b < width and labels[a, b] != label:
                    segments.append(shapely.LineString(ends))
        border = shapely.MultiLineString(segments)
        for i, j in np.argwhere(labels == label):
            out[i, j] = shapely.Point(j + 0.5, i + 0.5).distance(border) if segments else np.nan
        if segments:
            out[labels == label] /= out[labels == label].max()
    return out


known_labels = hnp.arrays(np.int32, st.tuples(st.integers(2, 8), st.integers(2, 8)), elements=st.integers(0, 3))


@settings(max_examples=30, deadline=None)
@given(known_labels)
def test_depth_equals_the_distance_to_the_border_line(labels):
    expected = loop_depth(labels)
    # An instance that fills the picture has no border.
    np.testing.assert_allclose(normalised_depth(labels), np.nan_to_num(expected, nan=1.0), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(small_labels)
def test_depth_is_positive_inside_and_nothing_elsewhere(labels):
    depth = normalised_depth(labels)
    assert ((depth > 0) == (labels > 0)).all()
    assert depth.max() <= 1


def test_there_is_no_border_at_what_is_unknown():
    labels = np.zeros((9, 20), np.int32)
    labels[:, 4:10] = 1
    labels[:, 10:] = -1
    np.testing.assert_allclose(normalised_depth(labels)[4, 4:10], (np.arange(6) + 0.5) / 5.5, atol=1e-6)


def test_depth_of_a_square_is_that_of_a_pyramid():
    labels = np.zeros((11, 11), np.int32)
    labels[2:9, 2:9] = 1
    row = normalised_depth(labels)[5, 2:9]
    np.testing.assert_allclose(row, np.array([0.5, 1.5, 2.5, 3.5, 2.5, 1.5, 0.5]) / 3.5, atol=1e-6)


def test_touching_instances_have_a_border_between_them():
    labels = np.ones((8, 12), np.int32)
    labels[:, 6:] = 2
    depth = normalised_depth(labels)
    np.testing.assert_allclose(depth[4], np.array([5.5, 4.5, 3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]) / 5.5)


def loop_rays(labels):
    out, seen = np.zeros((RAYS, *labels[::GRID, ::GRID].shape)), np.zeros((RAYS, *labels[::GRID, ::GRID].shape), bool)
    for k, i, j in np.ndindex(out.shape):
        own = labels[GRID * i, GRID * j]
        if own <= 0:
            continue
        angle = 2 * np.pi * k / RAYS
        for step in range(1, 100):
            y, x = round(GRID * i + step * np.sin(angle)), round(GRID * j + step * np.cos(angle))
            inside = 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]
            if not inside or labels[y, x] != own:
                out[k, i, j], seen[k, i, j] = step - 0.5, inside and labels[y, x] >= 0
                break
    return out, seen


@settings(max_examples=30, deadline=None)
@given(small_labels)
def test_rays_equal_a_loop(labels):
    for found, expected in zip(radial_distances(labels), loop_rays(labels), strict=True):
        np.testing.assert_allclose(found, expected)


def test_rays_of_a_disc_are_its_radius():
    y, x = np.mgrid[:61, :61]
    labels = ((y - 30) ** 2 + (x - 30) ** 2 <= 20.5**2).astype(np.int32)
    distances, seen = radial_distances(labels)
    assert distances[:, 15, 15] == pytest.approx(20.5, abs=0.8)
    assert seen[:, 15, 15].all()


def test_rays_into_the_ignore_area_do_not_count():
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[0, 10:30, 10:30] = 1
    ignore = torch.zeros(1, 40, 40, dtype=torch.bool)
    ignore[:, :, 24:] = True
    targets = KINDS["stardist"].representation.targets(labels, ignore=ignore)
    assert not targets.seen[0, 0, 10, 10]  # to the right
    assert targets.seen[0, RAYS // 2, 10, 10]  # to the left
    assert targets.distances[0, RAYS // 2, 10, 10] == 10.5
    assert targets.weight[0, 10, 11] == 1
    assert targets.weight[0, 10, 12] == 0


def greedy(geometry, overlap):
    kept = []
    for index, shape in enumerate(geometry):
        rivals = [geometry[k] for k in kept]
        if all(shape.intersection(r).area <= overlap * min(shape.area, r.area) for r in rivals):
            kept.append(index)
    gone = np.ones(len(geometry), bool)
    gone[kept] = False
    return gone


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40))
def test_suppression_is_the_greedy_one(seed, count):
    rng = np.random.default_rng(seed)
    points = shapely.points(rng.uniform(0, 30, (count, 2)))
    geometry = np.asarray(shapely.buffer(points, rng.uniform(1, 6, count)), dtype=object)
    np.testing.assert_array_equal(suppressed(geometry, 0.4), greedy(geometry, 0.4))


def test_pixels_are_those_inside_the_polygon():
    rng = np.random.default_rng(0)
    probability = np.zeros((24, 32), np.float32)
    distances = np.full((RAYS, 24, 32), 1, np.float32)
    centres = [(6, 6), (16, 20), (8, 26)]
    for rank, (i, j) in enumerate(centres):
        probability[i, j] = 0.9 - 0.1 * rank
        distances[:, i, j] = rng.uniform(6.5, 8.5, RAYS)
    how = StarProcessing(min_area_um2=0)
    labels, score = star_labels(probability, distances, (48, 64), how, MPP)
    assert score == pytest.approx([0.9, 0.8, 0.7])
    for number, (i, j) in enumerate(centres, 1):
        tips = np.array([GRID * j, GRID * i]) + distances[:, i, j, None] * directions()
        polygon = shapely.Polygon(tips)
        y, x = np.mgrid[:48, :64]
        np.testing.assert_array_equal(labels == number, shapely.covers(polygon, shapely.points(x, y)))


def test_a_better_polygon_lies_on_top_and_small_ones_go():
    probability = np.zeros((20, 20), np.float32)
    distances = np.full((RAYS, 20, 20), 8, np.float32)
    probability[10, 6], probability[10, 13] = 0.7, 0.9
    labels, score = star_labels(probability, distances, (40, 40), StarProcessing(overlap=0.9), MPP)
    assert score.tolist() == pytest.approx([0.9, 0.7])
    assert labels[20, 19] == 1
    distances[:, 10, 6] = 1
    labels, score = star_labels(probability, distances, (40, 40), StarProcessing(), MPP)
    assert score.tolist() == pytest.approx([0.9])
    assert labels.max() == 1


@given(hnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
@settings(max_examples=60, deadline=None)
def test_largest_parts(labels):
    from scipy import ndimage

    found = largest_parts(labels)
    assert ((found == labels) | (found == 0)).all()
    for label in np.unique(labels[labels > 0]):
        parts, count = ndimage.label(labels == label)
        areas = np.bincount(parts.ravel())[1:]
        assert (found == label).sum() == areas.max()
        assert ndimage.label(found == label)[1] == 1
        assert count == len(areas)


def test_odd_sizes():
    labels = blobs(1, 63, 20)
    targets = KINDS["stardist"].representation.targets(torch.from_numpy(labels)[None].long())
    assert targets.probability.shape == (1, 32, 32)
