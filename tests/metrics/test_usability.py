"""Usability numbers against closed forms, and the published definitions with their measured defects."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histoseed.errors import InputError
from histoseed.metrics import (
    PUBLISHED_USABILITY,
    USABILITY,
    Usability,
    compactness,
    perimeter,
    smoothness,
    solidity,
    usability,
)

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, shape)).filter(np.any)


def polar(size, radius):
    """A mask of what lies within ``radius(angle)`` of the middle."""
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    return np.hypot(x, y) < radius(np.arctan2(y, x))


def disc(radius, at=(0.0, 0.0)):
    reach = int(radius) + 3
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2


def square(width, angle):
    y, x = np.mgrid[: 2 * width, : 2 * width] + 0.5 - width
    c, s = math.cos(angle), math.sin(angle)
    return (abs(c * x + s * y) < width / 2) & (abs(c * y - s * x) < width / 2)


@settings(max_examples=200, deadline=None)
@given(st.floats(3, 60), st.floats(0, 1), st.floats(0, 1))
def test_a_disc_of_any_radius_and_place_is_compact_solid_and_smooth(radius, dy, dx):
    tolerance = 0.08 if radius < 6 else 0.06 if radius < 20 else 0.03
    mask = disc(radius, at=(dy, dx))
    assert 1 - tolerance <= compactness(mask) <= 1
    assert solidity(mask) == 1
    assert 0.98 <= smoothness(mask) <= 1


@pytest.mark.parametrize("radius", [3.3, 5.3, 10.4, 50.2, 300.1])
def test_compactness_of_discs_does_not_drift_with_the_radius(radius):
    rng = np.random.default_rng(0)
    found = [compactness(disc(radius, at=rng.random(2))) for _ in range(12 if radius < 100 else 2)]
    assert np.mean(found) == pytest.approx(1, abs=0.012)
    assert perimeter(disc(radius)) == pytest.approx(2 * math.pi * radius, rel=0.03)


@pytest.mark.parametrize("angle", np.linspace(0, math.pi / 4, 6))
def test_perimeter_and_compactness_of_squares_in_every_direction(angle):
    mask = square(200, angle)
    assert perimeter(mask) == pytest.approx(800, rel=0.018)
    assert compactness(mask) == pytest.approx(math.pi / 4, rel=0.04)
    assert solidity(mask) == 1
    assert smoothness(mask) > 0.94


@pytest.mark.parametrize("aspect", [2, 4, 8])
def test_compactness_of_ellipses(aspect):
    y, x = np.mgrid[:420, :420] + 0.5 - 210
    mask = (x / 200) ** 2 + (y * aspect / 200) ** 2 < 1
    t = np.linspace(0, 2 * math.pi, 20_001)
    length = np.abs(np.diff(200 * np.cos(t) + 200j / aspect * np.sin(t))).sum()
    assert compactness(mask) == pytest.approx(4 * math.pi * (math.pi * 200**2 / aspect) / length**2, rel=0.03)
    assert smoothness(mask) > 0.96


def test_a_hole_counts_in_every_shape_number():
    y, x = np.mgrid[-65:66, -65:66]
    ring = (np.hypot(x, y) < 60) & (np.hypot(x, y) >= 30)
    area, length = math.pi * (60**2 - 30**2), 2 * math.pi * 90
    assert compactness(ring) == pytest.approx(4 * math.pi * area / length**2, rel=0.02)
    assert solidity(ring) == pytest.approx(0.75, abs=0.002)
    found = usability(ring)
    assert (found.components, found.holes) == (1, 1)


@pytest.mark.parametrize("waves", [12, 16, 24])
def test_smoothness_of_ripples_is_the_length_that_they_add(waves):
    before = 1.0
    for height in (0.02, 0.05, 0.1, 0.2):
        t = np.linspace(0, 2 * math.pi, 20_001)
        length = np.abs(np.diff((1 + height * np.cos(waves * t)) * np.exp(1j * t))).sum()
        found = smoothness(polar(260, lambda a, h=height: 110 * (1 + h * np.cos(waves * a))))
        assert found == pytest.approx(2 * math.pi / length, abs=0.025)
        assert found < before
        before = found


@pytest.mark.parametrize("lobes", [2, 3, 4, 5])
def test_lobes_are_shape_and_not_roughness(lobes):
    assert smoothness(polar(200, lambda a: 70 * (1 + 0.15 * np.cos(lobes * a)))) > 0.97


def test_smoothness_and_compactness_fall_with_jaggedness_and_not_with_size():
    rng = np.random.default_rng(0)
    waves = rng.integers(15, 40, 6)
    shapes = []
    for height in (0, 0.01, 0.03, 0.06):
        masks = [
            polar(3 * side, lambda a, h=height, r=side: r * (1 + h * sum(np.cos(w * a) for w in waves)))
            for side in (100, 200)
        ]
        shapes.append((smoothness(masks[0]), compactness(masks[0]), solidity(masks[0])))
        assert smoothness(masks[1]) == pytest.approx(shapes[-1][0], abs=0.02)
    assert shapes == sorted(shapes, reverse=True)
    assert np.diff(np.array(shapes), axis=0).max() < 0


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_all_shares_are_bounded_and_turning_changes_nothing(mask):
    found = usability(mask, reference=mask)
    for value in (found.compactness, found.solidity, found.smoothness):
        assert 0 < value <= 1
    assert found.size_retention == 1
    turned = usability(np.pad(np.rot90(mask), 3))
    assert turned.components == found.components
    assert turned.holes == found.holes
    assert perimeter(np.rot90(mask)) == pytest.approx(perimeter(mask))
    assert solidity(np.rot90(mask)) == solidity(mask)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_the_hull_of_centres_is_counted_pixel_by_pixel(mask):
    hull = shapely.convex_hull(shapely.MultiPoint(np.argwhere(mask)))
    centres = shapely.points(np.argwhere(np.ones_like(mask)))
    assert solidity(mask) == mask.sum() / shapely.intersects(hull, centres).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 30), st.integers(3, 30), st.floats(0, math.pi))
def test_every_convex_shape_is_solid_on_pixels(a, b, angle):
    y, x = np.mgrid[-32:33, -32:33] + 0.3
    u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    assert solidity((u / a) ** 2 + (v / b) ** 2 < 1) == 1


def test_the_largest_component_is_judged_wherever_a_speck_lies():
    """Specification 9.5: there a 2 x 2 speck can be the contour that is judged (compactness .785, solidity 1)."""
    star = polar(100, lambda a: 28 + 9 * np.cos(9 * a))
    plain = usability(star)
    published = []
    for at in (2, 95):
        mask = star.copy()
        mask[at : at + 2, at : at + 2] = True
        found = usability(mask)
        assert (found.compactness, found.solidity, found.smoothness) == (
            plain.compactness,
            plain.solidity,
            plain.smoothness,
        )
        assert found.components == 2
        published.append(usability(mask, protocol=PUBLISHED_USABILITY))
    speck = max(published, key=lambda found: found.compactness)
    assert speck.compactness == pytest.approx(math.pi / 4)
    assert speck.solidity == 1
    assert usability(star, protocol=PUBLISHED_USABILITY).compactness < 0.5


@pytest.mark.parametrize(("radius", "published"), [(5, 0.763), (300, 0.897)])
def test_the_published_compactness_of_a_disc_is_not_1(radius, published):
    """Specification 9.5."""
    image = np.zeros((2 * radius + 9,) * 2, np.uint8)
    cv2.circle(image, (radius + 4, radius + 4), radius, 1, -1)
    found = usability(image > 0, protocol=PUBLISHED_USABILITY)
    assert found.compactness == pytest.approx(published, abs=0.0005)
    assert found.smoothness == pytest.approx(1.08, abs=0.005)  # at least 1 by construction, 1 for nothing smooth
    assert found.solidity < 1
    ours = usability(image > 0)
    assert ours.compactness > 0.92
    assert ours.solidity == 1
    assert ours.smoothness <= 1


def test_the_published_definitions_overlook_holes():
    solid = polar(80, lambda a: 30 + 0 * a)
    ring = solid & ~polar(80, lambda a: 20 + 0 * a)
    plain, holed = (usability(mask, protocol=PUBLISHED_USABILITY) for mask in (solid, ring))
    assert (plain.compactness, plain.solidity, plain.components) == (holed.compactness, holed.solidity, 1)
    assert usability(ring).compactness < 0.3 < 0.98 < usability(solid).compactness


def test_the_published_zero_where_nothing_can_be_computed_and_nan_here():
    for mask in (np.zeros((8, 8), bool), np.eye(1, dtype=bool)):
        found = usability(mask, reference=np.zeros_like(mask), protocol=PUBLISHED_USABILITY)
        assert (found.compactness, found.solidity, found.smoothness, found.size_retention) == (0, 0, 0, 0)
    empty = usability(np.zeros((8, 8), bool), reference=np.zeros((8, 8), bool))
    assert [math.isnan(v) for v in (empty.compactness, empty.solidity, empty.smoothness, empty.size_retention)] == [
        True
    ] * 4
    assert (empty.components, empty.holes, empty.vertices) == (0, 0, 0)
    assert empty.as_dict()["compactness"] is None
    pixel = usability(np.eye(1, dtype=bool))
    assert (pixel.solidity, pixel.components, pixel.holes) == (1, 1, 0)
    assert math.isnan(pixel.size_retention)


def test_vertices_are_those_after_simplification_in_micrometres_or_pixels():
    mask = disc(40)
    counts = [usability(mask, tolerance=t).vertices for t in (0, 0.75, 1.0, 2.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 100 > 40 > counts[2] == usability(mask).vertices
    assert usability(mask, mpp=0.125).vertices == usability(mask, tolerance=2.0).vertices  # 0.25 um
    assert usability(mask, mpp=0.125).tolerance == 0.25
    assert usability(mask, mpp=0.125, tolerance=0.125).vertices == usability(mask).vertices


def test_components_and_holes_are_those_of_the_outline():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:8, 2:8], mask[4, 4], mask[6, 6], mask[8, 8] = True, False, False, True  # the last meets at a corner
    found = usability(mask)
    assert (found.components, found.holes) == (2, 2)
    assert usability(mask, protocol=PUBLISHED_USABILITY).components == 1


def test_size_retention_is_of_the_whole_object():
    before, after = np.zeros((2, 20, 20), dtype=bool)
    before[:10], after[:8], after[15, 3:13] = True, True, True
    assert usability(after, reference=before).size_retention == 170 / 200


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (np.zeros((3, 3)), {}, "boolean"),
        (np.zeros((2, 3, 3), bool), {}, "two-dimensional"),
        (np.ones((3, 3), bool), {"reference": np.ones((3, 4), bool)}, "differ in shape"),
        (np.ones((3, 3), bool), {"protocol": "histoseed"}, "no such protocol"),
        (np.ones((3, 3), bool), {"tolerance": -1.0}, "from 0 on"),
    ],
)
def test_bad_input(mask, options, message):
    with pytest.raises(InputError, match=message):
        usability(mask, **options)


def test_the_page_explains_every_number_and_both_protocols():
    text = (Path(__file__).parents[2] / "docs" / "cleanup.md").read_text(encoding="utf-8")
    for name in (USABILITY, PUBLISHED_USABILITY, *(field.name for field in dataclasses.fields(Usability))):
        assert name in text
