"""Names of patches and paths inside a data set: never a way out of its folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from histoseed.errors import DatasetError

__all__ = ["check_patch_id", "image_path", "inside", "side_file"]

# Characters that some file system forbids, control characters, and bytes that are no UTF-8 (half surrogates).
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]')
_LONGEST = 200


def check_patch_id(patch_id: str, where: object = None) -> str:
    """A patch id is a file name on every system: no separator, no leading dot, at most 200 bytes.

    Raises:
        DatasetError: it is not; the message shows it.
    """
    good = isinstance(patch_id, str) and bool(patch_id) and patch_id == patch_id.strip(". ")
    good = good and not _FORBIDDEN.search(patch_id) and len(patch_id.encode("utf-8", "replace")) <= _LONGEST
    if not good:
        fix = 'Rename it: no / \\ : * ? " < > |, no dot or blank at either end, at most 200 bytes.'
        raise DatasetError(f"{patch_id!r} cannot be a patch id.", where=where, fix=fix)
    return patch_id


def inside(root: Path, text: str, where: object) -> Path:
    """The file that a relative path of a table names, inside ``root`` even after links are followed.

    Raises:
        DatasetError: an absolute path, ``..``, a back-slash, or a link that leads out of ``root``.
    """
    pure = PurePosixPath(text)
    if not text or pure.is_absolute() or ".." in pure.parts or "\\" in text or "\x00" in text or ":" in pure.parts[0]:
        fix = "Paths in the tables are relative to the data set, with forward slashes and without '..'."
        raise DatasetError(f"The path {text!r} leads out of the data set.", where=where, fix=fix)
    path = root.joinpath(*pure.parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"The path {text!r} is a link that leads out of the data set.", where=where)
    return path


def image_path(root: Path, text: str, where: object, slides: Path | None) -> tuple[Path, bool]:
    """The picture of a row, and whether it is a whole slide that the patch is a region of.

    A path that starts with ``images/`` is the patch's own picture. Any other relative path names a slide, looked for in
    the data set and then in the folder ``slides``.

    Raises:
        DatasetError: the path leads out of both.
    """
    path = inside(root, text, where)
    if PurePosixPath(text).parts[0] == "images":
        return path, False
    if not path.is_file() and slides is not None:
        path = inside(slides, text, where)
    return path, True


def side_file(root: Path, folder: str, patch_id: str, suffix: str = ".tif") -> Path:
    """``<root>/<folder>/<patch_id><suffix>``; the id may hold dots itself."""
    return root / folder / f"{patch_id}{suffix}"
