"""The loop: it learns, it resumes to the identical result, it leaves a frozen encoder alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histoseed.datasets import Marks
from histoseed.encoders import EmbeddingCache, build_encoder
from histoseed.errors import InputError
from histoseed.segmenters import ClassEntry, DecoderEntry, EncoderEntry, MethodOptions, ModelCard, Segmenter, prepare
from histoseed.segmenters.methods import SidePyramid, trunk_of, with_branch
from histoseed.training import Picture, TrainingPlan, train
from histoseed.training.teaching import Teaching
from histoseed.training.views import FeatureStore

PLAN = TrainingPlan(steps=6, batch=2, crop=64, warmup=2, views=2, report_every=3, checkpoint_every=2)


def make_model(seed=0, method=None):
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=(ClassEntry(name="a"),),
        mpp=0.5,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=DecoderEntry(widths=(16, 16, 8, 8), image_widths=(4, 8)),
        method=None if method is None else MethodOptions(name=method),
    )
    torch.manual_seed(seed)
    encoder = build_encoder("bundled", weights="random", seed=seed, image_size=64)
    return Segmenter(encoder if method is None else prepare(encoder, method, seed=seed), card)


def discs(seed=0, size=96, count=12, radius=8):
    """Dark discs on a pale ground: the simplest nuclei."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for k in range(count):
        cy, cx = rng.integers(radius, size - radius, 2)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
    image = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]) + rng.normal(0, 6, (size, size, 3))
    return Picture(
        image.clip(0, 255).astype(np.uint8), labels, np.ones(count + 1, np.int64) * (np.arange(count + 1) > 0)
    )


def state_of(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("method", ["frozen", "side-branch", "full"])
def test_interrupted_run_resumes_to_the_identical_result(tmp_path, method):
    plan = replace(PLAN, method=method)
    added = "side-branch" if method == "side-branch" else None
    whole = make_model(method=added)
    history = train(whole, [discs()], plan)

    class Stop(Exception):
        pass

    def stop(row):
        if row["step"] == 5:
            raise Stop

    broken = make_model(method=added)
    with pytest.raises(Stop):
        train(broken, [discs()], plan, checkpoint=tmp_path / "c.safetensors", on_step=stop)
    resumed = make_model(method=added)
    steps = []
    again = train(
        resumed, [discs()], plan, checkpoint=tmp_path / "c.safetensors", on_step=lambda r: steps.append(r["step"])
    )
    assert steps == [5, 6]
    assert again == history
    for key, value in state_of(whole).items():
        assert torch.equal(value, state_of(resumed)[key]), key


def test_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    train(make_model(), [discs()], PLAN, checkpoint=path)
    with pytest.raises(InputError, match="other settings"):
        train(make_model(), [discs()], replace(PLAN, learning_rate=0.5), checkpoint=path)


def test_frozen_encoder_does_not_move_and_full_does():
    for method, moves in (("frozen", False), ("full", True)):
        model = make_model()
        before = state_of(model.encoder)
        train(model, [discs()], replace(PLAN, method=method))
        changed = any(not torch.equal(v, before[k]) for k, v in model.encoder.state_dict().items())
        assert changed == moves


def test_it_learns_from_one_patch():
    model = make_model()
    plan = replace(PLAN, steps=60, batch=4, views=8, learning_rate=5e-3, report_every=60)
    history = train(model, [discs()], plan)
    first, last = (np.mean([row["loss"] for row in rows]) for rows in (history[:10], history[-10:]))
    assert last < 0.7 * first
    assert history[-1]["pq"] is not None
    assert history[-1]["pq"] > 0.2


def test_same_seed_same_model_other_seed_another():
    one, two, three = make_model(), make_model(), make_model()
    train(one, [discs()], PLAN)
    train(two, [discs()], PLAN)
    train(three, [discs()], replace(PLAN, seed=1))
    key = "decoder.head.weight"
    assert torch.equal(state_of(one)[key], state_of(two)[key])
    assert not torch.equal(state_of(one)[key], state_of(three)[key])


def test_features_come_from_the_cache_the_second_time(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache", 10**9)
    one, two = make_model(), make_model()
    train(one, [discs()], PLAN, cache=cache)
    filled = cache.size_bytes()
    assert filled > 0
    train(two, [discs()], PLAN, cache=cache)
    assert cache.size_bytes() == filled
    for key, value in state_of(one).items():
        assert torch.equal(value, state_of(two)[key]), key


def counted(model):
    """The calls of the encoder's own network, as sizes of batches."""
    calls, run = [], model.encoder._features

    def features(network, x, taps):
        calls.append(len(x))
        return run(network, x, taps)

    model.encoder._features = features
    return calls


def test_the_trunk_beside_a_side_branch_runs_once_a_view(tmp_path):
    """And once for each crop that quality is measured on; with a cache never again."""
    cache, pictures = EmbeddingCache(tmp_path / "cache", 10**9), [discs(), discs(seed=1, size=64)]
    plan = replace(PLAN, method="side-branch", steps=3, report_every=3)
    models = [make_model(method="side-branch") for _ in range(3)]
    calls = [counted(model) for model in models]
    histories = [
        train(model, pictures, plan, cache=kept) for model, kept in zip(models, [None, cache, cache], strict=True)
    ]
    views, measured = 2 * 2 + 2, len(pictures)  # 96 x 96 pixels are two crops of 64 x 64
    assert calls[0] == [1] * (views + measured)
    assert calls[1] == [1] * (views + measured - 1)  # of a picture as large as a crop, the upright view is measured
    assert calls[2] == []
    assert histories[0] == histories[1] == histories[2]
    for key, value in state_of(models[0]).items():
        assert torch.equal(value, state_of(models[1])[key]), key
        assert torch.equal(value, state_of(models[2])[key]), key


def test_of_a_side_branch_encoder_only_the_branch_moves():
    model = make_model(method="side-branch")
    before = state_of(model.encoder)
    train(model, [discs()], replace(PLAN, method="side-branch"))
    moved = {k for k, v in model.encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {k for k in before if k.startswith("branch.")}


def test_frozen_and_side_branch_share_their_features(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache", 10**9)
    train(make_model(), [discs()], PLAN, cache=cache)
    filled = cache.size_bytes()
    model = make_model(method="side-branch")
    calls = counted(model)
    store = FeatureStore(model, [discs()], replace(PLAN, method="side-branch"), cache=cache)
    assert len(store) == 4
    assert calls == []
    assert cache.size_bytes() == filled > 0
    assert trunk_of(model.encoder).fingerprint() == make_model().encoder.fingerprint() != model.encoder.fingerprint()


def test_stored_views_and_the_branch_give_what_the_encoder_gives():
    """But for the sixteen bits in which the features are kept."""
    model = make_model(method="side-branch")
    for parameter in model.encoder.branch.project.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    store = FeatureStore(model, [discs()], replace(PLAN, method="side-branch", batch=3))
    images, _, stored = store.batch(np.random.default_rng(0))
    model.eval()
    with torch.no_grad():
        expected, found = model.encoder(images), with_branch(model.encoder, images, stored)
    assert isinstance(model.encoder, SidePyramid)
    assert not torch.allclose(expected[1], stored[1], atol=1e-2)  # the branch has a say
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", [None, "side-branch"])
def test_what_the_start_knew_needs_its_encoder_only_where_no_features_are_stored(method):
    model, start = make_model(method="side-branch"), make_model(method=method)
    for one in (model, start):
        for name, parameter in one.encoder.named_parameters():
            if "project" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    outlined = discs()
    points = Marks(points=np.full((1, 2), 20.0), point_classes=np.ones(1, np.int32))
    picture = Picture(outlined.image, outlined.labels, outlined.classes, marks=points)
    store = FeatureStore(model, [picture], replace(PLAN, method="side-branch"))
    images, _, stored = store.batch(np.random.default_rng(0))
    teaching, calls = Teaching(model, [picture], start), counted(start)
    known = teaching.known_before(images, stored)
    assert calls == []
    expected = teaching.known_before(images, None)
    assert calls == [2]
    torch.testing.assert_close(known, expected, rtol=1e-3, atol=5e-3)
    assert Teaching(model, [outlined], start).known_before(images, stored) is None


def test_best_weights_of_a_validation_are_kept():
    model = make_model()
    plan = replace(PLAN, steps=9, report_every=3)
    history = train(model, [discs()], plan, validation=[discs(seed=1)])
    assert sum(row["pq"] is not None for row in history) == 3


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="nothing to train on"):
        train(make_model(), [], PLAN)
