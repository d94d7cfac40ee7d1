"""Folders that a conversion writes: file names out of image names, and nothing else is lost by replacing one."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from histoseed.errors import InputError, OutputError
from histoseed.files import staged_folder
from histoseed.wording import counted

__all__ = ["IMAGE_SUFFIXES", "file_stems", "filled_folder"]

IMAGE_SUFFIXES = (
    ".ome.tiff", ".ome.tif", ".svslide", ".tiff", ".jpeg", ".webp", ".ndpi", ".mrxs", ".tif", ".png", ".jpg", ".jp2",
    ".bmp", ".gif", ".svs", ".scn", ".bif", ".dcm", ".vms", ".vmu", ".npy",
)  # fmt: skip
"""Endings of image names that are no part of a stem."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]')
_LONGEST = 200


def file_stems(names: Sequence[str]) -> list[str]:
    """A stem of a file for each image, from its name: no folder, no image suffix, nothing that a file system forbids.

    Where two images would get the same stem, their folders go before it.

    Raises:
        InputError: two images have the same name.

    >>> file_stems(["a/x.png", "b/x.png", "../../y.svs"]), file_stems(["x.png"])
    (['a_x', 'b_x', 'y'], ['x'])
    """
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    stems = [_clean(path.name) for path in paths]
    often = Counter(stem.lower() for stem in stems)
    stems = [
        _clean("_".join(part for part in path.parts if part not in ("/", "..", ".")))
        if often[stem.lower()] > 1
        else stem
        for path, stem in zip(paths, stems, strict=True)
    ]
    often = Counter(stem.lower() for stem in stems)
    twice = [name for name, stem in zip(names, stems, strict=True) if often[stem.lower()] > 1]
    if twice:
        what = f"{counted(len(twice), 'image')} would get a file of the same name, among them {twice[0]!r}."
        raise InputError(what, fix="Rename them, or write a format that holds several images, for instance coco.")
    return stems


def _clean(name: str) -> str:
    ending = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    stem = _FORBIDDEN.sub("_", name[: len(name) - len(ending)]).strip(". ")
    return stem.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore") or "image"


@contextlib.contextmanager
def filled_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` when the block ends well.

    With ``overwrite`` it may replace a folder, but only one in which every file has a successor: nobody's images or
    notes go with it.

    Raises:
        OutputError: ``target`` is a file, or holds something that would be lost.
    """
    with staged_folder(target, overwrite=overwrite) as stage:
        yield stage
        new = _files(stage)
        lost = sorted(_files(target) - new)
        if lost:
            what = f"{counted(len(lost), 'file')} in the folder would be lost, among them {lost[0]}."
            raise OutputError(what, where=target, fix="Choose another folder, or remove them yourself.")


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
