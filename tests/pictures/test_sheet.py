"""Contact sheets hold every patch, whatever its size, and say what they leave out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.pictures import contact_sheet
from histoseed.pictures.lettering import LegendKey, font, legend_strip, wrapped

COLORS = [(200, 30, 40), (30, 180, 60), (40, 50, 220), (180, 170, 20), (150, 20, 160)]


def flat(i: int, height: int = 20, width: int = 20) -> np.ndarray:
    return np.full((height, width, 3), COLORS[i], np.uint8)


def area(sheet: np.ndarray, color: tuple[int, int, int]) -> tuple[int, int]:
    rows, columns = np.nonzero(np.all(sheet == color, axis=2))
    return rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


def test_every_patch_is_scaled_to_the_same_longer_side():
    images = [flat(0, 8, 8), flat(1, 300, 150), flat(2, 1, 40), flat(3, 64, 64), flat(4, 9, 900)]
    sheet = contact_sheet(images, [f"patch {i}" for i in range(5)], side=64, columns=2)
    assert [area(sheet, color) for color in COLORS] == [(64, 64), (64, 32), (2, 64), (64, 64), (1, 64)]
    assert sheet.dtype == np.uint8


def test_patches_stand_in_reading_order():
    sheet = contact_sheet([flat(i) for i in range(4)], columns=2, side=20)
    corner = [np.argwhere(np.all(sheet == color, axis=2)).min(axis=0) for color in COLORS[:4]]
    assert corner[0][0] == corner[1][0] < corner[2][0] == corner[3][0]
    assert corner[0][1] == corner[2][1] < corner[1][1] == corner[3][1]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(1, 14), st.integers(1, 30), st.none() | st.integers(1, 20))
def test_any_number_of_patches_makes_a_sheet(count, limit, side, columns):
    sheet = contact_sheet([flat(i % 5) for i in range(count)], side=side, limit=limit, columns=columns)
    drawn = sum(np.count_nonzero(np.all(sheet == color, axis=2)) for color in COLORS)
    assert drawn == min(count, limit) * side * side


def test_what_is_left_out_is_said():
    images = [flat(0)] * 4
    whole = contact_sheet(images, columns=2, side=120)
    cut = contact_sheet([*images, flat(0)], columns=2, side=120, limit=4)
    chosen = contact_sheet(images, columns=2, side=120, total=9)
    assert len(cut) == len(chosen) > len(whole)
    foot = cut[len(whole) - 20 :]
    assert (foot < 200).any()
    assert not np.array_equal(cut, chosen)


def test_outlines_are_drawn_in_the_colour_of_the_label():
    labels = np.zeros((10, 10), np.int32)
    labels[2:8, 2:8] = 3
    sheet = contact_sheet([flat(0, 10, 10), flat(1, 10, 10)], labels=[labels, None], colors=["#010203", None], side=100)
    drawn = np.argwhere(np.all(sheet == (1, 2, 3), axis=2))
    assert np.ptp(drawn, axis=0).tolist() == [59, 59]
    assert np.count_nonzero(np.all(sheet == COLORS[1], axis=2)) == 100 * 100


def test_the_legend_shows_its_colours():
    sheet = contact_sheet([flat(0)], legend={"tumor": "#010203", "stroma $x$": "#040506"}, side=200)
    assert area(sheet, (1, 2, 3)) == (14, 14)
    assert area(sheet, (4, 5, 6)) == (14, 14)


def test_a_legend_that_is_too_wide_goes_on_in_the_next_row():
    keys = [LegendKey(f"a rather long class name {i}", f"#0000{i + 1:02x}") for i in range(6)]
    strip = legend_strip(keys, 500, heading="Outlines")
    assert len(strip) > 28
    places = [np.argwhere(np.all(strip == (0, 0, i + 1), axis=2)) for i in range(6)]
    assert all(len(place) == 14 * 14 for place in places)
    corners = [tuple(place.min(axis=0)) for place in places]
    assert corners == sorted(set(corners))


@given(st.text(max_size=60), st.integers(0, 300), st.booleans())
def test_texts_are_wrapped_and_nothing_is_left_out(text, width, bold):
    lines = wrapped(text, width, 14, bold=bold)
    assert all(len(line) <= 1 or font(14, bold=bold).getlength(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.encode("utf-8", "replace").decode().split())


def test_lines_break_at_blanks_first_and_then_at_signs():
    assert wrapped("a rather long title", 80, 14) == ["a rather", "long title"]
    lines = wrapped("TCGA-18-5592-01Z-00-DX1_upper_left", 120, 14)
    assert len(lines) > 1
    assert all(line[-1] in "-_" for line in lines[:-1])
    assert wrapped("", 50, 14) == [""]


def test_long_titles_stand_above_their_patch_and_patches_of_a_row_begin_at_one_height():
    long = " ".join(["word"] * 60)
    sheet = contact_sheet([flat(0), flat(1)], [f"{long}\n{long}", "short\ndetail"], side=120, columns=2)
    corners = [np.argwhere(np.all(sheet == color, axis=2)).min(axis=0) for color in COLORS[:2]]
    assert corners[0][0] == corners[1][0]
    column = sheet[: corners[0][0], corners[0][1] : corners[0][1] + 120]
    inked = (column < 200).all(axis=2)
    # Every line of the title is there, and none reaches into the gap between the patches.
    rows = inked.any(axis=1).astype(int)
    assert np.count_nonzero(np.diff(rows) == 1) >= len(wrapped(long, 120, 14, bold=True)) + len(wrapped(long, 120, 12))
    assert (sheet[: corners[0][0], corners[0][1] + 120 : corners[1][1]] == 255).all()


def test_a_legend_text_wider_than_the_sheet_is_wrapped():
    key = LegendKey("a class whose name nobody would ever choose but somebody did", "#010203")
    strip = legend_strip([key, LegendKey("b", "#040506")], 120)
    assert (strip[:, -1] == 255).all()
    first, second = (np.argwhere(np.all(strip == color, axis=2)) for color in ((1, 2, 3), (4, 5, 6)))
    assert len(first) == len(second) == 14 * 14
    assert second.min(axis=0)[0] >= 20 * len(wrapped(key.text, 120 - 21, 14))


def test_swatches_of_regions_and_ignored_areas_look_different():
    strips = [legend_strip([LegendKey("x", "#0102ff", filling)], 100) for filling in ("filled", "hatched", "region")]
    shares = [np.all(strip == (1, 2, 255), axis=2).sum() for strip in strips]
    assert shares[0] == 14 * 14
    assert 0 < shares[2] < shares[1] < shares[0]


def test_odd_titles_are_drawn():
    titles = ["\udcff broken \x00 name", "核 \u202e <b>", "", "one\ntwo\nthree"]
    sheet = contact_sheet([flat(0)] * 4, titles, side=120)
    assert (sheet < 100).any()


@pytest.mark.parametrize(
    ("images", "options"),
    [
        ([], {}),
        ([flat(0)], {"titles": ["a", "b"]}),
        ([flat(0)], {"labels": []}),
        ([flat(0)], {"colors": [None, None]}),
        ([flat(0)], {"side": 0}),
        ([flat(0)], {"limit": 0}),
        ([flat(0)], {"columns": 0}),
        ([flat(0)], {"columns": -1}),
        ([flat(0)[..., 0]], {}),
        ([flat(0)], {"labels": [np.zeros((3, 3), int)]}),
    ],
)
def test_what_cannot_be_drawn_is_refused(images, options):
    with pytest.raises(InputError):
        contact_sheet(images, **options)
