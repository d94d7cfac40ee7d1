"""Imports of real data reach the counts that its makers state."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from histoseed.datasets import annotated_crops, crop_patch, import_geojson, import_labels


def test_nucls_has_640_nuclei_of_two_classes(shared_data: Path, tmp_path: Path):
    source = tmp_path / "nucls"
    source.mkdir()
    for part in ("images", "labels", "types"):
        (source / part).symlink_to(shared_data / "nucls_cc0_sample" / part)
    (source / "classes.json").write_text(json.dumps({"1": "non-tumour", "2": "tumour"}))
    dataset = import_labels(source, tmp_path / "ds", mpp=0.25)
    found = dataset.describe()
    assert (found["patches"], found["objects"], found["unclassified"]) == (15, 640, 0)
    with (shared_data / "nucls_cc0_sample" / "manifest.csv").open() as stream:
        assert dict(dataset.instances.group_by("patch_id").len().iter_rows()) == {
            row["id"]: int(row["n"]) for row in csv.DictReader(stream)
        }
    patch = dataset.patch("test_1")
    types = np.asarray(Image.open(shared_data / "nucls_cc0_sample" / "types" / "test_1.png"))
    # Here every pixel of an object has the class of the object.
    np.testing.assert_array_equal(patch.class_ids[patch.labels], np.where(patch.labels > 0, types, 0))
    crops = annotated_crops(dataset)
    assert len(crops) == 15
    assert sum(c.objects for c in crops) == 640
    assert len(crop_patch(patch, 0, 0, 256).label_ids) == 20


def test_dsb2018_has_4550_nuclei(shared_data: Path, tmp_path: Path):
    dataset = import_labels(shared_data / "dsb2018_histology_cc0", tmp_path / "ds")
    found = dataset.describe()
    assert (found["patches"], found["objects"], found["mpp"]) == (107, 4550, {"unknown": 107})
    with (shared_data / "dsb2018_histology_cc0" / "manifest.csv").open() as stream:
        assert dict(dataset.instances.group_by("patch_id").len().iter_rows()) == {
            row["id"]: int(row["n_labels_visible"]) for row in csv.DictReader(stream)
        }


@pytest.mark.parametrize("tile", [None, 256])
def test_gbm40_outlines_arrive_and_tiles_share_them_out(shared_data: Path, tmp_path: Path, tile: int | None):
    folder = shared_data / "gbm40"
    dataset = import_geojson(
        folder / "images" / "01.png",
        folder / "contours_geojson" / "01.geojson",
        tmp_path / "ds",
        tile=tile,
        allow_outside=True,
    )
    dataset.verify()
    assert len(dataset) == (1 if tile is None else 4)
    assert dataset.instances.height == dataset.instances["instance_id"].n_unique() == 102
    assert dataset.instances["label"].null_count() == 0
    if tile is None:
        patch = dataset.patch(0)
        reference = np.asarray(Image.open(folder / "labels" / "01.png"))
        # Another program drew the reference, so edges differ a little and the order of overlaps too.
        assert ((patch.labels > 0) != (reference > 0)).mean() < 0.02
        assert shapely.area(dataset.instances_of(0).geometry).sum() == pytest.approx((reference > 0).sum(), rel=0.03)
