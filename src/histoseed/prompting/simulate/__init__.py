"""Simulated users: boxes, clicks and rough masks drawn from annotated objects, and clicks that correct an answer."""

from __future__ import annotations

from histoseed.prompting.simulate.box import jittered_box
from histoseed.prompting.simulate.clicks import Click, next_click, with_click
from histoseed.prompting.simulate.combinations import TRAINING_COMBINATIONS, TRAINING_REFERENCE, training_parts
from histoseed.prompting.simulate.lengths import Length, ObjectSizes
from histoseed.prompting.simulate.negative import negative_points
from histoseed.prompting.simulate.noc import MOST_CLICKS, THRESHOLDS, ClickRun, MeanClicks, mean_clicks, noc
from histoseed.prompting.simulate.positive import positive_points
from histoseed.prompting.simulate.published import published_mask
from histoseed.prompting.simulate.rough import SURE, RoughStyle, mask_prompt, rough_mask
from histoseed.prompting.simulate.spec import MASK_KINDS, PromptSpec
from histoseed.prompting.simulate.truth import depth_inside, tight_box
from histoseed.prompting.simulate.user import SimulatedUser, prompt_generator

__all__ = [
    "MASK_KINDS",
    "MOST_CLICKS",
    "SURE",
    "THRESHOLDS",
    "TRAINING_COMBINATIONS",
    "TRAINING_REFERENCE",
    "Click",
    "ClickRun",
    "Length",
    "MeanClicks",
    "ObjectSizes",
    "PromptSpec",
    "RoughStyle",
    "SimulatedUser",
    "depth_inside",
    "jittered_box",
    "mask_prompt",
    "mean_clicks",
    "negative_points",
    "next_click",
    "noc",
    "positive_points",
    "prompt_generator",
    "published_mask",
    "rough_mask",
    "tight_box",
    "training_parts",
    "with_click",
]
