"""What every family of encoders hands to the builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from histoseed.encoders.weights import State

__all__ = ["Blueprint", "Features"]

Features = Callable[[nn.Module, torch.Tensor, tuple[int, ...]], list[torch.Tensor]]
"""Network, normalised images (N, 3, H, W), taps -> one map (N, C, h, w) a tap, prefix tokens already gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """How one encoder is built.

    Args:
        make: Makes the network with random weights, on the default device, from the global random state.
        features: Runs it up to the last tap. A module-level function, so that an encoder can be pickled.
        translate: Answers the tensors of a file under the network's own names; the third argument says where they
            come from. What still does not fit is found by the strict comparison afterwards.
        strides: Input pixels a cell covers, for every depth that can be tapped.
        patch_size: Pixels a token covers; None for hierarchical encoders.
        prefix_tokens: Tokens in front of the patch tokens.
        sized: The network was made for one image size, and the number of its parameters may depend on it.
    """

    make: Callable[[], nn.Module]
    features: Features
    translate: Callable[[nn.Module, State, object], State]
    strides: tuple[int, ...]
    patch_size: int | None = None
    prefix_tokens: int = 0
    sized: bool = False
