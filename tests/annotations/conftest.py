"""A GeoJSON file from Python values."""

import json

import pytest


def feature(geometry=None, /, *, id="5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c11", **properties):
    """One feature; a square of 4 x 4 pixels by default."""
    if geometry is None:
        geometry = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}
    return {"type": "Feature", "id": id, "geometry": geometry, "properties": properties}


def polygon(*rings):
    return {"type": "Polygon", "coordinates": [list(map(list, ring)) for ring in rings]}


@pytest.fixture
def geojson(tmp_path):
    """Writes features (or text) to a file and returns its path."""

    def write(content, name="a.geojson"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write
