"""Prompts on a slide to outlines: windows are read and embedded once, all of their prompts answered together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import LimitError
from histoseed.geometry import Region, simplify_outline
from histoseed.prompting import Answer, Prompt, PromptableModel, Window, check_prompt, shared_window_for, window_for
from histoseed.prompting.cleanup import CleanUp, clean_up
from histoseed.prompting.masks import mask_of
from histoseed.settings import Settings, read_settings
from histoseed.slides import Slide
from histoseed.workflows.progress import Progress, Silent

__all__ = ["Asked", "Finish", "Outlined", "ask", "outlined", "read_window", "window_of"]

SHARED_FROM = 2
"""So many prompts or more share windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What is done to an answer before it is handed out.

    Args:
        clean: Clean-up of the mask.
        tolerance_um: Farthest that a vertex may lie from the simplified outline, micrometres; where the slide's
            resolution is not known, a pixel counts as 0.25 um. None leaves outlines on pixel edges.
        budget: Most vertices of an outline; None where any number will do.
    """

    clean: CleanUp
    tolerance_um: float | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """A candidate as an outline.

    Args:
        geometry: In level-0 pixels; None where nothing was found.
        score: IoU that the model expects.
        area_px: Level-0 pixels.
        vertices: Of the outline, all rings.
    """

    geometry: shapely.Polygon | shapely.MultiPolygon | None
    score: float
    area_px: float
    vertices: int


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A prompt and what came back, best first."""

    prompt: Prompt
    outlines: tuple[Outlined, ...]


def window_of(prompt: Prompt, slide: Slide, model: PromptableModel, *, shared: bool = False) -> Window:
    """The window in which a model sees a prompt."""
    points_only = prompt.box is None and prompt.mask is None
    make = shared_window_for if shared else window_for
    width, height = slide.size
    x0, y0, x1, y1 = prompt.extent()
    extent = (min(max(x0, 0), width), min(max(y0, 0), height), max(min(x1, width), 0), max(min(y1, height), 0))
    return make(extent, slide.size, slide.mpp, model.policy, points_only=points_only)


def read_window(slide: Slide, window: Window, settings: Settings | None = None) -> npt.NDArray[np.uint8]:
    """The pixels of a window, (H, W, 3) uint8 of its shape.

    Raises:
        LimitError: a slide of unknown resolution whose window has too many pixels at level 0.
    """
    if slide.mpp is not None:
        return slide.read(window.region)
    settings = settings or read_settings()
    region = window.region
    if region.width * region.height > settings.max_pixels:
        what = f"A window of {region.width:.0f} x {region.height:.0f} pixels is more than {settings.max_pixels:,}."
        raise LimitError(what, where=slide.path, fix="Give --mpp, so that a coarser level can be read.")
    pixels = slide.read(Region(region.x, region.y, region.width, region.height))
    if pixels.shape[:2] == window.shape:
        return pixels
    shrinks = pixels.shape[0] > window.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, window.shape[::-1], interpolation=how), np.uint8)


def ask(
    slide: Slide,
    model: PromptableModel,
    prompts: Sequence[Prompt],
    *,
    finish: Finish,
    several: bool = False,
    labels: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Asked]:
    """Answer prompts about one slide.

    Args:
        slide: Read-only.
        model: Answers.
        prompts: In level-0 pixels. Two or more share windows.
        finish: What is done to the answers.
        several: All candidates of each prompt, not only the best.
        labels: How errors name the prompts; None takes ids or numbers.
        progress: Told about every prompt.

    Returns:
        In the order of the prompts.

    Raises:
        InputError: a prompt that cannot be answered; nothing is computed then.
    """
    called = labels or [f"prompt {prompt.id or number}" for number, prompt in enumerate(prompts, 1)]
    for label, prompt in zip(called, prompts, strict=True):
        check_prompt(prompt, slide.size, where=label)
    windows: dict[Window, list[int]] = {}
    for index, prompt in enumerate(prompts):
        window = window_of(prompt, slide, model, shared=len(prompts) >= SHARED_FROM)
        windows.setdefault(window, []).append(index)
    told = progress or Silent()
    told.start(len(prompts), "prompts", "Outlining")
    found: dict[int, Asked] = {}
    for window, indices in windows.items():
        embedding = model.embed(read_window(slide, window), window)
        answers = model.predict(embedding, [prompts[i] for i in indices], several=several)
        for index, answer in zip(indices, answers, strict=True):
            found[index] = Asked(answer.prompt, outlined(answer, slide, finish))
        told.advance(len(indices))
    told.done()
    return [found[i] for i in range(len(prompts))]


def outlined(answer: Answer, slide: Slide, finish: Finish) -> tuple[Outlined, ...]:
    """The candidates of an answer, cleaned up and simplified."""
    made = []
    for candidate in answer.candidates:
        found = mask_of(candidate, slide.size)
        mpp = None if slide.mpp is None else slide.mpp * found.step
        outline = found.with_mask(clean_up(found.mask, finish.clean, mpp=mpp).mask).polygon()
        if outline is not None and found.step > 1:
            outline = shapely.intersection(outline, shapely.box(0, 0, *slide.size))
        area = 0.0 if outline is None else float(outline.area)
        if outline is not None and (finish.tolerance_um or finish.budget):
            outline = simplify_outline(
                outline, tolerance=finish.tolerance_um, budget=finish.budget, mpp=slide.mpp or 0.25
            ).outline
        vertices = 0 if outline is None else int(shapely.get_num_coordinates(outline))
        made.append(Outlined(outline, candidate.score, area, vertices))
    return tuple(made)
