"""Prompts as maps on a prompt's grid."""

from __future__ import annotations

import torch

from histoseed.prompting.roi.sampling import cell_centres

__all__ = ["CHANNELS", "prompt_maps"]

CHANNELS = 7
"""Inside the box, has a box, positive points, negative points, mask logits, has a mask, scale."""

_SPREAD = 1.5
"""Standard deviation of a point's bump, cells."""


def prompt_maps(
    squares: torch.Tensor,
    cells: int,
    *,
    boxes: torch.Tensor,
    points: torch.Tensor,
    labels: torch.Tensor,
    logits: torch.Tensor | None = None,
) -> torch.Tensor:
    """What the user said, at each cell.

    Args:
        squares: (N, 3) float, pixels of the window; see :func:`~histoseed.prompting.roi.sampling.cell_centres`.
        cells: Cells along a side.
        boxes: (N, 4) float x0, y0, x1, y1 in pixels of the window; NaN where there is none.
        points: (N, P, 2) float x, y in pixels of the window; padded.
        labels: (N, P) int: 1 positive, 0 negative, -1 padding.
        logits: (N, 1, cells, cells) float, mask prompts as logits on the grid; NaN where there is none.

    Returns:
        (N, ``CHANNELS``, cells, cells) float.
    """
    centres = cell_centres(squares, cells)
    side = squares[:, 2, None, None]
    x, y = centres[..., 0], centres[..., 1]
    has_box = torch.isfinite(boxes).all(1)
    x0, y0, x1, y1 = (boxes[:, i, None, None] for i in range(4))
    depth = torch.minimum(torch.minimum(x - x0, x1 - x), torch.minimum(y - y0, y1 - y)) / side
    inside = torch.where(has_box[:, None, None], (8 * depth).clamp(-1, 1), torch.zeros_like(depth))
    reach = 2 * (_SPREAD * squares[:, 2] / cells)[:, None, None, None] ** 2
    apart = (centres[:, None] - points[:, :, None, None, :]).square().sum(-1)
    bump = torch.exp(-apart / reach)
    positive = (bump * (labels == 1)[:, :, None, None]).amax(1) if points.shape[1] else torch.zeros_like(depth)
    negative = (bump * (labels == 0)[:, :, None, None]).amax(1) if points.shape[1] else torch.zeros_like(depth)
    flat = torch.ones_like(depth)
    scale = (squares[:, 2] / cells).log2()[:, None, None] * flat / 4
    if logits is None:
        mask = has_mask = torch.zeros_like(depth)
    else:
        known = torch.isfinite(logits).flatten(1).all(1)[:, None, None]
        mask = torch.where(known, torch.nan_to_num(logits[:, 0]).clamp(-10, 10) / 10, torch.zeros_like(depth))
        has_mask = known * flat
    maps = [inside, has_box[:, None, None] * flat, positive, negative, mask, has_mask, scale]
    return torch.stack([m.to(torch.float32) for m in maps], 1)
