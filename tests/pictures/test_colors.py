"""The palette: stable, distinct, and told apart by readers who see fewer colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from histoseed.annotations import class_color
from histoseed.datasets import named_classes
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


def _seen(colors: Sequence[str], matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIELAB of colours (n, 3), through a matrix on linear sRGB."""
    linear = np.array([rgb(color) for color in colors]) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4) @ matrix.T
    linear = np.clip(linear, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009),
# severity 1.
VISIONS = {
    "usual": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}

# Centres of k-means over the nuclei and over all else of 50 H&E images of four data sets, and two strong eosins.
H_AND_E = [
    "#83528c", "#3d226c", "#5d3678", "#b984b4", "#231255",
    "#8f5199", "#ae6ca6", "#c993bd", "#e9cddf", "#643783", "#c85a82", "#dc7896",
]  # fmt: skip


def _distances(colors: Sequence[str], others: Sequence[str], vision: str) -> npt.NDArray[np.float64]:
    """CIEDE2000 of each colour to each other one, (n, m)."""
    here, there = (_seen(some, VISIONS[vision]) for some in (colors, others))
    return deltaE_ciede2000(here[:, None], there[None])


@pytest.mark.parametrize(
    ("count", "vision", "apart", "from_tissue"),
    [
        (6, "usual", 28, 27),
        (6, "deuteranopia", 14, 13),
        (6, "protanopia", 13, 12),
        (13, "usual", 15, 16),
        (13, "deuteranopia", 10, 9),
        (20, "usual", 12, 14),
        (20, "deuteranopia", 7, 7),
    ],
)
def test_class_colours_differ_from_each_other_and_from_stained_tissue(count, vision, apart, from_tissue):
    colors = [*palette([f"class {i}" for i in range(count)]).values(), UNCLASSIFIED]
    between = _distances(colors, colors, vision)[np.triu_indices(len(colors), 1)]
    assert between.min() >= apart
    assert _distances(colors, H_AND_E, vision).min() >= from_tissue


def test_forty_classes_are_still_told_apart():
    colors = [*palette([f"class {i}" for i in range(40)]).values(), UNCLASSIFIED]
    between = _distances(colors, colors, "usual")[np.triu_indices(len(colors), 1)]
    assert between.min() >= 6


def test_customary_classes_have_their_colour_whatever_else_there_is():
    alone = palette(["tumour", "lymphocyte", "stroma"])
    among = palette(["a", "b", "stroma", "c", "lymphocyte", "d", "e", "tumour"])
    assert {name: among[name] for name in alone} == alone
    assert class_color("Tumour") == alone["tumour"]


def test_a_data_set_gets_the_palette_and_keeps_what_it_states():
    names = ["a", "b", "c", "d"]
    assert {one.name: one.color for one in named_classes(names)} == palette(names)
    stated = {one.name: one.color for one in named_classes(names, {"b": "#8A00Ff"})}
    assert stated["b"] == "#8A00Ff"
    assert len({color.lower() for color in stated.values()}) == 4


def test_a_colour_next_to_a_settled_one_is_not_given():
    taken = palette(["a"])["a"]
    nearly = "#{:02x}{:02x}{:02x}".format(*(min(255, value + 5) for value in rgb(taken)))
    chosen = palette(["a", "b"], {"b": nearly})["a"]
    assert sum(abs(x - y) for x, y in zip(rgb(chosen), rgb(nearly), strict=True)) > 30


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
