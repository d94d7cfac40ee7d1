"""Augmentation changes the look, never the geometry, and only by the generator it is given."""

import numpy as np
import pytest
import torch

from histoseed.training import Augmentation, augment, recolour, stain_style

OFF = Augmentation(stain=0, shift=0, turn=0, light=0, blur=0, noise=0)


def test_nothing_switched_on_changes_nothing():
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(augment(images, OFF, np.random.default_rng(0)), images)


@pytest.mark.parametrize("part", ["stain", "shift", "turn", "light", "blur", "noise"])
def test_each_part_changes_something_within_range(part):
    import dataclasses

    images = torch.rand(4, 3, 16, 16)
    how = dataclasses.replace(OFF, **{part: getattr(Augmentation(), part)})
    changed = augment(images, how, np.random.default_rng(1))
    assert not torch.equal(changed, images)
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_same_generator_same_result_and_no_global_state():
    images = torch.rand(2, 3, 16, 16)
    state = torch.random.get_rng_state()
    first, second = (augment(images, Augmentation(), np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.random.get_rng_state())


def test_recolour_reaches_the_statistics_of_the_target():
    rng = np.random.default_rng(0)
    source = (255 * rng.beta(5, 3, (64, 64, 3)) * [0.8, 0.6, 0.9]).astype(np.uint8)
    target = (255 * rng.beta(6, 2, (64, 64, 3)) * [0.9, 0.7, 0.8]).astype(np.uint8)
    image = torch.from_numpy(source).permute(2, 0, 1).float() / 255
    out = recolour(image, stain_style(source), stain_style(target))
    reached = stain_style((out.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    np.testing.assert_allclose(reached.mean, stain_style(target).mean, atol=0.05)


def test_recolour_to_itself_is_the_identity():
    image = np.random.default_rng(0).integers(40, 220, (32, 32, 3)).astype(np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    style = stain_style(image)
    torch.testing.assert_close(recolour(tensor, style, style), tensor, atol=1e-4, rtol=0)
