"""What every kind of segmenting shares: model, precision, tiles; and the field of a slide."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry import Region
from histoseed.settings import read_settings
from histoseed.slides import Slide, normalised
from histoseed.workflows.models import choose_device, choose_dtype, load_model, model_folder

if TYPE_CHECKING:
    from histoseed.inference import FieldWork, Precision, Product, TileGrid
    from histoseed.segmenters import Segmenter

__all__ = ["ModelOptions", "Plan", "known_resolution", "whole_pixels"]

COARSEST = 8.0
"""How many times coarser than the model's resolution a slide may be: at 2 mpp a nucleus is three pixels wide, and the
pixels to compute grow with the square."""


class ModelOptions(TypedDict, total=False):
    """How a model is chosen and run; every entry may be left out.

    Attributes:
        model: ``bundled``, the folder of a model, or a model in memory; ``bundled`` by default.
        device: ``auto``, ``cpu``, ``cuda``...; a model in memory stays where it is.
        dtype: ``auto``, ``float32``, ``bfloat16``.
        tile_size: Largest side of a tile with its margins, pixels at the model's resolution; None takes the setting.
        batch: Tiles a forward pass; None takes 1 on a processor, 4 on a GPU.
        workers: Threads that turn maps into objects; None chooses. They change nothing in the result.
    """

    model: str | Path | Segmenter
    device: str
    dtype: str
    tile_size: int | None
    batch: int | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A model and how it is run.

    Args:
        model: The segmenter, on its device.
        folder: Where it was loaded from; None for a model in memory.
        device: Where it runs.
        how: Precision, batch and workers.
        tile_size: Largest tile.
    """

    model: Segmenter
    folder: Path | None
    device: str
    how: Precision
    tile_size: int

    @classmethod
    def of(cls, options: ModelOptions) -> Plan:
        """Load the model and settle what is left to choose.

        Raises:
            ModelError: the model cannot be used.
            InputError: a device, precision or number that does not exist.
        """
        from histoseed.inference import Precision, folded

        for name in ("tile_size", "batch", "workers"):
            value = options.get(name)
            if isinstance(value, int) and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.", where=f"--{name.replace('_', '-')}")
        named = options.get("model", "bundled")
        if isinstance(named, str | Path):
            folder = model_folder(named)
            device = choose_device(options.get("device", "auto"))
            model = load_model(folder, device=device)
        else:
            folder, model = None, named
            device = str(next(model.parameters()).device)
        dtype = choose_dtype(options.get("dtype", "auto"), device)
        cuda = device.startswith("cuda")
        cores = os.cpu_count() or 1
        workers = options.get("workers") or (max(1, min(8, cores - 2)) if cuda else max(1, cores // 4))
        how = Precision(dtype, batch=options.get("batch") or (4 if cuda else 1), workers=workers)
        tile_size = options.get("tile_size") or read_settings().tile_size
        return cls(folded(model), folder, device, how, tile_size)

    def stained(self, slide: Slide) -> Slide:
        """The slide in the look that the model wants; its notes say where that could not be given."""
        return normalised(slide, self.model.card.stain)

    def grid(self, slide: Slide, region: Region) -> TileGrid:
        """The tiles of a region.

        Raises:
            UnknownMppError: the slide's resolution is unknown.
            InputError: the region lies outside the slide, the slide is far too coarse, or the tile is too small.
        """
        from histoseed.inference import STRIDE, Field, TileGrid

        card, mpp = self.model.card, known_resolution(slide)
        if mpp > COARSEST * card.mpp:
            what = f"A slide of {mpp:.4g} microns per pixel is too coarse for a model that looks at {card.mpp:.4g}."
            raise InputError(what, where=slide.path, fix="Check --mpp, or give a finer image.")
        field = Field.over(region, slide.size, mpp, card.mpp)
        multiple = self.model.encoder.size_multiple
        return TileGrid(field, self.tile_size, STRIDE if STRIDE % multiple == 0 else multiple)

    @property
    def product(self) -> Product:
        """What the model gives, by its task."""
        from histoseed.inference import PRODUCTS

        return PRODUCTS[self.model.card.task]

    def work(self, slide: Slide, grid: TileGrid, slide_id: str, folder: Path | None = None) -> FieldWork:
        """What works on the tiles of a grid; without a folder it leaves nothing on the disk."""
        return self.product.work(self.model, slide, grid, slide_id, self.how, folder)

    def formats(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """The files to write; None means all that the model's task has.

        Raises:
            InputError: a format that the task does not have, or none at all.
        """
        known = self.product.formats
        if asked is None:
            return known
        unknown = [name for name in asked if name not in known]
        if unknown or not asked:
            task = self.model.card.task
            what = f"A model of the task {task} has no format {unknown[0]!r}." if unknown else "No format is named."
            raise InputError(what, where="--format", fix=f"Use some of {', '.join(known)}.")
        return tuple(name for name in known if name in asked)

    def settings(self) -> dict[str, Any]:
        """What decides about the bytes of a result, for ``run.json``."""
        from histoseed.inference import model_hash

        card = self.model.card
        return {
            "model": card.name,
            "model_sha256": model_hash(self.model),
            "model_mpp": card.mpp,
            "stain": card.model_dump(mode="json")["stain"],
            "tile_size": self.tile_size,
            "batch": self.how.batch,
        }

    def machine(self) -> dict[str, Any]:
        """Device, precision and threads, as :func:`histoseed.workflows.runs.open_run` takes them."""
        import torch

        dtype = str(self.how.dtype).removeprefix("torch.")
        return {"device": self.device, "dtype": dtype, "threads": torch.get_num_threads()}


def known_resolution(slide: Slide) -> float:
    """Microns per pixel of level 0.

    Raises:
        UnknownMppError: neither the file nor the user says it.
    """
    if slide.mpp is None:
        what = "The file does not say its microns per pixel, and objects cannot be found without."
        raise UnknownMppError(what, where=slide.path, fix="Give it: --mpp 0.25 (40x scanners) or --mpp 0.5 (20x).")
    return slide.mpp


def whole_pixels(region: Region | tuple[float, float, float, float] | None, size: tuple[int, int]) -> Region:
    """The region in whole level-0 pixels, cut at the borders of the slide; all of the slide where None.

    What lies outside altogether is returned as it is; laying a field over it fails with the reason.
    """
    if region is None:
        return Region(0, 0, *size)
    wanted = region if isinstance(region, Region) else Region(*region)
    x0, y0 = max(0, math.floor(wanted.x)), max(0, math.floor(wanted.y))
    x1, y1 = min(size[0], math.ceil(wanted.x + wanted.width)), min(size[1], math.ceil(wanted.y + wanted.height))
    return Region(x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else wanted
