"""Losses of the horizontal and vertical maps (Graham et al., HoVer-Net, Medical Image Analysis 2019).

Two changes, both about what may not count. A gradient is looked at only where the whole 5 x 5 window counts and lies
inside the image: at other places it would be one of the padding or of what the ignore area hides. And each map is
differentiated along its own direction only, as the paper says.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.errors import InputError
from histoseed.training.losses.common import of_values, weighted_mean

__all__ = ["SOBEL_SIZE", "hv_gradient_loss", "hv_loss", "sobel_kernel"]

SOBEL_SIZE = 5
"""Side of the window of HoVer-Net's training loss."""


def sobel_kernel(size: int = SOBEL_SIZE) -> torch.Tensor:
    """The derivative along x as HoVer-Net takes it: ``x / (x^2 + y^2)``, 0 in the middle.

    Args:
        size: Side, odd.

    Returns:
        (size, size) float64; its transpose is the derivative along y.

    >>> sobel_kernel(3).tolist()
    [[-0.5, 0.0, 0.5], [-1.0, 0.0, 1.0], [-0.5, 0.0, 0.5]]
    """
    reach = torch.arange(size, dtype=torch.float64) - size // 2
    x, y = reach[None, :], reach[:, None]
    squared = x * x + y * y
    return torch.where(squared > 0, x / squared.clamp_min(1), torch.zeros_like(squared))


def hv_loss(prediction: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean squared error of both maps over all pixels that count, background included.

    Args:
        prediction: (N, 2, H, W), horizontal and vertical.
        truth: The same shape, 0 on background.
        weight: (N, H, W), 0 inside the ignore area; None counts everything.

    Returns:
        A scalar, 0 where nothing counts.
    """
    prediction, truth, counts = of_values(prediction, truth, None if weight is None else weight[:, None])
    return weighted_mean((prediction - truth) ** 2, counts)


def hv_gradient_loss(
    prediction: torch.Tensor, truth: torch.Tensor, nuclei: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error of the slopes of both maps, inside nuclei.

    Args:
        prediction: (N, 2, H, W), horizontal and vertical; sides of at least 5.
        truth: The same shape, 0 on background.
        nuclei: (N, H, W), bool or 0 and 1: where a nucleus is.
        weight: (N, H, W), 0 inside the ignore area; None counts everything.

    Returns:
        A scalar, 0 where nothing counts.

    Raises:
        InputError: an image smaller than the window.
    """
    height, width = prediction.shape[-2:]
    if min(height, width) < SOBEL_SIZE:
        raise InputError(f"An image of {height} x {width} is smaller than the window of {SOBEL_SIZE}.", where="loss")
    prediction, truth, counts = of_values(prediction, truth, None if weight is None else weight[:, None])
    kernel = sobel_kernel().to(prediction)
    kernels = torch.stack([kernel, kernel.T])[:, None]
    # The slope is linear: the difference of the slopes is the slope of the difference.
    with torch.autocast(prediction.device.type, enabled=False):
        slopes = F.conv2d(prediction - truth, kernels, groups=2)
    edge = SOBEL_SIZE // 2
    whole = -F.max_pool2d(-counts[:, :1], SOBEL_SIZE, 1)
    inside = nuclei[:, None, edge:-edge, edge:-edge].to(prediction.dtype) * whole
    return weighted_mean(slopes**2, inside.expand_as(slopes))
