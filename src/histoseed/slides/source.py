"""A file that is about to be opened, and how readers say that it is not theirs or that it is damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from histoseed.errors import HistoseedError, LimitError, SlideError
from histoseed.settings import Settings

__all__ = ["NotMineError", "Source", "damage_reported", "read_source"]

HEAD_BYTES = 132
"""Enough for every signature we look at; the last is ``DICM`` at byte 128 of a DICOM file."""


class NotMineError(Exception):
    """A reader does not know this kind of file; its only argument is the reason, for the user to read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what the user said about it.

    Args:
        path: An existing, non-empty regular file.
        head: Its first bytes.
        mpp: Microns per pixel by the user, or None.
        settings: The limits in force.
    """

    path: Path
    head: bytes
    mpp: float | None
    settings: Settings

    @property
    def is_tiff(self) -> bool:
        """Whether the first bytes are those of a TIFF or BigTIFF."""
        return self.head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def read_source(path: Path, *, mpp: float | None, settings: Settings) -> Source:
    """Look at the first bytes of a file.

    Raises:
        SlideError: There is no such file, it is a folder or another thing that is no regular file, it is empty, or it
            must not be read.
    """
    try:
        if path.is_dir():
            fix = "Give a file: for MIRAX the .mrxs, for DICOM any one file of the series."
            raise SlideError("This is a folder.", where=path, fix=fix)
        if not path.exists():
            raise SlideError("There is no such file.", where=path, fix="Check the path.")
        if not path.is_file():
            raise SlideError("This is not a regular file.", where=path, fix="Copy the image to a file first.")
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except PermissionError as error:
        raise SlideError("The file must not be read.", where=path, fix="Ask for the right to read it.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise SlideError(f"The file cannot be read ({error}).", where=repr(str(path))) from error
    if not head:
        raise SlideError("The file is empty (0 bytes).", where=path, fix="Copy or download it again.")
    return Source(path, head, mpp, settings)


@contextlib.contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises inside the block into a :class:`SlideError` that names the file.

    Damaged bytes make decoders raise nearly anything (struct, zlib, index, type and key errors, their own classes),
    hence the broad clause; nothing is swallowed, the cause is chained.
    """
    try:
        yield
    except (HistoseedError, NotMineError):
        raise
    except MemoryError as error:
        fix = "Read smaller regions, or lower HISTOSEED_MAX_PIXELS."
        raise LimitError("There is not enough memory to decode it.", where=path, fix=fix) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SlideError(
            f"The image is damaged or truncated, or uses a variant that cannot be read ({reason}).",
            where=path,
            fix="Copy or download it again; if it opens elsewhere, save it as PNG or as tiled RGB TIFF.",
        ) from error
