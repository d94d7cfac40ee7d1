"""Simplified outlines: valid, with their holes, within the tolerance, within the budget; and tracing never shrinks."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from histoseed.errors import InputError
from histoseed.geometry import label_to_polygons, polygons_to_label, simplify_outline, vertex_count

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, shape)).filter(np.any)


def outline_of(mask):
    return label_to_polygons(mask)[1][0]


def disc(radius, size=None):
    size = size or int(2 * radius) + 4
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    return x**2 + y**2 < radius**2


def structure(outline):
    return [len(part.interiors) for part in shapely.get_parts(outline)]


def real_distance(outline, found):
    """Farthest that any vertex of one lies from the other, both ways."""
    sides = []
    for a, b in ((outline, found), (found, outline)):
        sides.append(shapely.distance(shapely.points(shapely.get_coordinates(a)), b.boundary).max())
    return max(sides)


@settings(max_examples=80, deadline=None)
@given(MASKS, st.floats(0, 12))
def test_simplified_outlines_are_valid_whole_and_within_the_tolerance(mask, tolerance):
    outline = outline_of(mask)
    found = simplify_outline(outline, tolerance=tolerance)
    assert found.outline.is_valid
    assert structure(found.outline) == structure(outline)
    assert found.vertices == vertex_count(found.outline) <= found.vertices_before == vertex_count(outline)
    assert real_distance(outline, found.outline) == pytest.approx(found.hausdorff)
    assert found.hausdorff <= tolerance * (1 + 1e-9)
    assert found.tolerance == tolerance
    assert found.area_ratio == found.outline.area / outline.area


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(3, 40))
def test_a_budget_is_met_or_said_not_to_be(mask, budget):
    outline = outline_of(mask)
    found = simplify_outline(outline, budget=budget)
    assert found.outline.is_valid
    assert structure(found.outline) == structure(outline)
    assert found.met == (found.vertices <= budget)
    if vertex_count(outline) <= budget:
        assert found.tolerance == 0
        assert found.vertices == vertex_count(outline)


@pytest.mark.parametrize("radius", [5, 20, 80])
def test_the_tolerance_of_a_budget_is_the_smallest_within_one_percent(radius):
    outline = outline_of(disc(radius))
    for budget in (24, 12, 8, 5, 3):
        found = simplify_outline(outline, budget=budget)
        assert found.met
        assert found.vertices <= budget
        assert simplify_outline(outline, tolerance=found.tolerance).vertices <= budget
        if found.tolerance:
            assert simplify_outline(outline, tolerance=found.tolerance * 0.985).vertices > budget


def test_a_tolerance_is_the_least_that_a_budget_uses():
    outline = outline_of(disc(20))
    found = simplify_outline(outline, tolerance=1.0, budget=200)
    assert found.tolerance == 1.0
    assert found.vertices == simplify_outline(outline, tolerance=1.0).vertices
    assert simplify_outline(outline, tolerance=1.0, budget=6).tolerance > 1.0


def test_parts_and_holes_need_more_than_the_budget():
    mask = np.zeros((40, 40), dtype=bool)
    mask[2:30, 2:30], mask[10:20, 10:20], mask[34:38, 34:38] = True, False, True
    found = simplify_outline(outline_of(mask), budget=8)
    assert not found.met
    assert structure(found.outline) == structure(outline_of(mask))


def test_a_tolerance_in_micrometres():
    outline = outline_of(disc(20))
    plain, physical = simplify_outline(outline, tolerance=1.5), simplify_outline(outline, tolerance=0.375, mpp=0.25)
    assert plain.outline.equals(physical.outline)
    assert physical.hausdorff == pytest.approx(plain.hausdorff * 0.25)
    by_budget = simplify_outline(outline, budget=10, mpp=0.25)
    assert by_budget.tolerance == pytest.approx(simplify_outline(outline, budget=10).tolerance * 0.25)


def test_more_tolerance_means_fewer_vertices_on_a_disc():
    outline = outline_of(disc(60))
    counts = [simplify_outline(outline, tolerance=t).vertices for t in (0, 0.5, 0.75, 1, 2, 4, 8, 16)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == vertex_count(outline)
    assert counts[-1] <= 8


def test_costs_of_a_square_with_a_tooth():
    notched = shapely.Polygon([(0, 0), (4, 0), (4, 1), (5, 1), (5, 0), (9, 0), (9, 9), (0, 9)])
    found = simplify_outline(notched, budget=4)
    assert (found.vertices, found.hausdorff, found.area_ratio) == (4, 1.0, 81 / 80)
    assert found.tolerance == pytest.approx(1, rel=0.011)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.75, 1.0, 2.0]))
def test_one_pixel_spurs_give_valid_polygons(seed, tolerance):
    """Specification 9.8: traced through pixel centres they come back on themselves."""
    rng = np.random.default_rng(seed)
    mask = np.pad(disc(6, 14), 8)
    for _ in range(4):
        at = rng.integers(2, 28)
        mask[at, rng.integers(0, 15) :] = rng.random() < 0.7
        mask[: rng.integers(0, 15), at] = True
    outline = outline_of(mask)
    assert outline.is_valid
    assert outline.area == mask.sum()
    found = simplify_outline(outline, tolerance=tolerance)
    assert found.outline.is_valid
    assert structure(found.outline) == structure(outline)


@pytest.mark.parametrize("width", [4, 10, 20, 50])
def test_a_square_has_the_area_of_its_pixels(width):
    """Specification 9.7: the prototype's has (w - 1)^2, and its right and lower border are lost."""
    mask = np.zeros((width + 7, width + 7), dtype=bool)
    mask[3 : 3 + width, 3 : 3 + width] = True
    outline = outline_of(mask)
    assert outline.area == width**2
    assert outline.bounds == (3, 3, 3 + width, 3 + width)
    found = simplify_outline(outline, tolerance=0.9)
    assert (found.outline.area, found.vertices) == (width**2, 4)


def test_tracing_and_drawing_again_and_again_never_shrinks():
    """Specification 9.7: there each refinement shrinks the annotation."""
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 2) > 0.02
    before = mask
    for _ in range(10):
        before, mask = mask, polygons_to_label([outline_of(mask)], mask.shape).astype(bool)
        np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(
    ("outline", "options", "message"),
    [
        (shapely.Point(1, 1), {"tolerance": 1}, "polygon or multipolygon"),
        (shapely.Polygon(), {"tolerance": 1}, "polygon or multipolygon"),
        (shapely.Polygon([(0, 0), (4, 0), (0, 4), (4, 4)]), {"tolerance": 1}, "not valid"),
        (shapely.box(0, 0, 1, 1), {}, "a tolerance or a budget"),
        (shapely.box(0, 0, 1, 1), {"tolerance": -1}, "from 0 on"),
        (shapely.box(0, 0, 1, 1), {"tolerance": np.nan}, "from 0 on"),
        (shapely.box(0, 0, 1, 1), {"budget": 2}, "at least 3"),
        (shapely.box(0, 0, 1, 1), {"budget": 9, "mpp": 0}, "must be positive"),
    ],
)
def test_bad_input(outline, options, message):
    with pytest.raises(InputError, match=message):
        simplify_outline(outline, **options)
