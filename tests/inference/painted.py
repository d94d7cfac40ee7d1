"""A network that needs no training: pictures that carry their own maps in their colours.

Red and green say where a pixel lies within its nucleus, from left to right and from top to bottom; blue is 0 in nuclei.
The stand-in reads them back pixel by pixel, so that what comes out of tiles, seams and writers can be held against the
labels that were painted.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters import ClassEntry, EncoderEntry, Maps, ModelCard, make_targets

MPP = 0.25


def blobs(seed: int, height: int, width: int, tries: int, *, least: int = 60) -> npt.NDArray[np.int32]:
    """Ellipses the size of nuclei at 0.25 mpp, many of them touching."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.int32)
    for _ in range(tries):
        cx, cy, a, b, turn = *rng.uniform(0, (width, height)), *rng.uniform(6, 12, 2), rng.uniform(0, np.pi)
        x0, y0, x1, y1 = max(0, int(cx - 13)), max(0, int(cy - 13)), min(width, int(cx + 14)), min(height, int(cy + 14))
        y, x = np.mgrid[y0:y1, x0:x1]
        u, v = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        there = labels[y0:y1, x0:x1]
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        if (inside & (there == 0)).sum() > least and (there[inside] > 0).mean() < 0.1:
            there[inside & (there == 0)] = labels.max() + 1
    return labels


def paint(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """The picture of a label image."""
    distances = make_targets(torch.from_numpy(labels.astype(np.int64))[None]).distances[0].numpy()
    image = np.full((*labels.shape, 3), 255, np.uint8)
    inside = labels > 0
    image[..., 0][inside] = np.round(110 + 100 * distances[0])[inside]
    image[..., 1][inside] = np.round(110 + 100 * distances[1])[inside]
    image[..., 2][inside] = 0
    return image


class PaintedModel(nn.Module):
    """Stands for a :class:`histoseed.segmenters.Segmenter`. With classes, the left half of each nucleus says "west"."""

    def __init__(self, *, classes: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.encoder = nn.Identity()
        self.encoder.size_multiple = 32
        names = ("dark", "pale") if classes else ()
        self.card = ModelCard(
            histoseed="0",
            name="painted",
            mpp=MPP,
            classes=tuple(ClassEntry(name=name) for name in names),
            encoder=EncoderEntry(name="bundled", weights="random"),
        )
        self.calls = SimpleNamespace(windows=0)  # shared by copies

    def __deepcopy__(self, memo: dict) -> PaintedModel:
        return self

    def predict(self, images: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> Maps:
        self.calls.windows += len(images)
        pixels = images.numpy() * 255
        inside = pixels[:, 2] < 128
        x, y = ((pixels[:, k] - 110) / 100 * inside for k in (0, 1))
        distances = np.clip(np.stack([x, y, (x + y) / 1.5, (x - y) / 1.5], 1), -1, 1).astype(np.float32)
        body = np.where(inside, 0.98, 0.02)
        semantic = np.stack([1 - body, body, np.zeros_like(body)], 1).astype(np.float32)
        if not self.card.classes:
            return Maps(semantic, distances, None)
        dark = np.where(pixels[:, 0] < 110, 0.9, 0.3)
        return Maps(semantic, distances, np.stack([np.zeros_like(dark), dark, 1 - dark], 1).astype(np.float32))


def f1(truth: npt.NDArray[np.integer], found: npt.NDArray[np.integer], iou: float) -> float:
    """Share of objects that both label images have, by intersection over union."""
    n, m = int(truth.max()) + 1, int(found.max()) + 1
    table = np.bincount(truth.astype(np.int64).ravel() * m + found.ravel(), minlength=n * m).reshape(n, m)
    area, other = table.sum(1), table.sum(0)
    union = area[:, None] + other[None] - table
    hits = (table[1:, 1:] >= iou * union[1:, 1:]).sum()
    return 2 * hits / ((area[1:] > 0).sum() + (other[1:] > 0).sum())
