"""The networks that look at places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.encoders import build_encoder, choose_encoder
from histoseed.errors import InputError
from histoseed.slides import normalised
from histoseed.workflows.looks import Looks, Window, look_at, window_picture
from histoseed.workflows.models import choose_device, choose_dtype, load_model
from histoseed.workflows.progress import Progress
from histoseed.workflows.suggestion.places import Place

if TYPE_CHECKING:
    import torch

    from histoseed.encoders import FeaturePyramid
    from histoseed.segmenters import Segmenter

__all__ = ["Eyes", "open_eyes"]

_MPP = 0.25
"""Resolution for an encoder whose card advises none."""
_SIZES = (8.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Eyes:
    """An encoder, and the model that is unsure.

    Args:
        encoder: Whose embeddings are compared.
        model: The model that is to learn; None: nobody is unsure.
        mpp: Microns per pixel that they want.
        pixels: Side of a window.
        dtype: Precision of the model.
        name: What they are called.
    """

    encoder: FeaturePyramid
    model: Segmenter | None
    mpp: float
    pixels: int
    dtype: torch.dtype
    name: str

    def look(self, places: Sequence[Place], told: Progress, *, ask: bool) -> Looks:
        """Look at places.

        Args:
            places: Those of one slide or patch one after the other; it is opened once.
            told: Told about every place.
            ask: Also measure how unsure the model is.
        """
        model = self.model if ask else None
        return look_at(self._windows(places), self.encoder, model, dtype=self.dtype, progress=told)

    def _windows(self, places: Sequence[Place]) -> Iterator[Window]:
        stain = None if self.model is None else self.model.card.stain
        for _, of_field in groupby(places, key=lambda place: place.field.name):
            group = list(of_field)
            with group[0].field.open() as opened:
                slide = normalised(opened, stain)
                for place in group:
                    yield window_picture(slide, place.x, place.y, place.side, mpp=self.mpp, pixels=self.pixels)

    def machine(self) -> dict[str, Any]:
        """As :func:`histoseed.workflows.runs.open_run` takes it."""
        return {"device": str(self.encoder.mean.device), "dtype": str(self.dtype).removeprefix("torch.")}


def open_eyes(
    model: Segmenter | Path | str | None,
    encoder: str,
    weights: str | Path | None,
    size_um: float,
    *,
    device: str,
    dtype: str,
) -> Eyes:
    """Load what looks; arguments as in :func:`histoseed.suggest`.

    Raises:
        ModelError: no such model or encoder, or it cannot be used.
        InputError: a size that is no region to annotate, a device or precision that does not exist.
    """
    import torch

    if not _SIZES[0] <= size_um <= _SIZES[1]:
        what = f"A region of {size_um:g} micrometres."
        raise InputError(what, where="--size", fix=f"Give {_SIZES[0]:g} to {_SIZES[1]:g} micrometres.")
    place = choose_device(device)
    if model is not None:
        asks = load_model(model, device=place) if isinstance(model, str | Path) else model.eval().to(place)
        pixels = round(size_um / asks.card.mpp)
        return Eyes(asks.encoder, asks, asks.card.mpp, pixels, choose_dtype(dtype, place), asks.card.name)
    chosen = choose_encoder(encoder, weights)
    mpp = chosen.card.mpp or _MPP
    pixels = round(size_um / mpp)
    built = build_encoder(chosen.card, weights=chosen.weights, image_size=pixels).freeze().eval().to(place)
    return Eyes(built, None, mpp, pixels, torch.float32, chosen.card.name)
