"""``dataset windows``: one patch an annotation, with its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoseed.datasets import take_in
from histoseed.datasets.windows import collect_windows
from histoseed.settings import read_settings
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.replacing import check_replaceable

__all__ = ["cut_windows"]


def cut_windows(
    slides: Path | str,
    annotations: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    dezoom: float = 2.0,
    size: int = 1024,
    classes: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    exhaustive: bool = False,
    mpp: float | None = None,
    format_name: str | None = None,
    boxes: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a data set of one window an annotation; see :func:`histoseed.datasets.windows.collect_windows`.

    Args:
        slides: A slide, or a folder of slides.
        annotations: A file of annotations, or a folder of them, in any format.
        out: The data-set folder to make; it appears whole or not at all. Interrupted, the same call goes on.
        name: Name of the data set; the name of ``out`` when left out.
        dezoom: Side of a window through the longer side of the annotation's box.
        size: Most pixels of the longer side of a window; windows are never enlarged.
        classes: Only objects of these classes get a window.
        leave_out: Objects of these classes are left out altogether.
        exhaustive: Whether every object in the windows is annotated.
        mpp: Microns per pixel of the slides, where they do not say it or say it wrong.
        format_name: Format of the annotations, where it is not recognised.
        boxes: Outlines of objects that are upright rectangles are boxes (QuPath has no others).
        workers: Windows read at once.
        overwrite: Replace a data set at ``out``.
        progress: Told about every window.

    Returns:
        :meth:`Dataset.describe` of the new data set.

    Raises:
        InputError: a factor or size out of range, no such class, slides and annotations that do not belong together.
        SlideError: a slide that cannot be read.
        AnnotationError: annotations that cannot be read.
        OutputError: ``out`` is not empty, or ``overwrite`` would remove something else than a data set.
    """
    if overwrite:
        check_replaceable(out, (slides, annotations))
    settings = read_settings()
    options: dict[str, Any] = {
        "name": name or Path(out).resolve().name,
        "dezoom": dezoom,
        "size": size,
        "classes": list(classes),
        "leave_out": list(leave_out),
        "exhaustive": exhaustive,
        "mpp": mpp,
        "format_name": format_name,
        "boxes": boxes,
    }
    collection = collect_windows(Path(slides), Path(annotations), settings=settings, **options)
    told, before = progress or Silent(), 0

    def on_item(done: int, _: int) -> None:
        nonlocal before
        told.advance(done - before)
        before = done

    told.start(len(collection.items), "windows", "Cutting windows")
    data = take_in(
        collection,
        out,
        importer="windows",
        options=options,
        overwrite=overwrite,
        workers=workers,
        settings=settings,
        on_item=on_item,
    )
    told.done()
    return data.describe()
