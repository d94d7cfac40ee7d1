"""Feature maps on disk, so that a frozen encoder sees each picture once.

An entry is one safetensors file under a temporary name that is renamed when complete: two processes may write the same
entry, and ``kill -9`` leaves at most a temporary file, which is cleared away an hour later. Entries are *not* flushed
to the disk (fsync): losing one costs a computation, waiting for the disk would cost more. What a power cut may
therefore tear is found by the file's own length and by a checksum over its values, and counts as absent.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError, OutputError

if TYPE_CHECKING:
    from histoseed.encoders.pyramid import FeaturePyramid

__all__ = ["EmbeddingCache", "embed", "embedding_key"]

_LOG = logging.getLogger("histoseed.encoders")
_FORMAT = "1"
_STALE_SECONDS = 3600.0
_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))

Maps = list[npt.NDArray[Any]]


def embedding_key(pixels: npt.NDArray[np.uint8], fingerprint: str, *, precision: str = "float32") -> str:
    """The name of an entry: SHA-256 over pixels, their shape, the encoder and the precision.

    Args:
        pixels: RGB. Shape (H, W, 3), uint8.
        fingerprint: :meth:`FeaturePyramid.fingerprint`: card, revision, weights, taps and size of creation.
        precision: What the maps were computed or stored in, where several are kept side by side.
    """
    facts = json.dumps([_FORMAT, list(pixels.shape), str(pixels.dtype), fingerprint, precision])
    digest = sha256(facts.encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class EmbeddingCache:
    """Lists of arrays under hexadecimal keys in a folder, shared by any number of processes.

    Args:
        folder: Made if absent.
        max_bytes: Most bytes kept; the entries not used for longest go first, down to nine tenths. Every process counts
            what it writes and looks at the folder again after a sixteenth of this, so that N processes may exceed it by
            N sixteenths for a moment.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self._warned = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"The folder of the embedding cache cannot be made ({error.strerror})."
            raise OutputError(what, where=self.folder, fix="Set HISTOSEED_CACHE_DIR to another place.") from error
        self._total = self._trim()
        self._since_scan = 0

    def path(self, key: str) -> Path:
        """Where an entry lies; 256 sub-folders keep each of them small."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, key: str) -> Maps | None:
        """The arrays of an entry in their order, or None where it is absent or damaged. Marks it as used."""
        path = self.path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        arrays = _unpack(data)
        if arrays is None:
            _LOG.warning("the cache entry %s is damaged and counts as absent", path)
            return None
        # The order of eviction; access times are switched off on many disks. Where another process has evicted the
        # entry in between, the arrays are already here.
        with contextlib.suppress(OSError):
            os.utime(path)
        return arrays

    def put(self, key: str, arrays: Sequence[npt.NDArray[Any]]) -> bool:
        """Store arrays of float16 or float32 exactly as they are. A cache that cannot write warns once and goes on.

        Returns:
            Whether the entry now lies on the disk.

        Raises:
            InputError: an array of another type.
        """
        data = _pack(arrays)
        if len(data) > self.max_bytes:
            return False
        path = self.path(key)
        temporary = path.with_name(f".{key}.{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            if not self._warned:
                _LOG.warning("the embedding cache cannot be written (%s); going on without", error)
            self._warned = True
            return False
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        self._total += len(data)
        self._since_scan += len(data)
        if self._total > self.max_bytes or self._since_scan > self.max_bytes // 16:
            self._total, self._since_scan = self._trim(), 0
        return True

    def size_bytes(self) -> int:
        """Bytes of all entries now in the folder."""
        return sum(size for _, size, _ in self._files())

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, bytes and path of everything in the folder; what vanishes meanwhile is left out."""
        for path in self.folder.glob("??/*"):
            try:
                status = path.stat()
            except OSError:
                continue
            yield status.st_mtime, status.st_size, path

    def _trim(self) -> int:
        """Clear away what killed processes left, then the oldest entries; bytes that remain."""
        found = sorted(self._files())
        limit = time.time() - _STALE_SECONDS
        total = sum(size for _, size, _ in found)
        goal = total if total <= self.max_bytes else self.max_bytes * 9 // 10
        for used, size, path in found:
            stale = path.suffix == ".tmp" and used < limit
            if stale or (total > goal and path.suffix != ".tmp"):
                try:
                    path.unlink(missing_ok=True)
                except OSError:  # open elsewhere, on systems that forbid it then
                    continue
                total -= size
        return total


def embed(
    encoder: FeaturePyramid,
    pictures: Sequence[npt.NDArray[np.uint8]],
    *,
    cache: EmbeddingCache | None = None,
    dtype: npt.DTypeLike = np.float16,
) -> list[Maps]:
    """Feature maps of pictures, from the cache where they are known.

    Pictures go through the encoder one by one: in a batch, the last bits would depend on which of them were cached.

    Args:
        encoder: In evaluation mode, or frozen.
        pictures: RGB. Each of shape (H, W, 3), uint8.
        cache: Where to look and to store; None computes everything.
        dtype: float16 or float32, of the arrays that are returned and stored; a map with values beyond float16 (65504)
            stays float32.

    Returns:
        For each picture one array (C, h, w) a tap.

    Raises:
        InputError: an encoder in training mode, or a picture of another type or shape.
    """
    import torch  # noqa: PLC0415  the store itself needs no torch

    if encoder.network.training:
        raise InputError("Embeddings of an encoder in training mode are not repeatable.", fix="Call .eval() first.")
    device = encoder.mean.device
    name = np.dtype(dtype).name
    fingerprint = encoder.fingerprint() if cache is not None else ""
    out: list[Maps] = []
    for number, pixels in enumerate(pictures):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            what = f"A picture is uint8 of shape (H, W, 3), not {pixels.dtype} of {pixels.shape}."
            raise InputError(what, where=f"picture {number}")
        key = embedding_key(pixels, fingerprint, precision=name)
        maps = cache.get(key) if cache is not None else None
        if maps is None:
            x = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1)[None].float() / 255
            with torch.inference_mode():
                maps = [_narrowed(m[0].float().cpu().numpy(), np.dtype(dtype)) for m in encoder(x)]
            if cache is not None:
                cache.put(key, maps)
        out.append(maps)
    return out


def _narrowed(array: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Outliers of encoders whose maps are not normalised would become infinite in half precision."""
    if dtype == np.float16 and array.size and np.abs(array).max() > np.finfo(np.float16).max:
        return array
    return array.astype(dtype)


def _checksum(arrays: Sequence[npt.NDArray[Any]]) -> str:
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return f"{value:08x}"


def _pack(arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    from safetensors.numpy import save  # noqa: PLC0415  beside its only use

    for array in arrays:
        if array.dtype not in _DTYPES:
            raise InputError(f"The embedding cache stores float16 and float32, not {array.dtype}.", where="cache")
    named = {f"{i:03d}": np.ascontiguousarray(array) for i, array in enumerate(arrays)}
    return bytes(save(named, metadata={"format": _FORMAT, "crc32": _checksum(arrays)}))


def _unpack(data: bytes) -> Maps | None:
    """The arrays of a file, or None where its header, its length or its checksum is wrong."""
    from safetensors import SafetensorError  # noqa: PLC0415  beside its only use
    from safetensors.numpy import load  # noqa: PLC0415

    try:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        named = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
    arrays = [named[key] for key in sorted(named)]
    if metadata.get("format") != _FORMAT or metadata.get("crc32") != _checksum(arrays):
        return None
    return arrays
