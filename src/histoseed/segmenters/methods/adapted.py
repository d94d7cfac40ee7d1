"""A feature pyramid of which a named part trains."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Sequence
from typing import Any, Self

import torch
from torch import nn

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.options import MethodOptions

__all__ = ["AdaptedPyramid"]

_LOG = logging.getLogger("histoseed.segmenters")


class AdaptedPyramid(FeaturePyramid):
    """An encoder whose network stays as it is, except for the parameters that a method names.

    It takes over the modules of the encoder it is made :meth:`of`, so that every state-dict key of that encoder is a
    key of this one. In training mode only the named modules are in training mode: the dropout and the batch statistics
    of what is frozen stay as in evaluation.

    ``freeze`` and ``unfreeze`` switch what the method trains; everything else never trains.

    Attributes:
        method: What is stored with the model.
        trained: Names of the parameters that train.
        live: Names of the modules that follow the training mode.
    """

    method: MethodOptions
    trained: frozenset[str]
    live: tuple[str, ...]

    @classmethod
    def of(cls, encoder: FeaturePyramid) -> Self:
        """Take an encoder over; nothing trains until :meth:`train_only`.

        Raises:
            InputError: an encoder that was prepared before.
        """
        if isinstance(encoder, AdaptedPyramid):
            what = f"The encoder is already prepared for {encoder.method.name}."
            raise InputError(what, where=encoder.card.name, fix="Build the encoder anew.")
        adapted = cls.__new__(cls)
        # Whatever a pyramid holds; the tables of its modules are copied, the modules themselves are shared.
        adapted.__dict__.update({k: copy.copy(v) if isinstance(v, dict | set) else v for k, v in vars(encoder).items()})
        adapted.trained, adapted.live = frozenset(), ()
        return adapted

    def train_only(self, parameters: Collection[str], *, live: Sequence[str] = (), method: MethodOptions) -> Self:
        """Say which parameters train, and let them.

        Args:
            parameters: Names as in ``named_parameters``.
            live: Names of the modules that follow the training mode.
            method: What is stored with the model.
        """
        self.trained, self.live, self.method = frozenset(parameters), tuple(live), method
        return self.unfreeze()

    def unfreeze(self) -> Self:
        """Let what the method names train, and nothing else."""
        self.frozen = False
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in self.trained)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  torch's own signature
        """Set training mode; only what the method names leaves evaluation mode, and nothing where it is frozen."""
        super().train(mode)
        for child in self.children():
            child.eval()
        if mode and not self.frozen:
            for name in self.live:
                self.get_submodule(name).train()
        return self

    def plain(self) -> FeaturePyramid:
        """The encoder as it was taken over: another view of the same modules, without what the method says of them."""
        view = FeaturePyramid.__new__(FeaturePyramid)
        vars(view).update({k: v for k, v in vars(self).items() if k not in {"method", "trained", "live"}})
        return view

    def reached(self) -> frozenset[str]:
        """Names of the parameters that decide about the maps; blocks behind the last tap do not.

        Found by one pass of shapes without numbers. Where an architecture does not allow that, all are named.
        """
        try:
            with torch.device("meta"), torch.enable_grad():
                names = self._with_gradient()
        except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            _LOG.info("%s: cannot tell which parameters its maps depend on (%s)", self.card.name, error)
            names = [name for name, _ in self.network.named_parameters()]
        return frozenset(f"network.{name}" for name in names)

    def _with_gradient(self) -> list[str]:
        # A copy of the network in which every tensor is replaced by its shape: it takes no memory.
        memo: dict[int, Any] = {}
        for module in self.network.modules():
            tables = (module._parameters, module._buffers, vars(module))  # noqa: SLF001  the only complete lists
            for tensor in (t for table in tables for t in table.values() if isinstance(t, torch.Tensor)):
                shape = torch.empty_like(tensor, device="meta")
                grows = shape.is_floating_point() and isinstance(tensor, nn.Parameter)
                memo[id(tensor)] = nn.Parameter(shape) if grows else shape
        network = copy.deepcopy(self.network, memo).eval()
        size = self.target_size(self.image_size, self.image_size)
        maps = self._features(network, torch.empty(1, 3, *size), self.taps)
        names, parameters = zip(*network.named_parameters(), strict=True)
        total = torch.stack([m.float().sum() for m in maps]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        return [name for name, gradient in zip(names, gradients, strict=True) if gradient is not None]
