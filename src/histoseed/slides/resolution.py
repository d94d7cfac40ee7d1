"""Microns per pixel: what a file says, whether it can be believed, and what the user says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry.regions import MPP_RANGE, Region, known_mpp

__all__ = ["Resolution", "pixel_scale", "resolve_mpp"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Microns per pixel of level 0.

    Args:
        mpp: The value, or None.
        source: ``metadata``, ``user`` or ``unknown``.
        notes: What the user should know about it.
    """

    mpp: float | None
    source: str
    notes: tuple[str, ...] = ()


def resolve_mpp(x: float | None, y: float | None, *, user: float | None, where: Path) -> Resolution:
    """Settle the resolution of a slide.

    Args:
        x: Microns per pixel along x by the file's metadata, or None.
        y: The same along y.
        user: What the user gave; it wins.
        where: The file, for messages.

    Returns:
        One number for both axes: the mean, with a note when they differ by 1 % or more.

    Raises:
        InputError: `user` is no believable resolution.
    """
    if user is not None and known_mpp(user) is None:
        low, high = MPP_RANGE
        raise InputError(f"{user} microns per pixel is outside {low} to {high}.", where=where, fix="Check --mpp.")
    notes = []
    stated = [value for value in (x, y) if value is not None]
    believed = [value for value in stated if known_mpp(value) is not None]
    if len(believed) < len(stated):
        pair = " x ".join(f"{value:.6g}" for value in stated)
        notes.append(f"The file states {pair} microns per pixel, which is not believable and was ignored.")
        believed = []
    mean = sum(believed) / len(believed) if believed else None
    if mean is not None and max(believed) - min(believed) >= 0.01 * mean:
        pair = " x ".join(f"{value:.6g}" for value in believed)
        notes.append(f"Pixels are not square ({pair} microns); the mean, {mean:.6g}, stands for both sides.")
    if user is not None:
        if mean is not None and abs(user - mean) > 0.05 * mean:
            notes.append(f"The file states {mean:.6g} microns per pixel; the given {user:.6g} is used.")
        return Resolution(float(user), "user", tuple(notes))
    return Resolution(mean, "unknown" if mean is None else "metadata", tuple(notes))


def pixel_scale(region: Region, slide_mpp: float | None, *, where: object = None) -> float:
    """Level-0 pixels along one pixel of the region's array.

    >>> pixel_scale(Region(0, 0, 100, 100, mpp=0.5), 0.25)
    2.0

    Raises:
        UnknownMppError: The region names a resolution and the slide's own is unknown.
    """
    if region.mpp is None:
        return 1.0
    if slide_mpp is None:
        raise UnknownMppError(
            f"{region.mpp} microns per pixel were asked for, and the file does not say its own resolution.",
            where=where,
            fix="Give it: --mpp 0.25 (40x scanners) or --mpp 0.5 (20x), or open_slide(path, mpp=...).",
        )
    return region.mpp / slide_mpp
