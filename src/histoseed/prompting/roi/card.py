"""The card of a promptable model of this kind: ``model.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from histoseed.segmenters import TrainingData
from histoseed.segmenters.entries import Frozen
from histoseed.segmenters.methods import MethodOptions

__all__ = ["FORMAT_VERSION", "HeadEntry", "RoiCard", "WindowEntry"]

FORMAT_VERSION = 1
"""Version of the model folder; a newer one is refused."""


class HeadEntry(Frozen):
    """How the head is built; see :class:`~histoseed.prompting.roi.network.RoiHead`."""

    context: int = 16
    widths: tuple[int, int, int, int] = (24, 40, 64, 96)
    candidates: int = 3
    cells: int = 48


class WindowEntry(Frozen):
    """The windows that it wants; see :class:`~histoseed.prompting.WindowPolicy`."""

    side: int = 512
    dezoom: float = 2.0
    mpp: float | None = 0.25
    object_um: float = 8.0
    object_px: float = 32.0
    min_px: float = 64.0


class RoiCard(Frozen):
    """A head on the shared features of a segmenter.

    Args:
        segmenter_sha256: Hash of the weights of the segmenter that gives the features; another one is refused.
        method: What of the segmenter trained as well; None: nothing. All of it is stored then.
        data: What it was trained on.
        metrics: Measured scores: protocol, data set, value.
    """

    format_version: int = FORMAT_VERSION
    histoseed: str
    task: Literal["prompt"] = "prompt"
    kind: Literal["roi"] = "roi"
    name: str
    licence: str = "Apache-2.0"
    segmenter: str = "bundled"
    segmenter_sha256: str
    head: HeadEntry = HeadEntry()
    window: WindowEntry = WindowEntry()
    method: MethodOptions | None = None
    data: tuple[TrainingData, ...] = ()
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: tuple[dict[str, Any], ...] = ()
    weights_sha256: str | None = None
