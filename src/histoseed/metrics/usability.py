"""Usability: how much work is left in an outline, whatever its overlap with the truth.

Shape is judged on the largest component, the one with most pixels (of equal ones the first in reading order); counts
and sizes are of the whole object. Components are 4-connected and holes are holes of the polygon, so that both numbers
are those of the outline a user gets. ``docs/cleanup.md`` explains every number.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import InputError
from histoseed.geometry import known_mpp, label_to_polygons, largest_component, simplify_outline

__all__ = [
    "PUBLISHED_USABILITY",
    "USABILITY",
    "Usability",
    "compactness",
    "perimeter",
    "smoothness",
    "solidity",
    "usability",
]

Mask = npt.NDArray[np.bool_]
Curve = npt.NDArray[np.complex128]

USABILITY = "histoseed-usability"
"""The protocol of these definitions."""
PUBLISHED_USABILITY = "rapid-cytomine-usability"
"""The definitions of the Rapid Cytomine prototype, for comparison."""

_STEPS = ((0, 1), (1, 2), (1, 1), (2, 1), (1, 0), (2, -1), (1, -1), (1, -2))
"""Rows and columns from a pixel to the next one on a line, for eight directions of lines, by ascending angle."""
_ANGLES = np.array([math.atan2(*step) for step in _STEPS])
_SHARES = ((np.roll(_ANGLES, -1) - np.roll(_ANGLES, 1)) % math.pi / (2 * math.pi)).tolist()
"""Share of all angles that are nearest to each direction."""
_WAVES = 8
"""More waves than this round an outline are roughness, fewer are shape: nuclei have no more lobes."""
_STAIRS = 1.0
"""Standard deviation in pixels of the Gaussian that takes the steps of pixels from an outline."""
_SAMPLES = 8
"""Points a pixel on a curve."""
_TOLERANCE = {"um": 0.25, "px": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usability:
    """The numbers of one mask. NaN where one is undefined; the published protocol has 0 there.

    Args:
        protocol: Which definitions.
        compactness: ``4 pi area / perimeter^2`` of the largest component, holes counted out of the area and into the
            perimeter. 1 for a disc, towards 0 for what is ragged, thin or full of holes.
        solidity: Pixels of the largest component over pixels of its convex hull, (0, 1].
        smoothness: Length of the largest component's outlines without their roughness over that with it, (0, 1].
        components: Parts.
        holes: Holes of all parts.
        size_retention: Area over that of the reference.
        vertices: Vertices of the whole outline after simplification: what a user must drag.
        tolerance: Of that simplification, micrometres where the resolution is known, else pixels.
    """

    protocol: str
    compactness: float
    solidity: float
    smoothness: float
    components: int
    holes: int
    size_retention: float
    vertices: int
    tolerance: float

    def as_dict(self) -> dict[str, str | float | int | None]:
        """A plain dictionary, ready for JSON: NaN becomes None."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


def usability(
    mask: Mask,
    *,
    reference: Mask | None = None,
    mpp: float | None = None,
    tolerance: float | None = None,
    protocol: str = USABILITY,
) -> Usability:
    """All usability numbers of one object's mask.

    Args:
        mask: (h, w) bool.
        reference: What the size is compared with: the truth, or the mask before a clean-up. (h, w) bool.
        mpp: Microns per pixel of the array.
        tolerance: Of the simplification before vertices are counted; by default 0.25 um, or 1 pixel without ``mpp``.
        protocol: :data:`USABILITY` or :data:`PUBLISHED_USABILITY`.

    Raises:
        InputError: no mask, a reference of another shape, an unknown protocol, or a tolerance that is negative.

    >>> mask = np.zeros((60, 80), dtype=bool)
    >>> mask[10:50, 10:50], mask[25:35, 25:35], mask[5, 70] = True, False, True  # a square with a hole, and a speck
    >>> found = usability(mask, reference=mask)
    >>> found.components, found.holes, found.vertices, found.solidity, found.size_retention
    (2, 1, 11, 0.9375, 1.0)
    """
    if protocol not in (USABILITY, PUBLISHED_USABILITY):
        raise InputError("There is no such protocol.", where=protocol, fix=f"{USABILITY} or {PUBLISHED_USABILITY}.")
    if mask.ndim != 2 or mask.dtype != bool:
        raise InputError(f"A mask is two-dimensional and boolean, not {mask.dtype} of {mask.shape}.", where="usability")
    if reference is not None and reference.shape != mask.shape:
        raise InputError(f"Mask {mask.shape} and reference {reference.shape} differ in shape.", where="usability")
    scale = known_mpp(mpp)
    limit = _TOLERANCE["px" if scale is None else "um"] if tolerance is None else tolerance
    outlines = label_to_polygons(mask)[1]
    parts = shapely.get_parts(outlines)
    vertices = simplify_outline(outlines[0], tolerance=limit, mpp=scale).vertices if len(outlines) else 0
    area = 0 if reference is None else int(reference.sum())
    retention = int(mask.sum()) / area if area else math.nan
    if protocol == PUBLISHED_USABILITY:
        return _published(mask, retention if area else 0.0, vertices, limit)
    main = largest_component(mask)
    return Usability(
        protocol=protocol,
        compactness=compactness(main),
        solidity=solidity(main),
        smoothness=smoothness(main),
        components=len(parts),
        holes=int(shapely.get_num_interior_rings(parts).sum()),
        size_retention=retention,
        vertices=vertices,
        tolerance=limit,
    )


def perimeter(mask: Mask) -> float:
    """Length of all outlines of a mask, holes included, in pixels.

    Crofton's formula on the lines through pixel centres in eight directions (0, 27, 45, 63, 90 ... degrees), each
    weighed with the angles nearest to it, as Legland, Kieu and Devaux (Image Anal Stereol 26, 2007) do with two and
    four. Long straight sides are measured to 2 %, whatever their direction, where the sum of pixel sides is up to
    41 % too long. Over all directions the error is nil.

    Args:
        mask: (h, w) bool; outside the array is background.

    >>> side = perimeter(np.ones((100, 100), dtype=bool)) / 4
    >>> round(side, 1)
    98.2
    """
    wide = np.pad(mask, 2)
    total = 0.0
    for (dy, dx), share in zip(_STEPS, _SHARES, strict=True):
        there = wide[dy:, max(dx, 0) : wide.shape[1] + min(dx, 0)]
        here = wide[: wide.shape[0] - dy, max(-dx, 0) : wide.shape[1] - max(dx, 0)]
        total += share * int((there != here).sum()) / math.hypot(dy, dx)  # which is how far apart the lines lie
    return math.pi / 2 * total


def compactness(mask: Mask) -> float:
    """``4 pi area / perimeter^2`` with :func:`perimeter`, at most 1; NaN for an empty mask.

    A disc, wherever its centre lies, scores 1 within 0.08 from a radius of 3 pixels on, within 0.06 from 6 and within
    0.03 from 20; mostly it is within 0.01 from 5. Below a radius of 3 pixels the estimate says little.

    >>> y, x = np.mgrid[:41, :41] - 20
    >>> round(compactness(x**2 + y**2 < 15.5**2), 2)
    1.0
    """
    length = perimeter(mask)
    return min(1.0, 4 * math.pi * int(mask.sum()) / length**2) if length else math.nan


def solidity(mask: Mask) -> float:
    """Pixels over the pixels whose centre lies in the convex hull of all centres; NaN for an empty mask.

    1 exactly for every convex shape drawn on pixels, at any size. The area of the hull of pixel corners, which is often
    taken, is larger than any disc on pixels.

    >>> solidity(np.tri(30, dtype=bool)), solidity(np.array([[1, 0, 1]], dtype=bool))
    (1.0, 0.6666666666666666)
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return math.nan
    points = np.column_stack([columns, rows]).astype(np.int32)
    hull = cv2.convexHull(points).reshape(-1, 2).astype(np.int64)
    ahead = np.roll(hull, -1, axis=0)
    doubled = abs(int((hull[:, 0] * ahead[:, 1] - hull[:, 1] * ahead[:, 0]).sum()))
    on_border = int(np.gcd(*np.abs(ahead - hull).T).sum())
    # Pick's theorem: whole points inside and on the border of a polygon with whole corners.
    return len(rows) / ((doubled + on_border) // 2 + 1)


def smoothness(mask: Mask) -> float:
    """Length of the outlines without waves of which more than eight go round, over the length with them; NaN if empty.

    Outlines, those of holes too, are followed as closed curves, freed from the steps of pixels by a Gaussian of one
    pixel along the curve, and run through at constant speed. Leaving Fourier terms of such a curve out (Kuhl and
    Giardina, 1982) cannot make it longer: the integral of the squared speed falls (Parseval) and bounds the squared
    length (Cauchy and Schwarz). So the score is in (0, 1] by construction. A disc scores 0.98 or more, a square 0.95;
    an outline with two thirds of its length in fine ripples scores 1/3. Below a diameter of some ten pixels there is
    nothing finer than the shape to be seen, and the score is near 1.

    >>> y, x = np.mgrid[:81, :81] - 40
    >>> disc, rippled = (x**2 + y**2 < (30 + a * np.cos(24 * np.arctan2(y, x))) ** 2 for a in (0, 3))
    >>> smoothness(disc) > 0.985, smoothness(rippled) < 0.6
    (True, True)
    """
    with_waves = without = 0.0
    for outline in label_to_polygons(mask)[1]:
        for ring in shapely.get_rings(shapely.get_parts(outline)):
            curve, length = _evenly(_plain_curve(ring))
            waves = np.abs(np.fft.fftfreq(len(curve), 1 / len(curve)))
            smoothed = np.fft.ifft(np.fft.fft(curve) * (waves <= _WAVES + 1))  # n waves: terms n - 1 and n + 1
            with_waves += length
            without += float(np.abs(np.roll(smoothed, -1) - smoothed).sum())
    return min(1.0, without / with_waves) if with_waves else math.nan


def _plain_curve(ring: shapely.LinearRing) -> Curve:
    """A ring along pixel edges as a curve without their steps."""
    xy = shapely.get_coordinates(ring)[:-1]
    curve, length = _evenly(xy[:, 0] + 1j * xy[:, 1])
    frequency = np.fft.fftfreq(len(curve), length / len(curve))
    gaussian = np.exp(-2 * (math.pi * _STAIRS * frequency) ** 2)
    return np.asarray(np.fft.ifft(np.fft.fft(curve) * gaussian), dtype=np.complex128)


def _evenly(curve: Curve) -> tuple[Curve, float]:
    """A closed curve, x + iy, through points that are equally far apart along it; and its length."""
    closed = np.append(curve, curve[0])
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(closed)))])
    length = float(along[-1])
    count = max(64, 1 << math.ceil(math.log2(_SAMPLES * length)))
    at = np.linspace(0, length, count, endpoint=False)
    return np.interp(at, along, closed.real) + 1j * np.interp(at, along, closed.imag), length


def _published(mask: Mask, retention: float, vertices: int, tolerance: float) -> Usability:
    """The published definitions: everything of the first contour that OpenCV happens to list; 0 where degenerate."""
    image = mask.astype(np.uint8)
    contours = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    compact = solid = smooth = 0.0
    if contours:
        first = contours[0]
        area, length = cv2.contourArea(first), cv2.arcLength(first, closed=True)
        hull = cv2.contourArea(cv2.convexHull(first))
        rough = cv2.arcLength(cv2.approxPolyDP(first, 0.02 * length, closed=True), closed=True)
        compact = 4 * math.pi * area / length**2 if length else 0.0
        solid = area / hull if hull else 0.0
        smooth = length / rough if rough else 0.0
    return Usability(
        protocol=PUBLISHED_USABILITY,
        compactness=compact,
        solidity=solid,
        smoothness=smooth,
        components=cv2.connectedComponents(image, connectivity=8)[0] - 1,
        holes=0,
        size_retention=retention,
        vertices=vertices,
        tolerance=tolerance,
    )
