"""A square grid around every prompt, and features read at its cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["cell_centres", "read_grids", "shrunk"]


def cell_centres(squares: torch.Tensor, cells: int) -> torch.Tensor:
    """Where the cells of each square lie.

    Args:
        squares: (N, 3) float: x and y of the upper left corner, and the side; pixels of the window.
        cells: Cells along a side.

    Returns:
        (N, cells, cells, 2) float: x and y of each cell's centre, pixels of the window (pixel j covers [j, j + 1]).
    """
    along = (torch.arange(cells, device=squares.device, dtype=squares.dtype) + 0.5) / cells
    x = squares[:, 0, None] + squares[:, 2, None] * along
    y = squares[:, 1, None] + squares[:, 2, None] * along
    return torch.stack([x[:, None, :].expand(-1, cells, -1), y[:, :, None].expand(-1, -1, cells)], dim=-1)


def shrunk(features: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """The map itself and means over 2 x 2, 4 x 4, ... pixels, so that large squares can be read without aliasing."""
    pyramid = [features]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, ceil_mode=True, count_include_pad=False))
    return pyramid


def read_grids(
    pyramid: list[torch.Tensor], of: torch.Tensor, squares: torch.Tensor, cells: int, size: tuple[int, int]
) -> torch.Tensor:
    """Features at the cells of every square, bilinear; zero beyond the window.

    Args:
        pyramid: Maps (B, C, h, w) that each cover the whole window, from :func:`shrunk`.
        of: (N,) int64, which of the B windows each square belongs to.
        squares: (N, 3) float; see :func:`cell_centres`.
        cells: Cells along a side.
        size: Rows and columns of the window in pixels.

    Returns:
        (N, C, cells, cells).
    """
    height, width = size
    stride = height / pyramid[0].shape[-2]
    spacing = squares[:, 2] / cells / stride
    level = spacing.clamp_min(1e-6).log2().round().clamp(0, len(pyramid) - 1).long()
    centres = cell_centres(squares, cells)
    place = centres / centres.new_tensor([width, height]) * 2 - 1
    out = squares.new_zeros((len(squares), pyramid[0].shape[1], cells, cells), dtype=pyramid[0].dtype)
    for window in torch.unique(of).tolist():
        for one in torch.unique(level[of == window]).tolist():
            chosen = torch.nonzero((of == window) & (level == one))[:, 0]
            rows = place[chosen].reshape(1, -1, cells, 2).to(pyramid[one].dtype)
            read = F.grid_sample(pyramid[one][window : window + 1], rows, align_corners=False)
            out[chosen] = read.reshape(out.shape[1], len(chosen), cells, cells).transpose(0, 1)
    return out
