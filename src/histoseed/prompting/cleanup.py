"""Clean-up of one object's mask: holes, spurs, notches and specks, in sizes that follow the object.

A size is a part of the object's diameter (``%``), micrometres (``um``), or pixels of the array (``px``). Structuring
elements are discs ``{(i, j): i^2 + j^2 <= r^2}`` around the middle of a pixel, so nothing is shifted, and are applied
through distance transforms, so that large ones cost no more than small ones. Outside the array is background: how much
of it is around an object changes nothing, and nothing grows beyond the object's bounding box.

The presets ``published`` and ``published-service`` do it as the prototype of Rapid Cytomine does, even kernels and
frame effects included, so that results can be compared; ``docs/cleanup.md`` shows what they do to small objects.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.geometry import components, fill_holes
from histoseed.prompting.simulate.lengths import Length, ObjectSizes
from histoseed.prompting.simulate.truth import depth_inside, distance_to, tight_box

__all__ = ["PRESETS", "CleanUp", "CleanUpReport", "Cleaned", "clean_up", "get_clean_up"]

Mask = npt.NDArray[np.bool_]


_NOTHING = Length(0, "%")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """What is cleaned, in the order in which it is done.

    The object's diameter is that of a disc with the area of its largest component. Every step measures it anew, on the
    mask that it gets.

    Args:
        name: How people call it.
        holes: Holes of a smaller equivalent diameter are filled, first and once more after the closing.
        opening: Spurs and bridges narrower than this are cut off.
        closing: Notches and gaps narrower than this are filled.
        smallest: Components of a smaller equivalent diameter are dropped. The largest always stays.
        kept: An opening that would leave a smaller share of the object is not made.
        blur: Side of a Gaussian kernel, odd, in pixels; the blurred mask is cut at one half. 0 for none.
        kernel: ``disc``: odd and centred. ``square``: a square of the rounded size, even ones off centre, with OpenCV's
            border rule.
        connectivity: Of components; 8 joins pixels that meet at a corner.
        side: The longer side of the array is brought to so many pixels (nearest neighbour) and back; None leaves it.
    """

    name: str
    holes: Length = _NOTHING
    opening: Length = _NOTHING
    closing: Length = _NOTHING
    smallest: Length = _NOTHING
    kept: float = 0.5
    blur: int = 0
    kernel: Literal["disc", "square"] = "disc"
    connectivity: Literal[4, 8] = 4
    side: int | None = None


def _published(name: str, *, blur: int = 0, side: int | None = 1024) -> CleanUp:
    return CleanUp(
        name=name,
        opening=Length(10, "px"),
        closing=Length(20, "px"),
        smallest=Length(100 * math.sqrt(0.1), "%"),  # a tenth of the largest component's area
        kept=0.0,
        blur=blur,
        kernel="square",
        connectivity=8,
        side=side,
    )


_ALL = (
    CleanUp(
        name="default",
        holes=Length(25, "%"),
        opening=Length(15, "%"),
        closing=Length(12.5, "%"),
        smallest=Length(30, "%"),
    ),
    CleanUp(
        name="um",
        holes=Length(2.0, "um"),
        opening=Length(0.75, "um"),
        closing=Length(0.75, "um"),
        smallest=Length(2.0, "um"),
    ),
    CleanUp(name="none"),
    _published("published"),
    _published("published-gaussian", blur=21),
    _published("published-service", side=None),
)

PRESETS: Mapping[str, CleanUp] = MappingProxyType({how.name: how for how in _ALL})
"""``default``: parts of the diameter. ``um``: physical sizes, for nuclei. ``none``: the mask as it is. ``published``:
as evaluated, in pixels of a window of 1024. ``published-gaussian``: with its optional blur. ``published-service``: as
the published service applies it, in pixels of whatever window there is."""


@dataclass(frozen=True, slots=True)
class CleanUpReport:
    """What a clean-up changed.

    Args:
        preset: Name of the clean-up.
        area_ratio: Pixels after over pixels before; 1 for a mask that was empty.
        added: Pixels that are new.
        removed: Pixels that are gone.
        components: Components before and after.
        holes: Holes before and after.
        opened: False where the opening would have left too little and was not made.
    """

    preset: str
    area_ratio: float
    added: int
    removed: int
    components: tuple[int, int]
    holes: tuple[int, int]
    opened: bool = True

    @property
    def changed(self) -> bool:
        """Whether any pixel is another."""
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A mask after its clean-up.

    Args:
        mask: (h, w) bool, of the shape that was given.
        report: What changed.
    """

    mask: Mask
    report: CleanUpReport


def get_clean_up(name: str) -> CleanUp:
    """The preset of that name.

    Raises:
        InputError: there is none; the nearest names are given.

    >>> get_clean_up("default").opening
    Length(value=15, unit='%')
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=2, cutoff=0.4) or list(PRESETS)
    fix = f"Did you mean {' or '.join(near)}? All: {', '.join(PRESETS)}."
    raise InputError("There is no such clean-up.", where=name, fix=fix)


def clean_up(mask: Mask, how: CleanUp | str = "default", *, mpp: float | None = None) -> Cleaned:
    """Clean one object's mask.

    Args:
        mask: (h, w) bool; may be empty, and may have parts.
        how: A clean-up, or the name of a preset.
        mpp: Microns per pixel of the array; only sizes in micrometres need it.

    Raises:
        InputError: what is no mask, or no preset.
        UnknownMppError: sizes in micrometres without ``mpp``.

    >>> mask = np.zeros((30, 40), dtype=bool)
    >>> mask[5:25, 5:25], mask[10, 25:35], mask[14, 14] = True, True, False  # with a spur and a hole
    >>> report = clean_up(mask).report
    >>> report.removed, report.added, report.holes
    (10, 1, (1, 0))
    """
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype != bool or not mask.size:
        found = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"A mask is a two-dimensional array of booleans, not {found}.", where="clean-up")
    how = get_clean_up(how) if isinstance(how, str) else how
    out, opened = _at_side(mask, how, mpp) if how.side else _cleaned(mask, how, mpp)
    before = int(mask.sum())
    report = CleanUpReport(
        preset=how.name,
        area_ratio=int(out.sum()) / before if before else 1.0,
        added=int((out & ~mask).sum()),
        removed=int((mask & ~out).sum()),
        components=(_parts(mask, how), _parts(out, how)),
        holes=(_holes(mask), _holes(out)),
        opened=opened,
    )
    return Cleaned(out, report)


def _at_side(mask: Mask, how: CleanUp, mpp: float | None) -> tuple[Mask, bool]:
    """The clean-up at the resolution at which the longer side has ``how.side`` pixels."""
    height, width = mask.shape
    zoom = (how.side or 1) / max(height, width)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    big = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    out, opened = _cleaned(big, how, None if mpp is None else mpp / zoom)
    small = cv2.resize(out.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return small.astype(bool), opened


def _cleaned(mask: Mask, how: CleanUp, mpp: float | None) -> tuple[Mask, bool]:
    """The mask after all steps, and whether the opening was made."""
    if not mask.any():
        return mask.copy(), True
    x0, y0, x1, y1 = tight_box(mask)
    at = np.s_[y0:y1, x0:x1] if how.kernel == "disc" else np.s_[:, :]  # a square's border rule sees the frame
    part = _filled(mask[at], how, mpp)
    opened = _opened(part, how, mpp)
    made = bool(opened.any() and opened.sum() >= how.kept * part.sum())
    part = opened if made or not how.kept else part
    if part.any():
        part = _closed(part, how, mpp)
    if how.blur:
        part = cv2.GaussianBlur(part.astype(np.float32), (how.blur, how.blur), 0) > 0.5
    if part.any():
        part = _without_specks(_filled(part, how, mpp), how, mpp)
    out = np.zeros_like(mask)
    out[at] = part
    return out, made


def _pixels(length: Length, mask: Mask, how: CleanUp, mpp: float | None) -> float:
    """A length in pixels, for the mask as it is now."""
    if not length.value:
        return 0.0
    x0, y0, x1, y1 = tight_box(mask)
    area = float(components(mask, connectivity=how.connectivity)[1][1:].max())
    sizes = ObjectSizes(diameter=2 * math.sqrt(area / math.pi), longest=max(x1 - x0, y1 - y0), mpp=mpp)
    return length.pixels(sizes)


def _filled(mask: Mask, how: CleanUp, mpp: float | None) -> Mask:
    diameter = _pixels(how.holes, mask, how, mpp)
    return fill_holes(np.pad(mask, 1), math.pi / 4 * diameter**2)[1:-1, 1:-1] if diameter else mask


def _opened(mask: Mask, how: CleanUp, mpp: float | None) -> Mask:
    size = _pixels(how.opening, mask, how, mpp)
    if how.kernel == "square":
        return _squared(mask, cv2.MORPH_OPEN, size)
    return _dilated(_eroded(mask, size / 2), size / 2)


def _closed(mask: Mask, how: CleanUp, mpp: float | None) -> Mask:
    size = _pixels(how.closing, mask, how, mpp)
    if how.kernel == "square":
        return _squared(mask, cv2.MORPH_CLOSE, size)
    margin = int(size / 2) + 1
    wide = _eroded(_dilated(np.pad(mask, margin), size / 2), size / 2)
    return wide[margin:-margin, margin:-margin]


def _without_specks(mask: Mask, how: CleanUp, mpp: float | None) -> Mask:
    least = math.pi / 4 * _pixels(how.smallest, mask, how, mpp) ** 2
    labels, areas = components(mask, connectivity=how.connectivity)
    stays = areas >= min(least * (1 - 1e-9), areas[1:].max())
    stays[0] = False
    return np.take(stays, labels)


def _eroded(mask: Mask, radius: float) -> Mask:
    """Pixels that are farther than the radius from every pixel outside; beyond the array is outside."""
    return mask if radius < 1 else np.asarray(depth_inside(mask) > _reach(radius), dtype=bool)


def _dilated(mask: Mask, radius: float) -> Mask:
    """Pixels of the array at most the radius from a pixel of the mask."""
    return mask if radius < 1 or not mask.any() else np.asarray(distance_to(mask) <= _reach(radius), dtype=bool)


def _reach(radius: float) -> float:
    """Squared distances are whole numbers: half-way to the next one, rounding of float32 does not matter."""
    return math.sqrt(math.floor(radius * radius + 1e-9) + 0.5)


def _squared(mask: Mask, operation: int, size: float) -> Mask:
    side = max(1, round(size))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), operation, np.ones((side, side), np.uint8)), dtype=bool)


def _parts(mask: Mask, how: CleanUp) -> int:
    return len(components(mask, connectivity=how.connectivity)[1]) - 1


def _holes(mask: Mask) -> int:
    """Parts of the background that the object encloses."""
    return len(components(~np.pad(mask, 1), connectivity=4)[1]) - 2
