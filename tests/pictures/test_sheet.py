"""Contact sheets hold every patch, whatever its size, and say what they leave out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.pictures import contact_sheet
from histoseed.pictures.lettering import LegendKey, fit_text, font, legend_strip

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
def test_titles_fit(text, width, bold):
    line = fit_text(text, width, 14, bold=bold)
    assert "\n" not in line
    assert line == "…" or font(14, bold=bold).getlength(line) <= width


def test_titles_are_cut_in_the_middle():
    line = fit_text("TCGA-18-5592-01Z-00-DX1 left upper corner", 120, 14)
    assert line.startswith("TCGA")
    assert line.endswith("ner")
    assert "…" in line


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
