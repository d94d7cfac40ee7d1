"""A plain vision transformer, left as it is, that exchanges features with a convolutional pyramid of the image.

Written from the published descriptions of ViT-Adapter (Chen et al., ICLR 2023) and of CellVTA (2025), which puts it
under the CellViT decoder. Before each of four groups of blocks an *injector* adds to the tokens what they find in the
pyramid; after it an *extractor* adds to the pyramid what it finds in the tokens. Both look by deformable attention.

The blocks are reached by hooks, so that the network itself stays what its library built, of whatever family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.encoders import EncoderCard, FeaturePyramid
from histoseed.encoders.build import planned_strides
from histoseed.errors import HistoseedError, InputError
from histoseed.segmenters.spatial_adapter.deformable import DeformableAttention, Sizes, reference_points
from histoseed.segmenters.spatial_adapter.spatial_prior import SpatialPrior

__all__ = ["SpatialAdapter", "why_no_adapter"]

_GROUPS = 4


def why_no_adapter(card: EncoderCard) -> str | None:
    """Why an encoder cannot have an adapter, or None; what only the built network tells counts as possible."""
    try:
        strides = card.strides or planned_strides(card)
    except HistoseedError:  # told where it is built
        return None
    if len(set(strides)) > 1:
        return (
            "the adapter gives a plain vision transformer the resolutions it lacks; this encoder is hierarchical and "
            "has them: use frozen, side-branch or full"
        )
    return None


class _Injector(nn.Module):
    """Tokens <- pyramid. ``gamma`` starts near zero, so that the transformer starts as it was."""

    def __init__(self, channels: int, *, levels: int, gamma: float, heads: int, points: int, ratio: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(channels, eps=1e-6)
        self.map_norm = nn.LayerNorm(channels, eps=1e-6)
        self.attention = DeformableAttention(channels, levels, heads=heads, points=points, ratio=ratio)
        self.gamma = nn.Parameter(torch.full((channels,), gamma))

    def forward(self, tokens: torch.Tensor, at: Sizes, maps: torch.Tensor, sizes: Sizes) -> torch.Tensor:
        places = reference_points(at, tokens.device, tokens.dtype)
        found: torch.Tensor = self.attention(self.query_norm(tokens), places, self.map_norm(maps), sizes)
        return tokens + self.gamma * found


class _ConvFeedForward(nn.Module):
    """Feed-forward network with a depth-wise convolution on each map in its middle."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        hidden = max(1, int(channels * ratio))
        self.first = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.last = nn.Linear(hidden, channels)

    def forward(self, maps: torch.Tensor, sizes: Sizes) -> torch.Tensor:
        x = self.first(maps)
        planes = [
            self.depthwise(part.transpose(1, 2).reshape(x.shape[0], -1, *size)).flatten(2).transpose(1, 2)
            for part, size in zip(torch.split(x, [h * w for h, w in sizes], 1), sizes, strict=True)
        ]
        out: torch.Tensor = self.last(F.gelu(torch.cat(planes, 1)))
        return out


class _Extractor(nn.Module):
    """Pyramid <- tokens."""

    def __init__(self, channels: int, *, heads: int, points: int, ratio: float, hidden: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(channels, eps=1e-6)
        self.map_norm = nn.LayerNorm(channels, eps=1e-6)
        self.attention = DeformableAttention(channels, 1, heads=heads, points=points, ratio=ratio)
        self.forward_norm = nn.LayerNorm(channels, eps=1e-6)
        self.forward_network = _ConvFeedForward(channels, hidden)

    def forward(self, maps: torch.Tensor, sizes: Sizes, tokens: torch.Tensor, at: Sizes) -> torch.Tensor:
        places = reference_points(sizes, maps.device, maps.dtype)
        maps = maps + self.attention(self.query_norm(maps), places, self.map_norm(tokens), at)
        out: torch.Tensor = maps + self.forward_network(self.forward_norm(maps), sizes)
        return out


class SpatialAdapter(nn.Module):
    """A :class:`~histoseed.encoders.FeaturePyramid` with maps at strides 2, 4, 8, 16 from a plain vision transformer.

    Args:
        trunk: A plain vision transformer with four taps; the groups of blocks end at them. Its weights are not trained
            and it stays in evaluation mode.
        gamma: Start of the injectors' factor; 0 or close to it leaves the trunk's maps as they were.
        heads: Of the attention.
        points: A head and a map.
        ratio: Inner channels of the attention / channels.
        hidden: Inner channels of the feed-forward networks / channels.
        width: Channels of the spatial prior's first convolutions.

    Raises:
        InputError: the encoder is hierarchical, has another number of taps, or no list of equal blocks.
    """

    def __init__(
        self,
        trunk: FeaturePyramid,
        *,
        gamma: float = 1e-5,
        heads: int = 8,
        points: int = 4,
        ratio: float = 0.5,
        hidden: float = 0.25,
        width: int = 64,
    ) -> None:
        super().__init__()
        reason = why_no_adapter(trunk.card)
        if reason is None and (len(set(trunk.strides)) > 1 or len(trunk.taps) != _GROUPS):
            reason = f"the adapter needs {_GROUPS} taps of one stride, not strides {trunk.strides}"
        if reason is not None:
            raise InputError(f"No adapter for this encoder: {reason}.", where=trunk.card.name, fix="See --method.")
        channels = trunk.channels[-1]
        self.trunk = trunk
        trunk.unfreeze().requires_grad_(requires_grad=False)
        self._block_names = _blocks(trunk)
        how = {"heads": heads, "points": points, "ratio": ratio}
        self.prior = SpatialPrior(channels, width=width)
        self.level_embedding = nn.Parameter(torch.zeros(3, channels))
        nn.init.normal_(self.level_embedding)
        self.injectors = nn.ModuleList(_Injector(channels, levels=3, gamma=gamma, **how) for _ in range(_GROUPS))  # type: ignore[arg-type]
        self.extractors = nn.ModuleList(_Extractor(channels, hidden=hidden, **how) for _ in range(_GROUPS + 2))  # type: ignore[arg-type]
        self.finest = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(4))
        self.channels = [channels] * 4
        self.strides = [2, 4, 8, 16]

    @property
    def card(self) -> EncoderCard:
        """The trunk's card."""
        return self.trunk.card

    @property
    def size_multiple(self) -> int:
        """Sides the trunk takes are multiples of this."""
        return self.trunk.size_multiple

    def freeze(self) -> Self:
        """Stop training, the adapter included."""
        self.trunk.freeze()
        self.requires_grad_(requires_grad=False)
        return self.train(mode=False)

    def unfreeze(self) -> Self:
        """Let the adapter be trained; the trunk never is."""
        self.requires_grad_(requires_grad=True)
        self.trunk.unfreeze().requires_grad_(requires_grad=False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """Set training mode; the trunk stays in evaluation mode, and all of it once frozen."""
        super().train(mode and not self.trunk.frozen)
        self.trunk.train(mode=False)
        return self

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, fine to coarse.

        Args:
            images: RGB in [0, 1], float. Shape (N, 3, H, W).

        Returns:
            Four maps (N, channels, ceil(H / stride), ceil(W / stride)).
        """
        first, *rest = self.prior((images - self.trunk.mean) / self.trunk.std)
        sizes = [(m.shape[-2], m.shape[-1]) for m in rest]
        exchange = _Exchange(self, images.shape[-2:], rest, sizes)
        handles: list[Any] = []
        try:
            for group, (start, end) in enumerate(self._groups()):
                handles += [start.register_forward_pre_hook(exchange.before(group))]
                handles += [end.register_forward_hook(exchange.after(group))]
            self.trunk(images)
        finally:
            for handle in handles:
                handle.remove()
        parts = torch.split(exchange.pyramid, [h * w for h, w in sizes], 1)
        c2, c3, c4 = (
            part.transpose(1, 2).reshape(images.shape[0], -1, *size) for part, size in zip(parts, sizes, strict=True)
        )
        c1 = _resized(self.finest(c2), first) + first
        return [
            norm(own + _resized(tokens, own))
            for norm, own, tokens in zip(self.norms, (c1, c2, c3, c4), exchange.tokens, strict=True)
        ]

    def _groups(self) -> list[tuple[nn.Module, nn.Module]]:
        """First and last block of each group."""
        blocks = list(self.trunk.network.get_submodule(self._block_names).children())
        starts = [0, *(tap + 1 for tap in self.trunk.taps[:-1])]
        return [(blocks[a], blocks[b]) for a, b in zip(starts, self.trunk.taps, strict=True)]


class _Exchange:
    """What one forward pass carries from hook to hook."""

    def __init__(self, adapter: SpatialAdapter, image: torch.Size, maps: list[torch.Tensor], sizes: Sizes) -> None:
        self.adapter = adapter
        self.sizes = sizes
        trunk = adapter.trunk
        height, width = trunk.target_size(image[0], image[1])
        self.at = [(height // trunk.strides[-1], width // trunk.strides[-1])]
        self.prefix = trunk.card.prefix_tokens or 0
        embedded = zip(maps, adapter.level_embedding, strict=True)
        self.pyramid = torch.cat([m.flatten(2).transpose(1, 2) + level for m, level in embedded], 1)
        self.tokens: list[torch.Tensor] = []

    def before(self, group: int) -> Callable[..., Any]:
        """Hook in front of the first block of a group."""

        def inject(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens, put_back = self._patches(given[0])
            changed = self.adapter.injectors[group](tokens, self.at, self.pyramid, self.sizes)
            return (put_back(changed), *given[1:])

        return inject

    def after(self, group: int) -> Callable[..., Any]:
        """Hook behind the last block of a group."""

        def extract(_module: nn.Module, _given: tuple[Any, ...], out: Any) -> None:
            tokens, _ = self._patches(out[0] if isinstance(out, tuple) else out)
            last = group == _GROUPS - 1
            for extractor in self.adapter.extractors[group : None if last else group + 1]:
                self.pyramid = extractor(self.pyramid, self.sizes, tokens, self.at)
            self.tokens.append(tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *self.at[0]))

        return extract

    def _patches(self, tokens: torch.Tensor) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Patch tokens (N, h * w, channels), and how they go back among the prefix tokens, or into a map."""
        if tokens.ndim == 4:  # (N, h, w, channels), as SAM keeps them
            return tokens.flatten(1, 2), lambda changed: changed.reshape(tokens.shape)
        patches = tokens[:, self.prefix :]
        return patches, lambda changed: torch.cat([tokens[:, : self.prefix], changed], 1)


def _resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _blocks(trunk: FeaturePyramid) -> str:
    """Name of the list of blocks inside the network: the largest list of equal modules that reaches the last tap."""
    best, most = "", 0
    for name, module in trunk.network.named_modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential) or len(module) <= trunk.taps[-1]:
            continue
        weights = sum(p.numel() for p in module.parameters())
        if len({type(child) for child in module}) == 1 and weights > most:
            best, most = name, weights
    if not best:
        fix = "Use another --method."
        raise InputError("No list of transformer blocks was found in this encoder.", where=trunk.card.name, fix=fix)
    return best
