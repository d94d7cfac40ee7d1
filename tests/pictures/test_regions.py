"""Tissue and ignored areas: dashes on the edge, a veil that lets the tissue through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.pictures import draw_areas, outline_mask
from histoseed.pictures.colors import rgb
from histoseed.pictures.regions import IGNORED, dash_mask, veiled

label_images = hnp.arrays(np.int32, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 2))


@given(label_images, st.integers(1, 3))
def test_dashes_lie_on_outlines_only(labels, thickness):
    assert not (dash_mask(labels, thickness) & ~outline_mask(labels, thickness)).any()


@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_dashes_and_gaps_take_turns_on_every_side(thickness):
    labels = np.zeros((120, 140), int)
    labels[10:110, 10:130] = 3
    dashes = dash_mask(labels, thickness)
    for side in (dashes[10, 20:120], dashes[109, 20:120], dashes[20:100, 10], dashes[20:100, 129]):
        assert 0.5 < side.mean() < 0.95
        changes = np.count_nonzero(np.diff(side.astype(int)))
        assert changes >= len(side) // 8 - 2
    assert not dashes[10 + thickness : 110 - thickness, 10 + thickness : 130 - thickness].any()


def test_two_areas_side_by_side_have_dashes_of_their_own():
    labels = np.zeros((60, 80), int)
    labels[:, :40], labels[:, 40:] = 1, 2
    dashes = dash_mask(labels, 2)
    for column in (39, 40):
        assert 0.5 < dashes[:, column].mean() < 0.95
    assert not dashes[:, :38].any()  # the border of the picture is no outline
    assert not dashes[:, 42:].any()


def test_a_hole_has_dashes():
    labels = np.ones((80, 80), int)
    labels[30:50, 30:50] = 0
    dashes = dash_mask(labels, 1)
    assert dashes[29, 30:50].any()
    assert dashes[30:50, 50].any()


def test_a_veil_covers_its_area_alone_and_the_tissue_stays_visible(rng):
    picture = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    area = np.zeros((90, 90), bool)
    area[20:80, 10:70] = True
    out = veiled(picture, area)
    np.testing.assert_array_equal(out[~area], picture[~area])
    edge = outline_mask(area.astype(int))
    assert (out[edge] == rgb(IGNORED)).all()
    inside = area & ~edge
    before, after = picture[inside].astype(float).mean(axis=1), out[inside].astype(float).mean(axis=1)
    assert after.std() < 0.7 * before.std()  # greyed
    assert np.corrcoef(before, after)[0, 1] > 0.5  # and seen through
    flat = veiled(np.full((90, 90, 3), 40, np.uint8), area)[25:75, 15:65, 0]
    assert len(np.unique(flat)) == 2  # stripes
    assert 0.3 < (flat == flat.max()).mean() < 0.7


def test_an_empty_veil_changes_nothing(patch):
    image, labels = patch
    np.testing.assert_array_equal(veiled(image, labels > 99), image)


def test_areas_without_lines_are_tinted_evenly():
    classes = np.zeros((20, 20), int)
    classes[5:15, 5:15] = 1
    image = np.full((20, 20, 3), 200, np.uint8)
    plain, lined = (draw_areas(image, classes, ["#ff0000"], tint=0.5, lines=lines) for lines in (False, True))
    assert (plain[classes == 1] == (228, 100, 100)).all()
    assert (lined[5, 5:15] == (255, 0, 0)).all()
    np.testing.assert_array_equal(plain[classes == 0], 200)
