"""``adapt``: from a data set to a model folder."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histoseed.datasets import DatasetInfo, DatasetWriter, read_dataset
from histoseed.encoders import build_encoder, get_card
from histoseed.encoders.store import WeightsStore
from histoseed.errors import DatasetError, InputError, ModelError, OutputError, UnknownMppError
from histoseed.segmenters import load_segmenter
from histoseed.workflows.adapt import adapt, default_plan
from histoseed.workflows.annotated import draw_patches, pictures_of

SHORT = {"steps": 2, "batch": 2, "weights": "random"}
LEAST = {"patches": 1, "steps": 1, "batch": 1}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))


def test_it_writes_a_model_that_loads(discs, tmp_path):
    model = adapt(discs, out=tmp_path / "m", patches=2, dtype="float32", **SHORT)
    assert {p.name for p in (tmp_path / "m").iterdir()} == {
        "model.safetensors", "model.json", "run.json", "history.json", "loss.png",
    }  # fmt: skip
    loaded = load_segmenter(tmp_path / "m")
    images = torch.rand(1, 3, 64, 64)
    np.testing.assert_array_equal(model.predict(images).semantic, loaded.predict(images).semantic)
    card = loaded.card
    assert card.class_names == ["odd", "even"]
    assert (card.data[-1].name, card.data[-1].licence, card.data[-1].patches) == ("discs", "CC0-1.0", 2)
    assert card.data[-1].instances > 0
    assert card.data[-1].groups == ("s0", "s1")
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert (run["status"], run["verb"], run["seed"]) == ("finished", "adapt", 0)


def test_a_finished_folder_is_left_alone(discs, tmp_path):
    adapt(discs, out=tmp_path / "m", patches=1, **SHORT)
    before = (tmp_path / "m" / "model.json").read_bytes()
    with pytest.raises(OutputError, match="finished run"):
        adapt(discs, out=tmp_path / "m", patches=1, **SHORT)
    assert (tmp_path / "m" / "model.json").read_bytes() == before


def test_an_interrupted_run_ends_like_an_uninterrupted_one(discs, tmp_path):
    class Impatient:
        def __init__(self, after):
            self.left = after
            self.made = []

        def start(self, total, unit, description):
            self.said = description

        def advance(self, n, **facts):
            self.made.append(n)
            self.left -= n
            if self.left == 0:
                raise KeyboardInterrupt

        def done(self):
            pass

    how = SMALL | {"steps": 12, "patches": 1, "dtype": "float32", "batch": 1, "weights": "random"}
    with pytest.raises(KeyboardInterrupt):
        adapt(discs, out=tmp_path / "broken", progress=Impatient(8), **how)
    assert not (tmp_path / "broken" / "model.json").exists()
    patient = Impatient(-1)
    adapt(discs, out=tmp_path / "broken", progress=patient, **how)
    assert patient.made == [9, 1, 1, 1]  # eight steps were done before
    assert patient.said == "Adapting bundled to discs (1 patch)"
    adapt(discs, out=tmp_path / "whole", **how)
    names = ("model.safetensors", "model.json", "history.json")
    for name in names:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_bundled_model_is_a_start(discs, tmp_path):
    model = adapt(discs, out=tmp_path / "m", patches=1, steps=1, batch=2)
    assert model.card.mpp == 0.25
    assert len(model.card.data) >= 1
    again = adapt(discs, out=tmp_path / "n", patches=1, steps=1, batch=2, start=tmp_path / "m")
    assert [d.name for d in again.card.data][-2:] == ["discs", "discs"]


@pytest.mark.parametrize(
    ("options", "named"), [({"encoder": "timm:resnet18"}, "--encoder"), ({"weights": "random"}, "--weights")]
)
def test_a_start_with_another_encoder_is_refused(discs, tmp_path, options, named):
    with pytest.raises(InputError, match="brings its own encoder") as caught:
        adapt(discs, out=tmp_path / "n", start=tmp_path / "m", **options)
    assert named in str(caught.value.where)
    assert not (tmp_path / "n").exists()


def test_draws_are_nested_and_turn_to_every_slide(discs):
    data = read_dataset(discs)
    ids = [[p.patch_id for p in draw_patches(data, n, seed=1).patches] for n in (1, 2, 4)]
    assert ids[2][:1] == ids[0]
    assert ids[2][:2] == ids[1]
    assert draw_patches(data, 2, seed=1).groups == ("s0", "s1")


def test_more_patches_than_there_are(discs, tmp_path):
    with pytest.raises(InputError, match=r"--patches: 99 patches were asked for"):
        adapt(discs, out=tmp_path / "m", patches=99, **SHORT)
    assert not (tmp_path / "m").exists()


def test_unknown_mpp_asks_for_it(discs, tmp_path):
    with DatasetWriter(tmp_path / "d", DatasetInfo(name="x")) as writer:
        labels = np.zeros((64, 64), np.int32)
        labels[10:30, 10:30] = 1
        writer.add("p", np.full((64, 64, 3), 200, np.uint8), labels)
    with pytest.raises(UnknownMppError, match="--mpp"):
        adapt(tmp_path / "d", out=tmp_path / "m", **SHORT)
    adapt(tmp_path / "d", out=tmp_path / "m", mpp=0.5, **SHORT)


def test_nothing_annotated(tmp_path):
    with DatasetWriter(tmp_path / "d", DatasetInfo(name="x")) as writer:
        writer.add("p", np.full((64, 64, 3), 200, np.uint8), mpp=0.5)
    with pytest.raises(DatasetError, match="No patch has an annotated nucleus"):
        adapt(tmp_path / "d", out=tmp_path / "m", **SHORT)
    assert not (tmp_path / "m").exists()


def test_partly_annotated_patches_ignore_what_is_far_from_objects(discs):
    patch = read_dataset(discs).patch("p0")
    (picture,) = pictures_of([patch], 0.25, ignore_unlabelled=True)
    from scipy.ndimage import distance_transform_edt

    far = distance_transform_edt(patch.labels == 0) * patch.mpp
    assert (picture.ignore == (far > 2.0)).all()
    assert picture.zoom == 2.0


def test_validation_within_needs_two_patches(discs, tmp_path):
    with pytest.raises(InputError, match="One patch cannot be split"):
        adapt(discs, out=tmp_path / "m", patches=1, validation="within", **SHORT)
    model = adapt(discs, out=tmp_path / "n", patches=4, validation="within", **SHORT)
    assert model.card.metrics[-1]["score"] == "validation PQ"


def test_gentler_from_a_trained_decoder():
    assert default_plan(trained=True).learning_rate < default_plan(trained=False).learning_rate
    assert default_plan(trained=True, steps=7).steps == 7


@pytest.mark.parametrize("encoder", ["timm:resnet18", "timm:vit_tiny_patch16_224"])
def test_any_timm_encoder_can_be_adapted(discs, tmp_path, encoder):
    adapt(discs, out=tmp_path / "m", encoder=encoder, weights="random", patches=1, steps=1, batch=1)
    assert load_segmenter(tmp_path / "m").card.encoder.name == encoder


TINY = {
    "skip": {"widths": [8, 8, 8, 8], "image_widths": [4, 4]},
    "cellvit": {"widths": [8, 8, 8, 8], "stack": [8, 8]},
    "stardist": {"widths": [8, 8, 8, 8], "image_widths": [4, 4]},
    "instanseg": {"widths": [8, 8, 8, 8], "image_widths": [4, 4]},
}
SMALL = {"decoder_options": TINY["skip"], "model_mpp": 0.5}
VIT, CONVNEXT = "timm:vit_tiny_patch16_224", "timm:convnext_atto"


@pytest.mark.parametrize(
    ("encoder", "decoder", "method"),
    [
        ("bundled", "cellvit", "full"),
        ("bundled", "stardist", "frozen"),
        (VIT, "cellvit", "adapter"),
        (VIT, "instanseg", "lora"),
        (VIT, "skip", "bitfit"),
        (CONVNEXT, "cellvit", "side-branch"),
        (CONVNEXT, "stardist", "last-block"),
        (CONVNEXT, "instanseg", "frozen"),
    ],
)
def test_encoders_decoders_and_methods_go_together(discs, tmp_path, encoder, decoder, method):
    model = adapt(
        discs, out=tmp_path / "m", encoder=encoder, decoder=decoder, method=method, decoder_options=TINY[decoder],
        weights="random", model_mpp=0.5, dtype="float32", **LEAST,
    )  # fmt: skip
    loaded = load_segmenter(tmp_path / "m")
    assert (loaded.card.decoder.kind, loaded.card.method.name) == (decoder, method)
    images = torch.rand(1, 3, 64, 64)
    before, after = model.predict(images).image(0), loaded.predict(images).image(0)
    for name in before.__dataclass_fields__:
        if isinstance(getattr(before, name), np.ndarray):
            # The loaded model keeps its weights in another order of memory, and sums in another order.
            np.testing.assert_allclose(getattr(before, name), getattr(after, name), rtol=1e-4, atol=1e-4)
    state = loaded.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    trained = {k for k, p in loaded.encoder.named_parameters() if p.requires_grad}
    everything = {k for k, _ in loaded.encoder.named_parameters()}
    assert bool(trained) == (method != "frozen")
    assert (trained == everything) == (method == "full")


def test_classes_from_cell_tokens(discs, tmp_path):
    model = adapt(discs, out=tmp_path / "m", encoder=VIT, weights="random", classifier="tokens", **LEAST, **SMALL)
    assert model.card.classifier.kind == load_segmenter(tmp_path / "m").card.classifier.kind == "tokens"
    assert "cell class" in json.loads((tmp_path / "m" / "history.json").read_text())[0]
    again = adapt(discs, out=tmp_path / "n", start=tmp_path / "m", **LEAST)
    assert again.classifier is not None


def test_an_adapted_model_can_be_the_start_again(discs, tmp_path):
    how = {**LEAST, "dtype": "float32"}
    adapt(discs, out=tmp_path / "m", encoder=VIT, weights="random", method="lora", **how, **SMALL)
    with pytest.raises(InputError, match="was adapted by lora"):
        adapt(discs, out=tmp_path / "n", start=tmp_path / "m", method="full", **how)
    again = adapt(discs, out=tmp_path / "n", start=tmp_path / "m", method="lora", **how)
    assert again.card.method.name == "lora"
    with pytest.raises(InputError, match="The start has the decoder skip"):
        adapt(discs, out=tmp_path / "o", start=tmp_path / "m", decoder="cellvit", **how)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder": "cellvitt"}, "no decoder 'cellvitt'.*cellvit"),
        ({"method": "lorra"}, "no method 'lorra'"),
        ({"method": "lora"}, r"made of convolutions.*Fix: Use full, it is small\."),
        ({"method": "adapter"}, "no plain vision transformer"),
        ({"decoder_options": {"width": 3}}, r"--set decoder\.width.*widths"),
        ({"method_options": {"rank": 0}, "encoder": VIT, "method": "lora"}, r"--set method\.rank"),
        ({"encoder": VIT, "method": "lora", "start_share": 0.5}, "no start to be averaged"),
        ({"task": "semantic", "decoder": "cellvit"}, r"within single nuclei.*Fix: Leave --decoder out, or say skip\."),
        ({"weights": None, "decoder_options": {"foo": 1}}, r"decoder\.foo: The decoder skip has no such field.*widths"),
        ({"weights": None, "decoder_options": {"widths": 1}}, r"gives the decoder as it is.*widths.*another --decoder"),
    ],
)
def test_what_does_not_go_says_why_and_writes_nothing(discs, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as fresh:
        adapt(discs, out=tmp_path / "m", patches=1, **(SHORT | arguments))
    assert not (tmp_path / "m").exists()
    taken = tmp_path / "taken"  # what does not go is told first, whatever stands in the folder
    taken.mkdir()
    (taken / "run.json").write_text('{"verb": "adapt", "histoseed": "0", "status": "running"}')
    with pytest.raises(InputError) as there:
        adapt(discs, out=taken, patches=1, **(SHORT | arguments))
    assert str(there.value) == str(fresh.value)


def test_the_encoder_of_a_model_folder_can_be_adapted(discs, tmp_path):
    first = adapt(discs, out=tmp_path / "a", encoder="timm:resnet18", weights="random", method="full", **LEAST, **SMALL)
    second = adapt(discs, out=tmp_path / "b", encoder=str(tmp_path / "a"), **LEAST, **SMALL)
    assert second.card.encoder.name == first.card.encoder.name
    theirs = first.encoder.state_dict()
    assert all(value.equal(theirs[key]) for key, value in second.encoder.state_dict().items())
    inputs = json.loads((tmp_path / "b" / "run.json").read_text())["inputs"]
    assert "weights" in inputs


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A store that has the weights of an encoder; nothing is fetched."""
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    weights = tmp_path / "model.safetensors"
    network = build_encoder("timm:resnet18.a1_in1k", seed=4).network
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    WeightsStore().keep(get_card("timm:resnet18.a1_in1k"), weights)
    return "timm:resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("methods", "stored"),
    [(["frozen", "last-block"], False), (["frozen", "full"], True), (["bitfit", "frozen"], True)],
)
def test_what_training_changed_of_a_hubs_weights_is_stored(discs, tmp_path, hub, methods, stored):
    """As it is in memory and as it loads again, a model is one, whatever it was started from."""
    options = {"encoder": hub, **SMALL}
    for method in methods:
        model = adapt(discs, out=tmp_path / method, method=method, learning_rate=0.1, **LEAST, **options)
        options = {"start": tmp_path / method}
    loaded = load_segmenter(tmp_path / methods[-1])
    assert (loaded.card.encoder.stored, loaded.card.encoder.changed) == (stored, True)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), loaded(images), rtol=0, atol=1e-5)


def test_a_hub_that_serves_other_weights_is_refused(discs, tmp_path, hub):
    adapt(discs, out=tmp_path / "m", encoder=hub, method="frozen", **LEAST, **SMALL)
    assert load_segmenter(tmp_path / "m").card.encoder.stored is False
    other = tmp_path / "other" / "model.safetensors"
    other.parent.mkdir()
    network = build_encoder(hub, seed=5).network
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, other)
    WeightsStore().keep(get_card(hub), other)
    with pytest.raises(ModelError, match="weights changed"):
        load_segmenter(tmp_path / "m")


def test_weights_out_of_a_model_count_as_changed(discs, tmp_path):
    adapt(discs, out=tmp_path / "a", method="full", **LEAST)
    model = adapt(discs, out=tmp_path / "b", encoder=str(tmp_path / "a"), method="frozen", **LEAST, **SMALL)
    assert model.card.encoder.changed is True
    plain = adapt(
        discs, out=tmp_path / "c", encoder="timm:resnet18", weights="random", method="frozen", **LEAST, **SMALL
    )
    assert plain.card.encoder.changed is False
