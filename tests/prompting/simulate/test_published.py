"""The published sizes, for comparison."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.object_masks import disc, masks, rectangle, seeds
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting.simulate import PromptSpec, SimulatedUser, prompt_generator, published_mask, tight_box
from histoseed.prompting.simulate.published import PUBLISHED_KINDS

RNG = np.random.default_rng


@settings(max_examples=60, deadline=None)
@given(masks(), st.sampled_from(PUBLISHED_KINDS), seeds)
def test_every_object_gets_a_mask_on_the_published_grid(mask, kind, seed):
    found, (x0, y0, x1, y1) = published_mask(mask, kind, RNG(seed))
    left, top, right, bottom = tight_box(mask)
    assert found.shape == (256, 256)
    assert found.any()
    assert x1 - x0 == y1 - y0 == 2 * max(right - left, bottom - top)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == ((left + right) / 2, (top + bottom) / 2)


def test_the_truth_is_sampled_at_the_centres_of_the_cells():
    mask = rectangle((1100, 1100), 300, 280, 812, 500)  # 512 wide: a window of 1024 pixels, cells of 4
    found, (x0, y0, _, _) = published_mask(mask, "truth", RNG(0))
    rows, columns = (np.mgrid[:256, :256] * 4 + 2).astype(int)
    assert (found == mask[rows + int(y0), columns + int(x0)]).all()
    assert found.sum() * 16 == mask.sum()


def test_kernels_are_in_cells():  # specification 8, mask prompts
    mask = rectangle((1100, 1100), 300, 300, 812, 812)
    truth, morphology, scribble, loose = (tight_box(published_mask(mask, kind, RNG(0))[0]) for kind in PUBLISHED_KINDS)
    assert truth == (64, 64, 192, 192)
    assert (morphology[2] - morphology[0], morphology[3] - morphology[1]) == (128 + 39, 128 + 39)
    assert (scribble[0], scribble[2]) == (64 - 9, 193 + 10)  # an even kernel is lopsided
    assert 64 < scribble[1] < 128 < scribble[3] < 192  # the first and the last of eight heights are left out
    sides = np.array([64 - loose[0], 64 - loose[1], loose[2] - 192, loose[3] - 192])
    assert (sides >= 9 - 20).all()
    assert (sides <= 10 + 20).all()


def test_sizes_follow_the_window():
    """The same object, ten times as large, gets the same mask."""
    small, large = disc(16, 64), np.kron(disc(16, 64), np.ones((10, 10), bool))
    for kind in PUBLISHED_KINDS:
        assert (published_mask(small, kind, RNG(4))[0] == published_mask(large, kind, RNG(4))[0]).all()


def test_a_thread_between_the_centres_of_the_cells_is_seen():
    mask = np.zeros((10, 2000), bool)
    mask[3] = True
    for kind in PUBLISHED_KINDS:
        assert published_mask(mask, kind, RNG(0))[0].any()


def test_the_published_user():  # specification 8, prompts
    user = SimulatedUser.published(PromptSpec.parse("all"))
    assert str(user.spec) == "box+5pos+5neg+mask:published-loose"
    assert user.power == 4
    mask = np.zeros((256, 256), bool)
    mask[64:192, 64:192] = disc(64, 128)  # a pixel is 4 of the window of 1024
    region = Region(0, 0, 256, 256)
    prompts = [user.prompt(mask, region, None, prompt_generator(0, epoch, 1)) for epoch in range(40)]
    moves = 4 * np.abs(np.array([p.box for p in prompts]) - tight_box(mask))
    assert 15 < moves.max() <= 20
    assert all(p.mask.logits.shape == (256, 256) and p.mask.region == region for p in prompts)
    negative = 4 * np.concatenate([p.negative for p in prompts])
    assert (np.hypot(*(negative - 512).T) >= 256 + 50 - 4).all()
    assert ((negative >= 256 - 80) & (negative <= 768 + 80)).all()
    assert len(negative) == 200


@pytest.mark.parametrize("name", ["lasso", "polygon"])
def test_what_was_not_published(name):
    with pytest.raises(InputError, match=name):
        SimulatedUser.published(PromptSpec(mask=name))
    with pytest.raises(InputError, match=name):
        published_mask(disc(4), name, RNG(0))
    assert SimulatedUser.published(PromptSpec(mask="exact")).spec.mask == "published-truth"
