"""Rough masks and their logits."""

import io

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist

from fixtures.object_masks import disc, inside, masks, rectangle, seeds
from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry import Region, label_to_polygons
from histoseed.prompting.simulate import (
    Length,
    ObjectSizes,
    RoughStyle,
    SimulatedUser,
    mask_prompt,
    rough_mask,
    tight_box,
)
from histoseed.prompting.simulate.rough import ROUGH_KINDS
from histoseed.prompting.simulate.scribble import middle_line

DRAWN = [kind for kind in ROUGH_KINDS if kind != "exact"]


def sizes(mask, mpp=None):
    x0, y0, x1, y1 = tight_box(mask)
    return ObjectSizes(float(np.sqrt(mask.sum() * 4 / np.pi)), max(x1 - x0, y1 - y0), mpp=mpp)


def drawn(mask, kind, seed=0, **style):
    how = RoughStyle(**{name: Length.parse(text) for name, text in style.items()})
    return rough_mask(mask, kind, sizes(mask), np.random.default_rng(seed), style=how)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@settings(max_examples=60, deadline=None)
@given(masks(), st.sampled_from(ROUGH_KINDS), seeds)
def test_every_kind_shows_something_of_any_object(mask, kind, seed):
    before = mask.copy()
    rough = drawn(mask, kind, seed)
    assert rough.shape == mask.shape
    assert rough.dtype == bool
    assert (rough & mask).any()
    assert (mask == before).all()
    assert (rough == drawn(mask, kind, seed)).all()


@pytest.mark.parametrize("kind", [kind for kind in DRAWN if kind != "morphology"])
def test_drawings_differ_from_time_to_time(kind):
    mask = disc(20, 80)
    assert any((drawn(mask, kind, seed) != drawn(mask, kind, 0)).any() for seed in range(1, 4))


@pytest.mark.parametrize("kind", DRAWN)
def test_drawings_are_as_large_as_the_object_is(kind):
    """Relative sizes: what is drawn for an object and for the same one four times as large is alike."""
    small, large = disc(10, 60), disc(40, 240)
    area = [np.mean([drawn(m, kind, seed).sum() / m.sum() for seed in range(12)]) for m in (small, large)]
    assert area[0] == pytest.approx(area[1], rel=0.15)


@pytest.mark.parametrize(("radius", "ratio"), [(10, 1.73), (20, 1.31), (300, 1.014)])  # specification 9.4
def test_an_exact_mask_is_exact_where_jpeg_grows_it(radius, ratio):
    """Masks that went through JPEG and a threshold above 0 are too large; ours go through no file."""
    mask = disc(radius, 1024)
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "JPEG", quality=75)
    assert (np.asarray(Image.open(file)) > 0).sum() / mask.sum() == pytest.approx(ratio, rel=0.05)
    prompt = SimulatedUser.parse("mask:exact").prompt(mask, Region(0, 0, 1024, 1024), None, np.random.default_rng(0))
    assert (prompt.mask.logits > 0).sum() == mask.sum()
    r = prompt.mask.region
    seen = mask[int(r.y) : int(r.y + r.height), int(r.x) : int(r.x + r.width)]
    assert ((prompt.mask.logits > 0) == seen).all()
    assert prompt.extent() == tight_box(mask)


@settings(max_examples=50, deadline=None)
@given(masks(), st.integers(0, 5))
def test_morphology_is_a_disc_around_every_pixel(mask, radius):
    found = drawn(mask, "morphology", dilation=f"{radius}px")
    near = cdist(np.argwhere(np.ones_like(mask)), np.argwhere(mask)).min(1).reshape(mask.shape)
    assert (found == (near <= radius)).all()


def test_a_drawing_may_leave_the_object_but_not_the_array():
    mask = rectangle((12, 12), 0, 0, 6, 6)
    assert drawn(mask, "morphology", dilation="100px").all()
    assert drawn(mask, "lasso", margin="100px").all()


def test_lasso_goes_around_the_object_and_has_no_holes():
    ring = disc(20, 80) & ~disc(12, 80)
    for seed in range(10):
        lasso = drawn(ring, "lasso", seed, margin="4px")
        assert (disc(20, 80) <= lasso).all()
        assert (lasso == ndimage.binary_fill_holes(lasso)).all()
        assert (lasso <= disc(20 + 1.8 * 4 + 1, 80)).all()
        assert lasso.sum() > disc(21, 80).sum()


def test_loose_is_the_grown_hull():
    corner = disc(20, 90) & ~rectangle((90, 90), 45, 45, 90, 90)
    _, (outline,) = label_to_polygons(corner)
    found = drawn(corner, "loose", noise="0px", looseness="5px")
    assert dice(found, disc(25, 90)) > 0.9
    assert found.sum() == pytest.approx(outline.convex_hull.buffer(5).area, rel=0.05)  # 32 points of the outline
    noisy = [drawn(corner, "loose", seed, noise="4px", looseness="0px").sum() for seed in range(20)]
    assert outline.convex_hull.area < np.mean(noisy) < outline.convex_hull.buffer(4 * np.sqrt(2)).area


def test_polygon_of_exact_clicks_is_inscribed():
    found = np.mean([drawn(disc(60, 150), "polygon", seed, noise="0px").sum() for seed in range(8)])
    assert found / disc(60, 150).sum() == pytest.approx(12 / 2 / np.pi * np.sin(2 * np.pi / 12), rel=0.01)
    square = rectangle((20, 20), 5, 5, 15, 15)
    assert dice(drawn(square, "polygon", noise="0px"), square) > 0.9


@settings(max_examples=80, deadline=None)
@given(masks(20), seeds)
def test_the_points_of_a_scribble_lie_in_the_object(mask, seed):
    points = middle_line(mask, np.random.default_rng(seed))
    assert 1 <= len(points) <= 6
    assert inside(mask, points).all()


def test_a_scribble_follows_a_bent_object():
    arc = disc(40, 100) & ~disc(28, 100) & ~rectangle((100, 100), 50, 50, 100, 100)
    for seed in range(10):
        line = shapely.LineString(middle_line(arc, np.random.default_rng(seed)))
        assert line.length > 0.4 * 1.5 * np.pi * 34  # three quarters of a circle, trimmed at its ends
        scribble = drawn(arc, "scribble", seed)
        assert ndimage.label(scribble, np.ones((3, 3)))[1] == 1
        assert (scribble & arc).sum() / scribble.sum() > 0.75


def test_a_scribble_has_the_width_of_its_pen():
    bar = rectangle((60, 220), 10, 20, 210, 40)
    found = drawn(bar, "scribble", thickness="6px")
    assert np.median(found.sum(0)[found.any(0)]) == pytest.approx(6, abs=1.5)


@settings(max_examples=50, deadline=None)
@given(masks())
def test_mask_prompts_are_logits(mask):
    """Zeros and ones would tell a model "unsure" and "73 %"; the published experiments did that. specification 9.3."""
    logits = mask_prompt(mask, Region(0, 0, mask.shape[1], mask.shape[0])).logits
    assert logits.dtype == np.float32
    assert ((logits > 0) == mask).all()
    probability = 1 / (1 + np.exp(-logits.astype(float)))
    assert (np.abs(probability - mask) < 0.001).all()


def test_bad_input():
    mask, rng = disc(5), np.random.default_rng(0)
    with pytest.raises(InputError, match="lasso"):
        rough_mask(mask, "laso", sizes(mask), rng)
    with pytest.raises(InputError, match="empty"):
        rough_mask(np.zeros((4, 4), bool), "loose", sizes(mask), rng)
    with pytest.raises(InputError, match="corners"):
        RoughStyle(vertices=2)
    with pytest.raises(UnknownMppError):
        rough_mask(mask, "loose", sizes(mask), rng, style=RoughStyle(noise=Length(1, "um")))
    for sure in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError):
            mask_prompt(mask, Region(0, 0, 1, 1), sure=sure)
