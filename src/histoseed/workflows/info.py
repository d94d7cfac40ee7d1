"""``info``: what a slide or image says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histoseed.slides import open_slide

__all__ = ["slide_info"]


def slide_info(path: Path | str, *, mpp: float | None = None, properties: bool = False) -> dict[str, Any]:
    """Size, resolution, levels and reader of a slide; only its head is read, of a plain image all of it.

    Args:
        path: The file.
        mpp: Microns per pixel of level 0, where the file does not say it or says it wrong.
        properties: Add the file's own metadata. It may name the patient or the laboratory.

    Returns:
        JSON values: ``path``, ``width`` and ``height`` (level-0 pixels), ``width_mm`` and ``height_mm`` (None where the
        mpp is unknown), ``mpp``, ``mpp_source``, ``levels`` (each ``width``, ``height``, ``downsample``, ``mpp``),
        ``vendor``, ``reader``, ``notes``.

    Raises:
        SlideError: no reader knows the file, or it is damaged.
        LimitError: it would decode to more pixels than ``max_pixels``.
        InputError: ``mpp`` is not believable.
    """
    with open_slide(path, mpp=mpp) as slide:
        scale = slide.mpp
        width, height = slide.size
        facts: dict[str, Any] = {
            "path": str(path),
            "width": width,
            "height": height,
            "width_mm": None if scale is None else round(width * scale / 1000, 3),
            "height_mm": None if scale is None else round(height * scale / 1000, 3),
            "mpp": scale,
            "mpp_source": slide.mpp_source,
            "levels": [
                {
                    "width": level.width,
                    "height": level.height,
                    "downsample": level.downsample,
                    "mpp": None if scale is None else scale * level.downsample,
                }
                for level in slide.levels
            ],
            "vendor": slide.vendor,
            "reader": slide.reader,
            "notes": list(slide.notes),
        }
        return facts | ({"properties": dict(slide.properties)} if properties else {})
