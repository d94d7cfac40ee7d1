"""Fixtures of the pictures."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def patch(rng):
    """A picture of noise with three square objects, labels 1, 2 (touching) and 7."""
    image = rng.integers(60, 200, (30, 40, 3), dtype=np.uint8)
    labels = np.zeros((30, 40), np.int32)
    labels[4:14, 4:12] = 1
    labels[4:14, 12:20] = 2
    labels[18:28, 25:36] = 7
    return image, labels
