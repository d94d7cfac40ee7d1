"""Stain normalisation from training to use: one reference, kept in the model, applied by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histoseed import adapt, evaluate, load_model, read_dataset, segment
from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter
from histoseed.errors import InputError, ModelError
from histoseed.inference import ArraySlide
from histoseed.segmenters import read_card
from histoseed.slides import NoStain, Stain, recolouring, reference_of, slide_look
from histoseed.workflows.adaptation import stain_pictures
from histoseed.workflows.annotated import Annotated, draw_patches
from histoseed.workflows.patches import predict_patch
from histoseed.workflows.segment_dataset import segment_dataset

VECTORS = np.array([[[0.65, 0.70, 0.29], [0.10, 0.95, 0.28]], [[0.50, 0.76, 0.42], [0.22, 0.80, 0.56]]])
"""Stain vectors of two laboratories: (2, 2, 3)."""


def stained_discs(seed: int, laboratory: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Discs of haematoxylin on eosin, image (S, S, 3) uint8 and labels (S, S) int32."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for k in range(10):
        cy, cx = rng.integers(9, size - 9, 2)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= 81] = k + 1
    inside = labels > 0
    amounts = np.stack([np.where(inside, 1.6, 0.05), np.where(inside, 0.1, 0.5)], -1)
    amounts = amounts * rng.uniform(0.6, 1.2, (size, size, 2))
    vectors = VECTORS[laboratory] / np.linalg.norm(VECTORS[laboratory], axis=1, keepdims=True)
    return np.rint(256 * np.exp(-amounts @ vectors) - 1).clip(0, 255).astype(np.uint8), labels


def write(folder: Path, laboratory: int, count: int = 2) -> Path:
    with DatasetWriter(folder, DatasetInfo(name=folder.name, licence="CC0-1.0")) as writer:
        for k in range(count):
            image, labels = stained_discs(k, laboratory)
            writer.add(f"p{k}", image, labels, mpp=0.25, slide=f"s{k}")
    return folder


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "ours", 0)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return write(tmp_path / "theirs", 1)


@pytest.fixture(scope="module", params=["macenko", "reinhard"])
def folder(request: pytest.FixtureRequest, ours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was adapted with either method."""
    out = tmp_path_factory.mktemp("models") / request.param
    adapt(ours, out=out, stain=request.param, steps=1, batch=1, device="cpu", dtype="float32")
    return out


def drawn(dataset: Path) -> tuple[Dataset, Annotated]:
    data = read_dataset(dataset)
    return data, draw_patches(data, None, 0)


def look_of(image: np.ndarray, method: str) -> Stain:
    with ArraySlide(image, mpp=0.25) as slide:
        found = slide_look(slide, method)
    assert not isinstance(found, NoStain)
    return found


def test_the_reference_is_that_of_the_training_patches(folder: Path, ours: Path) -> None:
    looks = [look_of(patch.image, folder.name) for patch in read_dataset(ours)]
    assert read_card(folder).stain == reference_of(folder.name, looks)
    run = json.loads((folder / "run.json").read_text())
    assert run["settings"]["stain"] == folder.name
    assert run["results"]["stain_left"] == []


def test_the_look_is_given_wherever_the_model_is_used(folder: Path, theirs: Path, tmp_path: Path) -> None:
    """A model with a reference on a picture does what the same weights do on the picture that was changed before."""
    model = load_model(folder, device="cpu")
    reference = model.card.stain
    assert reference is not None
    image, _ = stained_discs(0, 1)
    before = recolouring(look_of(image, folder.name), reference).apply(image)
    assert np.abs(before.astype(int) - image).mean() > 5
    found = predict_patch(model, image, 0.25)
    Image.fromarray(image).save(tmp_path / "theirs.png")
    how = {"device": "cpu", "dtype": "float32"}
    nuclei = segment(tmp_path / "theirs.png", mpp=0.25, model=model, out=tmp_path / "result", **how)
    predicted = segment_dataset(theirs, out=tmp_path / "predicted", model=model, **how)
    score = evaluate(theirs, model=model, resamples=1, **how)["pq"]

    model.card = model.card.model_copy(update={"stain": None})
    expected = predict_patch(model, before, 0.25)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(predicted.patch("p0").labels, expected.labels)
    assert len(nuclei) == len(expected.instances)
    assert evaluate(theirs, predictions=tmp_path / "predicted", resamples=1)["pq"] == score
    shown = np.asarray(Image.open(tmp_path / "result" / "overlay.png"))
    assert (shown == image).all(-1).mean() > 0.5  # people see the slide as it is


def test_a_start_hands_its_reference_on(folder: Path, theirs: Path) -> None:
    data, annotated = drawn(theirs)
    start = read_card(folder)
    other = {"macenko": "reinhard", "reinhard": "macenko"}[folder.name]
    assert stain_pictures(data, annotated, None, start).stain == start.stain
    assert stain_pictures(data, annotated, folder.name, start).stain == start.stain
    changed = stain_pictures(data, annotated, other, start).stain
    assert changed == reference_of(other, [look_of(patch.image, other) for patch in data])
    assert stain_pictures(data, annotated, "none", start) is annotated
    assert stain_pictures(data, annotated, None, None) is annotated


def test_pictures_without_tissue_cannot_give_a_reference(tmp_path: Path) -> None:
    labels = np.zeros((128, 128), np.int32)
    labels[20:40, 20:40] = 1
    with DatasetWriter(tmp_path / "grey", DatasetInfo(name="grey")) as writer:
        writer.add("p", np.full((128, 128, 3), 120, np.uint8), labels, mpp=0.25)
    with pytest.raises(InputError, match="enough tissue"):
        adapt(tmp_path / "grey", out=tmp_path / "m", stain="macenko")
    assert not (tmp_path / "m").exists()


def test_an_odd_picture_is_left_as_it_is_and_named(tmp_path: Path) -> None:
    image, labels = stained_discs(7, 0)
    with DatasetWriter(tmp_path / "mixed", DatasetInfo(name="mixed")) as writer:
        writer.add("grey", np.repeat(image[..., 1:2], 3, axis=2), labels, mpp=0.25)
        writer.add("tissue", image, labels, mpp=0.25)
    data, annotated = drawn(tmp_path / "mixed")
    changed = stain_pictures(data, annotated, "reinhard", None)
    (left,) = changed.stain_left
    assert left.startswith("grey: ")
    assert "not normalised" in left
    np.testing.assert_array_equal(changed.patches[0].image, annotated.patches[0].image)


def test_crops_have_the_look_of_their_whole_patch(tmp_path: Path) -> None:
    image, labels = stained_discs(0, 1, size=512)
    with DatasetWriter(tmp_path / "large", DatasetInfo(name="large")) as writer:
        writer.add("p", image, labels, mpp=0.5)
    data = read_dataset(tmp_path / "large")
    annotated = draw_patches(data, 2, seed=0)
    assert [patch.image.shape[0] for patch in annotated.patches] == [128, 128]
    changed = stain_pictures(data, annotated, "macenko", None)
    with ArraySlide(image, mpp=0.5) as slide:
        assert changed.stain == reference_of("macenko", [slide_look(slide, "macenko")])
    # The only patch is the reference: nothing changes, though its crops differ from it and from one another.
    for before, after in zip(annotated.patches, changed.patches, strict=True):
        np.testing.assert_array_equal(before.image, after.image)


def test_an_unknown_method_is_named(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vahadane"):
        adapt(ours, out=tmp_path / "m", stain="vahadane")


@pytest.mark.parametrize(("field", "value"), [("strengths", [0, 1]), ("method", "vahadane"), ("hue", 1)])
def test_a_damaged_reference_is_a_damaged_card(folder: Path, tmp_path: Path, field: str, value: object) -> None:
    card = json.loads((folder / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"stain": card["stain"] | {field: value}}))
    with pytest.raises(ModelError, match="stain"):
        read_card(tmp_path)
