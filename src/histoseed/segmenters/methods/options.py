"""What an adaptation method can be told; stands in ``model.json`` as ``method``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ADDING", "CHANGING", "STORING", "MethodName", "MethodOptions", "SideJoin", "Targets"]

MethodName = Literal["frozen", "lora", "adapter", "side-branch", "bitfit", "last-block", "full"]
Targets = Literal["auto", "qv", "all-linear"]
SideJoin = Literal["add", "concat"]

ADDING: tuple[MethodName, ...] = ("lora", "adapter", "side-branch")
"""Methods that leave the encoder's own weights as they are, and add others."""

CHANGING: tuple[MethodName, ...] = ("bitfit", "last-block", "full")
"""Methods that train weights of the encoder itself."""

STORING: tuple[MethodName, ...] = ("frozen", "side-branch")
"""Methods in which all that trains stands behind the encoder or beside it: its features of a picture never change."""


class MethodOptions(BaseModel):
    """One method and its numbers. With the same options an encoder gets the same state-dict keys again.

    Args:
        name: The method; :func:`~histoseed.segmenters.methods.prepare` fills it in.
        rank: ``lora``: inner width of the low-rank update.
        alpha: ``lora``: the update is scaled by ``alpha / rank``.
        dropout: ``lora``: share of the update's inputs dropped in training.
        targets: ``lora``: ``qv``: query and value of every attention (Hu et al., 2022); ``all-linear``: every
            attention and feed-forward layer; ``auto``: ``qv`` where there is attention, else ``all-linear``.
        blocks: ``last-block``: how many of the last blocks train.
        side_channels: ``side-branch``: channels of its first convolution; its maps have 2 and 4 times as many.
        side_join: ``side-branch``: whether its maps are added to the encoder's or stand behind them.

    >>> MethodOptions(name="lora", rank=4).model_dump()["alpha"]
    16.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: MethodName = "frozen"
    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16.0, gt=0, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Targets = "auto"
    blocks: int = Field(default=1, ge=1)
    side_channels: int = Field(default=32, ge=1, le=1024)
    side_join: SideJoin = "add"
