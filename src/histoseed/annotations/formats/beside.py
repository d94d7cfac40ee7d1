"""What histoseed says about an image, in files that others read too and that have no place for it.

Under a key of its own, ``histoseed``, once a file::

    image           file name
    width, height   pixels, or null
    mpp             microns per pixel, or null
    colors          {class name: "#rrggbb"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histoseed.annotations.formats.base import AnnotatedImage
from histoseed.errors import AnnotationError
from histoseed.geometry import known_mpp

__all__ = ["ImageFields", "image_fields", "read_image_fields"]

_COLOR = re.compile("#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFields:
    """What a file says about its image; empty where histoseed did not write it.

    Args:
        name: File name of the image.
        size: Width and height in pixels.
        mpp: Microns per pixel.
        colors: Class name -> "#rrggbb".
    """

    name: str | None = None
    size: tuple[int, int] | None = None
    mpp: float | None = None
    colors: Mapping[str, str] = field(default_factory=dict)


def image_fields(image: AnnotatedImage) -> dict[str, Any]:
    """The value of the key, as JSON."""
    width, height = image.size or (None, None)
    colors = dict(sorted(image.instances.colors.items()))
    return {"image": image.name, "width": width, "height": height, "mpp": image.mpp, "colors": colors}


def read_image_fields(value: object, where: object) -> ImageFields:
    """What :func:`image_fields` wrote; None is what files of others hold.

    Raises:
        AnnotationError: somebody has changed it to what it cannot be.
    """
    if value is None:
        return ImageFields()
    own: Mapping[str, Any] = value if isinstance(value, dict) else {}
    name, mpp, colors = own.get("image"), own.get("mpp"), own.get("colors", {})
    width, height = own.get("width", 0), own.get("height", 0)
    sized = type(width) is int and type(height) is int and min(width, height) > 0 and max(width, height) < 2**31
    good = (
        isinstance(name, str)
        and (sized or (width is None and height is None))
        and (mpp is None or type(mpp) in (int, float))
        and (isinstance(colors, dict) and all(_COLOR.fullmatch(str(color)) for color in colors.values()))
    )
    if not good:
        what = "What histoseed wrote about the image was changed to something that it does not write."
        raise AnnotationError(what, where=where, fix="Remove the key 'histoseed' of the file.")
    size = (int(width), int(height)) if sized else None
    return ImageFields(name=name, size=size, mpp=None if mpp is None else known_mpp(mpp), colors=colors)
