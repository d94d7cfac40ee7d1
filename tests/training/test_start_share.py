"""How much of the start is kept: the average itself, and the rule that decides."""

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder
from histoseed.segmenters import ClassEntry, EncoderEntry, ModelCard, Segmenter, instance_labels, mix_with
from histoseed.training import Picture, TrainingPlan, keep_of_start
from histoseed.workflows.models import load_model

PLAN = TrainingPlan(crop=192)


def untrained(seed: int, classes: tuple[str, ...] = ()) -> Segmenter:
    torch.manual_seed(seed)
    card = ModelCard(
        histoseed="0", name="x", mpp=0.25, encoder=EncoderEntry(name="bundled", weights="random"),
        classes=tuple(ClassEntry(name=name) for name in classes),
    )  # fmt: skip
    return Segmenter(build_encoder("bundled", seed=seed), card).eval()


@pytest.fixture(scope="module")
def known() -> Segmenter:
    return load_model("bundled", device="cpu")


@pytest.fixture(scope="module")
def pictures(known: Segmenter) -> list[Picture]:
    """A picture whose annotation is what the bundled model says: it scores 1 there."""
    rng, image = np.random.default_rng(0), np.full((192, 192, 3), (235, 200, 225), float)
    y, x = np.mgrid[:192, :192]
    for at in range(16):
        centre = 24 + 48 * np.array(divmod(at, 4))
        image[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= 12**2] = (110, 60, 140)
    image = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    maps = known.predict(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    labels = instance_labels(maps.semantic[0], maps.distances[0], known.card.postprocessing, known.card.mpp)
    assert labels.max() > 3
    return [
        Picture(image=image, labels=labels, classes=(labels > 0).astype(np.int64), ignore=np.zeros(labels.shape, bool))
    ]


def copy_of(model: Segmenter) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weights_are_averaged(share: float):
    model, other = untrained(1), untrained(2)
    before = copy_of(model)
    mix_with(model, other, share)
    for key, value in model.state_dict().items():
        theirs = other.state_dict()[key]
        expected = before[key] * (1 - share) + theirs * share if value.dtype.is_floating_point else before[key]
        torch.testing.assert_close(value, expected)


def test_maps_of_classes_that_the_start_does_not_have_are_kept():
    model, other = untrained(1, ("a", "b")), untrained(2)
    before = copy_of(model)
    mix_with(model, other, 1.0)
    after = model.state_dict()
    torch.testing.assert_close(after["decoder.head.weight"][:7], other.state_dict()["decoder.head.weight"])
    torch.testing.assert_close(after["decoder.head.weight"][7:], before["decoder.head.weight"][7:])


def test_a_start_that_knows_the_tissue_is_averaged_in(known: Segmenter, pictures: list[Picture]):
    model = load_model("bundled", device="cpu")
    with torch.no_grad():
        model.decoder.head.bias += 1e-3
    before = copy_of(model)
    assert keep_of_start(model, known, pictures, PLAN) == 0.5
    halfway = (before["decoder.head.bias"] + known.state_dict()["decoder.head.bias"]) / 2
    torch.testing.assert_close(model.state_dict()["decoder.head.bias"], halfway)


def test_a_start_that_does_not_know_the_tissue_is_left_out(pictures: list[Picture]):
    model = load_model("bundled", device="cpu")
    before = copy_of(model)
    assert keep_of_start(model, untrained(0), pictures, PLAN) == 0.0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_share_that_is_given_is_taken(known: Segmenter, pictures: list[Picture]):
    model = untrained(3)
    assert keep_of_start(model, known, pictures, PLAN, share=1.0) == 1.0
    torch.testing.assert_close(model.state_dict()["decoder.head.bias"], known.state_dict()["decoder.head.bias"])


def test_pictures_kept_apart_decide(known: Segmenter, pictures: list[Picture]):
    model = load_model("bundled", device="cpu")
    with torch.no_grad():  # an adapted model that sees background everywhere: the start is better, so is the average
        model.decoder.head.bias[0] += 50.0
    assert keep_of_start(model, known, [], PLAN, validation=pictures) == 0.5
    good = load_model("bundled", device="cpu")
    before = copy_of(good)
    broken = load_model("bundled", device="cpu")
    with torch.no_grad():
        broken.decoder.head.bias[0] += 50.0
    assert keep_of_start(good, broken, [], PLAN, validation=pictures) == 0.0
    assert all(torch.equal(value, before[key]) for key, value in good.state_dict().items())
