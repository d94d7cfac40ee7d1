"""The family ``bundled``: the small encoder of the model that ships with this package."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.family import Blueprint
from histoseed.encoders.small import SmallEncoder
from histoseed.encoders.weights import State, encoder_part

__all__ = ["plan"]


def plan(card: EncoderCard, image_size: int) -> Blueprint:
    """How to build a card of this family; a convolutional network takes any ``image_size``."""
    del image_size
    kwargs = {key: tuple(value) if isinstance(value, list) else value for key, value in card.build.items()}
    with torch.device("meta"):
        strides = tuple(SmallEncoder(**kwargs).strides)
    return Blueprint(make=partial(SmallEncoder, **kwargs), features=_features, translate=_translate, strides=strides)


def _features(network: nn.Module, x: torch.Tensor, taps: tuple[int, ...]) -> list[torch.Tensor]:
    levels = network(x)
    return [levels[tap] for tap in taps]


def _translate(network: nn.Module, state: State, where: object) -> State:
    del network, where
    return encoder_part(state)
