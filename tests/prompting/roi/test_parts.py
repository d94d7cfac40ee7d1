"""The grid of a prompt: where its cells lie, what is read there, how the prompt looks on it."""

from __future__ import annotations

import numpy as np
import torch

from histoseed.prompting.roi.encoding import CHANNELS, prompt_maps
from histoseed.prompting.roi.sampling import cell_centres, read_grids, shrunk
from histoseed.prompting.roi.squares import square_of_box, square_of_points


def test_cells_lie_in_the_middle_of_their_squares() -> None:
    centres = cell_centres(torch.tensor([[10.0, 20.0, 8.0]]), 4)
    assert centres[0, 0, :, 0].tolist() == [11, 13, 15, 17]
    assert centres[0, :, 0, 1].tolist() == [21, 23, 25, 27]


def test_a_map_of_coordinates_reads_as_coordinates() -> None:
    """Bilinear reading of a linear map is exact, at every level of the pyramid and at every stride."""
    for stride in (1, 8):
        y, x = torch.meshgrid(
            (torch.arange(64 // stride) + 0.5) * stride, (torch.arange(96 // stride) + 0.5) * stride, indexing="ij"
        )
        pyramid = shrunk(torch.stack([x, y])[None], 3)
        squares = torch.tensor([[20.0, 18.0, 6.0], [21.0, 19.0, 24.0], [16.0, 16.0, 32.0]])
        read = read_grids(pyramid, torch.zeros(3, dtype=torch.long), squares, 6, (64, 96))
        centres = cell_centres(squares, 6).movedim(-1, 1)
        torch.testing.assert_close(read, centres, atol=1e-3, rtol=0)


def test_squares_of_several_windows_are_not_mixed_up() -> None:
    maps = torch.arange(3.0)[:, None, None, None].expand(3, 1, 32, 32)
    of = torch.tensor([2, 0, 1, 2])
    squares = torch.tensor([[4.0, 4.0, 8.0]] * 4)
    read = read_grids(shrunk(maps, 2), of, squares, 4, (32, 32))
    assert read[:, 0, 0, 0].tolist() == [2, 0, 1, 2]


def test_nothing_is_read_beyond_the_window() -> None:
    read = read_grids(
        [torch.ones(1, 1, 32, 32)], torch.zeros(1, dtype=torch.long), torch.tensor([[28.0, 0, 8.0]]), 8, (32, 32)
    )
    # Squares of one pixel from x = 28; the window ends at 32, where a bilinear read is half window, half nothing.
    assert read[0, 0, 4].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_large_squares_are_read_as_means() -> None:
    """A checkerboard read with one cell for 4 x 4 pixels is grey, not black or white."""
    board = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2
    read = read_grids(
        shrunk(board[None, None].float(), 4),
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[0.0, 0, 64]]),
        16,
        (64, 64),
    )
    torch.testing.assert_close(read, torch.full_like(read, 0.5))


def test_a_prompt_as_maps() -> None:
    squares = torch.tensor([[0.0, 0.0, 48.0]])
    nothing = {"points": torch.zeros(1, 1, 2), "labels": torch.tensor([[-1]])}
    maps = prompt_maps(squares, 48, boxes=torch.tensor([[12.0, 12, 36, 36]]), **nothing)
    assert maps.shape == (1, CHANNELS, 48, 48)
    inside, has_box, positive, negative, mask, has_mask, scale = maps[0]
    assert (inside[13:35, 13:35] > 0).all()
    assert (inside[:11] < 0).all()
    assert (has_box == 1).all()
    assert not positive.any()
    assert not negative.any()
    assert not mask.any()
    assert not has_mask.any()
    assert not scale.any()
    points = {"points": torch.tensor([[[10.5, 20.5], [30.5, 5.5]]]), "labels": torch.tensor([[1, 0]])}
    maps = prompt_maps(squares, 48, boxes=torch.full((1, 4), float("nan")), **points)
    assert torch.isfinite(maps).all()
    assert maps[0, 2].argmax() == 20 * 48 + 10
    assert maps[0, 2].max() == 1
    assert maps[0, 3].argmax() == 5 * 48 + 30
    assert maps[0, 3].max() == 1
    assert not maps[0, :2].any()


def test_masks_come_as_logits() -> None:
    squares = torch.tensor([[0.0, 0.0, 8.0]] * 2)
    logits = torch.full((2, 1, 8, 8), float("nan"))
    logits[0] = 5
    nothing = {"points": torch.zeros(2, 1, 2), "labels": torch.full((2, 1), -1)}
    maps = prompt_maps(squares, 8, boxes=torch.full((2, 4), float("nan")), logits=logits, **nothing)
    assert maps[:, 4, 0, 0].tolist() == [0.5, 0]
    assert maps[:, 5, 0, 0].tolist() == [1, 0]


def test_squares_have_room_for_boxes_that_are_too_small() -> None:
    assert square_of_box(np.array([10.0, 10, 30, 20]), 32).tolist() == [-2, -7, 44]
    assert square_of_points(np.array([[50.0, 60.0]]), 32).tolist() == [18, 28, 64]
    wide = square_of_points(np.array([[0.0, 0], [100, 0]]), 32)
    assert wide[2] == 212
    assert wide[0] + wide[2] / 2 == 50
