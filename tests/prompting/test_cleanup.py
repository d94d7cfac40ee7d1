"""Clean-up keeps small objects, joins nothing, shifts nothing; the published presets show their measured defects."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from histoseed.errors import InputError, UnknownMppError
from histoseed.prompting.cleanup import PRESETS, CleanUp, clean_up, get_clean_up
from histoseed.prompting.simulate import Length

TEXT = (Path(__file__).parents[2] / "docs" / "cleanup.md").read_text(encoding="utf-8")
OURS = ("default", "um", "none")
MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda shape: arrays(bool, shape))


def disc(radius, size, at=None):
    at = (size / 2, size / 2) if at is None else at
    y, x = np.mgrid[:size, :size] + 0.5
    return (y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2


def footprint(radius):
    reach = np.arange(-int(radius), int(radius) + 1)
    return reach[:, None] ** 2 + reach**2 <= radius**2


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def only(**sizes):
    return CleanUp(name="test", kept=0.0, **sizes)


def blobs(seed, size=64):
    """A ragged object with holes, spurs and specks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    noise = ndimage.gaussian_filter(rng.normal(size=(size, size)), 1.5)
    return np.hypot(y, x) + 18 * noise / noise.std() * 0.3 < size / 4


@pytest.mark.parametrize("preset", OURS)
@pytest.mark.parametrize(
    "nucleus",
    [
        np.ones((3, 4), dtype=bool),
        np.ones((2, 6), dtype=bool),
        np.ones((1, 12), dtype=bool),
        disc(1.96, 4),
        disc(6, 12),
    ],
    ids=["3x4", "2x6", "1x12", "disc of 12 pixels", "disc of diameter 12"],
)
def test_a_12_pixel_nucleus_survives(preset, nucleus):
    for margin in (0, 1, 20):
        mask = np.pad(nucleus, margin)
        found = clean_up(mask, preset, mpp=0.25)
        assert dice(found.mask, mask) > 0.95
        assert found.report.components == (1, 1)


@pytest.mark.parametrize("preset", ["default", "um"])
@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.5])
@pytest.mark.parametrize("diameter_um", [4, 8, 12, 20])
def test_two_nuclei_3_um_apart_stay_two(preset, mpp, diameter_um):
    radius = diameter_um / 2 / mpp
    gap = math.ceil(3 / mpp)
    height, middle = int(2 * radius) + 12, int(2 * radius) + 6
    y, x = np.mgrid[:height, : 2 * middle + gap] + 0.5
    left = (y - height / 2) ** 2 + (x - (middle - radius)) ** 2 < radius**2
    mask = left | left[:, ::-1]
    assert np.diff(np.flatnonzero(mask.any(0))).max() - 1 in (gap, gap + 1, gap + 2)
    report = clean_up(mask, preset, mpp=mpp).report
    assert report.components == (2, 2)
    assert report.area_ratio == pytest.approx(1, abs=0.02)


def test_the_published_kernels_lose_and_join_small_nuclei():
    """Specification 9.6: at native window size up to 12 pixels vanish, 16 -> Dice .45, 24 -> .84, 40 -> .91."""
    for diameter, published in ((8, 0.0), (12, 0.0), (16, 0.45), (24, 0.84), (40, 0.91)):
        mask = disc(diameter / 2, 2 * diameter, at=(diameter + 0.5, diameter + 0.5))  # in a window twice as wide
        assert dice(clean_up(mask, "published-service").mask, mask) == pytest.approx(published, abs=0.005)
        assert dice(clean_up(mask).mask, mask) > 0.985
    two = disc(15, 120, at=(60, 30)) | disc(15, 120, at=(60, 72))  # 12 pixels apart
    assert clean_up(two, "published-service").report.components == (2, 1)
    assert clean_up(two).report.components == (2, 2)


def test_the_published_even_kernels_shift_and_ours_do_not():
    square = np.zeros((80, 80), dtype=bool)
    square[20:60, 20:60] = True
    moved = [np.argwhere(clean_up(square, preset).mask).mean(0) - 39.5 for preset in ("published-service", *OURS[::2])]
    assert np.abs(moved[0]).min() >= 0.5
    assert np.abs(moved[1:]).max() == 0


def test_the_published_variant_fills_the_gap_to_the_frame_and_ours_does_not():
    mask = np.zeros((80, 80), dtype=bool)
    mask[5:50, 20:60] = True
    assert clean_up(mask, "published-service").mask[0].any()
    assert not clean_up(mask).mask[:5].any()


def test_the_published_preset_is_what_the_prototype_does():
    mask = blobs(3, 1024 // 8).repeat(8, 0).repeat(8, 1)
    image = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((10, 10), np.uint8))
    image = cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((20, 20), np.uint8))
    for preset, blur in (("published", 0), ("published-gaussian", 21)):
        step = cv2.GaussianBlur(image.astype(np.float64), (blur, blur), 0) > 0.5 if blur else image > 0
        labels, n = ndimage.label(step, np.ones((3, 3)))
        areas = ndimage.sum_labels(step, labels, range(1, n + 1))
        wanted = np.isin(labels, 1 + np.flatnonzero(areas >= 0.1 * areas.max()))
        assert n > wanted.any()
        np.testing.assert_array_equal(clean_up(mask, preset).mask, wanted)
    # The same window at an eighth of the resolution is brought to 1024 and back.
    np.testing.assert_array_equal(
        clean_up(mask[4::8, 4::8], "published").mask, clean_up(mask, "published").mask[4::8, 4::8]
    )


def test_a_tenth_of_the_largest_component_stays_in_the_published_variant():
    mask = np.zeros((200, 200), dtype=bool)
    mask[20:120, 20:120], mask[150:170, 20:70] = True, True  # 10,000 and 1,000 pixels
    assert clean_up(mask, "published-service").report.components == (2, 2)
    mask[150:170, 69] = False
    assert clean_up(mask, "published-service").report.components == (2, 1)


@settings(max_examples=80, deadline=None)
@given(MASKS, st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.7]))
def test_openings_and_closings_are_those_of_a_disc(mask, radius):
    wide = np.pad(mask, 2 * int(radius) + 1)
    inner = np.s_[2 * int(radius) + 1 : -2 * int(radius) - 1]
    opened = ndimage.binary_opening(wide, footprint(radius) if radius >= 1 else np.ones((1, 1)))[inner, inner]
    closed = ndimage.binary_closing(wide, footprint(radius) if radius >= 1 else np.ones((1, 1)))[inner, inner]
    np.testing.assert_array_equal(clean_up(mask, only(opening=Length(2 * radius, "px"))).mask, opened)
    np.testing.assert_array_equal(clean_up(mask, only(closing=Length(2 * radius, "px"))).mask, closed)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.sampled_from(OURS))
def test_turning_mirroring_and_more_background_change_nothing(mask, preset):
    cleaned = clean_up(mask, preset, mpp=0.5).mask
    for turns in range(4):
        np.testing.assert_array_equal(clean_up(np.rot90(mask, turns), preset, mpp=0.5).mask, np.rot90(cleaned, turns))
    np.testing.assert_array_equal(clean_up(mask[:, ::-1], preset, mpp=0.5).mask, cleaned[:, ::-1])
    np.testing.assert_array_equal(clean_up(np.pad(mask, 5), preset, mpp=0.5).mask, np.pad(cleaned, 5))


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_nothing_leaves_the_bounding_box_and_no_object_vanishes(mask):
    cleaned = clean_up(mask).mask
    assert cleaned.any() == mask.any()
    assert not cleaned[~mask.any(1)].any()
    assert not cleaned[:, ~mask.any(0)].any()


@settings(max_examples=60, deadline=None)
@given(MASKS, st.floats(0, 8))
def test_fixed_openings_and_closings_are_idempotent_ordered_and_bounded(mask, size):
    for how, grows in ((only(opening=Length(size, "px")), False), (only(closing=Length(size, "px")), True)):
        once = clean_up(mask, how).mask
        np.testing.assert_array_equal(clean_up(once, how).mask, once)
        assert ((mask <= once) if grows else (once <= mask)).all()
        more = mask.copy()
        more[:, 0] = True
        assert (once <= clean_up(more, how).mask).all()
    both = only(
        opening=Length(size, "px"), closing=Length(size, "px")
    )  # an alternating filter is idempotent (Serra 1988)
    np.testing.assert_array_equal(clean_up(clean_up(mask, both).mask, both).mask, clean_up(mask, both).mask)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.floats(0, 4), st.floats(0, 4))
def test_larger_filters_of_holes_and_specks_do_more(mask, a, b):
    low, high = sorted((a, b))
    filled = [clean_up(mask, only(holes=Length(size, "px"))) for size in (low, high)]
    assert (mask <= filled[0].mask).all()
    assert (filled[0].mask <= filled[1].mask).all()
    dropped = [clean_up(mask, only(smallest=Length(size, "px"))) for size in (low, high)]
    assert (dropped[1].mask <= dropped[0].mask).all()
    assert (dropped[0].mask <= mask).all()
    for how, found in ((only(holes=Length(high, "px")), filled[1]), (only(smallest=Length(high, "px")), dropped[1])):
        np.testing.assert_array_equal(clean_up(found.mask, how).mask, found.mask)


def test_holes_and_specks_are_judged_by_the_diameter_of_a_disc():
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:45, 5:45], mask[20:24, 20:24], mask[50:54, 50:54] = True, False, True  # 16 pixels: diameter 4.51
    for size, stays in ((4.5, True), (4.6, False)):
        assert clean_up(mask, only(holes=Length(size, "px"))).report.holes == (1, int(stays))
        assert clean_up(mask, only(smallest=Length(size, "px"))).report.components == (2, 1 + stays)
        in_um = only(holes=Length(size * 0.25, "um"), smallest=Length(size * 0.25, "um"))
        report = clean_up(mask, in_um, mpp=0.25).report
        assert (report.holes[1], report.components[1]) == (int(stays), 1 + stays)
    assert clean_up(mask, only(holes=Length(1000, "%"))).report.holes == (1, 0)
    assert clean_up(mask, only(smallest=Length(1000, "%"))).report.components == (2, 1)


@pytest.mark.parametrize("zoom", [2, 4])
def test_sizes_follow_the_object(zoom):
    """An object seen at a finer resolution is cleaned alike: that is what fixed pixels cannot do."""
    mask = blobs(1).repeat(3, 0).repeat(3, 1)
    coarse = clean_up(mask).report
    fine = clean_up(mask.repeat(zoom, 0).repeat(zoom, 1)).report
    assert coarse.changed
    assert fine.area_ratio == pytest.approx(coarse.area_ratio, abs=0.025)
    assert fine.components == coarse.components
    assert fine.holes == coarse.holes


def test_a_filament_is_left_whole_where_the_opening_would_take_it():
    line = np.zeros((20, 400), dtype=bool)
    line[10, 5:395] = True
    found = clean_up(line)
    assert not found.report.opened
    np.testing.assert_array_equal(found.mask, line)
    assert clean_up(disc(10, 30)).report.opened


def test_an_island_in_a_lake_and_a_notch_that_closes():
    ring = disc(14, 40) & ~disc(3, 40)
    ring[20, 20] = True
    assert clean_up(ring).report.holes == (1, 0)
    notched = disc(14, 40)
    notched[:18, 20] = False  # one pixel wide
    cleaned = clean_up(notched)
    assert cleaned.report.holes == (0, 0)
    assert dice(cleaned.mask, disc(14, 40)) > 0.99


def test_the_report_counts():
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:35, 5:35], mask[15:17, 15:17], mask[20, 50] = True, False, True
    report = clean_up(mask, only(holes=Length(4, "px"), smallest=Length(4, "px"))).report
    assert (report.added, report.removed) == (4, 1)
    assert (report.components, report.holes) == ((2, 1), (1, 0))
    assert report.area_ratio == 900 / 897
    assert report.changed
    assert not clean_up(mask, "none").report.changed


@pytest.mark.parametrize("preset", PRESETS)
def test_an_empty_mask_stays_empty(preset):
    found = clean_up(np.zeros((30, 20), dtype=bool), preset, mpp=0.5)
    assert found.mask.shape == (30, 20)
    assert not found.mask.any()
    assert found.report.area_ratio == 1
    assert found.report.components == found.report.holes == (0, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_input_is_not_changed(preset):
    mask = blobs(2)
    before = mask.copy()
    clean_up(mask, preset, mpp=0.5).mask[:] = True
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("mask", [np.zeros((3, 3)), np.zeros((2, 3, 3), bool), np.zeros((0, 3), bool), [[True]]])
def test_what_is_no_mask(mask):
    with pytest.raises(InputError, match="two-dimensional array of booleans"):
        clean_up(mask)


def test_sizes_and_presets_that_make_no_sense():
    with pytest.raises(UnknownMppError, match="the resolution of the slide is not known"):
        clean_up(disc(5, 12), "um")
    with pytest.raises(InputError, match="Did you mean published"):
        get_clean_up("publishd")
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["default"].name = "mine"


def test_presets_go_by_their_names():
    assert all(get_clean_up(name) is how and how.name == name for name, how in PRESETS.items())


def test_the_page_shows_every_preset_as_it_is_and_its_example_runs(capsys):
    for how in PRESETS.values():
        (row,) = re.findall(rf"^\| `{how.name}` \|(.*)", TEXT, re.MULTILINE)
        sizes = [how.holes, how.opening, how.closing] if how.kernel == "square" else []
        sizes = sizes or [how.holes, how.opening, how.closing, how.smallest]
        shown = [f"{size.value:g} {size.unit}" if size.value else "" for size in sizes]
        assert [cell.strip() for cell in row.split("|")][: len(shown)] == shown
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(example, "docs/cleanup.md", "exec"), {})
    assert "components=1" in capsys.readouterr().out
