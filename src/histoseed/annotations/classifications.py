"""QuPath's classifications and colours.

A class is written as ``{"name", "color"}``, a derived class ``A: B`` as ``{"names": ["A", "B"], "color"}`` (QuPath 0.4
and later); older files have ``{"name", "colorRGB"}`` with a signed 32-bit ARGB number, or a bare string.
"""

from __future__ import annotations

from typing import Any

from histoseed.annotations.class_colors import class_color
from histoseed.errors import AnnotationError

__all__ = ["classification_json", "parse_classification"]

_SEPARATOR = ": "


def parse_classification(value: object) -> tuple[str | None, str | None]:
    """The class name and colour "#rrggbb" of a feature's ``classification``; None where it states none.

    Raises:
        AnnotationError: neither an object with a name, nor a string, nor null.

    >>> parse_classification({"names": ["Tumor", "Positive"], "color": [200, 0, 0]})
    ('Tumor: Positive', '#c80000')
    >>> parse_classification({"name": "Nucleus", "colorRGB": -4689085})
    ('Nucleus', '#b87343')
    """
    if value is None or isinstance(value, str):
        return _clean(value), None
    if not isinstance(value, dict):
        raise AnnotationError(f"A classification is an object or a string, not {value!r}.")
    name = value.get("name")
    if name is None:
        names = value.get("names", [])
        if not isinstance(names, list) or not all(isinstance(part, str) for part in names):
            raise AnnotationError(f"The names of a classification are a list of strings, not {names!r}.")
        name = _SEPARATOR.join(names)
    if not isinstance(name, str):
        raise AnnotationError(f"The name of a class is a string, not {name!r}.")
    return _clean(name), _color(value.get("color", value.get("colorRGB")))


def classification_json(name: str, color: str | None) -> dict[str, Any]:
    """The ``classification`` of a feature.

    >>> classification_json("Tumor", "#c80000")
    {'name': 'Tumor', 'color': [200, 0, 0]}
    """
    code = (color or class_color(name)).removeprefix("#")
    rgb = [int(code[i : i + 2], 16) for i in (0, 2, 4)]
    names = name.split(_SEPARATOR)
    return {"name": name, "color": rgb} if len(names) == 1 else {"names": names, "color": rgb}


def _clean(name: str | None) -> str | None:
    """JSON may escape half a surrogate pair, which no UTF-8 file can hold."""
    return name.encode("utf-8", "replace").decode("utf-8") if name else None


def _color(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"#{value & 0xFFFFFF:06x}"
    if isinstance(value, list) and len(value) >= 3 and all(type(v) is int and 0 <= v <= 255 for v in value[:3]):
        return "#{:02x}{:02x}{:02x}".format(*value[:3])
    return None
