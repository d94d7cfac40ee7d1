"""Importers: other people's layouts into the common format, one file each.

:data:`IMPORTERS` names them; each is a function ``(source, ..., out, **options) -> Dataset``. The data set appears
whole or not at all; what had to be changed stands in the ``notes`` and ``known_problems`` of its ``info``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from histoseed.datasets.checks import nearest
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.importers.geojson import import_geojson
from histoseed.datasets.importers.labels import import_labels
from histoseed.errors import InputError

__all__ = ["IMPORTERS", "import_dataset", "import_geojson", "import_labels"]

IMPORTERS: Mapping[str, Callable[..., Dataset]] = MappingProxyType({"geojson": import_geojson, "labels": import_labels})
"""Name of a layout -> its importer."""


def import_dataset(name: str, source: Path | str | Sequence[Path | str], out: Path | str, /, **options: Any) -> Dataset:
    """Run the importer of a name.

    Args:
        name: A name of :data:`IMPORTERS`.
        source: What to read: a folder for "labels", (image, geojson) for "geojson".
        out: The data-set folder to make.
        **options: Of the importer.

    Raises:
        InputError: no such importer or option (the message offers the nearest), or another number of sources.
    """
    if name not in IMPORTERS:
        raise InputError(f"There is no importer {name!r}.", fix=nearest(name, IMPORTERS))
    importer = IMPORTERS[name]
    parameters = inspect.signature(importer).parameters
    known = [key for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise InputError(f"The importer {name!r} has no option {option!r}.", fix=nearest(option, known))
    sources = [source] if isinstance(source, str | Path) else list(source)
    wanted = [key for key, p in parameters.items() if p.kind is not p.KEYWORD_ONLY and key != "out"]
    if len(sources) != len(wanted):
        what = f"The importer {name!r} reads {' and '.join(wanted)}; {len(sources)} were given."
        raise InputError(what, where=", ".join(map(str, sources)))
    return importer(*sources, out, **options)
