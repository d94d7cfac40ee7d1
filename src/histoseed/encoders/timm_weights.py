"""Checkpoints of other origin, told in the names and sizes of a network of timm."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from histoseed.encoders.cards import Layout
from histoseed.encoders.layouts import in_timms_names
from histoseed.encoders.weights import State

__all__ = ["translate"]

Make = Callable[[], nn.Module]

_LOG = logging.getLogger("histoseed.encoders")

_WRAPPERS = ("module.", "network.", "model.", "net.", "backbone.", "encoder.")
"""What stands in front of an encoder's names where it is a part of a larger network."""


def translate(make: Make, layout: Layout | None, network: nn.Module, state: State, where: object) -> State:
    """The names of the authors, of a larger network around the encoder, or of another image size, told in timm's own.

    A file that fits as it is is not touched. Each later step is only taken where the ones before did not suffice, and
    what does not fit in the end is for the strict comparison to tell.

    Args:
        make: Makes the network anew.
        layout: How the published file names its tensors.
        network: What the tensors are for.
        state: What the file holds.
        where: The file, for messages.
    """
    own = network.state_dict()
    given = state
    for step in (
        partial(_without_classifier, network),
        partial(in_timms_names, layout) if layout else None,
        partial(_unwrapped, own),
        partial(in_timms_names, layout) if layout else None,  # inside a larger network
        partial(_by_timm, network, where),
    ):
        if step is not None and not _fits(own, state):
            state = step(state)
    segmenter = any(key.startswith(("encoder.", "model.encoder.", "module.encoder.")) for key in given)
    return _completed(make, own, state, where) if segmenter else state


def _fits(own: State, state: State) -> bool:
    return own.keys() == state.keys() and all(own[key].shape == value.shape for key, value in state.items())


def _without_classifier(network: nn.Module, state: State) -> State:
    cfg = getattr(network, "pretrained_cfg", None) or {}
    heads = cfg.get("classifier") or ()
    own = network.state_dict()
    dropped = {
        f"{head}.{part}" for head in ((heads,) if isinstance(heads, str) else heads) for part in ("weight", "bias")
    }
    return {key: value for key, value in state.items() if key not in dropped or key in own}


def _unwrapped(own: State, state: State) -> State:
    """The encoder inside a larger network (a segmenter, a wrapper of a training library), under its own names."""
    while True:
        wrapper = next((
            prefix for prefix in _WRAPPERS
            if any(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own)
        ), None)  # fmt: skip
        if wrapper is None:
            # timm's features_only joins the first two parts of a name.
            return {re.sub(r"^(stem|stages|layers|features)_(\w+)\.", r"\1.\2.", key): v for key, v in state.items()}
        state = {key.removeprefix(wrapper): value for key, value in state.items() if key.startswith(wrapper)}


def _by_timm(network: nn.Module, where: object, state: State) -> State:
    """Each of timm's model files brings the function that reads checkpoints of other origin or other image size.

    Where it fails, the tensors are of something else: the comparison that follows tells which ones.
    """
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return dict(convert(dict(state), network))
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError, AssertionError) as error:
        _LOG.info("%s: timm's converter failed (%s: %s)", where, type(error).__name__, error)
        return state


def _completed(make: Make, own: State, state: State, where: object) -> State:
    """A U-Net's encoder ends at its last feature map: what the whole network has behind that keeps its first values."""
    missing = own.keys() - state.keys()
    if not missing:
        return state
    behind = missing & _behind_the_maps(make)
    if behind:
        _LOG.info("%s: nothing of %s, which no feature map passes", where, ", ".join(sorted(behind)))
    return state | {key: own[key].detach().clone() for key in behind}


def _behind_the_maps(make: Make) -> set[str]:
    """Names of the tensors that no feature map depends on, found by a backward pass on the meta device."""
    with torch.device("meta"), torch.enable_grad():
        network: Any = make().eval()
        strides = [int(level["reduction"]) for level in network.feature_info]
        size = getattr(getattr(network, "patch_embed", None), "img_size", None) or (2 * max(strides),) * 2
        maps = network.forward_intermediates(torch.empty(1, 3, *size), norm=False, intermediates_only=True)
        named = dict(network.named_parameters())
        gradients = torch.autograd.grad(sum(m.sum() for m in maps), list(named.values()), allow_unused=True)
    idle = {name.rpartition(".")[0] for name, g in zip(named, gradients, strict=True) if g is None}
    return {name for name in network.state_dict() if name.rpartition(".")[0] in idle}
