"""What an importer hands over: a collection of items, each of which reads one patch when asked.

An importer only says what lies where and how it reads. Everything else (parallel reading, another resolution, resuming,
writing, the report) is done once, by :func:`histoseed.datasets.intake.take_in`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from histoseed.datasets.content import PatchContent, PatchFacts, Remark, SlideArea
from histoseed.datasets.info import DatasetInfo

__all__ = ["Collection", "Item", "PatchContent", "Remark", "SlideArea", "object_ids"]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "histoseed")


def object_ids(dataset: str, patch_id: str, count: int) -> list[str]:
    """UUIDs of the objects of a patch, by their position: the same at every import.

    >>> object_ids("monusac", "a", 2) == object_ids("monusac", "a", 3)[:2]
    True
    """
    return [str(uuid.uuid5(_NAMESPACE, f"{dataset}/{patch_id}/object {i}")) for i in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One patch that can be read.

    Args:
        patch_id: Unique; it becomes a file name (see ``check_patch_id``).
        read: Reads it; called from several threads at once, for different items. What it raises names the file.
        files: Files that it depends on; a changed file makes an interrupted import start anew.
        facts: What is known without reading it: group columns, split, fold, mpp, place in the slide.
    """

    patch_id: str
    read: Callable[[], PatchContent]
    files: Sequence[Path] = ()
    facts: PatchFacts = field(default_factory=PatchFacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Everything that one import brings in.

    Args:
        info: What ``dataset.json`` is to say.
        items: The patches, in the order of the data set.
        remarks: What was remarkable about the folder as a whole, each with the name of what it concerns.
        open_classes: Classes that ``info`` does not list are appended to it instead of refused.
    """

    info: DatasetInfo
    items: Sequence[Item]
    remarks: Sequence[tuple[str, Remark]] = ()
    open_classes: bool = False
