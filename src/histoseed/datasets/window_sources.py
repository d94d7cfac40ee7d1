"""Which annotations belong to which slide, by their names; and the annotations themselves, a few files in memory."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from histoseed.annotations import Instances, rectangles_as_boxes
from histoseed.annotations.formats import AnnotatedImage, Format, ReadOptions, detect, named_format
from histoseed.datasets.content import Remark
from histoseed.datasets.intake.objects import clipped
from histoseed.datasets.intake.remarks import noted
from histoseed.errors import AnnotationError, InputError
from histoseed.settings import Settings
from histoseed.slides import Slide, open_slide
from histoseed.wording import counted, some

__all__ = ["SLIDE_SUFFIXES", "Annotated", "Shelf", "annotated_slides", "annotation_names"]

SLIDE_SUFFIXES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".qptiff", ".czi", ".dcm", ".tif", ".tiff",
    ".png", ".jpg", ".jpeg", ".bmp",
)  # fmt: skip
"""Files of a folder that may be slides."""

_MOST_SLIDES = 2
"""Slides that stay open although nobody reads them; a plain image is decoded anew when it is opened again."""

_MOST_HELD = 16
_MOST_OBJECTS = 1_000_000
"""Sheets, and objects on them, that are kept in memory for those who ask again; one sheet always is."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A slide with its annotations.

    Args:
        slide: The slide.
        file: Its annotations.
        name: Name of the image within the file, None where the file holds only one.
        size: Width and height of the slide, level-0 pixels.
    """

    slide: Path
    file: Path
    name: str | None
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The annotations of one slide, cut at its border, level-0 pixels.

    Args:
        objects: What lies on the slide.
        tree: Spatial index of it.
        remarks: What the reader and the border of the slide changed.
    """

    objects: Instances
    tree: shapely.STRtree
    remarks: tuple[Remark, ...]


@dataclass(slots=True)
class _Open:
    """An open slide and how many threads read it."""

    slide: Slide
    users: int = 0


class Shelf:
    """Opens slides and reads annotations, and keeps the last ones for those who ask again; for several threads.

    Slides are closed when the shelf is no longer used by anybody.

    Args:
        settings: Limits.
        format_name: Format of all files; None: each says it by what it holds.
        outlines_only: Outlines that are upright rectangles are boxes, but for those of these classes, which mark areas.
            None leaves all of them outlines.
    """

    def __init__(
        self, settings: Settings, format_name: str | None = None, *, outlines_only: Sequence[str] | None = None
    ) -> None:
        self._settings = settings
        self._outlines_only = outlines_only
        self._format = None if format_name is None else named_format(format_name, "--from")
        self._lock = threading.RLock()
        self._sheets: OrderedDict[Annotated, Sheet] = OrderedDict()
        self._many: tuple[Path, list[AnnotatedImage], list[str]] | None = None
        self._slides: OrderedDict[Path, _Open] = OrderedDict()
        weakref.finalize(self, _close, self._slides)

    @contextlib.contextmanager
    def slide(self, path: Path, mpp: float) -> Iterator[Slide]:
        """A slide, open as long as the block lasts.

        Args:
            path: The slide.
            mpp: Microns per pixel that it is given; the same for every call.

        Raises:
            SlideError: it cannot be opened.
        """
        with self._lock:
            if path not in self._slides:
                self._slides[path] = _Open(open_slide(path, mpp=mpp, settings=self._settings))
            self._slides.move_to_end(path)
            held = self._slides[path]
            held.users += 1
        try:
            yield held.slide
        finally:
            with self._lock:
                held.users -= 1
                idle = [name for name, one in self._slides.items() if not one.users]
                for name in idle[: max(0, len(idle) - _MOST_SLIDES)]:
                    self._slides.pop(name).slide.close()

    def format_of(self, path: Path) -> Format:
        """The format of a file or folder.

        Raises:
            InputError: none fits, or several do.
        """
        return detect(path) if self._format is None else self._format

    def images(self, path: Path) -> tuple[list[AnnotatedImage], list[str]]:
        """The images of a file that holds several, and the sentences of the reader.

        Raises:
            AnnotationError: it cannot be read.
        """
        with self._lock:
            if self._many is None or self._many[0] != path:
                self._many = (path, *self.format_of(path).read(path, ReadOptions(settings=self._settings)))
            return self._many[1], self._many[2]

    def sheet(self, one: Annotated) -> Sheet:
        """The annotations of a slide.

        Raises:
            AnnotationError: the file cannot be read, or does not hold one image of the name.
        """
        with self._lock:
            if one not in self._sheets:
                self._sheets[one] = self._read(one)
            self._sheets.move_to_end(one)
            sheet = self._sheets[one]
            while len(self._sheets) > 1 and (
                len(self._sheets) > _MOST_HELD or sum(len(s.objects) for s in self._sheets.values()) > _MOST_OBJECTS
            ):
                self._sheets.popitem(last=False)
            return sheet

    def _read(self, one: Annotated) -> Sheet:
        if one.name is None:
            options = ReadOptions(settings=self._settings, size=one.size)
            images, said = self.format_of(one.file).read(one.file, options)
        else:
            images, said = self.images(one.file)
        mine = [image.instances for image in images if one.name is None or image.name == one.name]
        if len(mine) != 1:
            what = f"The file holds {counted(len(mine), 'image')} of the name {one.name!r}."
            raise AnnotationError(what, where=one.file, fix="Give each image a name of its own.")
        objects, remarks = clipped(mine[0], one.size)
        if self._outlines_only is not None:
            objects = rectangles_as_boxes(objects, np.isin(objects.class_name.astype(str), self._outlines_only))
        return Sheet(objects, shapely.STRtree(objects.geometry), (*map(noted, said), *remarks))


def _close(slides: OrderedDict[Path, _Open]) -> None:
    for one in slides.values():
        one.slide.close()


def annotated_slides(
    slides: Path, annotations: Path, shelf: Shelf, settings: Settings
) -> tuple[list[Annotated], list[str]]:
    """Pair slides with their annotations.

    Files of one image belong to the slide of the same name without suffix ("a.svs": "a.geojson", "a.svs.geojson");
    files of several images name them. A single slide and a single file of one image belong together whatever they are
    called.

    Args:
        slides: A slide, or a folder of slides (not below it).
        annotations: A file of annotations, or a folder of them (or one that is itself a format).
        shelf: Reads them.
        settings: Limits.

    Returns:
        The pairs, by name of the slide; sentences about slides and files that stay alone.

    Raises:
        InputError: nothing is there, annotations without a slide, two files for one slide.
        SlideError: a slide that cannot be opened.
        AnnotationError: a file that cannot be read.
    """
    known = _slides(slides)
    files, passed = _files(annotations, shelf, set(known.values()))
    pairs: list[Annotated] = []
    alone: list[str] = []
    for file in files:
        if shelf.format_of(file).many:
            names = [image.name for image in shelf.images(file)[0]]
            wanted = {name: [name, Path(name).stem] for name in names}
        else:
            wanted = {"": annotation_names(file, shelf.format_of(file))}
        for name, options in wanted.items():
            slide = next((known[option] for option in options if option in known), None)
            if slide is None and slides.is_file() and len(files) == 1 and len(wanted) == 1:
                slide = slides
            if slide is None:
                alone.append(name or file.name)
                continue
            with open_slide(slide, settings=settings) as opened:
                pairs.append(Annotated(slide, file, name or None, opened.size))
    if alone:
        what = f"There is no slide for the annotations of {some(alone, 5)}."
        raise InputError(what, where=slides, fix="Name the files like their slides.")
    twice = sorted({one.slide.name for one in pairs if sum(other.slide == one.slide for other in pairs) > 1})
    if twice:
        raise InputError(
            f"Several files hold annotations of {some(twice)}.", where=annotations, fix="Keep one of them."
        )
    without = sorted({path.name for path in known.values()} - {one.slide.name for one in pairs})
    sentences = [f"There are no annotations for {some(without)}."] if without and slides.is_dir() else []
    if passed:
        sentences.append(f"No annotations were recognised in {some(passed)}.")
    return sorted(pairs, key=lambda one: one.slide.name), sentences


def _slides(slides: Path) -> Mapping[str, Path]:
    """Name, and name without suffix, -> slide."""
    if not slides.exists():
        raise InputError("There is no such file or folder.", where=slides, fix="Look at the name.")
    paths = [slides]
    if slides.is_dir():
        paths = [p for p in sorted(slides.iterdir()) if p.is_file() and not p.name.startswith(".")]
        paths = [p for p in paths if p.suffix.lower() in SLIDE_SUFFIXES]
    if not paths:
        raise InputError("The folder holds no slide.", where=slides, fix="Give the folder that the slides lie in.")
    stems = [p.stem for p in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"Several slides have the name {some(twice)}.", where=slides, fix="Rename or move one.")
    return {p.stem: p for p in paths} | {p.name: p for p in paths}


def _files(annotations: Path, shelf: Shelf, slides: set[Path]) -> tuple[list[Path], list[str]]:
    """The annotation files, and the names of those that no format knows."""
    if not annotations.exists():
        raise InputError("There is no such file or folder.", where=annotations, fix="Look at the name.")
    if annotations.is_file():
        return [annotations], []
    try:
        shelf.format_of(annotations)
    except InputError:
        pass
    else:
        return [annotations], []
    files, passed = [], []
    for path in sorted(annotations.iterdir()):
        if path.name.startswith(".") or path in slides:
            continue
        try:
            shelf.format_of(path)
        except AnnotationError:  # refused, and not only unknown
            raise
        except InputError:
            passed.append(path.name)
        else:
            files.append(path)
    if not files:
        raise InputError("The folder holds no annotations.", where=annotations, fix="Say their format by --from.")
    return files, passed


def annotation_names(file: Path, form: Format) -> list[str]:
    """Names that the image of a file of annotations may have, with or without its suffix; the likeliest first.

    >>> annotation_names(Path("a.svs.geojson"), named_format("geojson", "--from"))
    ['a.svs.geojson', 'a.svs', 'a']
    """
    ending = max((e for e in form.endings if file.name.lower().endswith(e)), key=len, default=file.suffix)
    stem = file.name[: len(file.name) - len(ending)] if ending else file.name
    return [file.name, stem, Path(stem).stem]
