"""Importers: other people's layouts into the common format, one file each.

Each module says in ``collect(source, ..., settings, **options) -> Collection`` what lies where and how it is read;
those of published data sets carry a ``CARD``. Reading in parallel, resampling, resuming and writing is done for all of
them by :mod:`histoseed.datasets.intake`.
"""

from histoseed.datasets.importers.geojson import import_geojson
from histoseed.datasets.importers.labels import import_labels
from histoseed.datasets.importers.registry import IMPORTERS, Importer, collect_dataset, get_importer, import_dataset

__all__ = [
    "IMPORTERS",
    "Importer",
    "collect_dataset",
    "get_importer",
    "import_dataset",
    "import_geojson",
    "import_labels",
]
