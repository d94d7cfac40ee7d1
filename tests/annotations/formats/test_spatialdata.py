"""SpatialData: its own package reads what is written, and what was written is read without it."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
import spatialdata

from histoseed.annotations import Instances
from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, WriteOptions
from histoseed.annotations.formats.spatialdata import FORMAT
from histoseed.errors import AnnotationError, DependencyError, LimitError, OutputError
from histoseed.settings import Settings

HOLED = shapely.box(0, 0, 30, 30).difference(shapely.box(10, 10, 20, 20))
PAIR = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 7)])


def everything():
    return Instances.build(
        [shapely.Point(1.5, 2), HOLED, PAIR, shapely.box(1, 2, 3, 4), shapely.Point(7, 8)],
        kind=["point", "polygon", "polygon", "box", "point"],
        class_name=["b", "tumour", None, "A: B", None],
        score=[0.1, np.nan, 1, 0, 0.5],
        quality=[np.nan, 0.3, 0, 1, np.nan],
        source=["é", None, "b", None, None],
        locked=[True, False, True, False, False],
        measurements=[{"area": 1.5}, {}, {"n": 3}, {}, {}],
        colors={"tumour": "#c80000", "A: B": "#010203"},
    )


def write(path, table, size=(64, 48), mpp=0.25, **given):
    return FORMAT.write(path, [AnnotatedImage("a.svs", size, table, mpp)], WriteOptions(**given))


def read(path, **settings):
    (image,), said = FORMAT.read(path, ReadOptions(settings=Settings(**settings)))
    return image, said


def test_the_package_reads_what_is_written(tmp_path):
    table = everything()
    assert write(tmp_path / "a.zarr", table) == []
    data = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert set(data.coordinate_systems) == {"global", "microns"}
    shapes = data.shapes["objects"]
    outlines = table.select(table.kind != "point")
    assert all(a.equals_exact(b, 0) for a, b in zip(shapes.geometry, outlines.geometry, strict=True))
    assert shapes.instance_id.tolist() == outlines.id.tolist()
    assert [None if isinstance(name, float) else name for name in shapes.class_name] == outlines.class_name.tolist()
    assert shapes.kind.tolist() == ["polygon", "polygon", "box"]
    assert shapes.locked.tolist() == [False, True, False]
    points = data.points["points"].compute()
    assert points[["x", "y"]].to_numpy().tolist() == [[1.5, 2], [7, 8]]
    assert points.instance_id.tolist() == table.id[[0, 4]].tolist()


def test_the_resolution_is_a_scale_of_its_own_coordinate_system(tmp_path):
    write(tmp_path / "a.zarr", everything())
    data = spatialdata.read_zarr(tmp_path / "a.zarr")
    microns = spatialdata.transform(data.shapes["objects"], to_coordinate_system="microns")
    assert microns.geometry.iloc[0].bounds == (0, 0, 7.5, 7.5)  # 30 pixels of 0.25 microns
    pixels = spatialdata.transform(data.shapes["objects"], to_coordinate_system="global")
    assert pixels.geometry.iloc[0].bounds == (0, 0, 30, 30)
    write(tmp_path / "b.zarr", everything(), mpp=None)
    assert spatialdata.read_zarr(tmp_path / "b.zarr").coordinate_systems == ["global"]


def test_exact_round_trip(tmp_path):
    table = everything()
    write(tmp_path / "a.zarr", table)
    image, said = read(tmp_path / "a.zarr")
    assert said == []
    assert (image.name, image.size, image.mpp) == ("a.svs", (64, 48), 0.25)
    found = image.instances
    for name in ("id", "class_name", "kind", "source", "locked", "measurements"):
        assert getattr(found, name).tolist() == getattr(table, name).tolist(), name
    np.testing.assert_array_equal(found.score, table.score)
    np.testing.assert_array_equal(found.quality, table.quality)
    assert all(a.equals_exact(b, 0) for a, b in zip(found.geometry, table.geometry, strict=True))
    assert found.colors == table.colors


@pytest.mark.parametrize("kind", ["point", "polygon", None])
def test_elements_without_rows_are_none(tmp_path, kind):
    table = everything()
    write(tmp_path / "a.zarr", table.select(table.kind == kind))
    data = spatialdata.read_zarr(tmp_path / "a.zarr")
    assert (list(data.shapes), list(data.points)) == (
        ["objects"] if kind == "polygon" else [],
        ["points"] if kind == "point" else [],
    )
    assert len(read(tmp_path / "a.zarr")[0].instances) == (table.kind == kind).sum()


def test_reading_needs_no_package(tmp_path, monkeypatch):
    write(tmp_path / "a.zarr", everything())
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    assert len(read(tmp_path / "a.zarr")[0].instances) == 5


@pytest.mark.parametrize("name", ["spatialdata", "geopandas"])
def test_writing_without_the_package_says_how_to_get_it(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=f"package {name}") as info:
        write(tmp_path / "a.zarr", everything())
    assert info.value.fix == "pip install '.[spatialdata]'"
    assert list(tmp_path.iterdir()) == []


def test_the_module_does_not_import_the_package():
    """It takes seconds, and everybody who lists the formats imports this module."""
    code = (
        "import sys, histoseed.annotations.formats.spatialdata; "
        "print('spatialdata' in sys.modules, 'geopandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_second_version_of_zarr_is_read_too(tmp_path):
    write(tmp_path / "a.zarr", everything())
    root = tmp_path / "a.zarr" / "zarr.json"
    attributes = json.loads(root.read_text())["attributes"]
    root.unlink()
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps(attributes))
    assert FORMAT.sniff(tmp_path / "a.zarr")
    assert len(read(tmp_path / "a.zarr")[0].instances) == 5


def test_folders_of_others_are_recognised_and_refused(tmp_path):
    spatialdata.SpatialData().write(tmp_path / "a.zarr")
    assert FORMAT.sniff(tmp_path / "a.zarr")
    with pytest.raises(AnnotationError, match="no SpatialData folder that histoseed wrote") as info:
        read(tmp_path / "a.zarr")
    assert "to_parquet" in info.value.fix
    assert not FORMAT.sniff(tmp_path)
    assert not FORMAT.sniff(tmp_path / "absent")
    with pytest.raises(AnnotationError, match="no such folder"):
        read(tmp_path / "absent")


def test_elements_of_others_are_never_removed(tmp_path):
    path = tmp_path / "a.zarr"
    write(path, everything())
    write(path, everything(), overwrite=True)
    (path / "images").mkdir()
    (path / "images" / "c").write_bytes(b"1")
    with pytest.raises(OutputError, match="1 files in the folder would be lost, among them images/c"):
        write(path, everything(), overwrite=True)
    assert (path / "images" / "c").read_bytes() == b"1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


SHAPES = "shapes/objects/shapes.parquet"


@pytest.mark.parametrize("name", [SHAPES, "points/points/points.parquet/part.0.parquet", "zarr.json"])
def test_damaged_files(tmp_path, name):
    path = tmp_path / "a.zarr"
    write(path, everything())
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AnnotationError) as info:
        read(path)
    assert str(path / name) in info.value.where


def test_missing_columns(tmp_path):
    path = tmp_path / "a.zarr"
    write(path, everything())
    pq.write_table(pq.read_table(path / SHAPES).drop_columns(["locked", "row"]), path / SHAPES)
    with pytest.raises(AnnotationError, match="columns locked, row are missing"):
        read(path)


def test_changed_attributes(tmp_path):
    path = tmp_path / "a.zarr"
    write(path, everything())
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["histoseed"] = {"image": 3}
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(AnnotationError, match="changed to something"):
        read(path)


def test_limits(tmp_path):
    path = tmp_path / "a.zarr"
    write(path, everything())
    with pytest.raises(LimitError, match="more than 2 objects"):
        read(path, max_objects=2)
    with pytest.raises(LimitError):
        read(path, max_geojson_bytes=100)
    with pytest.raises(LimitError, match="10 vertices"):
        read(path, max_vertices=9)
