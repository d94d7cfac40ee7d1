"""A patch at another resolution: area or Lanczos for the picture, vectors for outlines, nearest for label images."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.datasets.content import PatchContent, PatchFacts, Remark, SlideArea
from histoseed.datasets.numbering import label_ids
from histoseed.errors import InputError
from histoseed.geometry import known_mpp
from histoseed.settings import Settings

__all__ = ["at_resolution"]

_T = TypeVar("_T", bound=np.generic)

_LARGEST_RATIO = 16.0
"""A larger change of scale is a mistake in somebody's metadata: 300 dots per inch pass for 85 micrometres a pixel."""

_EQUAL = 1e-3
"""Resolutions that differ by less than this share are the same."""


def at_resolution(
    content: PatchContent,
    facts: PatchFacts,
    *,
    mpp: float | None,
    source_mpp: float | None,
    assume: bool = True,
    settings: Settings,
    where: str,
) -> tuple[PatchContent, PatchFacts]:
    """Bring a patch to a resolution; where its own is unknown, it is taken to be at that resolution already.

    Args:
        content: What was read.
        facts: What is known of the patch; those of the content go before.
        mpp: Microns per pixel wanted; None keeps the patch as it is.
        source_mpp: Microns per pixel of the source, instead of what it states.
        assume: Take ``mpp`` as given where the source states none; else that is an error.
        settings: ``max_pixels`` limits the result.
        where: How messages name the patch.

    Returns:
        The patch, with a remark where objects were lost, and its facts. ``x`` and ``y`` stay: they count level-0 pixels
        of the slide.

    Raises:
        InputError: the change of scale is not believable, or the result too large.
    """
    known = PatchFacts(**{**facts, **content.facts})
    content = replace(content, facts=PatchFacts())
    if source_mpp is not None:
        known = PatchFacts(**{**known, "mpp": source_mpp, "mpp_source": "user"})
    own = known.get("mpp")
    if mpp is None or (own is not None and abs(own / mpp - 1) < _EQUAL):
        return content, known
    if not assume and (own is None or known_mpp(own) is None):
        fix = "State the source's own resolution with --source-mpp, or leave --mpp out."
        raise InputError("The source does not state its resolution, so it cannot be resampled.", where=where, fix=fix)
    if own is None or known_mpp(own) is None:
        remark = Remark(f"No resolution is stated; {mpp:g} microns per pixel were taken as given", kind="note")
        return _with_remarks(content, remark), PatchFacts(**{**known, "mpp": mpp, "mpp_source": "user"})
    ratio = own / mpp
    if not 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
        what = f"The source states {own:g} microns per pixel, {mpp:g} are wanted: a change by a factor {ratio:.3g}."
        raise InputError(what, where=where, fix="If the file is wrong, state its true resolution with --source-mpp.")
    return _resampled(content, ratio, settings, where), PatchFacts(**{**known, "mpp": mpp})


def _with_remarks(content: PatchContent, *remarks: Remark) -> PatchContent:
    return replace(content, remarks=(*content.remarks, *remarks))


def _resampled(content: PatchContent, ratio: float, settings: Settings, where: str) -> PatchContent:
    image = content.image
    old = (image.height, image.width) if isinstance(image, SlideArea) else (image.shape[0], image.shape[1])
    new = (max(1, round(old[0] * ratio)), max(1, round(old[1] * ratio)))
    if isinstance(image, SlideArea):
        return replace(
            content,
            image=SlideArea(image.path, new[1], new[0]),
            region_outlines=_scaled(content.region_outlines, old, new),
            ignore_outlines=_scaled(content.ignore_outlines, old, new),
        )
    if new[0] * new[1] > settings.max_pixels:
        what = f"The resampled image would have {new[1]} x {new[0]} pixels; the setting max_pixels forbids it."
        raise InputError(what, where=where, fix="Choose a coarser --mpp, or raise HISTOSEED_MAX_PIXELS.")
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LANCZOS4
    objects, lost = content.objects, 0
    if isinstance(objects, Instances):
        objects = _scaled(objects, old, new)
    elif objects is not None:
        before = len(label_ids(objects))
        objects = _nearest(objects, new)
        lost = before - len(label_ids(objects))
    done = replace(
        content,
        image=np.asarray(cv2.resize(image, (new[1], new[0]), interpolation=how), dtype=np.uint8),
        objects=objects,
        regions=None if content.regions is None else _nearest(content.regions, new),
        region_outlines=_scaled(content.region_outlines, old, new),
        ignore=None if content.ignore is None else _nearest(content.ignore, new),
        ignore_outlines=_scaled(content.ignore_outlines, old, new),
    )
    if not lost:
        return done
    remark = Remark("{count} {object|objects} had no pixel left at the new resolution and {was|were} lost", lost)
    return replace(_with_remarks(done, remark), objects_lost=done.objects_lost + lost)


def _nearest(array: npt.NDArray[_T], shape: tuple[int, int]) -> npt.NDArray[_T]:
    """Each new pixel takes the value of the old one that its centre lies in."""
    rows = ((np.arange(shape[0]) + 0.5) * array.shape[0] / shape[0]).astype(np.intp)
    columns = ((np.arange(shape[1]) + 0.5) * array.shape[1] / shape[1]).astype(np.intp)
    return np.asarray(array[rows[:, None], columns[None, :]])


def _scaled(objects: Instances | None, old: tuple[int, int], new: tuple[int, int]) -> Instances | None:
    """Outlines, boxes and points with the picture they lie on."""
    if objects is None or not len(objects):
        return objects
    factor = (new[1] / old[1], new[0] / old[0])
    return replace(objects, geometry=np.asarray(shapely.transform(objects.geometry, lambda xy: xy * factor), object))
