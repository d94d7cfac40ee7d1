"""What is looked at, and what of it is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from histoseed.annotations import Instances, read_geojson
from histoseed.datasets import Dataset, read_dataset
from histoseed.errors import InputError
from histoseed.workflows.suggestion.places import Field, fields_of_dataset, fields_of_slides

__all__ = ["Annotated", "Source", "Sources", "sources_of"]

Source = Dataset | Path | str | Sequence[Path | str]
Annotated = Dataset | Instances | Path | str | None


@dataclass(frozen=True, slots=True)
class Sources:
    """Slides, or the patches of a data set.

    Args:
        name: What they are called together.
        fields: The slides or patches.
        inputs: Files and folders, for ``run.json``.
        data: The data set; None for slides.
        annotated: Its annotated patches; None for slides, and where nothing is annotated.
    """

    name: str
    fields: list[Field]
    inputs: dict[str, Path]
    data: Dataset | None = None
    annotated: Dataset | None = None


def sources_of(source: Source, annotated: Annotated, *, mpp: float | None, limit: int, seed: int) -> Sources:
    """Open what the caller names; arguments as in :func:`histoseed.suggest`.

    Raises:
        InputError: nothing is named, slides beside a data set, annotations of another kind.
        HistoseedError: a file that cannot be read.
    """
    named = [source] if isinstance(source, Dataset | str | Path) else list(source)
    sets = [one for one in named if isinstance(one, Dataset) or (Path(one) / "dataset.json").is_file()]
    if not named or (sets and len(named) > 1):
        what = "Data sets are looked at one by one." if named else "Nothing is named."
        raise InputError(what, where="suggest", fix="Name slides, or one data set.")
    beside = {"annotated": Path(annotated)} if isinstance(annotated, str | Path) and str(annotated) != "none" else {}
    if sets:
        data = sets[0] if isinstance(sets[0], Dataset) else read_dataset(sets[0])
        known = _patches(data, annotated)
        fields = fields_of_dataset(data, mpp=mpp, annotated=known, limit=limit, seed=seed)
        return Sources(data.name, fields, {"dataset": data.path} | beside, data, _with_objects(known))
    paths = [Path(one) for one in named if not isinstance(one, Dataset)]
    fields = fields_of_slides(paths, mpp=mpp, annotated=_objects(annotated, len(paths)))
    inputs = {"slide" if len(paths) == 1 else f"slide {k}": path for k, path in enumerate(paths, start=1)}
    return Sources(", ".join(path.name for path in paths), fields, inputs | beside)


def _with_objects(data: Dataset | None) -> Dataset | None:
    """The patches with outlined objects; of a data set with a split, those of "train"."""
    if data is None:
        return None
    splits = data.patches["split"].to_list()
    of_train = data.select(split="train") if "train" in splits else data
    outlined = set(of_train.instances.filter(pl.col("label").is_not_null())["patch_id"])
    return of_train.subset([i for i in of_train.patch_ids if i in outlined]) if outlined else None


def _patches(data: Dataset, annotated: Annotated) -> Dataset | None:
    """The data set that says which patches are annotated."""
    if annotated is None or isinstance(annotated, Dataset):
        return data if annotated is None else annotated
    if isinstance(annotated, str | Path):
        if str(annotated) == "none":
            return None
        if (Path(annotated) / "dataset.json").is_file():
            return read_dataset(annotated)
    fix = "Give a data set with the same patch ids, or none."
    raise InputError("Only a data set can say which patches are annotated.", where="--annotated", fix=fix)


def _objects(annotated: Annotated, slides: int) -> Instances | None:
    """What is annotated on the only slide."""
    if annotated is None or (isinstance(annotated, str | Path) and str(annotated) == "none"):
        return None
    if slides > 1:
        what = "Annotations belong to one slide, and several are named."
        raise InputError(what, where="--annotated", fix="Name one slide at a time.")
    if isinstance(annotated, Instances):
        return annotated
    if isinstance(annotated, Dataset) or Path(annotated).is_dir():
        fix = "Give the GeoJSON file that QuPath or `histoseed segment` wrote."
        raise InputError("A slide needs a file of annotations.", where="--annotated", fix=fix)
    return read_geojson(annotated)[0]
