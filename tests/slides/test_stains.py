"""Stain normalisation on pictures whose stains are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.slides import MacenkoStain, NoStain, ReinhardStain, Stain, fit_stain, recolouring, reference_of
from histoseed.slides.stains_density import density, is_tissue

OURS = np.array([[0.65, 0.70, 0.29], [0.10, 0.95, 0.28]])
THEIRS = np.array([[0.50, 0.76, 0.42], [0.22, 0.80, 0.56]])
OURS, THEIRS = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (OURS, THEIRS))
METHODS = ["macenko", "reinhard"]


def amounts(seed: int = 0, size: int = 160) -> np.ndarray:
    """(S, S, 2) of both stains: a tenth haematoxylin alone, a fifth eosin alone, the rest a mixture."""
    rng = np.random.default_rng(seed)
    both = rng.uniform(0.3, [1.8, 1.1], (size, size, 2))
    kind = rng.random((size, size))
    both[kind < 0.1, 1] = 0
    both[(kind >= 0.1) & (kind < 0.3), 0] = 0
    return both


def picture(stains: np.ndarray, seed: int = 0, strength: float = 1.0) -> np.ndarray:
    """(S, S, 3) uint8 after Beer and Lambert."""
    return np.rint(256 * np.exp(-strength * amounts(seed) @ stains) - 1).clip(0, 255).astype(np.uint8)


def look(method: str, image: np.ndarray) -> Stain:
    found = fit_stain(method, image.reshape(-1, 3))
    assert not isinstance(found, NoStain), found.reason
    return found


def degrees(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(first, second), -1, 1))))


def test_density_is_that_of_beer_and_lambert() -> None:
    values = np.array([255, 127, 0], np.uint8)
    np.testing.assert_allclose(density(values), [0, np.log(2), np.log(256)])


@pytest.mark.parametrize("stains", [OURS, THEIRS])
@pytest.mark.parametrize("strength", [0.6, 1.0, 1.4])
def test_known_stains_are_recovered(stains: np.ndarray, strength: float) -> None:
    found = look("macenko", picture(stains, strength=strength))
    assert isinstance(found, MacenkoStain)
    assert degrees(found.haematoxylin, stains[0]) < 0.5
    assert degrees(found.eosin, stains[1]) < 0.5
    full = np.percentile(amounts().reshape(-1, 2) * strength, 99, axis=0)
    np.testing.assert_allclose(found.strengths, full, rtol=0.03)


def test_the_same_amounts_in_other_stains_become_the_reference_picture() -> None:
    ours, theirs = picture(OURS), picture(THEIRS, strength=0.8)
    changed = recolouring(look("macenko", theirs), look("macenko", ours)).apply(theirs)
    difference = np.abs(changed.astype(int) - ours)
    assert difference.max() <= 8
    assert difference.mean() < 1


def test_macenko_of_two_stains_is_unmixing_and_mixing_again() -> None:
    """Against the textbook: least squares into two amounts, scaled, multiplied by the vectors of the reference."""
    source = MacenkoStain(tuple(THEIRS[0]), tuple(THEIRS[1]), (1.2, 0.9))
    target = MacenkoStain(tuple(OURS[0]), tuple(OURS[1]), (1.8, 0.6))
    image = picture(THEIRS)
    depth = -np.log((image.reshape(-1, 3) + 1.0) / 256)
    unmixed = np.linalg.lstsq(THEIRS.T, depth.T, rcond=None)[0]
    rest = depth.T - THEIRS.T @ unmixed
    mixed = OURS.T @ (unmixed * [[1.5], [2 / 3]])
    # What neither stain explains is rounding here: it may be kept or dropped.
    dropped = (256 * np.exp(-mixed.T) - 1).clip(0, 255).reshape(image.shape)
    assert np.abs(rest).max() < 0.05
    assert np.abs(recolouring(source, target).apply(image) - dropped).max() <= 3


def test_reinhard_against_its_equations() -> None:
    source, target = picture(THEIRS), picture(OURS, seed=1)
    to_lms = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
    to_lab = np.diag(1 / np.sqrt([3, 6, 2])) @ [[1, 1, 1], [1, 1, -2], [1, -1, 0]]

    def lab(image: np.ndarray) -> np.ndarray:
        return np.log((image.reshape(-1, 3) + 1.0) / 256 @ to_lms.T) @ to_lab.T

    mine, theirs = (lab(im)[is_tissue(im.reshape(-1, 3))] for im in (source, target))
    moved = (lab(source) - mine.mean(0)) * theirs.std(0) / mine.std(0) + theirs.mean(0)
    expected = 256 * np.exp(moved @ np.linalg.inv(to_lab).T) @ np.linalg.inv(to_lms).T - 1
    tissue = density(source).mean(-1) >= 0.15
    changed = recolouring(look("reinhard", source), look("reinhard", target)).apply(source)
    np.testing.assert_array_equal(changed[tissue], np.rint(expected.reshape(source.shape).clip(0, 255))[tissue])


@pytest.mark.parametrize("method", METHODS)
def test_the_result_has_the_look_of_the_reference_and_stays_so(method: str) -> None:
    theirs = picture(THEIRS, strength=0.8)
    reference = look(method, picture(OURS, seed=3))
    once = recolouring(look(method, theirs), reference).apply(theirs)
    again = look(method, once)
    for name in ("haematoxylin", "eosin", "strengths", "mean", "spread"):
        if hasattr(reference, name):
            np.testing.assert_allclose(getattr(again, name), getattr(reference, name), atol=0.02)
    twice = recolouring(again, reference).apply(once)
    assert np.abs(twice.astype(int) - once).max() <= 3
    assert np.abs(twice.astype(int) - once).mean() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_that_is_the_reference_does_not_change(method: str) -> None:
    image = picture(OURS)
    own = look(method, image)
    np.testing.assert_array_equal(recolouring(own, own).apply(image), image)


@pytest.mark.parametrize("method", METHODS)
def test_white_stays_white_and_glass_nearly(method: str) -> None:
    colours = recolouring(look(method, picture(THEIRS)), look(method, picture(OURS)))
    glass = np.array([[[255, 255, 255], [247, 246, 248]]], np.uint8)
    changed = colours.apply(glass)
    assert changed[0, 0].tolist() == [255, 255, 255]
    assert np.abs(changed[0, 1].astype(int) - glass[0, 1]).max() <= 5


@settings(max_examples=20, deadline=None)
@given(x=st.integers(1, 159), y=st.integers(1, 159))
@pytest.mark.parametrize("method", METHODS)
def test_tiles_give_the_same_pixels(method: str, x: int, y: int) -> None:
    theirs = picture(THEIRS)
    colours = recolouring(look(method, theirs), look(method, picture(OURS)))
    tiles = [[theirs[:y, :x], theirs[:y, x:]], [theirs[y:, :x], theirs[y:, x:]]]
    apart = np.concatenate([np.concatenate([colours.apply(tile) for tile in row], axis=1) for row in tiles])
    np.testing.assert_array_equal(apart, colours.apply(theirs))


def noisy(colour: tuple[int, int, int]) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, (128, 128, 3))
    return (np.array(colour) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "image",
    [
        noisy((243, 242, 244)),
        noisy((40, 70, 190)),
        noisy((30, 140, 60)),
        noisy((25, 25, 28)),
        noisy((150, 95, 50)),
        np.full((64, 64, 3), 255, np.uint8),
        np.zeros((64, 64, 3), np.uint8),
    ],
    ids=["glass", "blue pen", "green pen", "black pen", "brown chromogen", "white", "black"],
)
def test_what_is_no_tissue_is_left_alone_with_a_remark(method: str, image: np.ndarray) -> None:
    found = fit_stain(method, image.reshape(-1, 3))
    assert isinstance(found, NoStain)
    colours = recolouring(found, look(method, picture(OURS)))
    assert colours.apply(image) is image
    assert "hardly any tissue" in str(colours.remark)


def test_ink_beside_tissue_does_not_bend_the_fit() -> None:
    ink = [noisy(colour).reshape(-1, 3) for colour in ((40, 70, 190), (30, 140, 60), (25, 25, 28))]
    inked = np.concatenate([picture(OURS).reshape(-1, 3), *ink])
    clean = look("macenko", picture(OURS))
    found = fit_stain("macenko", inked)
    assert isinstance(found, MacenkoStain)
    assert isinstance(clean, MacenkoStain)
    assert degrees(found.haematoxylin, clean.haematoxylin) < 1.5
    assert degrees(found.eosin, clean.eosin) < 1.5


def test_one_stain_alone_is_not_unmixed() -> None:
    alone = amounts()
    alone += [0.2, 0]
    alone[..., 1] = 0
    image = np.rint(256 * np.exp(-alone @ OURS) - 1).astype(np.uint8)
    found = fit_stain("macenko", image.reshape(-1, 3))
    assert isinstance(found, NoStain)
    assert "one stain only" in found.reason


def test_a_flat_colour_has_no_statistics() -> None:
    found = fit_stain("reinhard", np.full((500, 3), (150, 80, 160), np.uint8))
    assert found == NoStain("its colour does not vary")


def test_a_picture_of_another_kind_is_left_alone() -> None:
    own = look("macenko", picture(OURS))
    assert isinstance(own, MacenkoStain)
    strong = MacenkoStain(own.haematoxylin, own.eosin, (own.strengths[0] * 6, own.strengths[1]))
    colours = recolouring(own, strong)
    assert colours.method is None
    assert "too far" in str(colours.remark)


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_is_a_median(method: str) -> None:
    looks = [look(method, picture(OURS, seed=k)) for k in range(4)] + [look(method, picture(THEIRS)), NoStain("empty")]
    reference = reference_of(method, looks)
    for name in ("haematoxylin", "eosin", "strengths", "mean", "spread"):
        if hasattr(reference, name):
            np.testing.assert_allclose(getattr(reference, name), getattr(looks[0], name), atol=0.03)
    assert reference_of(method, [NoStain("empty")]) is None


def test_methods_are_not_mixed() -> None:
    with pytest.raises(TypeError, match="macenko"):
        recolouring(look("macenko", picture(OURS)), look("reinhard", picture(OURS)))


@pytest.mark.parametrize(
    ("haematoxylin", "eosin", "strengths"),
    [
        ((0.65, 0.7, 0.29), (0.65, 0.7, 0.29), (1, 1)),
        ((0, 0, 0), (0, 1, 0), (1, 1)),
        ((1, 0, 0), (0, 1, 0), (0, 1)),
        ((1, 0, float("nan")), (0, 1, 0), (1, 1)),
    ],
)
def test_impossible_stains_are_refused(haematoxylin: tuple, eosin: tuple, strengths: tuple) -> None:
    with pytest.raises(ValueError, match="stain vectors"):
        MacenkoStain(haematoxylin, eosin, strengths)


def test_impossible_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match="spreads"):
        ReinhardStain((0, 0, 0), (1, 0, 1))
