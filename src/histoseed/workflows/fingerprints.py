"""What identifies an input: equal content gives an equal text, wherever the file lies."""

from __future__ import annotations

import hashlib
from pathlib import Path

from histoseed.errors import InputError
from histoseed.files import sha256_of

__all__ = ["fingerprint", "fingerprint_bytes"]

_WHOLE_UP_TO = 1_000_000_000
_SAMPLE = 1 << 20
_TABLES = {
    "dataset.json": ("dataset.json", "patches.parquet", "instances.parquet"),
    "model.json": ("model.json", "model.safetensors"),
}
"""Folders whose tables name every other file by its hash: the tables stand for the whole."""


def fingerprint(path: Path) -> str:
    """The fingerprint of a file or folder.

    - A file up to 1 GB: ``sha256:<hex>`` of its bytes.
    - A larger file (whole slides): ``sampled:<hex>``, the sha256 of its size and of 1 MiB at its beginning, middle and
      end. Reading 50 GB to start a run would cost minutes; time stamps are left out so that a copy stays equal. A MIRAX
      slide is a small file beside a folder: the folder's ``Slidedat.ini`` is hashed with it.
    - A data set or a model: the sha256 over its tables, which hold the hashes of the other files.
    - Another folder: the sha256 over names and fingerprints of its files.

    Raises:
        InputError: there is no such file or folder, or it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _of_folder(path)
        if path.suffix.lower() == ".mrxs" and (index := path.with_suffix("") / "Slidedat.ini").is_file():
            return _combined([(file.name, _of_file(file)) for file in (path, index)])
        return _of_file(path)
    except FileNotFoundError as error:
        raise InputError("There is no such file or folder.", where=path, fix="Check the path.") from error
    except OSError as error:
        raise InputError(f"It cannot be read ({error.strerror or error}).", where=path) from error


def fingerprint_bytes(*parts: bytes) -> str:
    """The fingerprint of data in memory."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _of_file(path: Path) -> str:
    size = path.stat().st_size
    if size <= _WHOLE_UP_TO:
        return f"sha256:{sha256_of(path)}"
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for start in (0, size // 2, size - _SAMPLE):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE))
    return f"sampled:{digest.hexdigest()}"


def _of_folder(folder: Path) -> str:
    for mark, names in _TABLES.items():
        if (folder / mark).is_file():
            return _combined([(name, _of_file(folder / name)) for name in names if (folder / name).is_file()])
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return _combined([(file.relative_to(folder).as_posix(), _of_file(file)) for file in files])


def _combined(parts: list[tuple[str, str]]) -> str:
    text = "\n".join(f"{name}\t{value}" for name, value in parts)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
