"""What the losses share: precision, the ignore area, class targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.errors import InputError

__all__ = ["of_classes", "of_values", "one_hot", "power", "weighted_mean"]

_TINY = 1e-12


def of_values(
    maps: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps, truth and weight in one shape and one type: float32, or float64 where the maps are.

    Sums over a million pixels and differences of probabilities near 1 are meaningless in 16 bits.

    Args:
        maps: Any shape.
        truth: The same shape. It becomes 0 where nothing counts: what stands there is no truth, and may be no number.
        weight: The same shape, or one that expands to it. None is 1 everywhere.

    Raises:
        InputError: the shapes do not fit.
    """
    if truth.shape != maps.shape:
        raise InputError(f"Truth of shape {tuple(truth.shape)} for maps of shape {tuple(maps.shape)}.", where="loss")
    maps = _widened(maps)
    counts = _expanded(weight, maps)
    return maps, torch.where(counts > 0, truth.to(maps.dtype), 0.0), counts


def of_classes(
    maps: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps of classes and the weight in float32 (float64 where the maps are), and class numbers that exist everywhere.

    Args:
        maps: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1 where the weight is not 0. It becomes 0 where nothing counts.
        weight: (N, ...) or one that expands to it; None is 1 everywhere.

    Raises:
        InputError: the shapes do not fit.
    """
    if truth.shape != maps[:, 0].shape:
        what = f"Classes of shape {tuple(truth.shape)} for maps of shape {tuple(maps.shape)}."
        raise InputError(what, where="loss")
    maps = _widened(maps)
    counts = _expanded(weight, maps[:, 0])
    return maps, torch.where(counts > 0, truth, 0), counts


def _widened(maps: torch.Tensor) -> torch.Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()


def _expanded(weight: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    if weight is None:
        return torch.ones_like(values)
    try:
        return weight.to(values.dtype).expand(values.shape)
    except RuntimeError as error:
        what = f"A weight map of shape {tuple(weight.shape)} for maps of shape {tuple(values.shape)}."
        raise InputError(what, where="loss") from error


def one_hot(truth: torch.Tensor, classes: int, dtype: torch.dtype) -> torch.Tensor:
    """(N, ...) int64 -> (N, classes, ...)."""
    return F.one_hot(truth, classes).movedim(-1, 1).to(dtype)


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of the values by weight; 0 where nothing has weight.

    >>> float(weighted_mean(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([1.0, 1.0, 0.0])))
    2.0
    """
    return (values * weight).sum() / weight.sum().clamp_min(_TINY)


def power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """``base ** exponent`` of a value that is at least 0 up to rounding, with a finite gradient at 0."""
    return base.clamp_min(_TINY) ** exponent
