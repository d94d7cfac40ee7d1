"""Perceptual hashes against brute force and real changes of real-looking pictures; anchors against known crops."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from histoseed.datasets import anchors
from histoseed.datasets.anchors import anchors_of, shared_anchors
from histoseed.datasets.hashes import (
    MOST_BITS,
    TURNS,
    Near,
    correlation,
    hash_variants,
    near_pairs,
    perceptual_hash,
    thumbnail,
)
from histoseed.errors import InputError, LimitError


def tissue(seed: int, height: int = 96, width: int = 96) -> np.ndarray:
    """A picture with structure of several sizes, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) * s for s in (1.5, 4, 9)]
    return (170 + 60 * sum(layers)).clip(0, 255).astype(np.uint8)


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """The picture laid down as the words of TURNS say, by numpy's own functions."""
    return {
        "as it is": lambda a: a,
        "flipped left-right": np.fliplr,
        "flipped top-bottom": np.flipud,
        "rotated by 180 degrees": lambda a: np.rot90(a, 2),
        "transposed": lambda a: a.swapaxes(0, 1),
        "rotated by 90 degrees clockwise": lambda a: np.rot90(a, -1),
        "rotated by 90 degrees counter-clockwise": lambda a: np.rot90(a, 1),
        "transposed along the other diagonal": lambda a: np.rot90(a, 2).swapaxes(0, 1),
    }[TURNS[turn]](image)


def hashes(*images: np.ndarray) -> np.ndarray:
    return perceptual_hash(np.stack([thumbnail(image) for image in images]))[0]


def test_bits_are_signs_of_cosine_coefficients() -> None:
    thumb = thumbnail(tissue(0))
    table = scipy.fft.dct(scipy.fft.dct(thumb.astype(float), axis=0), axis=1)
    bits = int(perceptual_hash([thumb])[0][0])
    for u in range(8):
        for v in range(8):
            assert bool(bits >> (8 * u + v) & 1) == ((u, v) != (0, 0) and table[u, v] > 0)


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_picture_is_found_and_its_turn_named(turn: int) -> None:
    first = tissue(1)
    second = np.ascontiguousarray(turned(first, turn))
    near = near_pairs(hashes(first), hashes(second), radius=0)
    assert (near.first.tolist(), near.second.tolist(), near.distance.tolist()) == ([0], [0], [0])
    thumbs = np.stack([thumbnail(first), thumbnail(second)])
    pair = Near(np.array([0]), np.array([1]), near.turn, near.distance)
    assert correlation(thumbs, pair)[0] == pytest.approx(1.0, abs=1e-3)
    # The turn that is named takes the second back to the first.
    np.testing.assert_array_equal(turned(second, int(near.turn[0])), first)


@pytest.mark.parametrize("turn", range(8))
def test_variants_are_the_hashes_of_the_turned_picture(turn: int) -> None:
    thumbs = np.stack([thumbnail(tissue(k)) for k in range(20)])
    moved = np.stack([turned(thumb, turn) for thumb in thumbs])
    np.testing.assert_array_equal(hash_variants(perceptual_hash(thumbs)[0])[:, turn], perceptual_hash(moved)[0])


def _jpeg(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=70)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize(
    "change",
    [
        _jpeg,
        lambda image: (image * 0.8 + 30).astype(np.uint8),
        lambda image: (255 * (image / 255) ** 0.8).astype(np.uint8),
        lambda image: np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.BOX)),
        lambda image: (image + np.random.default_rng(0).normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8),
    ],
    ids=["jpeg", "contrast", "gamma", "half", "noise"],
)
def test_small_changes_stay_near_and_others_stay_far(change) -> None:
    first = [tissue(k) for k in range(30)]
    second = [change(image) for image in first]
    near = near_pairs(hashes(*first), hashes(*second), radius=7)
    assert list(zip(near.first, near.second, strict=True)) == [(k, k) for k in range(30)]
    assert (near.turn == 0).all()
    thumbs = np.stack([thumbnail(image) for image in (*first, *second)])
    pair = Near(near.first, near.second + 30, near.turn, near.distance)
    assert correlation(thumbs, pair).min() > 0.97


def brute_force(first: np.ndarray, second: np.ndarray | None, radius: int) -> list[tuple[int, int, int]]:
    """(first, second, distance) of every pair within the radius, smallest over the turns."""
    other = first if second is None else second
    table = np.bitwise_count(first[:, None, None] ^ hash_variants(other)[None]).min(axis=2)
    pairs = [(int(i), int(j), int(table[i, j])) for i, j in zip(*np.nonzero(table <= radius), strict=True)]
    return [one for one in pairs if second is not None or one[0] < one[1]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, MOST_BITS), st.booleans())
def test_near_pairs_finds_exactly_what_brute_force_finds(seed: int, radius: int, within: bool) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**64, 12, dtype=np.uint64) & ~np.uint64(1)
    copies = hash_variants(base)[np.arange(12), rng.integers(0, 8, 12)]
    for k in range(12):  # each copy differs from its original by 0 to 13 bits
        for bit in rng.permutation(np.arange(1, 64))[: rng.integers(0, 14)]:
            copies[k] ^= np.uint64(1) << np.uint64(bit)
    first, second = (np.concatenate([base, copies]), None) if within else (base, copies)
    near = near_pairs(first, second, radius=radius)
    found = list(zip(near.first.tolist(), near.second.tolist(), near.distance.tolist(), strict=True))
    assert found == brute_force(first, second, radius)


def test_blank_pictures_are_told() -> None:
    flat = np.full((40, 40, 3), 240, np.uint8)
    flat[0, 0] = 200
    thumbs = np.stack([thumbnail(flat), thumbnail(tissue(3))])
    assert perceptual_hash(thumbs)[1].tolist() == [True, False]


def test_the_number_of_pairs_is_limited() -> None:
    same = np.zeros(300, np.uint64)
    with pytest.raises(LimitError, match="10 pairs"):
        near_pairs(same, radius=0, most=10)
    with pytest.raises(InputError, match="12 bits"):
        near_pairs(same, radius=12)


def test_a_hundred_thousand_hashes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**64, 100_000, dtype=np.uint64) & ~np.uint64(1)
    first[99_999] = hash_variants(first[:1])[0, 5] ^ np.uint64(0b1110000)
    near = near_pairs(first, radius=7)
    assert (0, 99_999, 3) in list(zip(near.first.tolist(), near.second.tolist(), near.distance.tolist(), strict=True))
    assert len(near.first) < 100  # chance


def test_crops_that_share_pixels_are_found_with_their_offset() -> None:
    picture = tissue(5, 300, 400)
    places = [(0, 0), (90, 40), (250, 150)]
    crops = [picture[y : y + 150, x : x + 150] for x, y in places]
    found = shared_anchors([anchors_of(one) for one in (picture, *crops, tissue(6, 150, 150))])
    pairs = dict(
        zip(
            zip(found.first.tolist(), found.second.tolist(), strict=True),
            zip(found.dx.tolist(), found.dy.tolist(), strict=True),
            strict=True,
        )
    )
    assert {k: v for k, v in pairs.items() if k[0] == 0} == {(0, k + 1): (-x, -y) for k, (x, y) in enumerate(places)}
    assert pairs[1, 2] == (-90, -40)
    assert all(4 not in pair for pair in pairs)
    # Crops 1 and 3 have no pixel in common.
    assert (1, 3) not in pairs


def test_anchors_do_not_depend_on_where_a_crop_begins_nor_on_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tissue(7, 200, 260)
    whole = anchors_of(picture)
    monkeypatch.setattr(anchors, "_AT_ONCE", 260 * 7)
    bands = anchors_of(picture)
    assert sorted(zip(whole.value, whole.x, whole.y, strict=True)) == sorted(
        zip(bands.value, bands.x, bands.y, strict=True)
    )
    inside = (whole.x >= 30) & (whole.y >= 20) & (whole.x <= 30 + 200 - 16) & (whole.y <= 20 + 150 - 16)
    crop = anchors_of(picture[20:170, 30:230])
    assert set(crop.value) == set(whole.value[inside])
    assert len(crop.value) > 10


def test_level_windows_and_common_patterns_are_no_anchors() -> None:
    assert len(anchors_of(np.full((300, 300, 3), 255, np.uint8)).value) == 0
    assert len(anchors_of(tissue(0, 15, 200)).value) == 0
    many = [anchors_of(tissue(8, 120, 120))] * 80
    assert len(shared_anchors(many).first) == 0
    assert len(shared_anchors(many[:64]).first) == 64 * 63 // 2
    with pytest.raises(LimitError):
        shared_anchors(many[:64], most=100)
    assert len(shared_anchors([]).first) == 0
