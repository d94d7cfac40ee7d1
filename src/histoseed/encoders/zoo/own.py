"""The encoder of the model that ships with histoseed."""

from __future__ import annotations

from histoseed.encoders.cards import HALF, EncoderCard

__all__ = ["OWN"]

OWN = (
    EncoderCard(
        name="bundled", family="bundled", group="histoseed", arch="small", licence="Apache-2.0", commercial="yes",
        mpp=0.25, mean=HALF[0], std=HALF[1], prefix_tokens=0, dims=(32, 64, 160, 256),
        strides=(2, 4, 8, 16), params=3_580_352, taps="all-stages", tap_norm="none",
        evidence="ships with this package; data and scores stand in the bundled model card",
    ),
)  # fmt: skip
"""The cards of this file."""
