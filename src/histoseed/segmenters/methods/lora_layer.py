"""A layer with a low-rank update: LoRA (Hu et al., ICLR 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.errors import InputError

__all__ = ["LoRALinear", "is_adaptable"]


def is_adaptable(layer: nn.Module) -> bool:
    """Whether a layer multiplies by one matrix: a linear layer, or a convolution of 1 x 1 without groups and stride."""
    if isinstance(layer, nn.Linear):
        return True
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride == (1, 1)
        and layer.padding in ((0, 0), "same", "valid")
        and layer.groups == 1
    )


class LoRALinear(nn.Module):
    """``W x + b + (alpha / rank) B A x``, with ``W`` and ``b`` as they were and ``B`` zero at the start.

    The layer that it replaces keeps its state-dict keys (``weight``, ``bias``); ``lora_a`` and ``lora_b`` are new.

    *Blocks.* A fused layer computes query, key and value at once. ``blocks`` names the rows of its output that are
    updated, one group for each part; each has its own ``A`` and ``B``, exactly as separate layers would have, and the
    rows that are not named stay as they were.

    *Reading the weight.* :attr:`weight` is the sum ``W + (alpha / rank) B A``, so that networks which do not call the
    layer but multiply by its weight themselves (Eva, BEiT, Swin V2) are adapted too; ``dropout`` does nothing there.

    *Merging.* :meth:`merge` adds the update to ``W`` for speed; :meth:`unmerge` brings the old ``W`` back bit by bit.
    The state dict is that of the unmerged layer at all times, and training mode unmerges.

    Args:
        layer: What it replaces, see :func:`is_adaptable`; its parameters are taken over and stop training.
        rank: Inner width.
        alpha: The update is scaled by ``alpha / rank``.
        dropout: Share of the update's inputs dropped in training.
        blocks: Row numbers of each updated part of the output, parts of equal size; None is all rows as one part.
        generator: Draws ``A`` (uniform, as a linear layer's weights are drawn).

    Shape: as the layer it replaces: (..., inputs) -> (..., outputs), or (N, inputs, H, W) -> (N, outputs, H, W).

    Raises:
        InputError: another kind of layer, or parts of different size.
    """

    bias: nn.Parameter | None
    rows: torch.Tensor | None
    original: torch.Tensor | None

    def __init__(
        self,
        layer: nn.Module,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        blocks: Sequence[Sequence[int]] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not is_adaptable(layer) or not isinstance(layer, nn.Linear | nn.Conv2d):
            raise InputError(f"A low-rank update needs a linear layer, not {layer}.", where="lora")
        own = dict(layer.requires_grad_(requires_grad=False).named_parameters(recurse=False))
        weight = own["weight"].detach()
        self.out_features, self.in_features = weight.shape[:2]
        # Past the check of names in __setattr__: ``weight`` is the name of a property of this class.
        self._parameters["weight"] = own["weight"]
        self.register_parameter("bias", own.get("bias"))
        self.convolution = isinstance(layer, nn.Conv2d)
        self.rank, self.scale = rank, alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.parts = 1 if blocks is None else len(blocks)
        sizes = {self.out_features} if blocks is None else {len(part) for part in blocks}
        if len(sizes) != 1:
            raise InputError(f"The parts of a fused layer have different sizes: {sorted(sizes)}.", where="lora")
        numbers = None if blocks is None else torch.tensor([row for part in blocks for row in part])
        self.register_buffer("rows", None if numbers is None else numbers.to(weight.device), persistent=False)
        self.register_buffer("original", None, persistent=False)
        a = torch.empty(self.parts * rank, self.in_features, device="cpu")
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        self.lora_a = nn.Parameter(a.to(weight))
        self.lora_b = nn.Parameter(weight.new_zeros(self.parts * sizes.pop(), rank))

    @property
    def merged(self) -> bool:
        """Whether the update is in the stored weight."""
        return self.original is not None

    @property
    def weight(self) -> torch.Tensor:
        """The matrix that the layer multiplies by, update included; in the shape of the layer it replaces."""
        return self._stored if self.merged else self._stored + self.update()

    @property
    def _stored(self) -> torch.Tensor:
        stored = self._parameters["weight"]
        assert stored is not None  # noqa: S101 - put there by the constructor
        return stored

    def update(self) -> torch.Tensor:
        """``(alpha / rank) B A``, 0 in rows that are not updated; in the shape of the weight."""
        pairs = zip(self.lora_b.chunk(self.parts), self.lora_a.chunk(self.parts), strict=True)
        update = self.scale * torch.cat([b @ a for b, a in pairs])
        if self.rows is not None:
            update = update.new_zeros(self.out_features, self.in_features).index_copy(0, self.rows, update)
        return update.view_as(self._stored)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class for shapes."""
        y = self._times(x, self._stored, self.bias)
        if self.merged:
            return y
        dim = 1 if self.convolution else -1
        narrow = self._times(self.dropout(x), self._shaped(self.lora_a)).chunk(self.parts, dim)
        wide = zip(narrow, self.lora_b.chunk(self.parts), strict=True)
        update = self.scale * torch.cat([self._times(part, self._shaped(b)) for part, b in wide], dim)
        return y + update if self.rows is None else y.index_add(dim, self.rows, update.to(y.dtype))

    def _shaped(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix[:, :, None, None] if self.convolution else matrix

    def _times(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        return F.conv2d(x, weight, bias) if self.convolution else F.linear(x, weight, bias)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the update to the stored weight; once."""
        if not self.merged:
            kept = self._stored.clone()
            self._stored.copy_(self.weight)
            self.original = kept

    @torch.no_grad()
    def unmerge(self) -> None:
        """Bring the weight back that was there before :meth:`merge`."""
        if self.original is not None:
            self._stored.copy_(self.original)
            self.original = None

    def plain(self) -> nn.Linear | nn.Conv2d:
        """An ordinary layer with the update in its weight, on the same device and in the same mode."""
        weight = self.weight.detach()
        biased = self.bias is not None
        layer: nn.Linear | nn.Conv2d = (
            nn.Conv2d(self.in_features, self.out_features, 1, bias=biased, device="meta")
            if self.convolution
            else nn.Linear(self.in_features, self.out_features, bias=biased, device="meta")
        )
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        layer.register_parameter("bias", self.bias)
        return layer.train(self.training)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """Set training mode; a merged update cannot be trained, so that it is taken out."""
        if mode:
            self.unmerge()
        return super().train(mode)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        rows = self.out_features if self.rows is None else len(self.rows)
        return f"{self.in_features} -> {self.out_features}, rank={self.rank}, scale={self.scale:g}, rows={rows}"

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:  # noqa: FBT001
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.original is not None:
            destination[f"{prefix}weight"] = self.original

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unmerge()
        super()._load_from_state_dict(*args, **kwargs)
