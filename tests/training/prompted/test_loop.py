"""The loop: what it learns, that batches do not matter, that an interruption does not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from histoseed.encoders import EmbeddingCache
from histoseed.errors import InputError
from histoseed.prompting import Prompt
from histoseed.prompting.methods import prepare_promptable, trained_tensors
from histoseed.segmenters.methods import MethodOptions
from histoseed.training.prompted import (
    PromptedPlan,
    WindowStore,
    prompt_loss,
    subjects_of,
    train_prompted,
)
from histoseed.training.prompted.store import encoder_fingerprint

Make = Callable[..., Any]
PLAN = {"epochs": 2, "batch": 4, "warmup": 1, "learning_rate": 1e-3, "prompts": "box,1pos,box+1pos"}


def ready(sam: Make, method: str = "frozen", name: str = "sam-vit-b") -> Any:
    model = sam(name)
    prepare_promptable(model, MethodOptions(name=method))
    return model


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trained_tensors(model).items()}


def test_it_learns_these_objects_and_keeps_what_it_must(sam: Make, picture: Make) -> None:
    for name, method in (("sam2.1-hiera-t", "frozen"), ("sam-vit-b", "lora"), ("sam-vit-b", "full")):
        model = ready(sam, method, name)
        before = {key: value.clone() for key, value in model.network.state_dict().items()}
        subjects = subjects_of(*picture(), model.policy, PromptedPlan())[:1]
        plan = PromptedPlan(method=method, epochs=8, batch=1, warmup=1, learning_rate=3e-3, prompts="box")
        history = train_prompted(model, subjects, plan)
        assert len(history) == 8
        assert (history[-1]["loss"] or 1) < 0.9 * (history[0]["loss"] or 0), name
        assert set(history[0]) == {
            "step", "epoch", "loss", "bce", "iou_error", "dice", "learning_rate", "validation_loss", "validation_dice",
        }  # fmt: skip
        after = model.network.state_dict()
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert any("mask_decoder" in key for key in moved)
        assert not any("positional_embedding" in key for key in moved)
        assert any("vision_encoder" in key for key in moved) == (method != "frozen")
        if method == "lora":
            assert all("lora" in key for key in moved if "vision_encoder" in key)


def test_accumulated_batches_take_the_step_of_one_large_batch(sam: Make, picture: Make) -> None:
    """So that batch size and overfitting can be told apart where memory allows small batches only."""
    found = []
    for batch, accumulate in ((4, 1), (2, 2)):
        model = ready(sam, "full")
        subjects = subjects_of(*picture(), model.policy, PromptedPlan())[:4]
        plan = PromptedPlan(
            method="full", batch=batch, accumulate=accumulate, epochs=1, prompts="box", jitter="0px", loss="bce"
        )
        history = train_prompted(model, subjects, plan)
        found.append((history[0]["loss"], weights(model)))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(value, found[1][1][key]) for key, value in found[0][1].items())
    # The oracle: the mean over all objects in one graph, and one plain step of AdamW.
    model, plan = ready(sam, "full"), PromptedPlan(learning_rate=1e-4, prompts="box")
    subjects = subjects_of(*picture(), model.policy, plan)[:4]
    losses = []
    for subject in subjects:
        x, y = (picture()[1] == int(subject.id.split("/")[1])).nonzero()[::-1]
        prompt = Prompt(box=(x.min(), y.min(), x.max() + 1.0, y.max() + 1.0))
        tensors = model.encode(model.pixels(subject.picture.read(subject.window), subject.window))
        answer = model.ask(tensors, subject.window, [prompt], several=False)
        target, counts = subject.target(answer.regions[0], tuple(answer.logits.shape[-2:]))
        losses.append(prompt_loss(
            "bce", answer.logits, answer.scores, torch.from_numpy(target)[None], torch.from_numpy(counts)[None]
        ).total[0])  # fmt: skip
    mean = torch.stack(losses).mean()
    mean.backward()
    trained = trained_tensors(model)
    torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
    torch.optim.AdamW(trained.values(), lr=1e-4 / 10, weight_decay=1e-4).step()
    assert found[0][0] == pytest.approx(mean.item(), rel=1e-5)
    for key, value in weights(model).items():
        torch.testing.assert_close(found[0][1][key], value, rtol=0, atol=3e-6)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(
    sam: Make, picture: Make, tmp_path: Path, stop: int
) -> None:
    plan = PromptedPlan(**{**PLAN, "checkpoint_every": 100, "curriculum": "growing"})

    def run(model: Any, path: Path, on_step: Callable[[Any], None] | None = None) -> Any:
        subjects = subjects_of(*picture(), model.policy, plan)
        kept = subjects_of(*picture(seed=1), model.policy, plan)
        return train_prompted(model, subjects, plan, validation=kept, checkpoint=path, on_step=on_step)

    whole = ready(sam)
    expected = run(whole, tmp_path / "whole")
    assert len(expected) == 4
    assert [row["validation_loss"] is not None for row in expected] == [False, True, False, True]

    def interrupt(row: dict[str, float | None]) -> None:
        if row["step"] == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ready(sam), tmp_path / "half", interrupt)
    model = ready(sam)
    assert run(model, tmp_path / "half") == expected
    assert all(torch.equal(value, weights(whole)[key]) for key, value in weights(model).items())
    other = PromptedPlan(**{**PLAN, "seed": 1})
    with pytest.raises(InputError, match="other settings"):
        train_prompted(ready(sam), subjects_of(*picture(), model.policy, plan), other, checkpoint=tmp_path / "half")


def test_the_weights_of_the_lowest_validation_loss_are_kept(sam: Make, picture: Make) -> None:
    model = ready(sam)
    plan = PromptedPlan(epochs=4, batch=8, warmup=1, learning_rate=0.05, schedule="constant", prompts="box")
    subjects, kept = (subjects_of(*picture(seed=seed), model.policy, plan) for seed in (0, 1))
    after: list[dict[str, torch.Tensor]] = []
    history = train_prompted(model, subjects, plan, validation=kept, on_step=lambda _: after.append(weights(model)))
    losses = [row["validation_loss"] or 0.0 for row in history]
    best = losses.index(min(losses))
    assert best < len(losses) - 1  # so large a rate overshoots
    assert all(torch.equal(value, after[best][key]) for key, value in weights(model).items())


def test_nothing_to_learn_is_refused(sam: Make) -> None:
    with pytest.raises(InputError, match="no outlined object"):
        train_prompted(ready(sam), [], PromptedPlan())


def test_stored_embeddings_change_nothing_and_belong_to_one_encoder(sam: Make, picture: Make, tmp_path: Path) -> None:
    shown, labels = picture()
    cache = EmbeddingCache(tmp_path / "cache", 1 << 30)
    found = []
    for model, kept in ((sam(), None), (sam(), cache), (sam(), cache)):
        plan = PromptedPlan(**PLAN)
        prepare_promptable(model, MethodOptions())
        subjects = subjects_of(shown, labels, model.policy, plan)
        train_prompted(model, subjects, plan, cache=kept)
        found.append(weights(model))
    for other in found[1:]:
        assert all(torch.equal(other[key], value) for key, value in found[0].items())
    window = subjects_of(shown, labels, sam().policy, PromptedPlan())[0].window
    second, names = WindowStore(sam(), live=False, cache=cache), []
    for store in (WindowStore(sam(), live=False), second):
        names.append(store.tensors("p0", window, shown.read))
    assert all(torch.equal(names[0][key], value) for key, value in names[1].items())
    assert {value.dtype for value in names[0].values()} == {torch.float32}
    others = [subject.window for subject in subjects_of(shown, labels, sam().policy, PromptedPlan())[1:]]
    for other_window in others:
        second.tensors("p0", other_window, shown.read)
    assert second.computed == 1  # the first says what the tensors are called; all others were on the disk
    model = sam()
    mark = encoder_fingerprint(model)
    assert mark == encoder_fingerprint(sam())
    with torch.no_grad():
        model.network.mask_decoder.iou_token.weight += 1
        assert encoder_fingerprint(model) == mark
        model.network.vision_encoder.neck.conv1.weight += 1
    assert encoder_fingerprint(model) != mark


def test_memory_is_bounded(sam: Make, picture: Make) -> None:
    model, (shown, labels) = sam(), picture()
    store = WindowStore(model, live=False, memory=1)
    windows = [s.window for s in subjects_of(shown, labels, model.policy, PromptedPlan())[:2]]
    for window in (*windows, *windows, windows[-1]):
        store.tensors("p0", window, shown.read)
    assert store.computed == 4
