"""How the histology encoder sees a window: tiles, their number, and the one grid that they make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder, get_card
from histoseed.geometry import Region
from histoseed.prompting import Window
from histoseed.prompting.fusion.histology import Histology
from histoseed.prompting.sam.frame import frame_of


def histology(tiles: int | None, *, size: int = 32, mpp: float | None = 0.5) -> Histology:
    card = replace(get_card("timm:resnet18.a1_in1k"), native_size=size, mpp=mpp, sha256=None, revision=None)
    encoder = build_encoder(replace(card, dims=None, strides=None), weights="random", image_size=size, taps=[2])
    return Histology(encoder, tiles).eval()


def window(rows: int, columns: int, mpp: float | None = None) -> Window:
    return Window(Region(0, 0, columns, rows, mpp=mpp), (rows, columns))


@pytest.mark.parametrize(
    ("side_px", "read_mpp", "advised", "tiles"),
    [
        (1024, 0.25, 0.5, 2),  # 256 um are 512 pixels at 0.5: 2.3 tiles of 224
        (1024, 0.5, 0.5, 5),  # no more than the square of 1024 has pixels for: 4
        (64, 0.25, 0.5, 1),
        (1024, 2.0, 0.5, 18),
        (1024, None, 0.5, 5),  # resolution unknown: as many pixels as were read
        (448, 0.25, None, 2),
    ],
)
def test_tiles_are_as_many_as_the_encoder_needs_to_see_its_own_resolution(
    side_px: int, read_mpp: float | None, advised: float | None, tiles: int
) -> None:
    seen = histology(None, size=224, mpp=advised)
    assert seen.tiles_for(window(side_px, side_px, read_mpp), 1024) == min(tiles, 4)
    assert seen.tiles_for(window(side_px, side_px, read_mpp), 100) == 1
    assert histology(3, size=224).tiles_for(window(side_px, side_px, read_mpp), 1024) == 3


def test_tiles_lie_row_by_row_and_padding_is_white() -> None:
    seen = histology(2)
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, 64:, 0] = 255  # the right half is red
    tiles = seen.pictures(image, frame_of(window(64, 128), 256, 64, "longest-side"))
    assert tiles.shape == (4, 3, 32, 32)
    assert tiles.dtype == torch.float32
    inner = slice(1, -1)  # at the border of the colours pixels are averaged
    assert (tiles[0, :, :, inner] == 0).all()
    assert (tiles[1, 0, :, inner] == 1).all()
    assert (tiles[1, 1:, :, inner] == 0).all()
    assert (tiles[2:] == 1).all()  # the lower half of the square is not there
    stretched = seen.pictures(image, frame_of(window(64, 128), 256, 64, "stretched"))
    torch.testing.assert_close(stretched[2:], stretched[:2])
    torch.testing.assert_close(stretched[:2], tiles[:2])


def test_the_grid_covers_the_window_as_the_tiles_do() -> None:
    seen = histology(2)
    grid = seen(torch.zeros(4, 3, 32, 32))
    cells = seen.tokens
    assert (seen.channels, cells) == (128, 4)
    assert grid.shape == (1, 128, 8, 8)
    bright = torch.zeros(4, 3, 32, 32)
    bright[1] = 1  # above right
    changed = (seen(bright) - grid).abs().amax((0, 1)) > 1e-4
    assert changed[:4, 4:].all()
    assert not changed[4:].any()
    assert not changed[:, :4].any()
    one = seen(torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(one.mean(1), torch.zeros(1, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(one.var(1, unbiased=False), torch.ones(1, 4, 4), atol=1e-2, rtol=0)


def test_the_histology_encoder_never_trains() -> None:
    seen = histology(1)
    assert not seen(torch.rand(1, 3, 32, 32)).requires_grad
    assert not any(p.requires_grad for p in seen.parameters())
