"""From a prompt to the window that a model sees: one function for training and for service.

A window is square, larger than the object by the *dezoom* factor, and is read at the resolution at which it has about
the side that the model takes. It never leaves the slide where the slide is large enough: it is shifted, not cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region

__all__ = ["Window", "WindowPolicy", "shared_window_for", "window_at", "window_for"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """How large a window is and how finely it is read; part of a model's card.

    Args:
        side: Pixels of a window's side that the model likes best.
        dezoom: Side of the window over the longer side of the prompt's box.
        mpp: Microns per pixel at which a window is read at the finest; None where any resolution will do.
        object_um: Diameter of an object that is expected where points alone are given, micrometres.
        object_px: The same in level-0 pixels, where the slide's resolution is not known.
        min_px: Smallest side of a window in level-0 pixels, so that a box around a speck still shows its surroundings.
        spread: Side of a window that neighbouring prompts share over that of a window for one. With ``mpp`` it is read
            as finely as the window for one, without it on as many pixels.
    """

    side: int = 1024
    dezoom: float = 2.0
    mpp: float | None = None
    object_um: float = 8.0
    object_px: float = 32.0
    min_px: float = 64.0
    spread: float = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a slide and the pixels it is seen as.

    Args:
        region: Level-0 rectangle.
        shape: Rows and columns of the array.
    """

    region: Region
    shape: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Level-0 pixels along x and along y that a pixel of the array covers."""
        return self.region.width / self.shape[1], self.region.height / self.shape[0]

    def from_level0(self, points: Floats) -> Floats:
        """(..., 2) x, y in level-0 pixels -> pixels of the array (pixel j covers [j, j + 1])."""
        return (np.asarray(points, float) - (self.region.x, self.region.y)) / self.scale

    def to_level0(self, points: Floats) -> Floats:
        """The way back."""
        return np.asarray(points, float) * self.scale + (self.region.x, self.region.y)

    def covers(self, box: tuple[float, float, float, float]) -> bool:
        """Whether a level-0 box lies within the window."""
        x0, y0, x1, y1 = box
        r = self.region
        return x0 >= r.x and y0 >= r.y and x1 <= r.x + r.width and y1 <= r.y + r.height


def window_for(
    extent: tuple[float, float, float, float],
    size: tuple[int, int],
    slide_mpp: float | None,
    policy: WindowPolicy,
    *,
    points_only: bool = False,
) -> Window:
    """The window of a prompt.

    Args:
        extent: x0, y0, x1, y1 of what lies inside, level-0 pixels; see :meth:`Prompt.extent`.
        size: Width and height of the slide.
        slide_mpp: Microns per pixel of level 0, or None.
        policy: Of the model.
        points_only: The extent is that of points: the object is taken to be as large as the policy expects, at least.

    Returns:
        Whole level-0 pixels; within the slide, whose shorter side limits it. An object larger than that is covered by a
        rectangle instead of a square.
    """
    x0, y0, x1, y1 = extent
    side, step = _side_and_step(extent, slide_mpp, policy, points_only=points_only)
    x, width = _placed((x0 + x1) / 2, max(side, int(np.ceil(x1 - x0))), size[0])
    y, height = _placed((y0 + y1) / 2, max(side, int(np.ceil(y1 - y0))), size[1])
    return window_at((x, y, width, height), step, slide_mpp)


def shared_window_for(
    extent: tuple[float, float, float, float],
    size: tuple[int, int],
    slide_mpp: float | None,
    policy: WindowPolicy,
    *,
    points_only: bool = False,
) -> Window:
    """A window that a prompt shares with its neighbours, for many prompts in one call.

    Shared windows have sides of a power of two times the policy's and lie on a grid of half their side, so that equal
    prompts always see equal windows, whatever other prompts come with them.

    Args:
        extent: As of :func:`window_for`.
        size: As of :func:`window_for`.
        slide_mpp: As of :func:`window_for`.
        policy: As of :func:`window_for`.
        points_only: As of :func:`window_for`.

    Returns:
        The window whose centre is nearest to that of the prompt; it covers the prompt's own extent.
    """
    side, step = _side_and_step(extent, slide_mpp, policy, points_only=points_only)
    finest = max(policy.side * step if policy.mpp is not None else policy.min_px, 1.0)
    doubled = 2.0 ** np.ceil(np.log2(max(side / finest, 1.0)))
    base = finest * doubled
    shared = int(np.ceil(base * policy.spread))
    x0, y0, x1, y1 = extent
    x, width = _on_grid((x0 + x1) / 2, shared, size[0])
    y, height = _on_grid((y0 + y1) / 2, shared, size[1])
    resolution = base / policy.side if policy.mpp is not None else max(shared / policy.side, 1.0)
    return window_at((x, y, width, height), resolution, slide_mpp)


def _side_and_step(
    extent: tuple[float, float, float, float], slide_mpp: float | None, policy: WindowPolicy, *, points_only: bool
) -> tuple[int, float]:
    """Side of the window in level-0 pixels, and level-0 pixels along a side of a pixel that is read."""
    x0, y0, x1, y1 = extent
    longest = max(x1 - x0, y1 - y0)
    if points_only:
        typical = policy.object_px if slide_mpp is None else policy.object_um / slide_mpp
        longest = max(longest * 1.25, typical)
    wanted = max(policy.dezoom * longest, policy.min_px, 1.0)
    if policy.mpp is None:
        side = int(np.ceil(wanted))
        return side, max(side / policy.side, 1.0)  # a finer one would only repeat pixels
    finest = 1.0 if slide_mpp is None else policy.mpp / slide_mpp
    side = int(np.ceil(max(wanted, policy.side * finest)))
    return side, max(side / policy.side, finest)


def window_at(box: tuple[int, int, int, int], step: float, slide_mpp: float | None) -> Window:
    """The window of a rectangle.

    Args:
        box: x, y, width, height in whole level-0 pixels.
        step: Level-0 pixels along a side of a pixel that is read.
        slide_mpp: Microns per pixel of level 0, or None.
    """
    x, y, width, height = box
    if slide_mpp is None:
        return Window(Region(x, y, width, height), (max(1, round(height / step)), max(1, round(width / step))))
    region = Region(x, y, width, height, mpp=slide_mpp * step)
    return Window(region, region.shape(slide_mpp))


def _placed(centre: float, side: int, limit: int) -> tuple[int, int]:
    """Start and length of an interval within [0, limit] around a centre: shifted where it would leave."""
    length = min(side, limit)
    start = int(np.floor(centre - length / 2 + 0.5))
    return min(max(start, 0), limit - length), length


def _on_grid(centre: float, side: int, limit: int) -> tuple[int, int]:
    """The interval on a grid of half its length whose centre is nearest; within [0, limit]."""
    length = min(side, limit)
    stride = max(side / 2, 1.0)
    start = int(round((centre - side / 2) / stride) * stride)
    return min(max(start, 0), limit - length), length
