"""Windows as a network sees them, their embeddings, and how unsure a model is of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histoseed.datasets import annotated_crops, read_dataset
from histoseed.encoders import build_encoder
from histoseed.geometry import Region
from histoseed.inference import ArraySlide
from histoseed.segmenters import uncertainty_of
from histoseed.slides import reference_of, slide_look
from histoseed.workflows.looks import crop_pictures, look_at, shows_tissue, window_picture
from histoseed.workflows.models import load_model


def test_crops_come_at_the_resolution_of_the_network(discs: Path) -> None:
    """128 pixels of 0.5 um become 64 of 1 um: the crop of the reduced picture."""
    data = read_dataset(discs)
    crops = annotated_crops(data, 32.0)
    windows = list(crop_pictures(data, crops, 1.0))
    assert len(windows) == len(crops) == 16
    assert {window.shape for window in windows} == {(32, 32, 3)}
    crop = crops[5]
    with ArraySlide(data.patch(crop.patch_id).image, mpp=0.5) as slide:
        whole = slide.read(Region(0, 0, 128, 128, mpp=1.0))
    x, y = crop.x // 2, crop.y // 2
    np.testing.assert_array_equal(windows[5], whole[y : y + 32, x : x + 32])


def test_crops_have_the_look_that_the_model_wants(discs: Path) -> None:
    data = read_dataset(discs)
    with ArraySlide(data.patch(0).image, mpp=0.5) as slide:
        look = slide_look(slide, "reinhard")
    reference = reference_of("reinhard", [look])
    crops = annotated_crops(data, 64.0)
    plain, stained = (list(crop_pictures(data, crops, 0.5, stain=stain)) for stain in (None, reference))
    assert np.abs(plain[0].astype(int) - stained[0]).max() <= 1  # the reference itself
    assert all(a.shape == b.shape for a, b in zip(plain, stained, strict=True))


def test_a_window_has_exactly_its_pixels_at_the_right_scale() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 40, 3), np.uint8)
    with ArraySlide(image, mpp=0.5) as slide:
        for side in (19.6, 20, 20.4):
            assert window_picture(slide, 3, 5, side, mpp=0.5, pixels=20).shape == (20, 20, 3)
        small = window_picture(slide, 4, 6, 8, mpp=0.5, pixels=20)
        np.testing.assert_array_equal(small[:8, :8], image[6:14, 4:12])
        np.testing.assert_array_equal(small[8:16, :8], image[6:14, 4:12][::-1])
        assert window_picture(slide, 0, 0, 8, mpp=0.25, pixels=20).shape == (20, 20, 3)


def test_embeddings_and_uncertainty_are_those_of_each_window_alone(discs: Path) -> None:
    data = read_dataset(discs)
    windows = list(crop_pictures(data, annotated_crops(data, 32.0), 0.5))
    model = load_model("bundled", device="cpu")
    encoder = build_encoder("bundled", weights="bundled").eval()
    found = look_at(windows, encoder, model)
    assert found.features.shape == (16, encoder.channels[-1])
    assert found.uncertainty is not None
    for k in (0, 11):
        x = torch.from_numpy(windows[k]).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            expected = encoder(x)[-1].mean((2, 3))[0].numpy()
        np.testing.assert_allclose(found.features[k], expected, rtol=1e-4, atol=1e-5)
        alone = uncertainty_of(model.predict(x).image(0), shows_tissue(windows[k]), model.card)
        assert found.uncertainty[k] == pytest.approx(alone, abs=1e-5)
    nothing = look_at([], encoder)
    assert nothing.features.shape == (0, encoder.channels[-1])
    assert nothing.uncertainty is None
