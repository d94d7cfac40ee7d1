"""The method ``side-branch``: a small convolutional network beside the frozen encoder.

It brings what plain vision transformers lack, detail at strides 4 and 8, and trains in seconds where the encoder's
features are cached: :meth:`SidePyramid.trunk` is frozen, :meth:`SidePyramid.joined` is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.adapted import AdaptedPyramid
from histoseed.segmenters.methods.options import MethodOptions, SideJoin

__all__ = ["STRIDES", "SideBranch", "SidePyramid", "prepare_side_branch", "trunk_of", "with_branch"]

STRIDES = (4, 8)
"""Strides of the branch's maps."""


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class SideBranch(nn.Module):
    """Image -> maps at strides 4 and 8.

    Args:
        width: Channels of the first convolution; the maps have 2 and 4 times as many.
        added: Channels that each map is brought to by a 1 x 1 convolution, zero at the start; None leaves them.

    Shape: input (N, 3, H, W) normalised float; output (N, C, ceil(H / stride), ceil(W / stride)) each.
    """

    def __init__(self, width: int, added: Sequence[int] | None = None) -> None:
        super().__init__()
        self.quarter = nn.Sequential(_conv(3, width, 2), _conv(width, 2 * width, 2), _conv(2 * width, 2 * width))
        self.eighth = nn.Sequential(_conv(2 * width, 4 * width, 2), _conv(4 * width, 4 * width))
        self.channels = [2 * width, 4 * width]
        self.project = nn.ModuleList()
        for inputs, outputs in zip(self.channels, added or (), strict=False):
            layer = nn.Conv2d(inputs, outputs, 1)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            self.project.append(layer)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """See the class for shapes."""
        quarter = self.quarter(x)
        maps = [quarter, self.eighth(quarter)]
        return [layer(m) for layer, m in zip(self.project, maps, strict=True)] if len(self.project) else maps


class SidePyramid(AdaptedPyramid):
    """A frozen encoder two of whose maps are joined with those of a :class:`SideBranch`.

    Joined are the encoder's maps of strides 4 and 8. Where it has none, its shallowest maps of a coarser stride are
    resampled to these strides first (bilinear); the deepest map is never touched. There are as many maps as before.
    """

    branch: SideBranch
    places: tuple[int, int]
    join: SideJoin
    _levels: tuple[list[int], list[int]]

    def add_branch(self, width: int, join: SideJoin) -> None:
        """Put the branch in, with weights from the global random state.

        Raises:
            InputError: too few maps.
        """
        places: list[int] = []
        for stride in STRIDES:
            first = places[-1] + 1 if places else 0
            place = next((i for i in range(first, len(self.strides) - 1) if self.strides[i] >= stride), None)
            if place is None:
                what = f"The encoder's maps at strides {self.strides} are too few for a branch at {list(STRIDES)}."
                raise InputError(what, where=self.card.name, fix="Use more taps, or another method.")
            places.append(place)
        self.places, self.join, self._levels = (places[0], places[1]), join, (self.channels, self.strides)
        channels, strides = list(self.channels), list(self.strides)
        self.branch = SideBranch(width, [channels[i] for i in places] if join == "add" else None)
        for place, stride, extra in zip(places, STRIDES, self.branch.channels, strict=True):
            strides[place] = stride
            channels[place] += 0 if join == "add" else extra
        self.channels, self.strides = channels, strides

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, see :class:`histoseed.encoders.FeaturePyramid`."""
        return self.joined(x, self.trunk(x))

    @torch.no_grad()
    def trunk(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The maps of the frozen encoder alone, at its own strides; they do not change in training."""
        return self.plain().forward(x)

    def plain(self) -> FeaturePyramid:
        """The encoder alone, at its own strides: another view of the same modules, without the branch."""
        view = super().plain()
        view.channels, view.strides = self._levels
        vars(view)["_modules"] = {name: module for name, module in self._modules.items() if name != "branch"}
        return view

    def joined(self, x: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """The maps of the frozen encoder, together with those of the branch.

        Args:
            x: The images, as for :meth:`forward`.
            maps: What :meth:`trunk` gave for them.
        """
        maps = list(maps)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            sides = self.branch((self._resampled(x) - self.mean) / self.std)
        for place, side in zip(self.places, sides, strict=True):
            own = maps[place]
            if own.shape[-2:] != side.shape[-2:]:
                own = F.interpolate(own, size=side.shape[-2:], mode="bilinear", align_corners=False)
            maps[place] = own + side if self.join == "add" else torch.cat([own, side.to(own.dtype)], 1)
        return maps


def trunk_of(encoder: FeaturePyramid) -> FeaturePyramid:
    """What of an encoder comes before everything that trains, where its method is one of ``STORING``."""
    return encoder.plain() if isinstance(encoder, SidePyramid) else encoder


def with_branch(encoder: FeaturePyramid, images: torch.Tensor, maps: list[torch.Tensor]) -> list[torch.Tensor]:
    """The maps of an encoder, from those that its trunk gave for the same images before.

    Args:
        encoder: Its method is one of ``STORING``.
        images: (N, 3, H, W) RGB float in [0, 1].
        maps: Of :func:`trunk_of`, (N, C, h, w) each.
    """
    return encoder.joined(images, maps) if isinstance(encoder, SidePyramid) else maps


def prepare_side_branch(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> SidePyramid:
    """Put a branch beside the encoder; added maps (``options.side_join``) change nothing until something trains.

    Raises:
        InputError: an encoder with too few maps.
    """
    adapted = SidePyramid.of(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        adapted.add_branch(options.side_channels, options.side_join)
    adapted.branch.to(adapted.mean.device)
    names = [name for name, _ in adapted.named_parameters() if name.startswith("branch.")]
    return adapted.train_only(names, live=["branch"], method=options)
