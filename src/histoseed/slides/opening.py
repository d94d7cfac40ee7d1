"""Open any image or slide: the readers are asked in turn, by what the file holds and not by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from histoseed.errors import SlideError
from histoseed.settings import Settings, read_settings
from histoseed.slides.base import PyramidSlide
from histoseed.slides.openslide_reader import open_openslide
from histoseed.slides.plain_reader import open_plain
from histoseed.slides.protocol import Slide
from histoseed.slides.source import NotMineError, Source, read_source
from histoseed.slides.tiff_reader import open_tiff

__all__ = ["READERS", "open_slide", "reopen"]

READERS: Mapping[str, Callable[[Source], PyramidSlide]] = MappingProxyType(
    {"openslide": open_openslide, "tiff": open_tiff, "plain": open_plain}
)
"""Name to reader, in the order in which they are asked."""


def open_slide(path: str | PathLike[str], *, mpp: float | None = None, settings: Settings | None = None) -> Slide:
    """Open a whole-slide file or a plain image, read-only.

    Args:
        path: The file; for MIRAX the .mrxs, for DICOM any one file of the series.
        mpp: Microns per pixel of level 0, where the file does not say it or says it wrong.
        settings: The limits; those of the environment where None.

    Returns:
        A slide; close it, or use it in a ``with`` block.

    Raises:
        SlideError: There is no such file, it is damaged, or no reader knows it; then every reader's reason is listed.
        LimitError: It would decode to more pixels than ``max_pixels``.
        DependencyError: It needs OpenSlide, which is missing or too old.
        InputError: `mpp` is not believable.
    """
    source = read_source(Path(path), mpp=mpp, settings=read_settings() if settings is None else settings)
    reasons = []
    for name, reader in READERS.items():
        try:
            return reader(source)
        except NotMineError as reason:
            reasons.append(f"{name}: {reason}")
    raise SlideError(
        f"No reader knows this file ({'; '.join(reasons)}).",
        where=source.path,
        fix="Give a PNG, JPEG, TIFF or whole-slide file; export other formats as pyramidal TIFF.",
    )


def reopen(path: Path, mpp: float | None, settings: Settings) -> Slide:
    """What a pickled slide becomes in the other process."""
    return open_slide(path, mpp=mpp, settings=settings)
