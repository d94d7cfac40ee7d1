"""Microns per pixel in TIFF metadata: OME-XML, Aperio and ImageJ descriptions, and the resolution tags."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["stated_mpp"]

_MICRONS = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00b5m": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "å": 1e-4, "pm": 1e-6, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0, "in": 25_400.0,
}  # fmt: skip
"""Microns in a unit, as OME (default: the micrometre, both of its Unicode letters) and ImageJ write it."""

_TAG_UNIT = {2: 25_400.0, 3: 10_000.0}
"""Microns in a unit of the ResolutionUnit tag: inch, centimetre."""

_PRINTING = 10.0
"""Resolution tags that say 10 microns or more (254 dpi and less; 72, 96, 150 are in every file) mean paper."""

_Pair = tuple[float | None, float | None]


def stated_mpp(tiff: Any, page: Any) -> tuple[_Pair, str | None]:
    """What a file says about the size of its pixels; not yet judged by :func:`resolve_mpp`.

    Args:
        tiff: A ``tifffile.TiffFile``.
        page: Its level-0 page.

    Returns:
        Microns along x and y, None where nothing is said; and a note where the tags were not believed.
    """
    for stated in (_from_ome(tiff), _from_aperio(page), _from_imagej(tiff, page)):
        if stated is not None:
            return stated, None
    unit = _TAG_UNIT.get(int(page.tags.valueof(296, default=1)))
    if unit is None:
        return (None, None), None
    x, y = (_inverse(page.tags.valueof(tag), unit) for tag in (282, 283))
    given = [value for value in (x, y) if value is not None]
    if given and max(given) >= _PRINTING:
        note = f"The resolution tags say {25_400 / max(given):.4g} dpi, a printing resolution, and were ignored."
        return (None, None), note
    return (x, y), None


def _inverse(rational: object, unit: float) -> float | None:
    """Microns per pixel from the RATIONAL pixels per unit."""
    if not isinstance(rational, tuple) or len(rational) != 2 or 0 in rational:
        return None
    return float(unit * rational[1] / rational[0])


def _from_ome(tiff: Any) -> _Pair | None:
    if not tiff.is_ome or not isinstance(tiff.ome_metadata, str):
        return None
    # the first Pixels element belongs to the first image; no XML parser meets the user's file
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", tiff.ome_metadata)
    if pixels is None:
        return None
    attributes = dict(re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", pixels.group(1)))
    x, y = (_number(attributes.get(f"PhysicalSize{axis}")) for axis in "XY")
    units = [_MICRONS.get(attributes.get(f"PhysicalSize{axis}Unit", "µm").lower()) for axis in "XY"]
    if x is None and y is None:
        return None
    x, y = (None if size is None or unit is None else size * unit for size, unit in zip((x, y), units, strict=True))
    return x, y


def _from_aperio(page: Any) -> _Pair | None:
    """``MPP = 0.2520`` of an Aperio description, also in exported crops that are no whole slides."""
    description = str(page.description)
    match = re.search(r"\|\s*MPP\s*=\s*([\d.]+)", description) if description.startswith("Aperio") else None
    value = _number(match.group(1)) if match else None
    return None if value is None else (value, value)


def _from_imagej(tiff: Any, page: Any) -> _Pair | None:
    if not tiff.is_imagej:
        return None
    unit = _MICRONS.get(str((tiff.imagej_metadata or {}).get("unit", "")).lower())
    if unit is None or unit >= _MICRONS["inch"]:
        return None
    x, y = (_inverse(page.tags.valueof(tag), unit) for tag in (282, 283))
    return (x, y) if x or y else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value and value > 0 else None
