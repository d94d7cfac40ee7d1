"""Annotated objects as a training shows them: each in the window in which service would see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.prompting import Prompt, Window, WindowPolicy, shared_window_for, window_for
from histoseed.prompting.simulate import Length, PromptSpec, SimulatedUser, prompt_generator
from histoseed.prompting.trainable import share_of_cells, share_of_rectangle
from histoseed.training.prompted.plan import PromptedPlan

__all__ = ["PromptPicture", "Subject", "subjects_of"]

_RIM = 16
"""Pixels around an object that a simulated user sees at least; else as many as the object is long."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptPicture:
    """An annotated picture. Its pixels stay where they are until a window is read.

    Args:
        name: Unique in the training.
        size: Width and height.
        mpp: Microns per pixel, or None.
        read: The pixels of a window, (rows, columns, 3) uint8 RGB, as service reads them.
        unknown: (H, W) bool, what counts for nothing; None where everything counts.
    """

    name: str
    size: tuple[int, int]
    mpp: float | None
    read: Callable[[Window], npt.NDArray[np.uint8]]
    unknown: npt.NDArray[np.bool_] | None = None

    def counts(self, cells: Region, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """How much of each cell of a model's logits is known, 0 to 1."""
        width, height = self.size
        whole = Region(0, 0, width, height)
        within = share_of_rectangle(whole, cells, shape)
        return within if self.unknown is None else within - share_of_cells(self.unknown, whole, cells, shape)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One object of a picture.

    Args:
        id: Names it among all objects; decides about its prompts.
        picture: Where it is annotated.
        mask: (h, w) bool, the object with a rim.
        region: The rectangle of the picture that the mask covers.
        window: In which a box or a mask is seen.
        click_window: In which a click on its middle is seen.
    """

    id: str
    picture: PromptPicture
    mask: npt.NDArray[np.bool_]
    region: Region
    window: Window
    click_window: Window

    def window_of(self, prompt: Prompt) -> Window:
        """In which a prompt is seen; where points lie outside of a click's window it is that of the object."""
        alone = prompt.box is None and prompt.mask is None
        return self.click_window if alone and self.click_window.covers(prompt.extent()) else self.window

    def target(self, cells: Region, shape: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What logits ought to say.

        Args:
            cells: The level-0 rectangle that they cover.
            shape: Rows and columns.

        Returns:
            How much of what is known of each cell is object, and 1 where at least half of the cell is known, else 0.
        """
        known = self.picture.counts(cells, shape)
        inside = share_of_cells(self._known(), self.region, cells, shape)
        share = np.divide(inside, known, out=np.zeros_like(inside), where=known > 0)
        return share.clip(0, 1), (known >= 0.5).astype(np.float32)

    def _known(self) -> npt.NDArray[np.bool_]:
        """The part of the mask that counts."""
        unknown, region = self.picture.unknown, self.region
        if unknown is None:
            return self.mask
        rows, columns = self.mask.shape
        left, top = int(region.x), int(region.y)
        return self.mask & ~unknown[top : top + rows, left : left + columns]


def subjects_of(
    picture: PromptPicture, labels: npt.NDArray[np.int32], policy: WindowPolicy, plan: PromptedPlan
) -> list[Subject]:
    """The objects of a picture.

    A model that sees at a fixed resolution is shown windows that neighbours share, as it answers many prompts in
    service; any other sees each object in a window of its own. In service that is laid around what the user draws, not
    around the object, which nobody knows yet: around the exact box a model would learn that the object fills the middle
    of its window, whatever it is asked. So the window is that of a box and a click of one more simulated user, drawn
    once for each object (unless that box is so far off that the window would not hold the object).

    Args:
        picture: The picture.
        labels: (H, W) int32, 0 is background, every other value one object.
        policy: Windows of the model.
        plan: Settings of the loop.
    """
    clicks = plan.windows == "prompt"
    make = window_for if policy.mpp is None else shared_window_for
    counts = np.bincount(labels.ravel())
    boxes = _boxes(labels, len(counts))
    user = SimulatedUser(PromptSpec(box=True, positive=1), Length.parse(plan.jitter))
    found = []
    for label in np.flatnonzero(counts[1:] >= plan.smallest) + 1:
        x0, y0, x1, y1 = boxes[label]
        rim = max(_RIM, x1 - x0, y1 - y0)
        left, top = max(x0 - rim, 0), max(y0 - rim, 0)
        mask = labels[top : y1 + rim, left : x1 + rim] == label
        region, name = Region(left, top, mask.shape[1], mask.shape[0]), f"{picture.name}/{label}"
        extent, (x, y) = (float(x0), float(y0), float(x1), float(y1)), _middle(mask)
        x, y = x + left, y + top
        window = make(extent, picture.size, picture.mpp, policy)
        if clicks and policy.mpp is None:
            rng = prompt_generator(plan.seed, 0, f"window/{name}")
            drawn = user.prompt(mask, region, picture.mpp, rng, size=picture.size, id=name)
            around, (x, y) = make(drawn.extent(), picture.size, picture.mpp, policy), drawn.positive[0].tolist()
            window = around if around.covers(extent) else window
        click = make((x, y, x, y), picture.size, picture.mpp, policy, points_only=True) if clicks else window
        found.append(Subject(name, picture, mask, region, window, click))
    return found


def _boxes(labels: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int64]:
    """(count, 4) x0, y0, x1, y1 of each label, in one pass over the pixels."""
    rows, columns = np.nonzero(labels)
    values = labels[rows, columns]
    low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], values, places)
        np.maximum.at(high[:, axis], values, places + 1)
    return np.concatenate([low, high], 1)


def _middle(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """x, y of the centre of the pixel deepest inside."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(column) + 0.5, float(row) + 0.5
