"""Points of real nuclei (BRCA-M2C): learned from, and scored."""

import csv

import numpy as np
import pytest
import shapely
from PIL import Image

from histoseed.annotations import Instances
from histoseed.datasets import DatasetInfo, DatasetWriter, crop_patch, named_classes, object_ids, read_dataset
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate

NAMES = {"1": "lymphocyte", "2": "tumour", "3": "stromal"}


@pytest.fixture
def breast(shared_data, tmp_path):
    """Four patches of 64 um, at 0.5 um a pixel, of four patients."""
    source = shared_data / "brca_m2c_points_bsd3"
    info = DatasetInfo(name="brca-m2c", classes=named_classes(list(NAMES.values())), licence="BSD-3-Clause")
    with DatasetWriter(tmp_path / "whole", info) as writer:
        with (source / "manifest.csv").open() as stream:
            rows = list(csv.DictReader(stream))[::30][:4]
        for row in rows:
            stem = row["image"].removesuffix(".png")
            with (source / "points_csv" / f"{stem}.csv").open() as stream:
                found = list(csv.DictReader(stream))
            points = shapely.points([(float(p["x"]) + 0.5, float(p["y"]) + 0.5) for p in found])
            names = [NAMES[p["class_id"]] for p in found]
            patch_id = stem.replace(".", "-")
            objects = Instances.build(
                list(points), class_name=names, kind="point", id=object_ids("brca-m2c", patch_id, len(points))
            )
            image = np.asarray(Image.open(source / "images" / row["image"]).convert("RGB"))
            writer.add(patch_id, image, objects, mpp=0.5, patient=stem[:12])
    with DatasetWriter(tmp_path / "d", info) as writer:
        for patch in read_dataset(tmp_path / "whole"):
            writer.add_patch(crop_patch(patch, 128, 128, 128))
    return read_dataset(tmp_path / "d")


def test_points_of_real_nuclei(breast, tmp_path):
    train, test = breast.subset([0, 1]), breast.subset([2, 3])
    before = evaluate(test, model="bundled", resamples=20)
    assert before["f1_detection"] > 0.7
    assert (before["pq"], before["kinds"]["point"]) == (None, before["n_instances"])
    model = adapt(train, out=tmp_path / "m", steps=3, batch=2, dtype="float32")
    assert model.card.class_names == list(NAMES.values())
    assert model.card.data[-1].kinds["point"] == sum(len(patch.marks) for patch in train)
    after = evaluate(test, model=model, resamples=20)
    assert after["f1_detection"] > before["f1_detection"] - 0.1
    assert after["mf1"] is not None
