"""Classes from cell tokens: boxes and means against a loop, and a segmentation that stays the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fixtures.nuclei import blobs, painted
from histoseed.encoders import build_encoder
from histoseed.segmenters import (
    ClassEntry,
    ClassifierEntry,
    DecoderEntry,
    EncoderEntry,
    ModelCard,
    Segmenter,
    instances_of,
    load_segmenter,
    save_segmenter,
)
from histoseed.segmenters.cell_tokens import CellClassifier, boxes_of, mean_tokens
from histoseed.training import Augmentation, Picture, TrainingPlan, train
from histoseed.training.objectives import cell_class_loss

small_labels = hnp.arrays(np.int64, st.tuples(st.integers(3, 20), st.integers(3, 20)), elements=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(small_labels, st.integers(1, 5), st.integers(1, 5))
def test_means_equal_a_loop_over_boxes(labels, h, w):
    both = np.stack([labels, labels[::-1]])
    height, width = labels.shape
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2, 3, h, w)).astype(np.float32)
    owner, boxes = boxes_of(torch.from_numpy(both.copy()))
    found = mean_tokens(torch.from_numpy(tokens), owner[:, 0], boxes, (height, width)).numpy()
    expected, owners = [], []
    for image in range(2):
        for label in np.unique(both[image][both[image] > 0]):
            rows, columns = np.nonzero(both[image] == label)
            i = slice(rows.min() * h // height, rows.max() * h // height + 1)
            j = slice(columns.min() * w // width, columns.max() * w // width + 1)
            expected.append(tokens[image][:, i, j].mean((1, 2)))
            owners.append((image, label))
    assert owner.tolist() == [list(o) for o in owners]
    if expected:
        np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_classified_cells():
    torch.manual_seed(0)
    classifier = CellClassifier(4, 2, hidden=8).eval()
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[0, :4, :4], labels[0, 8:12, 8:12], labels[0, 8:12, :4] = 3, 5, 6
    classes = torch.zeros_like(labels)
    classes[labels == 3], classes[labels == 6] = 1, 2
    tokens = torch.randn(1, 4, 4, 4)
    cells = torch.stack([tokens[0, :, 0, 0], tokens[0, :, 2, 0]])
    expected = torch.nn.functional.cross_entropy(classifier(cells), torch.tensor([0, 1]))
    torch.testing.assert_close(cell_class_loss(classifier, tokens, labels, classes), expected)
    assert cell_class_loss(classifier, tokens, labels, classes * 0) == 0
    assert cell_class_loss(classifier, tokens, labels * 0, classes * 0) == 0


def make_model(classes=("a", "b")):
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=tuple(ClassEntry(name=c) for c in classes),
        mpp=0.25,
        crop=80,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=DecoderEntry(widths=(32, 24, 24, 16), image_widths=(8, 16)),
        classifier=ClassifierEntry(kind="tokens", hidden=16),
    )
    torch.manual_seed(0)
    return Segmenter(build_encoder("bundled", weights="random", image_size=80), card)


def test_it_learns_saves_and_loads(tmp_path):
    labels = blobs(4, 80, 30, scale=1.3)
    classes = np.array([0, *(1 + np.arange(labels.max()) % 2)], np.int64)
    image = painted(labels)
    image[classes[labels] == 2] //= 2
    model = make_model()
    still = Augmentation(stain=0, shift=0, turn=0, light=0, blur=0, noise=0)
    plan = TrainingPlan(
        steps=50, batch=1, crop=80, learning_rate=4e-3, warmup=5, ema=0.8, method="full", scale=(1.0, 1.0),
        augmentation=still, report_every=500, checkpoint_every=500,
    )  # fmt: skip
    history = train(model, [Picture(image, labels, classes)], plan)
    assert history[-1]["cell class"] < 0.5 * history[0]["cell class"]
    assert "class" not in history[0]
    save_segmenter(model, tmp_path / "m")
    given = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    found = [
        instances_of(m.predict(given).image(0), (80, 80), m.card, 0.25) for m in (model, load_segmenter(tmp_path / "m"))
    ]
    np.testing.assert_array_equal(found[0].labels, found[1].labels)
    np.testing.assert_allclose(found[0].classes, found[1].classes, atol=1e-5)
    truth = [np.bincount(labels[found[0].labels == k]).argmax() for k in range(1, found[0].labels.max() + 1)]
    right = [classes[t] == 1 + found[0].classes[k].argmax() for k, t in enumerate(truth) if t]
    assert len(right) > 4
    assert np.mean(right) > 0.8


def test_padding_and_an_empty_image():
    model = make_model().eval()
    maps = model.predict(torch.rand(2, 3, 80, 96)).image(1)
    labels = np.zeros((70, 90), np.int32)
    assert maps.cells.probabilities(labels).shape == (0, 2)
    labels[5:20, 60:75] = 1
    found = maps.cells.probabilities(labels)
    assert found.sum() == pytest.approx(1)
    beside = np.zeros((80, 96), np.int32)
    beside[: labels.shape[0], : labels.shape[1]] = labels
    np.testing.assert_array_equal(found, maps.cells.probabilities(beside))


def test_without_classes_there_is_no_classifier():
    model = make_model(classes=()).eval()
    assert model.classifier is None
    assert model.predict(torch.rand(1, 3, 80, 80)).cells is None
    assert replace(model.predict(torch.rand(1, 3, 80, 80)).image(0)).classes is None
