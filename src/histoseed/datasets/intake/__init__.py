"""From an importer's items to a data set: read in parallel, bring to one resolution, write, resume, report."""

from histoseed.datasets.intake.content import Collection, Item, object_ids
from histoseed.datasets.intake.engine import OnItem, Tables, tabulate, take_in
from histoseed.datasets.intake.totals import CheckedTotal, check_totals

__all__ = [
    "CheckedTotal",
    "Collection",
    "Item",
    "OnItem",
    "Tables",
    "check_totals",
    "object_ids",
    "tabulate",
    "take_in",
]
