"""Crops: image and labels stay together."""

import numpy as np
import pytest

from histoseed.training import Picture, draw_crop


def coded_picture(height=60, width=80):
    """An image whose red channel is the label: any misalignment shows."""
    labels = np.zeros((height, width), np.int32)
    for k in range(12):
        labels[5 + 15 * (k // 4) : 15 + 15 * (k // 4), 5 + 18 * (k % 4) : 17 + 18 * (k % 4)] = k + 1
    image = np.repeat((labels * 20)[..., None], 3, 2).astype(np.uint8)
    return Picture(image, labels, classes=np.arange(13, dtype=np.int64) % 3)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_labels_move_together(seed):
    crop = draw_crop(coded_picture(), 48, np.random.default_rng(seed))
    inside = ~crop.ignore
    agree = np.abs(crop.image[..., 0].astype(int) - 20 * crop.labels) <= 10
    # Bilinear borders of objects may differ; everything else must agree.
    assert agree[inside].mean() > 0.85


def test_upright_crop_of_a_fitting_picture_is_the_picture():
    picture = coded_picture(48, 48)
    crop = draw_crop(picture, 48, np.random.default_rng(0), scale=(1, 1), turn=False)
    np.testing.assert_array_equal(crop.image, picture.image)
    np.testing.assert_array_equal(crop.labels, picture.labels)
    assert not crop.ignore.any()
    np.testing.assert_array_equal(crop.classes, picture.classes[picture.labels])


def test_outside_of_the_picture_is_ignored():
    crop = draw_crop(coded_picture(20, 20), 48, np.random.default_rng(0), scale=(1, 1), turn=False)
    assert crop.ignore.sum() == 48 * 48 - 20 * 20
    assert (crop.labels[crop.ignore] == 0).all()


def test_ignore_area_travels():
    picture = coded_picture(48, 48)
    ignore = np.zeros((48, 48), bool)
    ignore[:, :24] = True
    crop = draw_crop(
        Picture(picture.image, picture.labels, ignore=ignore), 48, np.random.default_rng(0), scale=(1, 1), turn=False
    )
    np.testing.assert_array_equal(crop.ignore, ignore)


def test_zoom_brings_the_picture_to_the_resolution_of_the_model():
    picture = coded_picture(40, 40)
    crop = draw_crop(
        Picture(picture.image, picture.labels, zoom=2.0), 80, np.random.default_rng(0), scale=(1, 1), turn=False
    )
    assert not crop.ignore.any()
    areas = np.bincount(crop.labels.ravel())[1:] / np.maximum(np.bincount(picture.labels.ravel())[1:], 1)
    np.testing.assert_allclose(areas[areas > 0], 4, rtol=0.15)
