"""Small pictures of discs, and a tiny SAM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from fixtures import disc_sets
from fixtures import tiny_sam as tiny
from histoseed.prompting import Window
from histoseed.prompting.sam import load_promptable
from histoseed.training.prompted import PromptPicture

Shown = tuple[PromptPicture, np.ndarray]


@pytest.fixture
def picture() -> Callable[..., Shown]:
    """Makes a picture of dark discs on a pale ground, 96 x 96 pixels of 0.5 um."""

    def make(seed: int = 0, **facts: Any) -> Shown:
        image, labels = disc_sets.draw_discs(seed, size=96, count=6, radius=8)

        def read(window: Window) -> np.ndarray:
            r = window.region
            part = image[int(r.y) : int(r.y + r.height), int(r.x) : int(r.x + r.width)]
            return np.asarray(cv2.resize(part, window.shape[::-1], interpolation=cv2.INTER_LINEAR))

        return PromptPicture(f"p{seed}", (96, 96), 0.5, read, **facts), labels

    return make


@pytest.fixture
def sam() -> Callable[..., Any]:
    """Makes a tiny SAM with equal weights each time."""

    def make(name: str = "sam-vit-b") -> Any:
        model = load_promptable(tiny.tiny_card(name), weights="random")
        tiny.awake(model.network)
        return model

    return make
