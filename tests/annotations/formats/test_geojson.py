"""QuPath GeoJSON as a format: the reader and the writer have tests of their own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from histoseed.annotations import Instances, read_geojson, write_geojson
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions, detect
from histoseed.errors import AnnotationError, InputError, LimitError
from histoseed.settings import Settings

FORM = FORMATS["geojson"]
READ = ReadOptions(settings=Settings())
FEATURE = {
    "type": "Feature",
    "geometry": {"type": "Polygon", "coordinates": [[[-2, 0], [4, 0], [4, 4], [-2, 0]]]},
    "properties": {"objectType": "annotation", "classification": {"name": "rosé"}},
}


def test_reader_and_writer_are_the_existing_ones(tmp_path: Path) -> None:
    table = Instances.build([shapely.box(0, 0, 3, 4)], class_name="a", id=["5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c11"])
    write_geojson(tmp_path / "a.geojson", table)
    FORM.write(tmp_path / "b.geojson", [AnnotatedImage("x.png", None, table)], WriteOptions())
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
    images, said = FORM.read(tmp_path / "b.geojson", READ)
    again, sentences = read_geojson(tmp_path / "a.geojson")
    assert (images[0].name, images[0].size, said) == ("b", None, sentences)
    assert images[0].instances.id.tolist() == again.id.tolist()


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [FEATURE]},
        {"features": [FEATURE], "type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": []},
        [FEATURE],
        FEATURE,
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_top_level_is_recognised_and_read(tmp_path: Path, content: object, packed: bool) -> None:
    data = json.dumps(content).encode()
    path = tmp_path / "case.1.geojson.gz"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert FORM.sniff(path)
    assert detect(path) is FORM
    images, _ = FORM.read(path, READ)
    assert images[0].name == "case.1"
    assert len(images[0].instances) == (0 if content == {"type": "FeatureCollection", "features": []} else 1)


def test_objects_beyond_the_image_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(FEATURE))
    images, _ = FORM.read(tmp_path / "a.json", ReadOptions(settings=Settings(), size=(3, 3)))
    assert images[0].instances.bounds().tolist() == [[-2, 0, 4, 4]]


def test_measurements_that_json_does_not_know_are_told(tmp_path: Path) -> None:
    values = [{"a": np.nan, "b": 1.0}, {"a": np.inf}, {}]
    table = Instances.build([shapely.box(0, 0, 3, 4)] * 3, measurements=values)
    said = FORM.write(tmp_path / "a.geojson", [AnnotatedImage("x", None, table)], WriteOptions())
    assert said == ["geojson: 2 measurements that are no finite numbers are left out."]


def test_one_file_holds_one_image(tmp_path: Path) -> None:
    images = [AnnotatedImage(name, None, Instances.empty()) for name in "ab"]
    with pytest.raises(InputError, match="A geojson file holds one image, and 2 are given"):
        FORM.write(tmp_path / "a.geojson", images, WriteOptions())
    assert not list(tmp_path.iterdir())


def test_errors_and_limits_of_the_reader_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([FEATURE, {"type": "Feature", "geometry": 3}]))
    with pytest.raises(AnnotationError, match="feature 1: The geometry is no object"):
        FORM.read(path, READ)
    with pytest.raises(LimitError, match="MAX_OBJECTS"):
        FORM.read(path, ReadOptions(settings=Settings(max_objects=1)))
