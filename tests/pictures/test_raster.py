"""Pictures survive encoding, and resizing keeps pixel edges in place."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from histoseed.errors import InputError
from histoseed.pictures import downscale, jpeg_bytes, png_bytes
from histoseed.pictures.raster import checked_labels, resize_labels, visible_labels

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


@given(pictures)
def test_png_gives_back_equal_pixels(image):
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(image)))), image)


def test_png_of_a_view_that_is_not_contiguous(rng):
    image = rng.integers(0, 256, (8, 9, 6), dtype=np.uint8)[::2, ::-1, ::2]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(image)))), image)


def test_jpeg_keeps_the_colour_of_a_thin_line():
    # With the usual halved colour resolution a red line of one pixel on grey turns brown.
    image = np.full((32, 32, 3), 128, np.uint8)
    image[:, 16] = (213, 94, 0)
    back = np.asarray(Image.open(io.BytesIO(jpeg_bytes(image)))).astype(int)
    assert np.abs(back[:, 16] - (213, 94, 0)).max() < 30


def test_jpeg_quality_changes_the_size(rng):
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(jpeg_bytes(image, 20)) < len(jpeg_bytes(image, 95))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_downscale_keeps_the_shape_and_never_enlarges(height, width, most):
    out = downscale(np.zeros((height, width, 3), np.uint8), most)
    if max(height, width) <= most:
        assert out.shape == (height, width, 3)
    else:
        assert max(out.shape[:2]) == most
        assert abs(out.shape[0] - height * most / max(height, width)) <= 1


def test_downscale_by_a_whole_factor_is_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8)
    means = image.reshape(6, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(downscale(image, 6) - means).max() <= 0.5


@given(
    hnp.arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 9)), st.integers(1, 4)
)
def test_labels_enlarged_by_a_whole_factor_repeat(labels, zoom):
    height, width = labels.shape
    big = resize_labels(labels, height * zoom, width * zoom)
    assert np.array_equal(big, np.kron(labels, np.ones((zoom, zoom), int)))
    assert np.array_equal(resize_labels(big, height, width), labels)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(image):
    for call in (png_bytes, jpeg_bytes, lambda x: downscale(x, 9)):
        with pytest.raises(InputError):
            call(image)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 3)), np.zeros((3, 2), int), np.full((2, 3), -1), np.zeros((2, 3), bool)]
)
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(InputError):
        checked_labels(labels, (2, 3))


def test_numbers_out_of_range_are_refused():
    image = np.zeros((4, 4, 3), np.uint8)
    for call in (lambda: jpeg_bytes(image, 0), lambda: jpeg_bytes(image, 101), lambda: downscale(image, 0)):
        with pytest.raises(InputError):
            call()


@given(st.integers(20, 200), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), unique=True, max_size=12))
def test_no_object_is_lost_on_a_smaller_picture(side, places):
    labels = np.zeros((200, 200), np.int32)
    for i, (row, column) in enumerate(places, start=1):
        labels[5 * row, 5 * column] = i
    far = all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) * side / 40 > 4 for a in places for b in places if a < b)
    small = visible_labels(labels, side, side)
    if far:
        assert set(np.unique(small)) == set(np.unique(labels))
    for i, place in enumerate(places, start=1):
        at = np.argwhere(small == i)
        if side < 200 and len(at):
            middle = (at.min(axis=0) + at.max(axis=0) + 1) / 2
            assert np.abs(middle - (np.array(place) * 5 + 0.5) * side / 200).max() <= 1.5
    shown = resize_labels(labels, side, side)
    assert np.array_equal(small[shown > 0], shown[shown > 0])  # nothing is covered


def test_labels_stay_as_they_are_where_nothing_shrinks():
    labels = np.eye(9, dtype=np.int32)
    assert np.array_equal(visible_labels(labels, 9, 9), labels)
    assert np.array_equal(visible_labels(labels, 18, 18), np.kron(labels, np.ones((2, 2), int)))
