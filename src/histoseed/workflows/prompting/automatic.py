"""A whole region outlined with no click: a grid of points, or the nuclei of a segmenter, asked window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.errors import InputError, LimitError, UnknownMppError
from histoseed.geometry import Region
from histoseed.prompting import Prompt, PromptableModel, Window
from histoseed.prompting.automatic import Selection, find_objects, point_prompts
from histoseed.prompting.roi.model import RoiPrompter
from histoseed.prompting.tiles import region_tiles, tile_side
from histoseed.settings import read_settings
from histoseed.slides import Slide
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.prompting.asking import Finish, Outlined, outlined, read_window
from histoseed.workflows.segment import segment
from histoseed.workflows.segment_plan import whole_pixels

__all__ = ["Found", "Look", "Proposals", "find_everything"]

Proposals = Literal["grid", "nuclei"]
"""Who says where to look: points on a grid, or the centres of the nuclei that a segmenter finds."""

A_SIDE = 32
"""Points of the grid along a window's side, as segment-anything has them."""

SAME = 0.5
"""Two nuclei are one where they share more than this part of the smaller one."""

_PUBLISHED = Selection(cut=False)
_BUNDLED = Selection(min_score=0.6, min_stability=0.7, cut=False)
"""For a grid: logits of such models are less steep than those of SAM, for which the published values are. Chosen on
annotated tiles of gliomas, see docs/prompt.md."""
_PROPOSED = Selection(min_score=0.5, min_stability=0.5, cut=False)
"""Where a segmenter saw a nucleus, most answers may stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a region is looked through.

    Args:
        proposals: Who says where to look.
        region: x, y, width, height in level-0 pixels; None is the whole slide.
        every_um: Distance of the points of the grid, micrometres; None is a 32nd of the window's side.
        window_um: Side of the windows, micrometres: what is larger is not found. None takes as many pixels as the model
            likes best, as fine as it looks.
        min_score: Least IoU that the model expects; None takes 0.5 for nuclei, 0.88 for a grid (0.6 with models like
            the bundled one).
        min_stability: Least stability; None takes 0.5 for nuclei, 0.95 for a grid (0.7 with models like the bundled
            one).
        segmenter: Model that finds the nuclei.

    Raises:
        InputError: no such proposals, a distance or side that is not positive, an option of the other proposals.
    """

    proposals: Proposals
    region: Region | tuple[float, float, float, float] | None = None
    every_um: float | None = None
    window_um: float | None = None
    min_score: float | None = None
    min_stability: float | None = None
    segmenter: str | Path = "bundled"

    def __post_init__(self) -> None:
        if self.proposals not in get_args(Proposals):
            raise InputError(f"There is no {self.proposals!r}.", where="--auto", fix="Use grid or nuclei.")
        for option, value in (("--every", self.every_um), ("--window", self.window_um)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{value:g} micrometres.", where=option, fix="Give a positive number.")
        if self.proposals != "grid" and self.every_um is not None:
            fix = "Leave it out, or use --auto grid."
            raise InputError("Nuclei lie where they lie; only a grid has a distance.", where="--every", fix=fix)
        for option, value in (("--min-score", self.min_score), ("--min-stability", self.min_stability)):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{value:g} does not lie between 0 and 1.", where=option, fix="Try 0.5.")

    def selection(self, model: PromptableModel) -> Selection:
        """Which answers of a model are objects."""
        usual = _PROPOSED
        if self.proposals == "grid":
            usual = _BUNDLED if isinstance(model, RoiPrompter) else _PUBLISHED
        return replace(
            usual,
            min_score=usual.min_score if self.min_score is None else self.min_score,
            min_stability=usual.min_stability if self.min_stability is None else self.min_stability,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The objects of a region, each once.

    Args:
        region: What was looked through, whole level-0 pixels.
        outlines: What was found, in the order of the proposals.
        prompts: The proposal of each of them.
        proposed: The nuclei that were proposed; None of a grid.
        asked: Number of proposals.
        windows: Number of windows.
    """

    region: Region
    outlines: list[Outlined]
    prompts: list[Prompt]
    proposed: Instances | None
    asked: int
    windows: int


def find_everything(
    slide: Slide,
    model: PromptableModel,
    look: Look,
    *,
    finish: Finish,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> Found:
    """Outline all objects of a region.

    One window at a time is in memory, and of what was found only the outlines. A proposal is asked in the window in
    whose core it lies. What reaches over the border of that window is left out; what two windows found stays once.

    Args:
        slide: Read-only.
        model: Answers.
        look: Where to look, and what counts.
        finish: What is done to outlines.
        device: Where the segmenter computes.
        dtype: Its precision.
        progress: Told about every window.

    Raises:
        InputError: the region does not touch the slide.
        LimitError: a larger region, or more proposals, than the settings allow.
        UnknownMppError: micrometres were given, or nuclei are to be found, and the resolution is not known.
    """
    region = _checked_region(look, slide)
    side = tile_side(slide.mpp, model.policy, window_um=look.window_um)
    tiles = region_tiles(region, slide.size, slide.mpp, model.policy, side=side)
    told = progress or Silent()
    selection, proposed = look.selection(model), None
    if look.proposals == "nuclei":
        limit = read_settings().max_prompts
        proposed = segment(
            slide.path, mpp=slide.mpp, region=region, model=look.segmenter, device=device, dtype=dtype,
            progress=_Counting(told, limit),
        )  # fmt: skip
        prompts = point_prompts(_middles(proposed), proposed.id.tolist())
    else:
        prompts = point_prompts(_grid(region, _spacing(look, slide, side)))
    places = np.array([prompt.positive[0] for prompt in prompts]).reshape(-1, 2)
    told.start(len(tiles), "windows", "Outlining")
    looking = _Looking(slide, model, prompts, selection, finish, several=proposed is None)
    made: list[tuple[int, Outlined]] = []
    for tile in tiles:
        made += looking.at(tile.window, np.flatnonzero(tile.holds(places)).tolist())
        told.advance(1, objects=len(made))
    told.done()
    once = _each_once(made, SAME if proposed is not None else selection.overlap, nested=proposed is None)
    kept = [(number, outline) for number, outline in once if _owned(outline, region)]
    return Found(region, [o for _, o in kept], [prompts[n] for n, _ in kept], proposed, len(prompts), len(tiles))


def _checked_region(look: Look, slide: Slide) -> Region:
    given = look.region
    if given is not None and not isinstance(given, Region):
        if not (np.isfinite(given).all() and given[2] > 0 and given[3] > 0):
            what = f"The region ({', '.join(f'{v:g}' for v in given)}) has no extent, or is not finite."
            raise InputError(what, where="--region", fix="Give X,Y,W,H in level-0 pixels, W and H above 0.")
        given = Region(*given)
    width, height = slide.size
    if given is not None and not (
        given.x < width and given.y < height and given.x + given.width > 0 and given.y + given.height > 0
    ):
        what = f"The region does not touch the slide, which has {width} x {height} pixels."
        raise InputError(what, where="--region", fix="Give X,Y,W,H in level-0 pixels.")
    whole = whole_pixels(given, slide.size)
    limit = read_settings().max_prompt_pixels
    if whole.width * whole.height > limit:
        what = (
            f"A region of {whole.width:,.0f} x {whole.height:,.0f} pixels is more than max_prompt_pixels = {limit:,}."
        )
        raise LimitError(what, where=slide.path, fix="Give a smaller --region, or raise HISTOSEED_MAX_PROMPT_PIXELS.")
    if slide.mpp is None and (look.every_um is not None or look.window_um is not None):
        what = "The file does not say its microns per pixel, and --every and --window are in micrometres."
        raise UnknownMppError(what, where=slide.path, fix="Give it: --mpp 0.25 (40x scanners) or --mpp 0.5 (20x).")
    return whole


def _spacing(look: Look, slide: Slide, side: int) -> float:
    """Level-0 pixels between the points of the grid."""
    return side / A_SIDE if look.every_um is None or slide.mpp is None else look.every_um / slide.mpp


def _grid(region: Region, spacing: float) -> npt.NDArray[np.float64]:
    """(N, 2) x, y: the middles of even cells of about that side."""
    columns, rows = max(1, round(region.width / spacing)), max(1, round(region.height / spacing))
    limit = read_settings().max_prompts
    if columns * rows > limit:
        what = f"A grid of {columns:,} x {rows:,} points is more than max_prompts = {limit:,}."
        fix = "Give a smaller --region or a greater --every, or raise HISTOSEED_MAX_PROMPTS."
        raise LimitError(what, where="--auto grid", fix=fix)
    x = region.x + (np.arange(columns) + 0.5) * (region.width / columns)
    y = region.y + (np.arange(rows) + 0.5) * (region.height / rows)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


class _Counting:
    """Passes progress on, and stops a segmenter that has found more nuclei than may be asked about."""

    def __init__(self, told: Progress, limit: int) -> None:
        self._told = told
        self._limit = limit

    def start(self, total: int, unit: str, description: str) -> None:
        self._told.start(total, unit, description)

    def advance(self, n: int, **facts: float) -> None:
        if facts.get("objects", 0) > self._limit:
            what = f"There are more nuclei than max_prompts = {self._limit:,}."
            raise LimitError(
                what, where="--auto nuclei", fix="Give a smaller --region, or raise HISTOSEED_MAX_PROMPTS."
            )
        self._told.advance(n, **facts)

    def done(self) -> None:
        self._told.done()


def _middles(nuclei: Instances) -> npt.NDArray[np.float64]:
    """(N, 2) centroids; of a crescent, whose centroid lies beside it, a point inside."""
    centres = shapely.centroid(nuclei.geometry)
    beside = ~shapely.contains(nuclei.geometry, centres)
    centres[beside] = shapely.point_on_surface(nuclei.geometry[beside])
    return np.asarray(shapely.get_coordinates(centres), float)


@dataclass(frozen=True, slots=True, eq=False)
class _Looking:
    """What all windows of a region share."""

    slide: Slide
    model: PromptableModel
    prompts: list[Prompt]
    selection: Selection
    finish: Finish
    several: bool

    def at(self, window: Window, numbers: list[int]) -> Iterator[tuple[int, Outlined]]:
        """Number of the proposal and outline of each object of a window.

        Args:
            window: What the model sees.
            numbers: Of the proposals that are asked in it.
        """
        if not numbers:
            return
        embedding = self.model.embed(read_window(self.slide, window), window)
        asked = [self.prompts[number] for number in numbers]
        number_of = {prompt.id: number for prompt, number in zip(asked, numbers, strict=True)}
        found = find_objects(
            self.model, embedding, asked, selection=self.selection, several=self.several, size=self.slide.size
        )
        for answer in found:
            (outline,) = outlined(answer, self.slide, self.finish)
            if outline.geometry is not None:
                yield number_of[answer.prompt.id], outline


def _each_once(made: list[tuple[int, Outlined]], most: float, *, nested: bool) -> list[tuple[int, Outlined]]:
    """Of outlines that are one object the surest, in the order of their proposals.

    Args:
        made: Number of the proposal, and outline.
        most: Shared area over that of both (of the smaller one where nothing may be nested) above which they are one.
        nested: An object may lie in another one, a nucleus in a gland.
    """
    if not made:
        return []
    order = sorted(range(len(made)), key=lambda k: (-made[k][1].score, made[k][0]))
    shapes = np.array([made[k][1].geometry for k in order], dtype=object)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    first, second = first[first < second], second[first < second]
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    area = shapely.area(shapes)
    whole = area[first] + area[second] - shared if nested else np.minimum(area[first], area[second])
    rivals: dict[int, list[int]] = {}
    for better, other in zip(
        first[shared > most * whole].tolist(), second[shared > most * whole].tolist(), strict=True
    ):
        rivals.setdefault(better, []).append(other)
    gone: set[int] = set()
    for rank in range(len(order)):
        if rank not in gone:
            gone.update(rivals.get(rank, ()))
    kept = [made[k] for rank, k in enumerate(order) if rank not in gone]
    return sorted(kept, key=lambda one: one[0])


def _owned(outline: Outlined, region: Region) -> bool:
    """Whether the centroid lies in the region."""
    if outline.geometry is None:
        return False
    x, y = outline.geometry.centroid.coords[0]
    return bool(region.x <= x < region.x + region.width and region.y <= y < region.y + region.height)
