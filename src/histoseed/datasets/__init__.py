"""The common format of a data set on disk: write, read, check, import, split.

``docs/data-format.md`` describes the format completely, for readers in any language.

>>> import numpy as np, pathlib, tempfile
>>> path = pathlib.Path(tempfile.mkdtemp()) / "mine"
>>> info = DatasetInfo(name="mine", classes=named_classes(["tumour", "stroma"]))
>>> with DatasetWriter(path, info) as writer:
...     image, labels = np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64), np.uint16)
...     labels[8:20, 8:20] = 1
...     writer.add("first", image, labels, class_of={1: "tumour"}, mpp=0.25, patient="P1")
>>> dataset = read_dataset(path, verify=True)
>>> len(dataset), dataset.patch("first").class_ids.tolist(), dataset.describe()["classes"]
(1, [0, 1], {'tumour': 1, 'stroma': 0})
"""

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark, SlideArea
from histoseed.datasets.crops import CROP_UM, Crop, annotated_crops, crop_starts
from histoseed.datasets.dataset import Dataset, read_dataset
from histoseed.datasets.importers import (
    IMPORTERS,
    Importer,
    collect_dataset,
    get_importer,
    import_dataset,
    import_geojson,
    import_labels,
)
from histoseed.datasets.info import FORMAT_VERSION, ClassInfo, DatasetInfo, named_classes
from histoseed.datasets.intake import (
    CheckedTotal,
    Collection,
    Item,
    Tables,
    check_totals,
    object_ids,
    tabulate,
    take_in,
)
from histoseed.datasets.marks import Marks
from histoseed.datasets.patch import Patch, crop_patch
from histoseed.datasets.schema import INSTANCE_SCHEMA, LAYERS, MPP_SOURCES, OBJECT_KINDS, PATCH_SCHEMA, SPLITS
from histoseed.datasets.splits import SPLIT_BY, deal_patches, split_dataset
from histoseed.datasets.writer import DatasetWriter, write_dataset

__all__ = [
    "CROP_UM",
    "FORMAT_VERSION",
    "IMPORTERS",
    "INSTANCE_SCHEMA",
    "LAYERS",
    "MPP_SOURCES",
    "OBJECT_KINDS",
    "PATCH_SCHEMA",
    "SPLITS",
    "SPLIT_BY",
    "CheckedTotal",
    "ClassInfo",
    "Collection",
    "Crop",
    "Dataset",
    "DatasetCard",
    "DatasetInfo",
    "DatasetWriter",
    "Importer",
    "Item",
    "Marks",
    "Patch",
    "PatchContent",
    "PatchFacts",
    "Remark",
    "SlideArea",
    "Tables",
    "Total",
    "annotated_crops",
    "check_totals",
    "collect_dataset",
    "crop_patch",
    "crop_starts",
    "deal_patches",
    "get_importer",
    "import_dataset",
    "import_geojson",
    "import_labels",
    "named_classes",
    "object_ids",
    "read_dataset",
    "split_dataset",
    "tabulate",
    "take_in",
    "write_dataset",
]
