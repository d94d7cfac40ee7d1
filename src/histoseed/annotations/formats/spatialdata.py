"""SpatialData: the Zarr folder of the scverse tools (squidpy, napari-spatialdata, LazySlide and others).

::

    shapes/objects    outlines and boxes, a GeoDataFrame
    points/points     points, where there are some

Both have the columns of an object beside its geometry (:data:`~.parquet_tables.KEPT`) and ``row``, its place in the
table. The coordinate system "global" is level-0 pixels, y down; where the resolution is known "microns" is the same,
scaled. The attributes of the folder hold ``histoseed`` (:mod:`.beside`).

The package ``spatialdata`` writes, so it is needed for that: ``pip install '.[spatialdata]'``. What was written
is read without it. Folders that others wrote are not read: which of their elements are objects, and which coordinate
system is pixels, is theirs to say.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    losses,
    single,
)
from histoseed.annotations.formats.beside import image_fields, read_image_fields
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.parquet_tables import KEPT, objects_of, unpacked
from histoseed.annotations.formats.rows import OWN_KEY
from histoseed.annotations.frames import FRAME_SCHEMA, instances_to_frame
from histoseed.annotations.instances import Instances
from histoseed.annotations.json_files import read_json
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError, DependencyError, InputError, OutputError
from histoseed.files import staged_folder
from histoseed.settings import Settings

__all__ = ["FORMAT"]

_NAME = "spatialdata"
_HOLDS: frozenset[Feature] = frozenset(
    {
        "polygon", "box", "point", "holes", "parts", "overlap", "class", "color", "id", "score", "quality", "source",
        "locked", "measurements",
    }
)  # fmt: skip
_SHAPES, _POINTS = "objects", "points"
_SNIFFED = 100_000_000
_ATTRIBUTES = ("zarr.json", ".zattrs")
"""Of the third and of the second version of Zarr."""
_METADATA = (*_ATTRIBUTES, ".zgroup", ".zmetadata")


def _sniff(path: Path) -> bool:
    try:
        return path.is_dir() and "spatialdata_attrs" in _attributes(path, _SNIFFED)
    except InputError:
        return False


def _attributes(path: Path, max_bytes: int) -> dict[str, Any]:
    """The attributes of the root group; empty where there are none."""
    for name in _ATTRIBUTES:
        if (path / name).is_file():
            document = read_json(path / name, max_bytes=max_bytes)
            found = document.get("attributes") if name == "zarr.json" and isinstance(document, dict) else document
            return found if isinstance(found, dict) else {}
    return {}


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    if not path.is_dir():
        raise AnnotationError("There is no such folder.", where=path)
    attributes = _attributes(path, options.settings.max_geojson_bytes)
    if OWN_KEY not in attributes:
        fix = "Write its shapes with geopandas (to_parquet) and read them as GeoParquet."
        raise AnnotationError("This is no SpatialData folder that histoseed wrote.", where=path, fix=fix)
    beside = read_image_fields(attributes[OWN_KEY], path)
    frames = [_frame(file, options.settings) for file in _parts(path)]
    notes = Notes("row")
    table = Instances.empty()
    if frames:
        frame = pl.concat(frames).sort("row", maintain_order=True)
        table = objects_of(path, frame, notes, options.settings, beside.colors)
    return [AnnotatedImage(beside.name or path.stem, beside.size, table, beside.mpp)], notes.sentences()


def _parts(path: Path) -> list[Path]:
    """The Parquet files of both elements."""
    shapes, points = path / "shapes" / _SHAPES / "shapes.parquet", path / "points" / _POINTS / "points.parquet"
    return [*([shapes] if shapes.is_file() else []), *sorted(points.glob("*.parquet"))]


def _frame(path: Path, settings: Settings) -> pl.DataFrame:
    """One Parquet file, with the geometry of points made from x and y."""
    types = {name: FRAME_SCHEMA[name] for name in KEPT} | {"row": pl.Int64()}
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            where = ["geometry"] if "geometry" in names else ["x", "y"]
            missing = [name for name in (*types, *where) if name not in names]
            if missing:
                raise AnnotationError(f"The columns {', '.join(missing)} are missing.", where=path)
            frame = unpacked(path, file, [*types, *where], settings)
        frame = frame.with_columns(pl.col(name).cast(kind) for name, kind in types.items())
        if where != ["geometry"]:
            points = shapely.points(frame.select(pl.col("x", "y").cast(pl.Float64).fill_null(float("nan"))).to_numpy())
            frame = frame.with_columns(pl.Series("geometry", shapely.to_wkb(points).tolist(), dtype=pl.Binary))
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise AnnotationError(f"The file is damaged ({error}).", where=path) from error
    return frame.select(*types, pl.col("geometry").cast(pl.Binary))


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    check_written(image.instances, path)
    _check_replaceable(path)
    spatialdata, geopandas = _package("spatialdata"), _package("geopandas")
    with staged_folder(path, overwrite=options.overwrite) as stage, warnings.catch_warnings():
        # ome_zarr, which writes pictures, decorates a class of its own while it is imported.
        warnings.filterwarnings("ignore", message="Call to deprecated class Scaler", category=DeprecationWarning)
        elements = _elements(spatialdata, geopandas, image)
        folder = spatialdata.SpatialData(**elements, attrs={OWN_KEY: image_fields(image)})
        stage.rmdir()  # it wants to make the folder itself
        folder.write(stage)
    return losses(_NAME, _HOLDS, images)


def _check_replaceable(path: Path) -> None:
    """Even where it may be replaced, a folder must not hold elements that others made.

    Raises:
        OutputError: it does.
    """
    own = (("shapes", _SHAPES), ("points", _POINTS))
    files = [file.relative_to(path) for file in path.rglob("*") if not file.is_dir() or file.is_symlink()]
    lost = sorted(f for f in files if f.name not in _METADATA and f.parts[:2] not in own)
    if lost:
        what = f"{len(lost)} files in the folder would be lost, among them {lost[0].as_posix()}."
        raise OutputError(what, where=path, fix="Choose another folder, or remove them yourself.")


def _package(name: str) -> Any:
    """A package that only this format needs, and that takes seconds to import."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        fix = "pip install '.[spatialdata]'"
        raise DependencyError(f"Writing SpatialData needs the package {name}.", fix=fix) from error


def _elements(spatialdata: Any, geopandas: Any, image: AnnotatedImage) -> dict[str, dict[str, Any]]:
    """Shapes and points, as the models of SpatialData want them; an element without rows is none."""
    table = image.instances
    systems = {"global": spatialdata.transformations.Identity()}
    if image.mpp is not None:
        systems["microns"] = spatialdata.transformations.Scale([image.mpp, image.mpp], axes=("x", "y"))
    frame = instances_to_frame(table).select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), *KEPT)
    is_point = table.kind == "point"
    elements: dict[str, dict[str, Any]] = {}
    if not is_point.all():
        columns = frame.filter(~is_point).to_pandas()
        shapes = geopandas.GeoDataFrame(columns, geometry=list(table.geometry[~is_point]))
        elements["shapes"] = {_SHAPES: spatialdata.models.ShapesModel.parse(shapes, transformations=systems)}
    if is_point.any():
        x, y = table.centroids()[is_point].T
        columns = frame.filter(is_point).with_columns(x=x, y=y).to_pandas()
        points = spatialdata.models.PointsModel.parse(columns, transformations=systems, npartitions=1)
        elements["points"] = {_POINTS: points}
    return elements


FORMAT = Format(
    name=_NAME,
    about="SpatialData: the Zarr folder of the scverse tools (needs histoseed[spatialdata] to write)",
    suffixes=(),
    holds=_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
    suffix=".zarr",
)
