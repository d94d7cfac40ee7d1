"""What holds for every kind of segmenter: the round trip, tiles, saving and loading."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fixtures.nuclei import blobs, perfect_pixels, perfect_raw
from histoseed.bundled import bundled_folder
from histoseed.encoders import build_encoder
from histoseed.errors import InputError, ModelError
from histoseed.inference.folding import folded
from histoseed.inference.grid import MARGIN
from histoseed.metrics import panoptic_quality
from histoseed.segmenters import (
    KINDS,
    ClassEntry,
    EncoderEntry,
    ModelCard,
    Segmenter,
    SkipDecoder,
    class_probabilities,
    foreground_scores,
    instance_labels,
    kind_of,
    kinds_of,
    load_segmenter,
    save_segmenter,
)

MPP = 0.25
TINY = {
    "skip": {"widths": (16, 16, 8, 8), "image_widths": (4, 8)},
    "cellvit": {"widths": (16, 12, 8, 8), "stack": (16, 12)},
    "stardist": {"widths": (16, 16, 8, 8), "image_widths": (4, 8)},
    "instanseg": {"widths": (16, 16, 8, 8), "image_widths": (4, 8)},
}


def make_model(kind, classes=("a", "b"), seed=0):
    row = kind_of(kind)
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=tuple(ClassEntry(name=c) for c in classes),
        mpp=MPP,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=row.entry(**TINY[kind]),
        postprocessing=row.processing(),
    )
    torch.manual_seed(seed)
    return Segmenter(build_encoder("bundled", weights="random", seed=seed, image_size=64), card).eval()


def perfect_maps(kind, labels, classes=None):
    count = 0 if classes is None else int(classes.max())
    given = None if classes is None else torch.from_numpy(classes)[None].long()
    representation = KINDS[kind].representation
    targets = representation.targets(torch.from_numpy(labels)[None].long(), classes=given)
    raw = perfect_raw(kind, targets, count)
    assert raw.shape[1] == representation.outputs(count)
    return activated(kind, raw, count)


def activated(kind, raw, classes=0):
    """Maps of the first image; only one kind looks at the decoder."""
    decoder = None
    if kind == "instanseg":
        decoder = perfect_pixels(KINDS[kind].build(KINDS[kind].entry(), [8], [16], 5))
    return KINDS[kind].representation.activated(raw, classes, decoder).image(0)


def found_in(kind, maps, size):
    row = KINDS[kind]
    return row.representation.instances(maps, size, row.processing(), MPP)


@pytest.mark.parametrize("kind", kinds_of("instance"))
@pytest.mark.parametrize("seed", range(3))
def test_perfect_maps_give_the_labels_back(kind, seed):
    labels = blobs(seed)
    found = found_in(kind, perfect_maps(kind, labels), labels.shape)
    assert panoptic_quality(labels, found.labels).pq > 0.95
    assert found.labels.dtype == np.int32
    assert np.array_equal(np.unique(found.labels), np.arange(len(found.score) + 1))
    assert found.classes is None
    assert (found.score > 0.5).all()
    assert (found.score <= 1).all()


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_classes_come_back(kind):
    labels = blobs(5)
    of_label = np.array([0, *(1 + np.arange(labels.max()) % 2)])
    maps = perfect_maps(kind, labels, of_label[labels])
    found = found_in(kind, maps, labels.shape)
    assert found.classes.shape == (found.labels.max(), 2)
    np.testing.assert_allclose(found.classes.sum(1), 1, atol=1e-5)
    for label in range(1, found.labels.max() + 1):
        truth = np.bincount(of_label[labels[found.labels == label]], minlength=3)[1:]
        if truth.max() > 0.9 * truth.sum():
            assert found.classes[label - 1].argmax() == truth.argmax()


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_nothing_gives_nothing(kind):
    labels = np.zeros((48, 64), np.int32)
    found = found_in(kind, perfect_maps(kind, labels), labels.shape)
    assert found.labels.shape == (48, 64)
    assert found.labels.max() == 0
    assert found.score.shape == (0,)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_padding_is_not_looked_at(kind):
    labels = blobs(3, 96, 40)
    maps = perfect_maps(kind, np.pad(labels, ((0, 32), (0, 32))))
    found = found_in(kind, maps, (95, 93))
    assert found.labels.shape == (95, 93)
    assert panoptic_quality(labels[:95, :93], found.labels).pq > 0.85


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_an_instance_does_not_depend_on_the_tile(kind):
    """Tiles of 256 and of 1024 pixels, maps with noise: deep inside the small tile everything is the same."""
    representation = KINDS[kind].representation
    labels = blobs(7, 1024, 1500)
    targets = representation.targets(torch.from_numpy(labels)[None].long())
    raw = perfect_raw(kind, targets)
    raw += 0.2 * torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
    step = labels.shape[0] // raw.shape[-1]
    whole = found_in(kind, activated(kind, raw), (1024, 1024)).labels
    first, last = 384, 384 + 256
    cut = raw[:, :, first // step : last // step, first // step : last // step]
    part = found_in(kind, activated(kind, cut), (256, 256)).labels
    seen = whole[first:last, first:last]
    inner = np.s_[representation.context : -representation.context, representation.context : -representation.context]
    looked_at = np.unique(part[inner])[1:]
    assert len(looked_at) > 10
    for label in looked_at:
        own = part == label
        (same,) = np.unique(seen[own])
        assert np.array_equal(seen == same, own)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_tiles_have_margin_enough(kind):
    assert KINDS[kind].representation.context <= MARGIN


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_saving_and_loading_changes_nothing(kind, tmp_path):
    save_segmenter(make_model(kind), tmp_path / "m")
    images = torch.rand(1, 3, 64, 96)
    before, after = make_model(kind).predict(images).image(0), load_segmenter(tmp_path / "m").predict(images).image(0)
    for name in before.__dataclass_fields__:
        one, two = getattr(before, name), getattr(after, name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_weights_of_another_kind_do_not_fit(kind, tmp_path):
    other = next(name for name in KINDS if name != kind)
    save_segmenter(make_model(kind), tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    card = json.loads(path.read_text())
    foreign = make_model(other).card.model_dump(mode="json")
    changed = card | {"decoder": foreign["decoder"], "postprocessing": foreign["postprocessing"]}
    path.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match="do not fit the card"):
        load_segmenter(tmp_path / "m")
    path.write_text(json.dumps(card | {"decoder": foreign["decoder"]}))
    with pytest.raises(ModelError, match="post-processing of the kind"):
        load_segmenter(tmp_path / "m")


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_the_card_comes_back_from_json(kind):
    card = make_model(kind).card
    again = ModelCard.model_validate_json(card.model_dump_json())
    assert again == card
    assert type(again.postprocessing) is type(card.postprocessing)


def test_an_unknown_kind_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="cellvit"):
        kind_of("celvit")


def test_a_card_with_an_unknown_field_of_a_decoder_is_refused():
    content = make_model("cellvit").card.model_dump(mode="json")
    content["decoder"]["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        ModelCard.model_validate(content)


def test_the_bundled_model_gives_what_it_gave_before_there_were_kinds():
    """The chain of version 1, step by step: encoder, skip decoder, activations, watershed."""
    model = load_segmenter(bundled_folder())
    labels = blobs(0, 96, 40)
    pixels = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]).astype(np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    maps = model.predict(images).image(0)
    found = model.representation.instances(maps, labels.shape, model.card.postprocessing, MPP)

    plain = SkipDecoder(list(model.encoder.channels), 7, widths=(128, 96, 64, 32), image_widths=(16, 32)).eval()
    plain.to(memory_format=torch.channels_last)
    plain.load_state_dict(model.decoder.state_dict())
    with torch.inference_mode():
        x = images.to(memory_format=torch.channels_last)
        raw = plain((x - 0.5) / 0.5, model.encoder(x)).float()
    semantic, distances = raw[0, :3].softmax(0).numpy(), raw[0, 3:7].tanh().numpy()
    np.testing.assert_array_equal(maps.semantic, semantic)
    np.testing.assert_array_equal(maps.distances, distances)
    expected = instance_labels(semantic, distances, model.card.postprocessing, MPP)
    assert expected.max() > 5
    np.testing.assert_array_equal(found.labels, expected)
    np.testing.assert_array_equal(found.score, foreground_scores(expected, semantic))
    assert maps.classes is None
    assert class_probabilities(expected, np.ones((3, *labels.shape), np.float32)).shape == (expected.max(), 2)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_folded_for_inference_it_says_the_same(kind):
    model = make_model(kind)
    images = torch.rand(1, 3, 64, 64)
    before, after = model.predict(images), folded(model).predict(images)
    for name in before.__dataclass_fields__:
        one = getattr(before, name)
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(one, getattr(after, name), atol=1e-3)
