"""The InstanSeg-type head: seeds, claims, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fixtures.nuclei import blobs, perfect_pixels
from histoseed.segmenters import KINDS, InstansegEntry
from histoseed.segmenters.instanseg import MOST_SEEDS, REACH, UNIT, build_instanseg, instanseg_labels, moved
from histoseed.segmenters.instanseg.instances import InstansegProcessing, claimed

MPP = 0.25
REPRESENTATION = KINDS["instanseg"].representation


def decoder():
    torch.manual_seed(0)
    return build_instanseg(InstansegEntry(widths=(8, 8, 8, 8), image_widths=(4, 4)), [8], [16], 5).eval()


def test_a_seed_lies_in_each_instance_and_is_the_same_for_the_same_generator():
    labels = torch.from_numpy(np.stack([blobs(0, 96, 40), blobs(1, 96, 40)])).long()
    drawn = [REPRESENTATION.targets(labels, generator=torch.Generator().manual_seed(seed)).seeds for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    for seeds in drawn:
        of = [(int(i), int(labels[i, y, x])) for i, y, x in seeds]
        assert len(set(of)) == len(of) == int(labels[0].max() + labels[1].max())
        assert all(label > 0 for _, label in of)


def test_without_a_generator_the_seed_is_the_deepest_pixel():
    labels = torch.zeros(1, 21, 21, dtype=torch.int64)
    labels[0, 3:18, 3:18] = 1
    assert REPRESENTATION.targets(labels).seeds.tolist() == [[0, 10, 10]]


def test_deep_pixels_are_drawn_more_often():
    labels = torch.zeros(1, 21, 21, dtype=torch.int64)
    labels[0, 3:18, 3:18] = 1
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([REPRESENTATION.targets(labels, generator=generator).seeds for _ in range(300)])
    depth = 8 - (drawn[:, 1:] - 10).abs().amax(1).float()
    weights = torch.tensor([max(abs(i), abs(j)) for i in range(-7, 8) for j in range(-7, 8)])
    depths = 7.5 - weights
    expected = (depths * (depths + 0.5)).sum() / depths.sum()
    assert float(depth.mean()) == pytest.approx(float(expected), abs=0.35)


def test_no_seed_in_the_ignore_area_and_not_too_many():
    labels = torch.arange(1, 401).reshape(20, 20).repeat_interleave(4, 0).repeat_interleave(4, 1)[None]
    targets = REPRESENTATION.targets(labels, generator=torch.Generator().manual_seed(0))
    assert len(targets.seeds) == MOST_SEEDS
    ignore = torch.ones(1, 80, 80, dtype=torch.bool)
    ignore[0, :8, :8] = False
    targets = REPRESENTATION.targets(labels, ignore=ignore, generator=torch.Generator().manual_seed(0))
    assert len(targets.seeds) == 4
    assert targets.seeds.max() < 8
    assert REPRESENTATION.targets(labels * 0).seeds.shape == (0, 3)


def test_claims_equal_the_network_on_each_pair_of_pixels():
    network = decoder().requires_grad_(requires_grad=False)
    raw = torch.randn(1, 5, 30, 50, generator=torch.Generator().manual_seed(0))
    maps = REPRESENTATION.activated(raw, 0, network).image(0)
    row, column = np.array([4, 20]), np.array([45, 7])
    y, x, probability = claimed(maps.embedding, maps.spread, row, column, maps.pixels)
    place = moved(raw)[0]
    for seed in range(2):
        for i, j in ((REACH, REACH), (REACH + 3, REACH - 5), (REACH + 2, REACH + 1)):
            at = (y[seed, i], x[seed, j])
            own = torch.tensor([at[1], at[0]]) / UNIT + place[:, at[0], at[1]]
            centre = torch.tensor([column[seed], row[seed]]) / UNIT + place[:, row[seed], column[seed]]
            given = torch.cat([own - centre, raw[0, 2:4, at[0], at[1]]])
            expected = network.pixels(given.float())[0].sigmoid()
            assert probability[seed, i, j] == pytest.approx(float(expected), abs=1e-5)
    outside = (y < 0)[:, :, None] | (y >= 30)[:, :, None] | (x < 0)[:, None] | (x >= 50)[:, None]
    assert (probability[outside] == 0).all()


def test_the_classifier_starts_as_points_to_nearly_the_same_place():
    pixels = decoder().pixel_weights()
    offsets = np.zeros((5, 4), np.float32)
    offsets[:, 0] = [0, 0.7, 2, 4, -4]
    logits = pixels(offsets)
    assert (logits[:2] > 0).all()
    assert (logits[2:] < 0).all()


def test_two_seeds_of_one_nucleus_are_one_instance():
    pixels = perfect_pixels(decoder()).pixel_weights()
    y, x = np.mgrid[:40, :40].astype(np.float32)
    embedding = np.stack([(20 - x) / UNIT, (20 - y) / UNIT])
    embedding[:, (np.hypot(y - 20, x - 20) > 9)] = 30.0
    seed = np.zeros((40, 40), np.float32)
    seed[20, 15], seed[20, 25] = 0.9, 0.7
    labels, score = instanseg_labels(embedding, np.zeros_like(embedding), seed, pixels, InstansegProcessing(), MPP)
    assert labels.max() == 1
    assert score.tolist() == pytest.approx([0.9])
    np.testing.assert_array_equal(labels > 0, np.hypot(y - 20, x - 20) <= 9)
