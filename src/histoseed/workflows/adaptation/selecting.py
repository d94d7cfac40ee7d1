"""Which patches are annotated: drawn at random, or chosen by what a network sees in them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from histoseed.datasets import CROP_UM, Crop, Dataset
from histoseed.encoders import Chosen, build_encoder
from histoseed.errors import InputError
from histoseed.workflows.annotated import Order
from histoseed.workflows.looks import crop_pictures, look_at
from histoseed.workflows.progress import Progress

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["Select", "order_by"]

Select = Literal["random", "diverse", "uncertain", "quality"]


def order_by(
    select: str,
    first: Segmenter | None,
    chosen: Chosen,
    model_mpp: float,
    *,
    mpp: float | None,
    seed: int,
    device: str,
    told: Progress,
) -> Order | None:
    """The order in which candidate crops are annotated; None is the nested random draw.

    Args:
        select: One of :data:`Select`: ``diverse`` spreads them in the embedding space of the encoder; ``uncertain``
            takes those of which the start is unsure, that differ from one another and are like many others.
        first: The trained model that training starts from.
        chosen: The encoder, where there is none.
        model_mpp: Microns per pixel of the network.
        mpp: Assumed where a patch states none.
        seed: Of random weights.
        device: Where the network runs.
        told: Told about every candidate.

    Raises:
        InputError: there is no such selection, or it needs what is not there.
    """
    names = get_args(Select)
    if select not in names:
        near = difflib.get_close_matches(select, names) or names
        raise InputError(f"There is no selection {select!r}.", where="--select", fix=f"Use {' or '.join(near)}.")
    if select == "random":
        return None
    if select == "quality":
        what = "Patches cannot be chosen by the quality of their annotations: histoseed has no predictor of it yet."
        raise InputError(what, where="--select quality", fix="Use random, diverse or uncertain.")
    if select == "uncertain" and first is None:
        fix = "Use --select diverse, or start from a trained model: --encoder bundled, or --start MODEL."
        raise InputError("An untrained model is unsure everywhere.", where="--select uncertain", fix=fix)

    def order(training: Dataset, crops: Sequence[Crop], draw: int, count: int) -> list[int]:
        from histoseed.training import select_crops

        pixels = round(CROP_UM / model_mpp)
        encoder = (
            first.encoder if first else build_encoder(chosen.card, weights=chosen.weights, seed=seed, image_size=pixels)
        )
        stain = first.card.stain if first else None
        told.start(len(crops), "crops", "Looking at all crops, to choose those to annotate")
        looks = look_at(
            crop_pictures(training, crops, model_mpp, mpp=mpp, stain=stain),
            encoder.eval().to(device),
            first.eval().to(device) if first and select == "uncertain" else None,
            progress=told,
        )
        told.done()
        groups = [crop.group or crop.patch_id for crop in crops]
        objects = [crop.objects for crop in crops]
        how: Literal["diverse", "uncertain"] = "uncertain" if select == "uncertain" else "diverse"
        return select_crops(how, groups, objects, count, draw, features=looks.features, uncertainty=looks.uncertainty)

    return order
