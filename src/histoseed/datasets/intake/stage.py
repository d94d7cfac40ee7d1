"""The folder in which an import grows: hidden beside its target, kept when interrupted, renamed when complete."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from histoseed.errors import OutputError
from histoseed.files import explained, locked_folder, replace_folder, write_json

__all__ = ["Stage", "open_stage"]

_IDENTITY = "importing.json"


class Stage:
    """Finished units of an unfinished import.

    A unit is a run of consecutive patches. Its objects stand in ``units/<n>.parquet``, everything else in
    ``units/<n>.json``, which is written last: a unit without it does not exist.

    Args:
        folder: The folder.
        resumed: Whether an interrupted import goes on.
    """

    def __init__(self, folder: Path, *, resumed: bool) -> None:
        self.folder = folder
        self.resumed = resumed
        (folder / "units").mkdir(exist_ok=True)

    def _path(self, unit: int, suffix: str) -> Path:
        return self.folder / "units" / f"{unit:06d}{suffix}"

    def finished(self, unit: int, key: str) -> dict[str, Any] | None:
        """What a unit left, if its inputs (``key``) are those of then and its files are whole."""
        try:
            left = json.loads(self._path(unit, ".json").read_text("utf-8"))
            if left["key"] != key or not self._path(unit, ".parquet").is_file():
                return None
            for name, digest in left["files"].items():
                if hashlib.sha256((self.folder / name).read_bytes()).hexdigest() != digest:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return dict(left)

    def finish(self, unit: int, left: Mapping[str, Any], objects: pl.DataFrame) -> None:
        """Mark a unit as finished."""
        objects.write_parquet(self._path(unit, ".parquet"))
        temporary = self._path(unit, ".json.tmp")
        temporary.write_text(json.dumps(left, ensure_ascii=False), "utf-8")
        temporary.replace(self._path(unit, ".json"))

    def objects(self, unit: int) -> Path:
        """The table of a finished unit."""
        return self._path(unit, ".parquet")

    def forget_units(self) -> None:
        """Remove what only a resumed import needs."""
        shutil.rmtree(self.folder / "units")
        (self.folder / _IDENTITY).unlink()


@contextlib.contextmanager
def open_stage(target: Path, identity: Mapping[str, Any], *, overwrite: bool) -> Iterator[Stage]:
    """A stage that becomes ``target`` when the block ends well; interrupted, it stays and the next call goes on.

    Args:
        target: The data-set folder to make; absent or empty, unless ``overwrite`` is given.
        identity: What the import is; a stage of another identity is begun anew.
        overwrite: Replace what stands at ``target``, once the new folder is complete.

    Raises:
        OutputError: ``target`` is in use or in the way, the disk is full, the place is not writable.
    """
    _check_target(target, overwrite=overwrite)
    folder = target.with_name(f".{target.name}.importing")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder):
            try:
                stage = _opened(folder, json.loads(json.dumps(identity)))
                yield stage
                stage.forget_units()
                replace_folder(folder, target)
            except Exception:
                if not any((folder / "units").glob("*.json")) and _is_ours(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        raise explained(error, target) from error


def _is_ours(folder: Path) -> bool:
    """Whether nothing stands in the folder that an import would not have put there."""
    ours = {_IDENTITY, "units", "images", "masks", "regions", "ignore", "probs"}
    return folder.is_dir() and all(e.name in ours or e.name.startswith(f".{_IDENTITY}") for e in folder.iterdir())


def _check_target(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise OutputError("A file of that name is in the way.", where=target, fix="Choose another --out.")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise OutputError("The folder is not empty.", where=target, fix="Choose another --out, or add --overwrite.")


def _opened(folder: Path, identity: Any) -> Stage:
    """The stage, emptied unless it holds the same import."""
    marker = folder / _IDENTITY
    old: Any = None
    with contextlib.suppress(OSError, ValueError):
        old = json.loads(marker.read_text("utf-8"))
    resumed = old == identity
    if not resumed:
        if not _is_ours(folder) or (old is None and any(folder.iterdir())):
            what = "The folder was not left by an import; it is in the way."
            raise OutputError(what, where=folder, fix="Move it away, or choose another --out.")
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        write_json(marker, identity)
    return Stage(folder, resumed=resumed)
