"""docs/metrics.md names every protocol, every key and every outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histoseed.metrics import AREAS, PREDICTED_OUTCOMES, PROTOCOLS, TRUTH_OUTCOMES, Accumulator, AreaAccumulator

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_protocol_and_outcome_is_explained():
    for name in PROTOCOLS:
        assert f"### `{name}`" in TEXT
    for outcome in TRUTH_OUTCOMES + PREDICTED_OUTCOMES:
        assert f"| {outcome} |" in TEXT


def test_every_key_is_explained():
    image = np.ones((2, 2), dtype=int)
    for name in PROTOCOLS:
        scores = Accumulator(name, classes=("CLASS",), mpp=0.5).update(image, image, organ="ORGAN").compute()
        for key in scores:
            shown = key.replace("CLASS", "<class>").replace("ORGAN", "<organ>")
            assert f"`{shown}`" in TEXT, key


def test_every_key_of_areas_is_explained():
    assert f"### `{AREAS}`" in TEXT
    scores = AreaAccumulator(["CLASS"]).update(np.ones((2, 2), int), np.ones((2, 2), int)).compute()
    for key in scores:
        assert f"`{key.replace('CLASS', '<class>')}`" in TEXT, key
