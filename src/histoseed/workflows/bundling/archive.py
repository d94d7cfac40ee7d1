"""The file of a bundle: a ZIP archive of five known names at most, stored as they are.

Nothing in it is compressed, so that equal models give equal bytes whatever the library, and so that no small file can
unpack to a large one. Reading takes nothing for granted: names, sizes, kinds and hashes are held against what may stand
in a bundle before anything is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from histoseed.errors import LimitError, ModelError
from histoseed.files import atomic_path, sha256_of
from histoseed.settings import Settings, read_settings

__all__ = ["ENDING", "MANIFEST", "NOTICE", "ONNX", "VERSION", "Archive", "write_archive"]

ENDING = ".histoseed.zip"
MANIFEST = "bundle.json"
NOTICE = "LICENCES.txt"
ONNX = "model.onnx"
VERSION = 1
"""Version of the bundle; a newer one is refused."""

_CARD, _WEIGHTS = "model.json", "model.safetensors"
_NAMES = (MANIFEST, _CARD, _WEIGHTS, NOTICE, ONNX)
_REQUIRED = frozenset({MANIFEST, _CARD, _WEIGHTS, NOTICE})
_TEXTS = (MANIFEST, _CARD, NOTICE)
_TEXT_BYTES = 16_000_000
_DIRECTORY_BYTES = 1 << 20
_BLOCK = 1 << 20
_AGAIN = "Fetch the bundle again, or export it anew with `histoseed model export`."


def write_archive(out: Path, files: Mapping[str, Path], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write a bundle; equal files and manifest give equal bytes. It appears whole or not at all.

    Args:
        out: The file; what stands there is replaced.
        files: Name in the bundle -> file.
        manifest: What stands in ``bundle.json`` beside the sizes and hashes of the files.

    Returns:
        The manifest as written.

    Raises:
        OutputError: the disk is full, or the place is not writable.
    """
    chosen = {name: files[name] for name in _NAMES if name in files}
    listed = {name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for name, path in chosen.items()}
    content = {"format": "histoseed-bundle", "version": VERSION, **manifest, "files": listed}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, MANIFEST, io.BytesIO(text.encode()), len(text.encode()))
        for name, path in chosen.items():
            with path.open("rb") as stream:
                _add(archive, name, stream, path.stat().st_size)
    return content


def _add(archive: zipfile.ZipFile, name: str, stream: BinaryIO, size: int) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    entry.file_size = size  # decides whether the entry needs the large form
    with archive.open(entry, "w") as target:
        while block := stream.read(_BLOCK):
            target.write(block)


class Archive:
    """A bundle that is read; a context manager.

    Args:
        path: The file.
        settings: Limits; None reads the environment.

    Attributes:
        manifest: Content of ``bundle.json``.
        names: The other files in it.

    Raises:
        ModelError: no bundle, a damaged one, or one that a newer histoseed wrote.
        LimitError: it holds more bytes than ``max_bundle_bytes``.
    """

    manifest: dict[str, Any]

    def __init__(self, path: Path, settings: Settings | None = None) -> None:
        self.path = Path(path)
        limits = read_settings() if settings is None else settings
        if not self.path.is_file():
            raise ModelError("There is no such bundle.", where=self.path, fix=f"Name a file that ends in {ENDING}.")
        self._stream = _Opening(self.path)
        try:
            try:
                self._zip = zipfile.ZipFile(cast("BinaryIO", self._stream))
            except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
                raise self._damaged(str(error)) from error
            self._stream.opened = True
            self._entries = self._checked(limits)
            self.manifest = self._read_manifest()
        except BaseException:
            self._stream.close()
            raise
        self.names = tuple(name for name in self._entries if name != MANIFEST)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def text(self, name: str) -> str:
        """A small file, held against its hash."""
        buffer = io.BytesIO()
        self._copy(name, buffer)
        try:
            return buffer.getvalue().decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._damaged(f"{name} is no UTF-8 text") from error

    def extract(self, folder: Path) -> None:
        """Write every file of the bundle into a folder, held against its hash.

        Raises:
            ModelError: a file is not the one that the manifest names.
        """
        for name in self._entries:
            with (folder / name).open("wb") as target:
                self._copy(name, target)

    def _copy(self, name: str, target: BinaryIO) -> None:
        digest = hashlib.sha256()
        try:
            with self._zip.open(self._entries[name]) as source:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    target.write(block)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise self._damaged(str(error)) from error
        if name != MANIFEST and digest.hexdigest() != self.manifest["files"][name]["sha256"]:
            raise self._damaged(f"{name} is not the file that {MANIFEST} names (sha256 differs)")

    def _checked(self, limits: Settings) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
            if name not in _NAMES or entry.filename != name:
                raise self._damaged(f"it holds {name[:80]!r}; a bundle holds {', '.join(_NAMES)} and nothing else")
            if name in entries:
                raise self._damaged(f"it holds {name} twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise self._damaged(f"{name} is compressed; a bundle stores files as they are")
            if entry.flag_bits & 1 or kind not in {0, stat.S_IFREG}:
                raise self._damaged(f"{name} is encrypted or no plain file")
            if name in _TEXTS and entry.file_size > _TEXT_BYTES:
                what = f"{name} in the bundle has {entry.file_size:,} bytes; the limit is {_TEXT_BYTES:,}."
                raise LimitError(what, where=self.path, fix=_AGAIN)
            entries[name] = entry
        if missing := sorted(_REQUIRED - entries.keys()):
            raise self._damaged(f"it lacks {', '.join(missing)}")
        total = sum(entry.file_size for entry in entries.values())
        if total > limits.max_bundle_bytes:
            what = f"The bundle holds {total:,} bytes; the limit max_bundle_bytes is {limits.max_bundle_bytes:,}."
            raise LimitError(what, where=self.path, fix="Set HISTOSEED_MAX_BUNDLE_BYTES if you trust it.")
        if total > self.path.stat().st_size:
            raise self._damaged("its files claim more bytes than the bundle has")
        return entries

    def _read_manifest(self) -> dict[str, Any]:
        try:
            content = json.loads(self.text(MANIFEST))
        except (json.JSONDecodeError, RecursionError) as error:
            raise self._damaged(f"{MANIFEST} cannot be read: {error}") from error
        if not isinstance(content, dict) or content.get("format") != "histoseed-bundle":
            raise self._damaged(f"{MANIFEST} is none of histoseed")
        version = content.get("version")
        if not isinstance(version, int) or version > VERSION:
            what = f"The bundle has version {version}; this histoseed reads up to {VERSION}."
            raise ModelError(what, where=self.path, fix="Update histoseed.")
        listed = content.get("files")
        if not isinstance(listed, dict) or set(listed) != set(self._entries) - {MANIFEST}:
            raise self._damaged(f"{MANIFEST} names other files than the bundle holds")
        for name, facts in listed.items():
            if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
                raise self._damaged(f"{MANIFEST} has no hash of {name}")
        return content

    def _damaged(self, how: str) -> ModelError:
        return ModelError(f"This is no bundle of histoseed, or it is damaged: {how}.", where=self.path, fix=_AGAIN)


class _Opening(io.FileIO):
    """A file of which an archive's table of contents is read: one of a bundle is short, whatever the file claims."""

    opened = False

    def read(self, size: int | None = -1) -> bytes:
        """As a file reads, but no table of contents of a million entries."""
        if not self.opened and size is not None and size > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its table of contents is too long")
        return super().read(-1 if size is None else size) or b""
