"""Augmentation on tensors: stain, light, focus and noise. Geometry is drawn with the crop (``crops.py``).

Stain is jittered in haematoxylin-eosin-DAB space (Ruifrok & Johnston, 2001; jitter after Tellez et al., 2018): every
channel of optical density is scaled and shifted, and the stain vectors themselves are turned a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Augmentation", "StainStyle", "augment", "recolour", "stain_style"]

_HED = torch.tensor([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical density of haematoxylin, eosin and DAB in R, G, B (Ruifrok & Johnston, 2001)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strengths; 0 switches a part off.

    Args:
        stain: Standard deviation of the factor on each stain (0.2 = 20 %).
        shift: Standard deviation of the shift of each stain, optical density.
        turn: Standard deviation of each entry of the stain vectors.
        light: Largest relative change of brightness and contrast.
        blur: Largest standard deviation of the Gaussian blur, pixels.
        noise: Largest standard deviation of the noise, in units of the full range.
        restyle: Share of images that take the stain statistics of another image of the training set.
    """

    stain: float = 0.25
    shift: float = 0.04
    turn: float = 0.05
    light: float = 0.12
    blur: float = 1.2
    noise: float = 0.03
    restyle: float = 0.0


@dataclass(frozen=True, slots=True)
class StainStyle:
    """Mean (3,) and covariance (3, 3) of optical density over an image's tissue, float64."""

    mean: np.ndarray
    covariance: np.ndarray


def _density(image: torch.Tensor) -> torch.Tensor:
    return -torch.log(image.clamp(1 / 255, 1))


def stain_style(image: np.ndarray) -> StainStyle:
    """Stain statistics of an RGB image (H, W, 3) uint8; glass (optical density below 0.05) is left out."""
    density = -np.log(np.clip(image.reshape(-1, 3)[::7] / 255.0, 1 / 255, 1))
    tissue = density[density.mean(1) > 0.05]
    if len(tissue) < 100:
        tissue = density
    return StainStyle(tissue.mean(0), np.cov(tissue.T) + 1e-5 * np.eye(3))


def _root(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    root: np.ndarray = (vectors * np.maximum(values, 1e-6) ** power) @ vectors.T
    return root


def recolour(image: torch.Tensor, source: StainStyle, target: StainStyle) -> torch.Tensor:
    """Give an image (3, H, W) in [0, 1] the stain statistics of another one.

    The optimal transport between the two Gaussians of optical density, so that colours move no more than needed.
    """
    half, inverse = _root(source.covariance, 0.5), _root(source.covariance, -0.5)
    matrix = torch.tensor(inverse @ _root(half @ target.covariance @ half, 0.5) @ inverse, dtype=torch.float32)
    mean = torch.tensor(source.mean, dtype=torch.float32)[:, None]
    goal = torch.tensor(target.mean, dtype=torch.float32)[:, None]
    density = _density(image).flatten(1)
    return torch.exp(-(matrix @ (density - mean) + goal)).clamp(0, 1).reshape(image.shape)


def _stain(images: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    n = len(images)
    hed = _HED / _HED.norm(dim=1, keepdim=True)
    density = _density(images).permute(0, 2, 3, 1)
    amounts = density @ torch.linalg.inv(hed).to(density)
    factor = torch.tensor(rng.normal(1, how.stain, (n, 1, 1, 3)).clip(0.3, 1.9), dtype=torch.float32)
    shift = torch.tensor(rng.normal(0, how.shift, (n, 1, 1, 3)), dtype=torch.float32)
    turned = hed + torch.tensor(rng.normal(0, how.turn, (n, 3, 3)), dtype=torch.float32)
    turned = turned.clamp_min(0.01) / turned.clamp_min(0.01).norm(dim=2, keepdim=True)
    density = (amounts * factor.to(density) + shift.to(density)).flatten(1, 2) @ turned.to(density)
    return torch.exp(-density.reshape(n, *images.shape[2:], 3)).permute(0, 3, 1, 2).clamp(0, 1)


def _blurred(images: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Half of the images, each with its own Gaussian; one grouped separable convolution."""
    n = len(images)
    sigma = np.where(rng.random(n) < 0.5, rng.uniform(0.05, max(how.blur, 0.06), n), 0.05)
    at = np.arange(-3, 4)
    kernel = np.exp(-(at**2) / (2 * sigma[:, None] ** 2))
    weight = torch.tensor(kernel / kernel.sum(1, keepdims=True), dtype=torch.float32).to(images)
    weight = weight.repeat_interleave(3, 0)
    flat = images.reshape(1, n * 3, *images.shape[2:])
    flat = F.conv2d(F.pad(flat, (3, 3, 0, 0), "reflect"), weight[:, None, None, :], groups=n * 3)
    flat = F.conv2d(F.pad(flat, (0, 0, 3, 3), "reflect"), weight[:, None, :, None], groups=n * 3)
    return flat.reshape(images.shape)


def augment(images: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Change the look of a batch, never its geometry.

    Args:
        images: (N, 3, H, W) float RGB in [0, 1].
        how: Strengths.
        rng: Source of all randomness.

    Returns:
        Same shape, float in [0, 1].
    """
    n = len(images)
    if how.stain or how.shift or how.turn:
        images = _stain(images, how, rng)
    if how.light:
        low, high = 1 - how.light, 1 + how.light
        contrast = torch.tensor(rng.uniform(low, high, (n, 1, 1, 1)), dtype=torch.float32).to(images)
        bright = torch.tensor(rng.uniform(-how.light, how.light, (n, 3, 1, 1)) / 2, dtype=torch.float32).to(images)
        images = (images - 0.5) * contrast + 0.5 + bright
    if how.blur:
        images = _blurred(images, how, rng)
    if how.noise:
        sigma = rng.uniform(0, how.noise, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.5)
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        images = images + torch.tensor(sigma, dtype=torch.float32).to(images) * torch.from_numpy(noise).to(images)
    return images.clamp(0, 1)
