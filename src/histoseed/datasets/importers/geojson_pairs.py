"""Which GeoJSON belongs to which image, from what the user names: two files, folders, or any number of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from histoseed.annotations.formats import FORMATS
from histoseed.datasets.window_sources import SLIDE_SUFFIXES, annotation_names
from histoseed.errors import InputError
from histoseed.wording import some

__all__ = ["paired"]

_GEOJSON = FORMATS["geojson"]
_FIX = "Give IMAGE GEOJSON, or a folder (or files) of both with equal names: a.svs, a.geojson."


def paired(sources: Sequence[Path]) -> tuple[list[Path], list[Path | None]]:
    """Images, and the GeoJSON of each; None where it has none.

    Two files belong together whatever they are called. Otherwise a file of annotations belongs to the image of its
    name without suffix ("a.svs": "a.geojson", "a.svs.geojson"). Of a folder its files are taken, and where these are no
    pairs those of its folders, too (``images/``, ``annotations/``).

    Args:
        sources: Files and folders.

    Raises:
        InputError: no image, no GeoJSON, a GeoJSON without an image, two for one image.
    """
    if len(sources) == 2 and not any(path.is_dir() for path in sources):
        image, file = sorted(sources, key=_is_annotation)  # the image goes first, whatever was typed first
        return [image], [file]
    files = [file for source in sources for file in (_files_of(source) if source.is_dir() else [source])]
    annotations = [path for path in files if _is_annotation(path)]
    images = [path for path in files if not _is_annotation(path)]
    if not annotations or not images:
        missing = "GeoJSON" if not annotations else "image"
        raise InputError(f"There is no {missing}.", where=some(map(str, sources)), fix=_FIX)
    known = {path.stem: path for path in images} | {path.name: path for path in images}
    found: dict[Path, Path] = {}
    alone: list[str] = []
    for path in annotations:
        image_of = next((known[name] for name in annotation_names(path, _GEOJSON) if name in known), None)
        if image_of is None:
            alone.append(path.name)
        elif image_of in found:
            what = f"{found[image_of].name} and {path.name} both belong to {image_of.name}."
            raise InputError(what, where=path.parent, fix="Take one of them away.")
        else:
            found[image_of] = path
    if alone:
        where = some(dict.fromkeys(str(path.parent) for path in images))
        raise InputError(f"There is no image for {some(alone, 5)}.", where=where, fix=_FIX)
    return images, [found.get(path) for path in images]


def _is_annotation(path: Path) -> bool:
    return path.name.lower().endswith(_GEOJSON.endings)


def _files_of(folder: Path) -> list[Path]:
    """The images and GeoJSON of a folder; of the folders in it where it does not hold both."""
    here = _known(folder.iterdir())
    if {_is_annotation(path) for path in here} == {True, False}:
        return here
    inner = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return here + _known(path for entry in inner for path in entry.iterdir())


def _known(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.is_file()
        and not path.name.startswith(".")
        and (_is_annotation(path) or path.suffix.lower() in SLIDE_SUFFIXES)
    )
