"""Training pictures in the look of one reference, and the reference for the card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from histoseed.datasets import Dataset
from histoseed.errors import InputError
from histoseed.slides import NoStain, Stain, StainMethod, recolouring, reference_of, slide_look
from histoseed.workflows.annotated import Annotated
from histoseed.workflows.patches import needed_mpp

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard

__all__ = ["StainChoice", "stain_pictures"]

StainChoice = Literal["none", "macenko", "reinhard"]


def stain_pictures(
    data: Dataset, annotated: Annotated, stain: StainChoice | None, start: ModelCard | None, *, mpp: float | None = None
) -> Annotated:
    """Give every training picture one look.

    It is that of the start, where the start was trained on the same method; else the median of the patches that were
    drawn from. A crop is fitted by the whole patch it comes from, as it will be when patches are segmented; for that,
    nobody has to annotate anything.

    Args:
        data: The data set.
        annotated: What was drawn from it.
        stain: The method; None takes that of the start, else ``none``.
        start: Card of the model that training starts from.
        mpp: Assumed where a patch states none.

    Raises:
        UnknownMppError: neither the patch nor the caller knows the resolution.
        InputError: no such method, or no patch shows enough tissue in haematoxylin and eosin.
    """
    before = None if start is None else start.stain
    method = (before.method if before else "none") if stain is None else stain
    if method == "none":
        return annotated
    if method not in {"macenko", "reinhard"}:
        raise InputError(
            f"There is no stain normalisation {stain!r}.", where="--stain", fix="Use none, macenko or reinhard."
        )
    looks = {source: _look(data, source, method, mpp) for source in dict.fromkeys(annotated.sources)}
    same = before is not None and before.method == method
    target = before if same else reference_of(method, list(looks.values()))
    if target is None:
        what = "No training picture shows enough tissue in haematoxylin and eosin."
        raise InputError(what, where=f"--stain {method}", fix="Use --stain none.")
    colours = {source: recolouring(look, target) for source, look in looks.items()}
    patches = [
        replace(patch, image=colours[source].apply(patch.image))
        for patch, source in zip(annotated.patches, annotated.sources, strict=True)
    ]
    left = tuple(f"{source}: {how.remark}" for source, how in colours.items() if how.remark)
    return replace(annotated, patches=patches, stain=target, stain_left=left)


def _look(data: Dataset, source: str, method: StainMethod, mpp: float | None) -> Stain | NoStain:
    from histoseed.inference import ArraySlide

    patch = data.patch(source)
    with ArraySlide(patch.image, mpp=needed_mpp(patch.mpp, mpp, source), name=source) as slide:
        return slide_look(slide, method)
