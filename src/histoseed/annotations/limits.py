"""The one way this room says that a limit is exceeded."""

from __future__ import annotations

from histoseed.errors import LimitError
from histoseed.settings import SETTINGS

__all__ = ["over_limit"]


def over_limit(setting: str, what: str, *, where: object) -> LimitError:
    """The error for input that exceeds the named setting.

    >>> over_limit("max_vertices", "The object has 5 vertices; at most 4 are read.", where="a.geojson").fix
    'Set HISTOSEED_MAX_VERTICES higher if the file is to be trusted.'
    """
    fix = f"Set {SETTINGS[setting].env} higher if the file is to be trusted."
    return LimitError(what, where=where, fix=fix)
