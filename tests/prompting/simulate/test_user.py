"""Simulated users: valid prompts in level-0 pixels, fresh each epoch, from one generator alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.object_masks import disc, inside, masks, rectangle, seeds
from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry import Region
from histoseed.prompting import Window, check_prompt
from histoseed.prompting.simulate import (
    MASK_KINDS,
    TRAINING_COMBINATIONS,
    Length,
    PromptSpec,
    SimulatedUser,
    prompt_generator,
    tight_box,
)

WINDOW = Region(100, 40, 80, 80)
CERTAIN = ("exact", "morphology", "published-truth", "published-morphology", "published-scribble")
FIXED = {f"mask:{kind}" for kind in CERTAIN}
"""Nothing in these is left to chance."""


def said(prompt):
    """All numbers of a prompt."""
    parts = [prompt.box or (), prompt.positive, prompt.negative]
    parts += [] if prompt.mask is None else [prompt.mask.logits, prompt.mask.region.x, prompt.mask.region.width]
    return np.concatenate([np.ravel(part) for part in parts])


@settings(max_examples=80, deadline=None)
@given(
    masks(),
    st.builds(
        PromptSpec,
        box=st.booleans(),
        positive=st.integers(0, 6),
        negative=st.integers(0, 6),
        place=st.sampled_from(["inside", "anywhere"]),
        mask=st.sampled_from(MASK_KINDS),
    ),
    st.sampled_from(["0px", "1um", "3px", "20w", "60%"]),
    st.sampled_from([0.5, 1.0, 3.7]),
    seeds,
)
def test_every_prompt_is_one_that_models_take(mask, spec, jitter, step, seed):
    height, width = mask.shape
    region = Region(3, 5, width * step, height * step)
    size = (3 + int(np.ceil(width * step)), 5 + int(np.ceil(height * step)))
    user = SimulatedUser(spec, Length.parse(jitter))
    prompt = user.prompt(mask, region, 0.5, np.random.default_rng(seed), size=size, id="7")
    assert check_prompt(prompt, size) is prompt
    assert prompt.id == "7"
    assert (prompt.box is not None) == spec.box
    assert len(prompt.negative) <= spec.negative
    assert len(prompt.positive) >= min(spec.positive, 1)
    seen = Window(region, mask.shape)
    assert inside(mask, seen.from_level0(prompt.positive)).all()
    assert not inside(mask, seen.from_level0(prompt.negative)).any()


def test_level_0_pixels_of_a_scaled_region():
    mask = rectangle((40, 40), 10, 20, 16, 28)
    user = SimulatedUser.parse("box+1pos+1neg+mask:exact")
    prompt = user.prompt(mask, Region(100, 200, 160, 160), None, np.random.default_rng(0))
    assert prompt.box == (140, 280, 164, 312)
    assert 140 < prompt.positive[0, 0] < 164
    assert prompt.extent() == prompt.box
    assert prompt.negative.shape == (0, 2)  # the object fills its box
    alone = SimulatedUser.parse("mask:exact").prompt(mask, Region(100, 200, 160, 160), None, np.random.default_rng(0))
    assert alone.extent() == (140, 280, 164, 312)
    assert (alone.mask.logits > 0).sum() == mask.sum()


def test_jitter_in_micrometres():
    mask = disc(20, 80)
    user = SimulatedUser.parse("box", jitter="1um")
    boxes = [user.prompt(mask, WINDOW, 0.25, prompt_generator(0, e, 1)).box for e in range(200)]
    tight = np.add(tight_box(mask), (100, 40, 100, 40))
    assert 3.9 < np.abs(np.array(boxes) - tight).max() <= 4
    with pytest.raises(UnknownMppError):
        user.prompt(mask, WINDOW, None, prompt_generator(0, 0, 1))


@pytest.mark.parametrize("spec", [*map(str, TRAINING_COMBINATIONS), "all", *(f"mask:{kind}" for kind in MASK_KINDS)])
def test_fresh_prompts_each_epoch_and_the_same_ones_again(spec):
    user = SimulatedUser.parse(spec, jitter="1um")
    mask = disc(20, 80) & ~disc(6, 80, at=(55, 35))
    told = [said(user.prompt(mask, WINDOW, 0.25, prompt_generator(1, e, "a"))) for e in (0, 0, 1)]
    np.testing.assert_array_equal(told[0], told[1])
    assert np.array_equal(told[0], told[2]) == (spec in FIXED)


def test_seed_epoch_and_object_all_count():
    first = [prompt_generator(*key).random() for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, "0")]]
    assert len(set(first)) == 5
    with pytest.raises(InputError):
        prompt_generator(-1, 0, 0)


def test_global_seeds_have_no_say():
    """The published code seeds torch and draws with numpy. specification 9.12."""
    user, mask, told = SimulatedUser.parse("all", jitter="1um"), disc(20, 80), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        told.append(said(user.prompt(mask, WINDOW, 0.25, prompt_generator(0, 0, 0))))
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.testing.assert_array_equal(*told)


def test_users_that_say_more_say_the_same_first():
    mask = disc(20, 80)
    prompts = [
        SimulatedUser.parse(spec, jitter="1um").prompt(mask, WINDOW, 0.25, prompt_generator(0, 0, 0))
        for spec in ("box", "box+2pos", "box+2pos+3neg", "box+2pos+3neg+mask")
    ]
    assert len({p.box for p in prompts}) == 1
    np.testing.assert_array_equal(prompts[1].positive, prompts[3].positive)
    np.testing.assert_array_equal(prompts[2].negative, prompts[3].negative)


def test_points_follow_the_box_that_was_drawn():
    """A jittered box may cut the object; its points do not lie outside."""
    mask = rectangle((80, 80), 30, 30, 50, 50)
    user = SimulatedUser(PromptSpec.parse("box+5pos"), Length(8, "px"), power=0.0)
    for epoch in range(50):
        prompt = user.prompt(mask, WINDOW, None, prompt_generator(0, epoch, 0))
        x0, y0, x1, y1 = prompt.box
        assert ((prompt.positive >= (x0, y0)) & (prompt.positive <= (x1, y1))).all()
        assert len(prompt.positive) == 5


@pytest.mark.parametrize("mask", [np.zeros((8, 8), bool), np.full((8, 8), 7)])
def test_no_object_is_an_error_that_names_the_prompt(mask):
    with pytest.raises(InputError, match="prompt 12"):
        SimulatedUser.parse("box").prompt(mask, WINDOW, None, np.random.default_rng(0), id="12")


def test_no_torch_is_needed():
    code = "import sys, histoseed.prompting.simulate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_documentation_runs():
    text = (Path(__file__).parents[3] / "docs" / "prompts.md").read_text()
    section = text[text.index("## Simulated prompts") :]
    blocks = [part.split("```")[0] for part in section.split("```python\n")[1:3]]
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), "docs/prompts.md", "exec"), {})
    for kind in MASK_KINDS:
        assert f"`{kind}`" in section
