"""Images to feature maps of several depths, whatever the network behind."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Self

import torch
from torch import nn
from torch.nn import functional as F

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.family import Features
from histoseed.errors import InputError, ModelError

__all__ = ["FeaturePyramid"]

_LOG = logging.getLogger("histoseed.encoders")


class FeaturePyramid(nn.Module):
    """An encoder as the decoders see it; made by :func:`histoseed.encoders.build_encoder`.

    Everything that depends on the encoder happens inside: mean and standard deviation, sizes, prefix tokens.

    *Sizes.* An image whose sides are no multiples of :attr:`size_multiple` is resampled (bilinear) to the next
    multiple above; every map then covers exactly the whole image, at a scale that is logged once a size and stands in
    :attr:`effective_scale`. Align maps with the image by their *size*, not by their stride.

    *Magnitude.* The blocks of a vision transformer add to one stream whose magnitude grows by orders of magnitude with
    depth, and its own last normalisation is fitted to the last block only. With ``card.tap_norm == "layer"`` each map
    is therefore brought to mean 0 and variance 1 over its channels at every position, without parameters (epsilon
    1e-6), in float32. Hierarchical encoders are handed out as they are.

    Args:
        network: The network itself.
        features: Runs it; see :class:`histoseed.encoders.family.Blueprint`.
        card: A card in which everything is filled in.
        taps: Zero-based depths of the maps.
        channels: Channels of each map.
        strides: Pixels (after resampling) that a cell of each map covers.
        size_multiple: Sides the network takes are multiples of this.
        image_size: The side the network was created for.
        weights: Where the weights come from, for a run's manifest.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        features: Features,
        card: EncoderCard,
        *,
        taps: tuple[int, ...],
        channels: list[int],
        strides: list[int],
        size_multiple: int,
        image_size: int,
        weights: str,
    ) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.taps = taps
        self.channels = channels
        self.strides = strides
        self.size_multiple = size_multiple
        self.image_size = image_size
        self.weights = weights
        self.frozen = False
        self.effective_scale = (1.0, 1.0)
        self._features = features
        self._logged: set[tuple[int, int]] = set()
        # Constants of the card, not weights: they stay out of the state dict.
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, fine to coarse (hierarchical encoders) or by depth (encoders of one stride).

        Args:
            x: RGB in [0, 1], float. Shape (N, 3, H, W).

        Returns:
            One map a tap. Shapes (N, ``channels[i]``, h_i, w_i).

        Raises:
            InputError: not a float tensor of that shape.
            ModelError: an encoder that was created for another image size and takes no other.
        """
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape:
            raise InputError(
                f"An encoder takes floats of shape (N, 3, H, W), not {x.dtype} of {tuple(x.shape)}.",
                where=self.card.name,
                fix="Put channels first and divide 8-bit values by 255.",
            )
        x = (self._resampled(x) - self.mean) / self.std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self._run(x)
        if self.card.tap_norm == "layer":
            maps = [_layer_norm(m) for m in maps]
        return maps

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the resampled image: the next multiples above."""
        step = self.size_multiple
        return -(-height // step) * step, -(-width // step) * step

    def freeze(self) -> Self:
        """Stop training: no gradients, and dropout and batch statistics stay as in evaluation whatever the mode."""
        self.frozen = True
        self.requires_grad_(requires_grad=False)
        return self.train(self.training)

    def unfreeze(self) -> Self:
        """Let the weights be trained again."""
        self.frozen = False
        self.requires_grad_(requires_grad=True)
        return self.train(self.training)

    def recompute(self, *, enable: bool = True) -> Self:
        """Keep no activations within blocks for the backward pass, but compute them again there (checkpointing).

        Training needs less memory and about a third more time; maps and gradients stay as they are.

        Raises:
            InputError: an encoder whose library has no such switch, or one whose batch statistics would count every
                batch twice.
        """
        switch = getattr(self.network, "set_grad_checkpointing", None)
        reason = None if callable(switch) else "its library has no such switch"
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.network.modules()):  # noqa: SLF001  the common base
            reason = "its batch normalisation would count every batch twice"
        if enable and reason is not None:
            what = f"The activations of this encoder cannot be computed again: {reason}."
            raise InputError(what, where=self.card.name, fix="Use a smaller batch.")
        if callable(switch):
            switch(enable)
        return self

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """Set training mode; a frozen encoder's network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.train(mode=False)
        return self

    def fingerprint(self) -> str:
        """SHA-256 over everything that decides the features: card, taps, size of creation and all weights as they are.

        It is computed anew at each call, so that it is right after training too; about a second a gigabyte.
        """
        facts = {"card": self.card.as_dict(), "taps": self.taps, "image_size": self.image_size}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            data = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(data.view(torch.uint8).numpy())
        return digest.hexdigest()

    def _resampled(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        target = self.target_size(height, width)
        self.effective_scale = (target[0] / height, target[1] / width)
        if target == (height, width):
            return x
        if (height, width) not in self._logged:
            self._logged.add((height, width))
            _LOG.info(
                "%s takes multiples of %d: images of %d x %d are resampled to %d x %d (scale %.3f x %.3f)",
                self.card.name, self.size_multiple, height, width, *target, *self.effective_scale,
            )  # fmt: skip
        return F.interpolate(x, size=target, mode="bilinear", align_corners=False)

    def _run(self, x: torch.Tensor) -> list[torch.Tensor]:
        height, width = x.shape[-2:]
        other_size = (height, width) != self.target_size(self.image_size, self.image_size)
        try:
            maps = self._features(self.network, x, self.taps)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            if not other_size:
                raise
            raise self._wrong_size(height, width, str(error)) from error
        expected = [(height // stride, width // stride) for stride in self.strides]
        if [tuple(m.shape[-2:]) for m in maps] != expected:
            raise self._wrong_size(height, width, f"maps of {[tuple(m.shape[-2:]) for m in maps]}")
        return maps

    def _wrong_size(self, height: int, width: int, reason: str) -> ModelError:
        return ModelError(
            f"The encoder was created for {self.image_size} x {self.image_size} and failed on {height} x {width} "
            f"({reason[:200]}).",
            where=self.card.name,
            fix=f"Build it with image_size={max(height, width)}, and give it square images of that size.",
        )

    def extra_repr(self) -> str:
        """What ``print`` shows beside the network."""
        return f"{self.card.name}, weights={self.weights}, taps={self.taps}, strides={self.strides}"


def _layer_norm(m: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 over the channels at each position. (N, C, h, w) -> the same shape, float32."""
    channels_last = m.float().movedim(1, -1)
    return F.layer_norm(channels_last, channels_last.shape[-1:], eps=1e-6).movedim(-1, 1).contiguous()
