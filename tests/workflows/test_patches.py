"""``predict_patch``: a model's answer on the pixels of a patch."""

import cv2
import numpy as np
import pytest
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import read_dataset
from histoseed.errors import InputError, UnknownMppError
from histoseed.metrics import contingency, detection_f1, panoptic_quality
from histoseed.segmenters import ClassEntry, DecoderEntry, EncoderEntry, ModelCard, Segmenter
from histoseed.workflows.models import load_model
from histoseed.workflows.patches import _drawn, needed_mpp, predict_patch


@pytest.fixture(scope="module")
def model():
    return load_model("bundled")


@pytest.fixture
def patch(discs):
    return read_dataset(discs).patch("p0")


def test_labels_are_numbered_and_the_table_goes_with_them(model, patch):
    found = predict_patch(model, patch.image, 0.5)
    assert found.labels.shape == patch.labels.shape
    ids = np.unique(found.labels)
    assert ids.tolist() == list(range(len(found.instances) + 1))
    assert len(ids) > 5
    assert found.class_ids.tolist() == [0] * len(ids)
    assert found.probabilities.shape == (len(found.instances), 0)
    assert panoptic_quality(patch.labels, found.labels).pq > 0.6


def test_outlines_come_back_to_the_pixels_of_the_patch_without_a_shift(model, patch):
    """The same tissue scanned at twice and at half the resolution: the same nuclei, to a fraction of a pixel."""
    own = predict_patch(model, patch.image, 0.5).labels
    for size, mpp in ((256, 0.25), (80, 0.8)):
        image = cv2.resize(patch.image, (size, size), interpolation=cv2.INTER_CUBIC if size > 128 else cv2.INTER_AREA)
        found = predict_patch(model, image, mpp).labels
        assert found.shape == (size, size)
        back = cv2.resize(found.astype(np.float32), (128, 128), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int32)
        assert detection_f1(own, back, mpp=0.5, radius_um=2.0).f1 > 0.85
        table = contingency(own, back)
        pairs = np.flatnonzero(table.iou > 0.5)
        shift = table.truth.centroid[table.pair_truth[pairs]] - table.predicted.centroid[table.pair_predicted[pairs]]
        assert np.abs(np.median(shift, axis=0)).max() < 0.35


def test_classes_follow_the_probabilities(patch):
    from histoseed.encoders import build_encoder

    card = ModelCard(
        histoseed="0", name="m", mpp=0.5, encoder=EncoderEntry(name="bundled", weights="random"),
        classes=tuple(ClassEntry(name=name) for name in "abc"),
        decoder=DecoderEntry(widths=(8, 8, 8, 8), image_widths=(4, 4)),
    )  # fmt: skip
    found = predict_patch(Segmenter(build_encoder("bundled", weights="random", image_size=64), card).eval(),
                          patch.image, 0.5)  # fmt: skip
    assert len(found.instances) > 0
    assert found.probabilities.shape == (len(found.instances), 3)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=2e-4)
    best = found.probabilities.max(1)
    chosen = found.probabilities[np.arange(len(best)), found.class_ids[1:] - 1]
    np.testing.assert_allclose(chosen, best, atol=1e-4)


def test_objects_without_a_pixel_are_dropped_and_the_others_close_ranks():
    """The middle one covers no centre of a pixel; the table keeps step with the labels."""
    shapes = [shapely.box(0, 0, 2, 2), shapely.box(4.1, 4.1, 4.4, 4.4), shapely.box(6, 0, 8, 1)]
    chances = [{"Probability: a": a, "Probability: b": 1 - a} for a in (0.9, 0.8, 0.1)]
    found = _drawn(Instances.build(shapes, class_name=["a", "a", "b"], measurements=chances), (8, 8), ["a", "b"])
    assert np.unique(found.labels).tolist() == [0, 1, 2]
    assert (found.labels == 2).sum() == 2
    assert found.class_ids.tolist() == [0, 1, 2]
    assert found.probabilities[:, 0].tolist() == pytest.approx([0.9, 0.1])


def test_empty_glass_holds_nothing(model):
    found = predict_patch(model, np.full((70, 90, 3), 250, np.uint8), 0.25)
    assert found.labels.shape == (70, 90)
    assert not found.labels.any()
    assert found.class_ids.tolist() == [0]


def test_what_is_no_image_is_refused(model):
    with pytest.raises(InputError, match="uint8"):
        predict_patch(model, np.zeros((8, 8), np.uint8), 0.25)


def test_the_resolution_must_be_known():
    assert needed_mpp(0.5, 0.25, "p") == 0.5
    assert needed_mpp(None, 0.25, "p") == 0.25
    for stated in (None, float("nan"), 1000.0):
        with pytest.raises(UnknownMppError, match=r"patch p.*--mpp"):
            needed_mpp(stated, None, "p")
