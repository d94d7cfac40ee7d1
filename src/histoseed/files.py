"""Files that are whole or absent: write under a temporary name, fsync, rename.

Nothing here overwrites without being told, and an interrupted write leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histoseed.errors import OutputError

__all__ = [
    "atomic_path",
    "explained",
    "locked_folder",
    "replace_folder",
    "sha256_of",
    "staged_folder",
    "write_bytes",
    "write_json",
    "write_text",
]


def _sync(path: Path) -> None:
    """Push a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, path: Path) -> OutputError:
    """What an error of the operating system means for a file or folder that was to be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            "The disk is full.", where=path, fix="Free some space or choose another --out; then run again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError("The place is not writable.", where=path, fix="Choose another --out.")
    return OutputError(f"Writing failed ({error.strerror or error}).", where=path)


def _this_process() -> str:
    machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{machine[:40]}-{os.getpid()}"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well.

    Its name carries the machine and the process: several nodes may write into one network folder, where process numbers
    recur.

    Raises:
        OutputError: the disk is full, or the place is not writable; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{_this_process()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        Path(temporary).replace(path)
        _sync(path.parent)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: UTF-8, two spaces, a final newline, no NaN."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_folder(stage: Path, target: Path) -> None:
    """Push everything below ``stage`` to the disk and give it the name ``target``; what stood there is removed last.

    Raises:
        OSError: the disk is full, or the place is not writable.
    """
    for path in stage.rglob("*"):
        _sync(path)
    if target.exists():
        old = stage.with_name(stage.name + ".old")
        Path(target).replace(old)
        Path(stage).replace(target)
        shutil.rmtree(old)
    else:
        Path(stage).replace(target)
    _sync(target.parent)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder; the lock leaves no file and ends with the process.

    Raises:
        OutputError: another process holds it.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:  # Windows has no advisory lock on a folder
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "Another run is writing to this folder."
            raise OutputError(what, where=folder, fix="Wait for it, or choose another --out.") from error
        except OSError:  # a network file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def staged_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``target`` that becomes ``target`` when the block ends well.

    Args:
        target: The folder to make. It must be absent or empty, or ``overwrite`` be true.
        overwrite: Replace what stands at ``target``; it is removed only once the new folder is complete.

    Raises:
        OutputError: ``target`` is a file or a non-empty folder and ``overwrite`` is false; the disk is full.
    """
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise OutputError("A file of that name is in the way.", where=target, fix="Choose another --out.")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise OutputError("The folder is not empty.", where=target, fix="Choose another --out, or add --overwrite.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise explained(error, target) from error
    try:
        stage.chmod(0o755)
        yield stage
        replace_folder(stage, target)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
