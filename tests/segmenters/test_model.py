"""Model folders: a round trip, and everything that can be wrong with one."""

import json
import shutil

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder
from histoseed.errors import ModelError, OutputError
from histoseed.segmenters import (
    ClassEntry,
    DecoderEntry,
    EncoderEntry,
    ModelCard,
    Segmenter,
    load_segmenter,
    save_segmenter,
)


def make_model(classes=("a", "b"), seed=0):
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=tuple(ClassEntry(name=c) for c in classes),
        mpp=0.25,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=DecoderEntry(widths=(16, 16, 8, 8), image_widths=(4, 8)),
    )
    torch.manual_seed(seed)
    return Segmenter(build_encoder("bundled", weights="random", seed=seed, image_size=64), card).eval()


@pytest.fixture
def folder(tmp_path):
    save_segmenter(make_model(), tmp_path / "model")
    return tmp_path / "model"


def test_round_trip_gives_the_same_maps(folder):
    images = torch.rand(1, 3, 64, 64)
    before, after = make_model().predict(images), load_segmenter(folder).predict(images)
    np.testing.assert_array_equal(before.semantic, after.semantic)
    np.testing.assert_array_equal(before.distances, after.distances)
    np.testing.assert_array_equal(before.classes, after.classes)


def test_maps_are_probabilities(folder):
    maps = load_segmenter(folder).predict(torch.rand(2, 3, 64, 48))
    assert maps.semantic.shape == (2, 3, 64, 48)
    assert maps.classes.shape == (2, 3, 64, 48)
    np.testing.assert_allclose(maps.semantic.sum(1), 1, atol=1e-5)
    assert np.abs(maps.distances).max() <= 1


def test_half_precision_halves_the_file(tmp_path, folder):
    save_segmenter(make_model(), tmp_path / "half", half=True)
    sizes = [(f / "model.safetensors").stat().st_size for f in (tmp_path / "half", folder)]
    assert sizes[0] < 0.55 * sizes[1]
    images = torch.rand(1, 3, 64, 64)
    full, half = load_segmenter(folder).predict(images), load_segmenter(tmp_path / "half").predict(images)
    np.testing.assert_allclose(full.semantic, half.semantic, atol=0.02)


def test_a_folder_in_use_is_left_alone(folder):
    before = (folder / "model.json").read_bytes()
    with pytest.raises(OutputError, match="not empty"):
        save_segmenter(make_model(seed=1), folder)
    assert (folder / "model.json").read_bytes() == before
    save_segmenter(make_model(seed=1), folder, overwrite=True)
    assert (folder / "model.json").read_bytes() != before


def change(folder, **values):
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | values))


def test_newer_version_is_refused(folder):
    change(folder, format_version=99)
    with pytest.raises(ModelError, match=r"format version 99.*Update histoseed"):
        load_segmenter(folder)


def test_wrong_hash_is_refused(folder):
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    with pytest.raises(ModelError, match="sha256 differs"):
        load_segmenter(folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "not a model folder"),
        (lambda f: (f / "model.safetensors").unlink(), "weights are missing"),
        (lambda f: (f / "model.json").write_text("{"), "damaged"),
        (lambda f: change(f, mpp=-1), "mpp"),
        (lambda f: change(f, surprise=1), "surprise"),
        (lambda f: (change(f, weights_sha256=None), (f / "model.safetensors").write_bytes(b"x")), "damaged"),
    ],
)
def test_damage_is_named(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ModelError, match=message):
        load_segmenter(folder)


def test_weights_of_another_number_of_classes_do_not_fit(folder):
    classes = [{"name": c, "color": "#000000"} for c in "abc"]
    change(folder, classes=classes, weights_sha256=None)
    with pytest.raises(ModelError, match="another shape"):
        load_segmenter(folder)


def test_frozen_hub_weights_are_not_copied(tmp_path):
    model = make_model()
    entry = model.card.encoder.model_copy(update={"stored": False})
    model.card = model.card.model_copy(update={"encoder": entry})
    save_segmenter(model, tmp_path / "m")
    size = (tmp_path / "m" / "model.safetensors").stat().st_size
    assert size < 1_000_000
    loaded = load_segmenter(tmp_path / "m")
    for key, value in loaded.decoder.state_dict().items():
        assert torch.equal(value, model.decoder.state_dict()[key])
