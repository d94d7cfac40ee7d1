"""The loop: it learns, it resumes to the identical result, it leaves a frozen encoder alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histoseed.encoders import EmbeddingCache, build_encoder
from histoseed.errors import InputError
from histoseed.segmenters import ClassEntry, DecoderEntry, EncoderEntry, ModelCard, Segmenter
from histoseed.training import Picture, TrainingPlan, train

PLAN = TrainingPlan(steps=6, batch=2, crop=64, warmup=2, views=2, report_every=3, checkpoint_every=2)


def make_model(seed=0):
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=(ClassEntry(name="a"),),
        mpp=0.5,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=DecoderEntry(widths=(16, 16, 8, 8), image_widths=(4, 8)),
    )
    torch.manual_seed(seed)
    return Segmenter(build_encoder("bundled", weights="random", seed=seed, image_size=64), card)


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


@pytest.mark.parametrize("method", ["frozen", "full"])
def test_interrupted_run_resumes_to_the_identical_result(tmp_path, method):
    plan = replace(PLAN, method=method)
    whole = make_model()
    history = train(whole, [discs()], plan)

    class Stop(Exception):
        pass

    def stop(row):
        if row["step"] == 5:
            raise Stop

    broken = make_model()
    with pytest.raises(Stop):
        train(broken, [discs()], plan, checkpoint=tmp_path / "c.safetensors", on_step=stop)
    resumed = make_model()
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


def test_best_weights_of_a_validation_are_kept():
    model = make_model()
    plan = replace(PLAN, steps=9, report_every=3)
    history = train(model, [discs()], plan, validation=[discs(seed=1)])
    assert sum(row["pq"] is not None for row in history) == 3


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="nothing to train on"):
        train(make_model(), [], PLAN)
