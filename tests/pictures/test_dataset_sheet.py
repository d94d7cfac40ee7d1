"""The picture of a data set: bars as long as their counts, medians in their place, every kind and number of classes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from histoseed.annotations import Instances
from histoseed.errors import InputError
from histoseed.pictures import dataset_charts, lettering
from histoseed.pictures.colors import UNCLASSIFIED, rgb
from histoseed.pictures.dataset_charts import ClassObjects, class_bars, size_rows
from histoseed.pictures.dataset_sheet import SheetPatch, dataset_sheet
from histoseed.pictures.lettering import INK, MUTED, PAPER, wrapped

RED, BLUE = "#c80a14", "#1428c8"


def where(picture: np.ndarray, color: str) -> np.ndarray:
    return np.all(picture == rgb(color), axis=2)


def extent(picture: np.ndarray, color: str) -> tuple[int, int]:
    """First and last column of a colour."""
    columns = np.flatnonzero(where(picture, color).any(axis=0))
    return int(columns[0]), int(columns[-1])


def rows_of(picture: np.ndarray, color: str) -> np.ndarray:
    return np.flatnonzero(where(picture, color).any(axis=1))


def length(picture: np.ndarray, color: str) -> int:
    """Pixels of a bar, with its dark edge of one pixel."""
    first, last = extent(picture, color)
    return last - first + 3


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that the charts write."""
    seen: list[str] = []
    draw = dataset_charts.text_strip

    def remember(text: str, *arguments, **options):
        seen.append(text)
        return draw(text, *arguments, **options)

    monkeypatch.setattr(dataset_charts, "text_strip", remember)
    return seen


def test_bars_are_as_long_as_their_counts(texts):
    picture = class_bars(
        [ClassObjects(name="a", color=RED, outlined=400), ClassObjects(name="b", color=BLUE, outlined=100)], 600
    )
    assert picture.shape[1] == 600
    assert length(picture, RED) / length(picture, BLUE) == pytest.approx(4, rel=0.02)
    assert {"a", "b", "400", "100"} <= set(texts)
    assert "Logarithmic axis." not in texts


def test_counts_that_differ_much_stand_on_a_logarithmic_axis(texts):
    picture = class_bars(
        [ClassObjects(name="a", color=RED, outlined=5000), ClassObjects(name="b", color=BLUE, outlined=1)], 600
    )
    ratio = math.log(5000 / 0.5) / math.log(1 / 0.5)
    assert length(picture, RED) / length(picture, BLUE) == pytest.approx(ratio, rel=0.02)
    assert "Logarithmic axis." in texts
    assert {"1", "10", "100", "1,000"} <= set(texts)


def test_longer_bars_stand_above(texts):
    picture = class_bars(
        [ClassObjects(name="rare", color=RED, outlined=1), ClassObjects(name="usual", color=BLUE, outlined=3)], 500
    )
    assert (
        np.flatnonzero(where(picture, BLUE).any(axis=1)).max() < np.flatnonzero(where(picture, RED).any(axis=1)).min()
    )
    assert texts.index("usual") < texts.index("rare")


def test_kinds_look_and_are_called_differently(texts):
    share = {}
    for kind in ("outlined", "boxes", "points"):
        picture = class_bars([ClassObjects(name="a", color=RED, **{kind: 7})], 500)
        rows = rows_of(picture, RED)
        first, last = extent(picture, RED)
        bar = picture[rows[0] : rows[-1] + 1, first : last + 1]
        share[kind] = where(bar, RED).mean(), where(bar, PAPER).mean()
    assert share["outlined"] == (1.0, 0.0)
    assert share["boxes"][1] > 0.6
    assert share["points"][0] == pytest.approx(0.5, abs=0.1)
    assert share["points"][1] == 0
    assert {"7", "7 boxes", "7 points"} <= set(texts)


def test_a_class_of_several_kinds_is_named_once(texts):
    class_bars([ClassObjects(name="cell", color=RED, outlined=3, boxes=1, points=2)], 500)
    assert texts.count("cell") == 1
    assert {"3 outlined", "1 box", "2 points"} <= set(texts)
    assert any(text.startswith("Filled: outlined. Hollow: box only. Hatched: point only.") for text in texts)


@pytest.mark.parametrize("objects", [[], [ClassObjects(name="a", color=RED)]])
def test_nothing_annotated_is_said(objects, texts):
    assert class_bars(objects, 400).shape[1] == 400
    assert "No object is annotated." in texts
    size_rows(objects, 400, "um")
    assert "No object is outlined." in texts


def test_few_classes_without_an_object_are_listed_and_many_are_counted(texts):
    full = ClassObjects(name="full", color=RED, outlined=5)
    class_bars([full, ClassObjects(name="empty", color=BLUE)], 500)
    assert "empty" in texts
    texts.clear()
    class_bars([full, *(ClassObjects(name=f"empty {i}", color=BLUE) for i in range(39))], 500)
    assert "39 more classes have no object." in texts
    assert not any(text.startswith("empty") for text in texts)


def test_bars_beyond_sixty_are_summed_up(texts):
    picture = class_bars([ClassObjects(name=f"c{i}", color=RED, outlined=100 - i) for i in range(64)], 500)
    assert "4 further bars would hold 154 objects." in texts  # 40 + 39 + 38 + 37
    rows = where(picture, RED).any(axis=1)
    assert np.count_nonzero(np.diff(rows.astype(int)) == 1) == 60


def test_the_median_stands_where_the_axis_says(texts):
    values = np.array([1.0, 10.0, 100.0])
    picture = size_rows([ClassObjects(name="a", color=RED, diameters_um=values)], 700, "um")
    (base,) = np.flatnonzero(where(picture, MUTED).sum(axis=1) > 300)  # the line that the bars stand on
    axis = np.flatnonzero(where(picture, MUTED)[base])
    median = np.flatnonzero(where(picture, INK)[base - 60 : base].all(axis=0))
    assert median.mean() == pytest.approx(axis.mean(), abs=1.5)
    assert "median 10 um, n 3" in texts


def test_every_value_is_in_the_histogram():
    values = np.repeat([2.0, 20.0], [30, 10])
    picture = size_rows([ClassObjects(name="a", color=RED, diameters_um=values)], 700, "um")
    heights = where(picture, RED).sum(axis=0)
    bars = heights[heights > 0]
    assert set(np.unique(bars)) == {heights.max(), heights[heights > 0].min()}
    assert heights.max() / bars.min() == pytest.approx(3, rel=0.1)
    left, right = extent(picture, RED)
    assert heights[left] == heights.max() > heights[right]


def test_rare_classes_share_a_row(texts):
    objects = [
        ClassObjects(name=f"c{i}", color=RED, outlined=20 - i, diameters_um=np.full(20 - i, 5.0 + i)) for i in range(11)
    ]
    size_rows(objects, 700, "um")
    assert "3 other classes" in texts
    assert "c7" in texts
    assert "c8" not in texts
    assert f"median {np.median(np.repeat([13.0, 14.0, 15.0], [12, 11, 10])):g} um, n 33" in texts


def test_nine_classes_have_nine_rows(texts):
    size_rows([ClassObjects(name=f"c{i}", color=RED, diameters_um=np.ones(9 - i)) for i in range(9)], 700, "um")
    assert "c8" in texts
    assert not any("other classes" in text for text in texts)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_diameter_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="positive"):
        size_rows([ClassObjects(name="a", color=RED, diameters_um=np.array([1.0, bad]))], 400, "um")


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.floats(1e-3, 1e6), max_size=30), min_size=1, max_size=10),
    st.text(max_size=40),
    st.integers(380, 1700),
)
def test_any_sizes_and_names_make_a_chart_of_that_width(sizes, name, width):
    objects = [
        ClassObjects(name=f"{name}{i}", color=RED, outlined=len(values), points=i, diameters_px=np.array(values))
        for i, values in enumerate(sizes)
    ]
    assert class_bars(objects, width).shape[1] == width
    chart = size_rows(objects, width, "px")
    assert chart.shape[1] == width
    assert where(chart, RED).any() == any(sizes[:8]) or sum(map(bool, sizes)) > 8


def patch(**options) -> SheetPatch:
    return SheetPatch(**{"image": np.full((64, 64, 3), 210, np.uint8), "title": "p\ndetail", **options})


def sheet(patches, objects=(), **options):
    return dataset_sheet(iter(patches), list(objects), count=len(patches), title="name", **options)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24])
@pytest.mark.parametrize("classes", [0, 1, 40])
def test_any_number_of_patches_and_classes(count, classes):
    objects = [ClassObjects(name=f"c{i}", color=RED, outlined=i, diameters_um=np.ones(i)) for i in range(classes)]
    picture = sheet([patch()] * count, objects, detail="1 patch", total=99, legend={o.name: o.color for o in objects})
    assert picture.dtype == np.uint8
    assert picture.shape[1] >= 800
    assert where(picture, RED).any() == (classes > 0)
    np.testing.assert_array_equal(picture[:, [0, -1]], 255)


def test_both_units_are_shown_where_the_resolution_is_known_for_some(texts):
    both = ClassObjects(name="a", color=RED, diameters_um=np.array([5.0]), diameters_px=np.array([20.0]))
    sheet([patch()], [both])
    assert {"Equivalent diameter, um", "Equivalent diameter, px (resolution unknown)"} <= set(texts)
    assert {"median 5 um, n 1", "median 20 px, n 1"} <= set(texts)


def test_outlines_boxes_and_points_are_drawn():
    labels = np.zeros((64, 64), np.int32)
    labels[4:20, 4:20] = 1
    marks = Instances.build(
        [shapely.box(40, 4, 60, 20), shapely.Point(10.5, 50.5), shapely.Point(50.5, 50.5), shapely.Point(0, 0)],
        kind=["box", "point", "point", "point"],
        class_name=["a", "a", None, "a"],
    )
    picture = sheet([patch(labels=labels, colors="#010203", marks=marks, mark_colors={"a": BLUE})])
    tile = np.argwhere(np.all(picture == 210, axis=2))
    (top, left), (bottom, right) = tile.min(axis=0), tile.max(axis=0) + 1
    assert (bottom - top, right - left) == (640, 640)
    at = where(picture, BLUE)[top:bottom, left:right]
    assert at[40, 400:600].all()  # the upper side of the box, ten pixels of the sheet a pixel
    assert not at[100, 500]
    assert at[505, 105]
    assert at[0, 0]
    assert where(picture, UNCLASSIFIED)[top + 505, left + 505]
    assert where(picture, "#010203").any()


def tile_of(picture: np.ndarray, color: int) -> tuple[slice, slice]:
    """Where a tile of a grey lies on a sheet."""
    at = np.argwhere(np.all(picture == color, axis=2))
    (top, left), (bottom, right) = at.min(axis=0), at.max(axis=0) + 1
    return slice(top, bottom), slice(left, right)


def test_tissue_is_tinted_in_dashed_lines_and_ignored_areas_are_hatched():
    regions, ignore = np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool)
    regions[8:32, 8:32], ignore[40:60, 8:28] = 2, True
    rings = Instances.build([shapely.box(40, 8, 60, 28)], class_name=["gland"])
    picture = sheet(
        [
            patch(
                regions=regions,
                region_colors=["#000000", RED],
                region_marks=rings,
                region_mark_colors={"gland": BLUE},
                ignore=ignore,
                ignore_marks=Instances.build([shapely.box(40, 40, 60, 60)]),
            )
        ]
    )
    tile = picture[tile_of(picture, 210)]
    assert tile.shape == (640, 640, 3)
    for color, left in ((RED, 80), (BLUE, 400)):  # ten pixels of the sheet a pixel
        side = where(tile, color)[80:82, left + 20 : left + 180].all(axis=0)
        assert 0.5 < side.mean() < 0.95
    inside = tile[150, 150].astype(int)
    assert inside[0] > inside[2]  # a tint of red
    assert 150 < inside[1] < 210
    assert tuple(tile[150, 500]) == (210, 210, 210)  # there is a map, so outlines tint nothing
    for left in (80, 400):
        veil = tile[420:580, left + 20 : left + 180]
        assert len(np.unique(veil.reshape(-1, 3), axis=0)) == 2
        assert (veil != 210).any(axis=2).all()


def test_outlines_of_tissue_tint_where_there_is_no_map_and_small_ones_lie_on_top():
    rings = Instances.build([shapely.box(20, 20, 30, 30), shapely.box(5, 5, 60, 60)], class_name=["a", "b"])
    picture = sheet([patch(region_marks=rings, region_mark_colors={"a": RED, "b": BLUE})])
    tile = picture[tile_of(picture, 210)]
    small, large = tile[250, 250].astype(int), tile[450, 450].astype(int)
    assert small[0] > small[2]
    assert large[2] > large[0]


@pytest.mark.parametrize("ground", [(255, 255, 255), (200, 147, 189), (61, 34, 108)])
@pytest.mark.parametrize("count", [1, 24])
def test_points_are_seen_on_any_tissue(ground, count):
    image = np.full((500, 500, 3), ground, np.uint8)
    marks = Instances.build([shapely.Point(100.5, 150.5), shapely.Point(400, 400)], kind=["point"] * 2, class_name="a")
    picture = sheet([patch(image=image, marks=marks, mark_colors={"a": "#2579ff"})] * count)
    drawn = where(picture, "#2579ff").sum() / (2 * count)
    assert drawn >= 25  # a disc of radius 3 and more
    light = (picture.astype(int) > np.array(ground) + 20).any(axis=2) & (picture < 255).any(axis=2)
    assert light.any() or ground == (255, 255, 255)


def test_points_of_a_crowd_are_smaller_and_stay_apart():
    grid = [shapely.Point(10 + 8 * i, 10 + 8 * j) for i in range(30) for j in range(30)]
    marks = Instances.build(grid, kind=["point"] * len(grid), class_name="a")
    picture = sheet([patch(image=np.full((256, 256, 3), 210, np.uint8), marks=marks, mark_colors={"a": BLUE})] * 24)
    _, found = ndimage.label(where(picture, BLUE))
    assert found == 24 * len(grid)


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (4.4, 4.9), (3.0, 9.0), (1.0, 400.0), (0.01, 9e5)])
def test_diameters_stand_on_an_axis_with_three_ticks_or_more(texts, low, high):
    values = np.geomspace(low, high, 50)
    for width in (380, 480, 900):
        texts.clear()
        size_rows([ClassObjects(name="tumour", color=RED, diameters_um=values)], width, "um")
        ticks = [float(text.replace(",", "")) for text in texts if re.fullmatch(r"[\d.,e+-]+", text)]
        assert len(ticks) >= 3
        assert ticks == sorted(ticks)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_counts_stand_on_an_axis_with_three_ticks_or_more(texts, count):
    class_bars([ClassObjects(name="tumour", color=RED, outlined=count)], 480)
    ticks = [text for text in texts if re.fullmatch(r"[\d,]+", text)]
    assert len(set(ticks)) >= 3


def test_long_names_of_classes_are_whole_and_push_the_rows_apart():
    name = "a class with a name that is longer than any chart is wide, and then some, since people do that"
    objects = [
        ClassObjects(name=name, color=RED, outlined=9, diameters_um=np.full(9, 5.0)),
        ClassObjects(name="b", color=BLUE, outlined=9, diameters_um=np.full(9, 5.0)),
    ]
    for chart in (class_bars(objects, 480), size_rows(objects, 480, "um")):
        red, blue = rows_of(chart, RED), rows_of(chart, BLUE)
        assert red.max() < blue.min()
        lines = len(wrapped(name, extent(chart, RED)[0] - 10, 12))
        assert blue.mean() - red.mean() >= 0.5 * lines * 17
        assert chart.shape[1] == 480


def test_no_caption_is_cut(monkeypatch: pytest.MonkeyPatch):
    drawn: list[tuple[str, list[str]]] = []

    def remember(text, width, size, *, bold=False):
        lines = wrapped(text, width, size, bold=bold)
        drawn.append((text, lines))
        assert all(len(line) == 1 or lettering.font(size, bold=bold).getlength(line) <= width for line in lines)
        return lines

    monkeypatch.setattr(lettering, "wrapped", remember)
    objects = [
        ClassObjects(name="outlined " * 4, color=RED, outlined=9000, boxes=3, points=1, diameters_um=np.full(9, 5.0))
    ]
    title = "training_set_metastatic_roi_001_of_a_data_set_with_long_names\n" + "a detail, " * 12
    sheet([patch(title=title)] * 24, objects, detail="a line about the data set, " * 20, total=9999)
    texts = [text for text, _ in drawn]
    assert any("each row is scaled to its own highest bar, the line is the median." in text for text in texts)
    for text, lines in drawn:
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_the_same_objects_give_the_same_picture():
    objects = [ClassObjects(name="a", color=RED, outlined=3, diameters_um=np.array([3.0, 4.0, 5.0]))]
    np.testing.assert_array_equal(sheet([patch()], objects), sheet([patch()], objects))


@pytest.mark.parametrize(
    "patches",
    [[], [patch(image=np.zeros((4, 4), np.uint8))], [patch(labels=np.zeros((3, 3), int))]],
)
def test_what_cannot_be_drawn_is_refused(patches):
    with pytest.raises(InputError):
        sheet(patches)
