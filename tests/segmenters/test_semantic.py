"""The kind ``semantic``: targets, class images, the card, and what the task keeps apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fixtures.tissue import semantic_card
from histoseed.bundled import bundled_folder
from histoseed.encoders import build_encoder
from histoseed.errors import InputError, ModelError
from histoseed.segmenters import (
    AreaMaps,
    ClassifierEntry,
    Segmenter,
    SemanticEntry,
    SkipDecoder,
    areas_of,
    check_task,
    instances_of,
    kind_of,
    kinds_of,
    load_segmenter,
    read_card,
    save_segmenter,
    start_from,
    why_not_for,
)
from histoseed.segmenters.semantic import class_map

ROW = kind_of("semantic")


def make_model(seed=0, **card):
    torch.manual_seed(seed)
    encoder = build_encoder("bundled", weights="random", seed=seed, image_size=64)
    return Segmenter(encoder, semantic_card(**card)).eval()


def maps_of(values):
    """(1 + C, H, W) numbers as the probabilities of one image."""
    return AreaMaps(probabilities=np.asarray(values, np.float32))


def test_background_ignore_unknown_and_other_are_four_things():
    labels = torch.tensor([[[0, 1, 2, 3, 0]]])
    classes = torch.tensor([[[0, 1, 3, 0, 0]]])  # 3 is the class "other", label 3 has no class
    ignore = torch.tensor([[[False, False, False, False, True]]])
    targets = ROW.representation.targets(labels, classes=classes, ignore=ignore)
    assert targets.classes.tolist() == [[[0, 1, 3, 0, 0]]]
    assert targets.weight.tolist() == [[[1, 1, 1, 0, 0]]]


def test_a_pixel_has_its_most_probable_class():
    maps = maps_of([[[0.6, 0.1]], [[0.1, 0.2]], [[0.3, 0.7]]])
    assert class_map(maps, (1, 2), background=True).tolist() == [[0, 2]]
    assert class_map(maps, (1, 2), background=False).tolist() == [[2, 2]]
    assert class_map(maps, (1, 1), background=False).shape == (1, 1)
    assert areas_of(maps, (1, 2), semantic_card(background=False)).dtype == np.uint8


def test_probabilities_sum_to_one_and_the_background_comes_first():
    model = make_model()
    maps = model.predict(torch.rand(2, 3, 64, 48))
    assert maps.probabilities.shape == (2, 4, 64, 48)
    np.testing.assert_allclose(maps.probabilities.sum(1), 1, atol=1e-5)
    assert ROW.representation.outputs(3) == 4
    assert isinstance(model.decoder, SkipDecoder)


@pytest.mark.parametrize(
    ("fields", "background"),
    [({}, False), ({"background": True}, True), ({"areas": "nuclei"}, True)],
)
def test_around_nuclei_there_is_always_background(fields, background):
    assert SemanticEntry(**fields).background is background
    with pytest.raises(ValidationError, match="always background"):
        SemanticEntry(areas="nuclei", background=False)
    with pytest.raises(ValidationError):
        SemanticEntry(areas="cells")


def test_a_model_survives_the_disk(tmp_path):
    model, images = make_model(), torch.rand(1, 3, 64, 64)
    card = save_segmenter(model, tmp_path / "m")
    content = json.loads((tmp_path / "m" / "model.json").read_text())
    assert (content["task"], content["format_version"]) == ("semantic", 3)
    loaded = load_segmenter(tmp_path / "m")
    assert loaded.card == card
    np.testing.assert_array_equal(loaded.predict(images).probabilities, model.predict(images).probabilities)


def test_a_model_of_an_older_version_finds_instances():
    content = json.loads((bundled_folder() / "model.json").read_text())
    assert "task" not in content
    assert content["format_version"] < 3
    assert read_card(bundled_folder()).task == "instance"


def test_a_card_whose_parts_do_not_go_together_is_refused(tmp_path):
    card = semantic_card()
    fields = card.model_dump(mode="json")
    for change in ({"task": "instance"}, {"classes": []}, {"classifier": ClassifierEntry(kind="tokens").model_dump()}):
        with pytest.raises(ValidationError):
            type(card).model_validate(fields | change)
    save_segmenter(make_model(), tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task": "instance"}))
    with pytest.raises(ModelError, match="task instance"):
        read_card(tmp_path / "m")


def test_each_task_refuses_the_other():
    semantic, instance = make_model(), load_segmenter(bundled_folder())
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(InputError, match="tells areas apart") as error:
        instances_of(semantic.predict(images).image(0), (64, 64), semantic.card, 0.25)
    assert "--task instance" in error.value.fix
    with pytest.raises(InputError, match="finds nuclei"):
        areas_of(instance.predict(images).image(0), (64, 64), instance.card)
    check_task(semantic.card, "semantic")


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_why_a_decoder_does_not_tell_areas_apart(kind):
    reason = why_not_for("semantic", kind)
    assert (reason is None) == (kind == "skip")
    assert why_not_for("instance", kind) is None
    assert "--task semantic" in why_not_for("instance", "semantic")
    with pytest.raises(InputError, match="no decoder"):
        why_not_for("semantic", "unet")


def test_a_trained_skip_decoder_is_a_start():
    bundled = load_segmenter(bundled_folder())
    entry = SemanticEntry(background=True)  # the widths of the bundled decoder
    card = semantic_card().model_copy(update={"decoder": entry})
    torch.manual_seed(1)
    model = Segmenter(build_encoder("bundled", weights="random", image_size=64), card)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    start_from(model, bundled)
    after, theirs = model.state_dict(), bundled.state_dict()
    assert torch.equal(after["decoder.blocks.0.0.0.weight"], theirs["decoder.blocks.0.0.0.weight"])
    assert torch.equal(after["decoder.head.weight"][0], theirs["decoder.head.weight"][0])  # background
    assert torch.equal(after["decoder.head.weight"][1:], before["decoder.head.weight"][1:])  # what it does not know


def test_a_decoder_of_other_widths_keeps_its_own_head():
    model, bundled = make_model(), load_segmenter(bundled_folder())
    before = model.state_dict()["decoder.head.weight"].clone()
    start_from(model, bundled)
    assert torch.equal(model.state_dict()["decoder.head.weight"], before)
