"""The palette: stable, distinct, and told apart by readers who see fewer colours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.errors import InputError
from histoseed.pictures import OUTCOMES, UNCLASSIFIED, label_colors, palette
from histoseed.pictures.colors import colors_of, contrast, rgb

names = st.lists(st.text(max_size=8) | st.sampled_from(["Tumor", "tumor", "neoplastic", "stroma"]), max_size=40)


@given(names, st.randoms())
def test_palette_is_distinct_and_does_not_depend_on_the_order(classes, random):
    colors = palette(classes)
    assert list(colors) == list(dict.fromkeys(classes))
    assert len(set(colors.values())) == len(colors)
    assert UNCLASSIFIED not in colors.values()
    shuffled = list(classes)
    random.shuffle(shuffled)
    assert palette(shuffled) == colors


def test_settled_colours_are_kept_and_not_given_again():
    first = palette(["a"])["a"]
    colors = palette(["a", "b", "c"], {"b": first.upper(), "elsewhere": "#000000"})
    assert colors["b"] == first
    assert len(set(colors.values())) == 3
    assert set(colors) == {"a", "b", "c"}


def test_a_hundred_classes_get_a_hundred_colours():
    assert len(set(palette([f"class {i}" for i in range(100)]).values())) == 100


def _seen_with_deuteranopia(color: str) -> np.ndarray:
    # Vienot, Brettel and Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats"
    # (1999), on linear light.
    linear = (np.array(rgb(color)) / 255) ** 2.2
    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    return 255 * np.clip(matrix @ linear, 0, 1) ** (1 / 2.2)


def test_the_six_hues_and_yellow_differ_with_deuteranopia():
    hues = [*palette(list("abcdef")).values(), UNCLASSIFIED]
    for a, b in itertools.combinations(hues, 2):
        assert np.linalg.norm(_seen_with_deuteranopia(a) - _seen_with_deuteranopia(b)) > 20, (a, b)


def test_outcomes_of_one_side_have_different_colours():
    for side in (
        ("matched", "merged", "split", "inaccurate", "missed"),
        ("matched", "merge", "fragment", "inaccurate", "false"),
    ):
        assert len({OUTCOMES[name] for name in side}) == len(side)


def test_label_colors_follow_the_classes():
    table = label_colors([0, 2, 1, 0, 2], ["x", "y"], {"y": "#0102ff"})
    assert table.tolist()[1] == [1, 2, 255]
    assert table.tolist()[4] == [1, 2, 255]
    assert tuple(table[2]) == rgb(palette(["x", "y"], {"y": "#0102ff"})["x"])
    assert tuple(table[3]) == rgb(UNCLASSIFIED)


@pytest.mark.parametrize("ids", [[0, 3], [-1], [[0, 1]]])
def test_a_class_id_without_a_name_is_refused(ids):
    with pytest.raises(InputError):
        label_colors(ids, ["x", "y"])


def test_labels_beyond_the_table_or_the_mapping_are_unclassified():
    labels = np.array([1, 3, 4_000_000_000], dtype=np.uint32)
    table = np.array([[0, 0, 0], [9, 9, 9]], np.uint8)
    expected = [(9, 9, 9), rgb(UNCLASSIFIED), rgb(UNCLASSIFIED)]
    assert [tuple(c) for c in colors_of(labels, table)] == expected
    assert [tuple(c) for c in colors_of(labels, {1: "#090909"})] == expected
    assert {tuple(c) for c in colors_of(labels, None)} == {rgb(UNCLASSIFIED)}


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "123456", "#1234567", ""])
def test_another_notation_is_refused(color):
    with pytest.raises(InputError):
        rgb(color)
    with pytest.raises(InputError):
        palette(["a"], {"a": color})


def test_a_colour_table_of_another_type_is_refused():
    with pytest.raises(InputError):
        colors_of(np.array([1]), np.zeros((3, 3)))


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == pytest.approx(1)
