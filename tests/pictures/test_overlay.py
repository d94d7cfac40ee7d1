"""Outlines lie where they must, in the colours they must have."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.segmentation import find_boundaries

from histoseed.annotations.instances import Instances
from histoseed.errors import InputError
from histoseed.pictures import UNCLASSIFIED, Strokes, draw_instances, draw_outlines, outline_mask, palette
from histoseed.pictures.colors import rgb
from histoseed.pictures.overlay import outlined_at

label_images = hnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


@given(label_images)
def test_one_pixel_outlines_are_the_inner_boundaries_of_scikit_image(labels):
    assert np.array_equal(outline_mask(labels), find_boundaries(labels, connectivity=1, mode="inner"))


@given(label_images, st.integers(1, 4))
def test_thick_outlines_are_what_erosion_takes_away(labels, thickness):
    cross = ndimage.generate_binary_structure(2, 1)
    expected = np.zeros(labels.shape, bool)
    for value in np.unique(labels[labels > 0]):
        inside = labels == value
        expected |= inside & ~ndimage.binary_erosion(inside, cross, iterations=thickness, border_value=1)
    assert np.array_equal(outline_mask(labels, thickness), expected)


def test_outlines_have_the_exact_colour_and_nothing_else_changes(patch):
    image, labels = patch
    before = image.copy()
    out = draw_outlines(image, labels, {1: "#ff0000", 2: "#00ff00"}, thickness=2)
    edge = outline_mask(labels, 2)
    for label, color in ((1, (255, 0, 0)), (2, (0, 255, 0)), (7, rgb(UNCLASSIFIED))):
        assert np.all(out[edge & (labels == label)] == color)
        assert np.any(edge & (labels == label))
    assert np.array_equal(out[~edge], image[~edge])
    assert np.array_equal(image, before)


GROUNDS = [(255, 255, 255), (200, 147, 189), (131, 82, 140), (61, 34, 108), (15, 10, 20), (200, 30, 40)]
"""White, eosin, three nuclei, blood."""


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("color", ["#f0e442", "#2579ff", "#d12000", "#8833cc", "#c993bd", "#000000", "#ffffff"])
def test_a_casing_sets_any_colour_off_from_any_tissue(ground, color):
    labels = np.zeros((30, 30), int)
    labels[8:20, 8:20] = 1
    image = np.full((30, 30, 3), ground, np.uint8)
    out = draw_outlines(image, labels, color, casing=True)
    edge = outline_mask(labels)
    assert (out[edge] == rgb(color)).all()
    halo = ndimage.binary_dilation(edge, ndimage.generate_binary_structure(2, 1)) & (labels == 0)
    np.testing.assert_array_equal(out[~(edge | halo)], image[~(edge | halo)])
    luma = np.array([0.299, 0.587, 0.114])
    line, casing = np.array(rgb(color)) @ luma, out[halo] @ luma
    # Either the line differs from the tissue, or its casing does from both.
    seen = max(abs(line - np.array(ground) @ luma), np.abs(casing - line).min())
    assert seen > 60


def test_outlines_of_large_objects_are_thicker_and_small_ones_are_seen():
    labels = np.zeros((1000, 1000), np.int32)
    labels[100:900, 100:900] = 1
    labels[20:40, 20:40] = 2
    labels[950, 950] = 3
    colors = {1: "#010203", 2: "#d12000", 3: "#0dccff"}
    out = outlined_at(np.full((250, 250, 3), 128, np.uint8), labels, colors, (1000, 1000))
    rows = {label: np.all(out == rgb(color), axis=2) for label, color in colors.items()}
    assert rows[1][125, 25:30].tolist() == [True, True, False, False, False]
    assert rows[2][7, 5:10].tolist() == [True, False, False, False, True]
    assert rows[3].sum() == 8  # the middle of a square of three pixels is no outline
    np.testing.assert_allclose(np.argwhere(rows[3]).mean(axis=0), 237, atol=1)


def test_a_casing_never_covers_another_object(patch):
    image, labels = patch
    cased, plain = (draw_outlines(image, labels, "#ffffff", casing=casing) for casing in (True, False))
    np.testing.assert_array_equal(cased[labels > 0], plain[labels > 0])
    assert not np.array_equal(cased, plain)


@pytest.mark.parametrize("radius", [2.0, 3.0, 6.0])
def test_points_are_discs_of_their_radius_with_a_casing(radius):
    image = np.full((60, 60, 3), 128, np.uint8)
    out = draw_instances(
        image, Instances.build([shapely.Point(30.5, 20.5)], kind=["point"]), radius=radius, smooth=False, casing=True
    )
    rows, columns = np.nonzero(np.all(out == rgb(UNCLASSIFIED), axis=2))
    assert (rows.mean(), columns.mean()) == pytest.approx((20, 30), abs=0.3)
    assert np.pi * radius**2 <= len(rows) <= np.pi * (radius + 1) ** 2
    changed = (out != image).any(axis=2)
    assert changed.sum() > len(rows) + 4 * radius
    assert (out[changed & ~np.all(out == rgb(UNCLASSIFIED), axis=2)] < 128).all()


def test_lines_lie_over_the_casing_of_their_neighbours():
    boxes = [shapely.box(5, 5, 20, 20), shapely.box(21, 5, 36, 20)]
    table = Instances.build(boxes, class_name=["a", "b"], colors={"a": "#fefe00", "b": "#00fefe"})
    out = draw_instances(np.full((30, 45, 3), 90, np.uint8), table, smooth=False, casing=True)
    plain = draw_instances(np.full((30, 45, 3), 90, np.uint8), table, smooth=False)
    drawn = (plain != 90).any(axis=2)
    np.testing.assert_array_equal(out[drawn], plain[drawn])


COLORS = {"a": "#01c0f0", "b": "#2579ff", "c": "#d12000"}


@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(1, 15), st.sampled_from(["a", "b", "c", None])),
        min_size=1, max_size=20,
    ),
    st.lists(st.integers(0, 20), max_size=3),
    st.booleans(),
    st.sampled_from([0.5, 1.0]),
)  # fmt: skip
def test_objects_that_come_in_portions_look_as_drawn_at_once(found, cuts, turned, scale):
    """They overlap and touch, within a portion and across; neither cuts nor order show."""
    ground = np.random.default_rng(0).integers(0, 256, (round(64 * scale), round(64 * scale), 3), np.uint8)
    shapes = [shapely.Point(x + 7, y - 3).buffer(size) for x, y, size, _ in found]
    table = Instances.build(shapes, class_name=[name for *_, name in found])
    strokes = Strokes(ground.shape[:2], offset=(7, -3), scale=scale, colors=COLORS)
    for rows in np.split(np.arange(len(table))[:: -1 if turned else 1], sorted(cuts)):
        strokes.add(table.select(rows))
    once = draw_instances(ground, table, offset=(7, -3), scale=scale, colors=COLORS, smooth=False, casing=True)
    np.testing.assert_array_equal(strokes.over(ground), once)


def test_zoom_draws_finer_outlines_inside_the_objects(patch):
    image, labels = patch
    out = draw_outlines(image, labels, "#ff00fe", zoom=4)
    assert out.shape == (120, 160, 3)
    drawn = np.all(out == (255, 0, 254), axis=2)
    big = np.kron(labels, np.ones((4, 4), int))
    assert np.all(big[drawn] > 0)
    assert np.array_equal(drawn, outline_mask(big))


def test_no_object_leaves_the_picture_as_it_is(patch):
    image, labels = patch
    assert np.array_equal(draw_outlines(image, labels * 0), image)
    assert np.array_equal(draw_instances(image, Instances.empty()), image)


@given(st.floats(5, 25), st.floats(5, 25), st.floats(3, 12), st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 3))
def test_a_box_is_drawn_on_its_pixel_edges(x, y, size, scale, zoom):
    offset = (100.0, 200.0)
    box = shapely.box(x + 100, y + 200, x + size + 100, y + size + 200)
    image = np.zeros((80, 80, 3), np.uint8)
    out = draw_instances(image, Instances.build([box]), offset=offset, scale=scale, zoom=zoom, smooth=False)
    rows, columns = np.nonzero(out.any(axis=2))
    # A line drawn over the edge at x covers the pixel [j, j + 1] that x lies in or borders on.
    factor = scale * zoom
    for drawn, low in ((columns, x), (rows, y)):
        assert abs(drawn.min() + 0.5 - low * factor) <= 0.76
        assert abs(drawn.max() + 0.5 - (low + size) * factor) <= 0.76


def test_outlines_of_polygons_and_of_labels_agree(patch):
    image, labels = patch
    boxes = [shapely.box(4, 4, 12, 14), shapely.box(25, 18, 36, 28)]
    out = draw_instances(np.zeros_like(image), Instances.build(boxes), smooth=False)
    drawn = out.any(axis=2)
    near = ndimage.binary_dilation(outline_mask(np.where(labels == 2, 0, labels)), np.ones((3, 3)))
    assert np.all(near[drawn])
    assert drawn.sum() >= 2 * (8 + 10) + 2 * (11 + 10) - 8


def test_holes_parts_and_points_are_drawn():
    ring = shapely.Polygon(shapely.box(5, 5, 35, 35).exterior, [shapely.box(15, 15, 25, 25).exterior])
    both = shapely.MultiPolygon([shapely.box(42, 5, 50, 15), shapely.box(42, 25, 50, 35)])
    table = Instances.build([ring, both, shapely.Point(55.5, 20.5)], kind=["polygon", "polygon", "point"])
    drawn = draw_instances(np.zeros((40, 64, 3), np.uint8), table, smooth=False).any(axis=2)
    assert drawn[20, 15] or drawn[20, 14]  # the hole's rim
    assert not drawn[20, 20]
    assert drawn[10, 42] or drawn[10, 41]
    assert drawn[30, 42] or drawn[30, 41]
    assert drawn[20, 55]
    assert abs(np.mean(np.nonzero(drawn[:, 53:])[0]) - 20) < 0.5


def test_instances_have_the_colour_of_their_class():
    names = ["tumor", "stroma", None]
    boxes = [shapely.box(x, 2, x + 6, 8) for x in (2, 12, 22)]
    table = Instances.build(boxes, class_name=names, colors={"stroma": "#123456"})
    out = draw_instances(np.zeros((12, 32, 3), np.uint8), table, smooth=False)
    found = {tuple(c) for c in out[out.any(axis=2)].tolist()}
    assert found == {rgb(palette(["tumor"])["tumor"]), (0x12, 0x34, 0x56), rgb(UNCLASSIFIED)}
    again = draw_instances(np.zeros((12, 32, 3), np.uint8), table, colors={"stroma": "#654321"}, smooth=False)
    assert (0x65, 0x43, 0x21) in {tuple(c) for c in again[again.any(axis=2)].tolist()}


def test_what_lies_outside_is_skipped_and_what_crosses_the_border_is_cut():
    far, big = shapely.box(1e9, 1e9, 1e9 + 5, 1e9 + 5), shapely.box(-1e12, 4, 1e12, 1e12)
    image = np.zeros((16, 16, 3), np.uint8)
    assert not draw_instances(image, Instances.build([far])).any()
    drawn = draw_instances(image, Instances.build([big]), smooth=False).any(axis=2)
    assert drawn[3:5].any(axis=0).all()
    assert not drawn[6:].any()


@pytest.mark.parametrize("options", [{"zoom": 0}, {"thickness": 0}])
def test_numbers_below_one_are_refused(patch, options):
    image, labels = patch
    with pytest.raises(InputError):
        draw_outlines(image, labels, **options)
    with pytest.raises(InputError):
        draw_instances(image, Instances.empty(), **options)


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"scale": np.nan}, {"offset": (0.0, np.inf)}])
def test_a_frame_that_is_not_finite_is_refused(patch, options):
    with pytest.raises(InputError):
        draw_instances(patch[0], Instances.empty(), **options)


def test_arrays_of_another_size_are_refused(patch):
    image, labels = patch
    with pytest.raises(InputError):
        draw_outlines(image, labels[:-1])


def test_outlines_on_real_tissue(shared_data):
    from PIL import Image

    folder = shared_data / "gbm40"
    image = np.asarray(Image.open(folder / "images" / "01.png").convert("RGB"))
    labels = np.asarray(Image.open(folder / "labels" / "01.png"))
    out = draw_outlines(image, labels, "#00ff01")
    drawn = np.all(out == (0, 255, 1), axis=2)
    assert np.array_equal(np.unique(labels[drawn]), np.unique(labels)[1:])
    assert np.array_equal(drawn, find_boundaries(labels, connectivity=1, mode="inner"))
