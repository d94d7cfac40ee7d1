"""Each pixel of an error map is what a definition read aloud says it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.errors import InputError
from histoseed.pictures import OUTCOME_CODES, OUTCOMES, comparison, error_map, outcome_codes
from histoseed.pictures.colors import rgb
from histoseed.pictures.compare import _counts
from histoseed.pictures.lettering import font

shapes = st.shared(st.tuples(st.integers(1, 6), st.integers(1, 6)), key="shape")
label_images = hnp.arrays(np.uint32, shapes, elements=st.integers(0, 4))
masks = hnp.arrays(np.bool_, shapes)
matchings = st.permutations([1, 2, 3, 4, 9]).flatmap(
    lambda right: st.integers(0, 4).map(lambda n: np.array(list(zip([3, 1, 4, 2], right, strict=False))[:n]))
)


def by_definition(truth, predicted, pairs, ignore):
    partner = dict(np.asarray(pairs).reshape(-1, 2).tolist())
    out = np.zeros(truth.shape, np.uint8)
    for at in np.ndindex(truth.shape):
        t, p = int(truth[at]), int(predicted[at])
        if ignore is not None and ignore[at]:
            name = "ignored"
        elif t and t not in partner:
            name = "missed"
        elif p and p not in partner.values():
            name = "false"
        elif t and partner[t] == p:
            name = "matched"
        elif t or p:
            name = "boundary"
        else:
            continue
        out[at] = OUTCOME_CODES[name]
    return out


@given(label_images, label_images, matchings, st.none() | masks)
def test_outcome_codes_follow_the_definition(truth, predicted, pairs, ignore):
    found = outcome_codes(truth, predicted, pairs, ignore)
    assert np.array_equal(found, by_definition(truth, predicted, pairs, ignore))


def test_labels_beyond_32_bit_signed_are_matched():
    truth = np.array([[4_000_000_000, 0, 5]], np.uint32)
    assert outcome_codes(truth, truth, [[4_000_000_000, 4_000_000_000]]).tolist() == [[1, 0, 3]]


def test_error_map_puts_the_hue_of_each_outcome_on_its_pixels():
    truth, predicted = np.zeros((30, 30), int), np.zeros((30, 30), int)
    truth[2:10, 2:10], predicted[2:10, 2:12] = 1, 1
    truth[20:28, 2:10] = 2
    predicted[20:28, 20:28] = 2
    image = np.full((30, 30, 3), 128, np.uint8)
    out = error_map(image, truth, predicted, [[1, 1]]).astype(int)
    codes = outcome_codes(truth, predicted, [[1, 1]])
    for name in ("matched", "missed", "false", "boundary"):
        mean = out[codes == OUTCOME_CODES[name]].mean(axis=0)
        distance = {
            other: np.linalg.norm(mean - rgb(OUTCOMES[other])) for other in ("matched", "missed", "false", "boundary")
        }
        assert min(distance, key=distance.get) == name
    background = out[codes == 0]
    assert (np.ptp(background, axis=1) == 0).all()
    assert tuple(out[20, 2]) == rgb(OUTCOMES["missed"])
    assert tuple(out[20, 20]) == rgb(OUTCOMES["false"])
    assert len(np.unique(out[22:26, 22:26].reshape(-1, 3), axis=0)) == 2  # hatched: told apart without colour


@given(label_images, label_images, matchings, st.none() | masks)
def test_counts_add_up(truth, predicted, pairs, ignore):
    counts = _counts(truth, predicted, pairs, ignore)
    table = np.asarray(pairs).reshape(-1, 2)
    seen = [labels[labels > 0] if ignore is None else labels[(labels > 0) & ~ignore] for labels in (truth, predicted)]
    assert counts["matched"] == len(table)
    assert counts["missed"] == len(set(seen[0].tolist()) - set(table[:, :1].ravel().tolist()))
    assert counts["false"] == len(set(seen[1].tolist()) - set(table[:, 1:].ravel().tolist()))


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_comparison_shows_all_four_panels(patch, columns):
    image, labels = patch
    blue, red = "#0000fe", "#fe0000"
    sheet = comparison(image, labels, np.roll(labels, 1, axis=1), [[1, 1]], truth_colors=blue, predicted_colors=red,
                       columns=columns, side=120)  # fmt: skip
    assert sheet.shape[1] == 40 + 120 * columns + 12 * (columns - 1)
    corner = {color: np.argwhere(np.all(sheet == rgb(color), axis=2)).min(axis=0) for color in (blue, red)}
    down, across = corner[red] - corner[blue]
    # Truth is the second panel, prediction the third.
    assert (down > 60) == (columns < 4)
    assert np.sign(round(across / 120)) == {1: 0, 2: -1, 4: 1}[columns]


@pytest.mark.parametrize("shape", [(200, 8), (8, 200), (1, 1), (300, 300)])
@pytest.mark.parametrize("columns", [1, 2, 4])
def test_titles_and_legend_can_be_read_at_any_shape(shape, columns):
    image = np.full((*shape, 3), 120, np.uint8)
    labels = np.zeros(shape, np.int32)
    labels[: max(1, shape[0] // 2), : max(1, shape[1] // 2)] = 1
    sheet = comparison(image, labels, labels, [[1, 1]], classes={"a rather long name of a class": "#010203"}, side=400,
                       columns=columns)  # fmt: skip
    assert (sheet[:, [0, -1]] == 255).all()
    # A sheet wider than the page of a report is shown smaller there, so that its letters are larger here.
    swatch = np.sqrt(np.all(sheet == (1, 2, 3), axis=2).sum())
    assert swatch == max(14, round(14 * columns * (400 if shape[1] >= shape[0] else 16) / 1000))
    letters = font(14, bold=True).getlength("Differences")
    assert sheet.shape[1] >= columns * letters


def test_an_empty_prediction_is_compared(patch):
    image, labels = patch
    sheet = comparison(image, labels, labels * 0, np.zeros((0, 2), int), classes={"tumor": "#010203"})
    assert np.all(sheet == rgb(OUTCOMES["missed"]), axis=2).sum() > 100
    assert np.all(sheet == (1, 2, 3), axis=2).sum() == 14 * 14
    assert np.array_equal(sheet, comparison(image, labels, labels * 0, [], classes={"tumor": "#010203"}))


@pytest.mark.parametrize(
    "pairs", [[[1, 1], [1, 2]], [[1, 1], [2, 1]], [[0, 1]], [[-1, 1]], [[1, 2, 3]], [1, 2], [[0.5, 1.0]]]
)
def test_pairs_that_are_no_matching_are_refused(patch, pairs):
    image, labels = patch
    for call in (outcome_codes, lambda *a: error_map(image, *a), lambda *a: comparison(image, *a)):
        with pytest.raises(InputError):
            call(labels, labels, pairs)


def test_arrays_that_do_not_fit_are_refused(patch):
    image, labels = patch
    calls = [
        lambda: outcome_codes(labels, labels[:-1], []),
        lambda: outcome_codes(labels[0], labels[0], []),
        lambda: outcome_codes(labels, labels, [], np.zeros((1, 1), bool)),
        lambda: outcome_codes(labels, labels, [], np.zeros(labels.shape)),
        lambda: error_map(image[:-1], labels, labels, []),
        lambda: comparison(image, labels, labels, [], columns=3),
        lambda: comparison(image, labels, labels, [], side=0),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()
