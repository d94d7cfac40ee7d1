"""CellViT: widths and resolutions of the paper, offsets against a loop over objects, edges without scaling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fixtures.nuclei import blobs
from histoseed.metrics import panoptic_quality
from histoseed.segmenters.cellvit import (
    CellVitDecoder,
    HoverProcessing,
    hover_labels,
    hover_offsets,
    paper_widths,
)
from histoseed.segmenters.cellvit.instances import hover_edges

MPP = 0.25
TINY = {"widths": (16, 12, 8, 8), "stack": (16, 12)}
PYRAMIDS = {
    "plain transformer": ([12] * 4, [16] * 4),
    "patches of 14": ([12] * 4, [14] * 4),
    "patches of 8": ([12] * 4, [8] * 4),
    "hierarchical": ([8, 16, 24, 32], [4, 8, 16, 32]),
    "fine hierarchical": ([8, 16, 24, 32], [2, 4, 8, 16]),
    "five levels": ([4, 8, 16, 24, 32], [2, 4, 8, 16, 32]),
    "one level": ([16], [16]),
}


@pytest.mark.parametrize("name", PYRAMIDS)
@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
@pytest.mark.parametrize("shared", [False, True])
def test_output_has_the_size_of_the_image(name, size, shared):
    channels, strides = PYRAMIDS[name]
    decoder = CellVitDecoder(channels, strides, 3, shared=shared, **TINY)
    features = [torch.rand(2, c, -(-size[0] // s), -(-size[1] // s)) for c, s in zip(channels, strides, strict=True)]
    assert decoder(torch.rand(2, 3, *size), features).shape == (2, 7, *size)


@pytest.mark.parametrize("name", ["plain transformer", "hierarchical", "one level"])
def test_every_feature_and_the_image_reach_every_map(name):
    channels, strides = PYRAMIDS[name]
    decoder = CellVitDecoder(channels, strides, 3, **TINY).eval()
    for channel in range(7):
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        features = [
            torch.rand(1, c, 64 // s, 64 // s, requires_grad=True) for c, s in zip(channels, strides, strict=True)
        ]
        decoder(image, features)[:, channel].square().sum().backward()
        for tensor in (image, *features):
            assert tensor.grad.abs().sum() > 0


def test_branches_are_separate_unless_they_are_shared():
    channels, strides = PYRAMIDS["plain transformer"]
    for shared, climbs in ((False, 3), (True, 1)):
        decoder = CellVitDecoder(channels, strides, 3, shared=shared, **TINY)
        assert len(decoder.climbs) == climbs
        assert len(decoder.heads) == 3
    assert len(CellVitDecoder(channels, strides, 0, **TINY).heads) == 2


def test_widths_and_depths_are_those_of_the_paper():
    """Specification B.1."""
    assert paper_widths(384) == ((312, 256, 128, 64), (256, 128))
    assert paper_widths(512) == paper_widths(1280) == ((512, 256, 128, 64), (512, 256))
    with torch.device("meta"):
        decoder = CellVitDecoder([1024] * 4, [16] * 4, 6)

    def chain(module):
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
        layers = [m for m in module.modules() if isinstance(m, kinds)]
        return [(type(m).__name__ == "ConvTranspose2d", m.in_channels, m.out_channels) for m in layers]

    d3, d2, d1 = (chain(path) for path in decoder.paths)
    assert d3 == [(True, 1024, 512), (False, 512, 512)]
    assert [step for step in d2 if step[0]] == [(True, 1024, 512), (True, 512, 256)]
    assert [step for step in d1 if step[0]] == [(True, 1024, 512), (True, 512, 256), (True, 256, 128)]
    assert chain(decoder.image) == [(False, 3, 32), (False, 32, 64)]
    assert chain(decoder.climbs[0]) == [
        (True, 1024, 512),
        (False, 1024, 512), (False, 512, 512), (False, 512, 512), (True, 512, 256),
        (False, 512, 256), (False, 256, 256), (True, 256, 128),
        (False, 256, 128), (False, 128, 128), (True, 128, 64),
    ]  # fmt: skip
    assert [chain(head) for head in decoder.heads] == [
        [(False, 128, 64), (False, 64, 64), (False, 64, outputs)] for outputs in (2, 2, 6)
    ]


def loop_offsets(labels, smallest):
    """The definition, object by object."""
    out = np.zeros((2, *labels.shape), np.float32)
    for label in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == label)
        if len(rows) < smallest:
            continue
        for k, along in enumerate((columns, rows)):
            offset = (along - np.round(along.mean())).astype(np.float32)
            low, high = offset.min(), offset.max()
            out[k, rows, columns] = np.where(offset < 0, offset / max(-low, 1), offset / max(high, 1))
    return out


small_labels = hnp.arrays(np.int64, st.tuples(st.integers(3, 12), st.integers(3, 12)), elements=st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(small_labels, st.integers(1, 12))
def test_offsets_equal_a_loop_over_objects(labels, smallest):
    both = torch.from_numpy(np.stack([labels, labels[::-1].copy()]))
    found = hover_offsets(both, smallest=smallest).numpy()
    for one, maps in zip(both.numpy(), found, strict=True):
        np.testing.assert_allclose(maps, loop_offsets(one, smallest), atol=1e-6)


def test_both_sides_of_an_offset_reach_one():
    labels = torch.zeros(1, 20, 40, dtype=torch.int64)
    labels[0, 5:15, 3:30] = 1
    labels[0, 5:8, 30:36] = 1  # lopsided
    x, y = hover_offsets(labels)[0]
    assert (x.min(), x.max(), y.min(), y.max()) == (-1, 1, -1, 1)


def test_the_edge_of_a_pixel_is_not_scaled_by_what_else_the_image_shows():
    rng = np.random.default_rng(0)
    offsets = np.clip(rng.normal(0, 0.4, (2, 96, 96)), -1, 1).astype(np.float32)
    other = offsets.copy()
    other[:, 60:] = 0
    other[:, 70:90, ::2] = 1
    edges = [hover_edges(maps, HoverProcessing(), MPP) for maps in (offsets, other)]
    np.testing.assert_array_equal(edges[0][:40], edges[1][:40])
    assert edges[0].min() >= 0
    assert edges[0].max() <= 1


def test_a_flat_map_has_no_edge_and_a_drop_is_one():
    how = HoverProcessing()
    flat = hover_edges(np.zeros((2, 64, 64), np.float32), how, MPP)
    assert flat.max() < how.marker
    ramp = np.tile(np.linspace(-1, 1, 32, dtype=np.float32), 2)
    offsets = np.stack([np.tile(ramp, (64, 1)), np.zeros((64, 64), np.float32)])
    edge = hover_edges(offsets, how, MPP)
    assert edge[:, 31:33].min() > 0.9
    assert edge[:, 14:18].max() < how.marker


def test_noise_costs_little():
    labels = blobs(3)
    rng = np.random.default_rng(0)
    offsets = hover_offsets(torch.from_numpy(labels)[None].long())[0].numpy()
    noisy = np.clip(offsets + rng.normal(0, 0.15, offsets.shape), -1, 1).astype(np.float32)
    nucleus = np.clip((labels > 0) + rng.normal(0, 0.15, labels.shape), 0, 1).astype(np.float32)
    assert panoptic_quality(labels, hover_labels(nucleus, noisy, HoverProcessing(), MPP)).pq > 0.85
