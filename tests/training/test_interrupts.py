"""Ctrl-C and SIGTERM in the middle of a training: nothing is lost, and the result stays the same to the byte."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from histoseed.encoders import build_encoder
from histoseed.segmenters import ClassEntry, DecoderEntry, EncoderEntry, ModelCard, Segmenter
from histoseed.training import Picture, TrainingPlan, train
from histoseed.training.interrupts import Interrupts
from histoseed.training.loop import _State
from histoseed.training.measuring import Gauge

PLAN = TrainingPlan(steps=6, batch=1, crop=64, warmup=2, views=2, report_every=2, checkpoint_every=1000, method="full")


def press() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def make_model() -> Segmenter:
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=(ClassEntry(name="a"),),
        mpp=0.5,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=DecoderEntry(widths=(8, 8, 8, 8), image_widths=(4, 4)),
    )
    torch.manual_seed(0)
    return Segmenter(build_encoder("bundled", weights="random", seed=0, image_size=64), card)


def square(seed: int) -> Picture:
    """One dark square on a pale ground."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((80, 80), np.int32)
    labels[30:50, 20:44] = 1
    image = np.where(labels[..., None] > 0, 90, 220) + rng.normal(0, 6, (80, 80, 3))
    return Picture(image.clip(0, 255).astype(np.uint8), labels, np.array([0, 1]))


def run(path: Path | None = None, on_step: Callable[[Any], None] | None = None) -> tuple[Segmenter, Any]:
    model = make_model()
    return model, train(model, [square(1)], PLAN, validation=[square(2)], checkpoint=path, on_step=on_step)


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, torch.Tensor], Any]:
    """Weights and history of a run that nobody disturbs."""
    model, history = run()
    return model.state_dict(), history


def at_call(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: int) -> None:
    """Press Ctrl-C when a method has done its work for the numbered time."""
    original, calls = getattr(owner, name), []

    def watched(*arguments: Any, **more: Any) -> Any:
        out = original(*arguments, **more)
        calls.append(1)
        if len(calls) == number:
            press()
        return out

    monkeypatch.setattr(owner, name, watched)


@pytest.mark.parametrize(
    ("owner", "name", "number", "kept"),
    [
        (Segmenter, "decode", 2, 1),  # batch normalisation has seen the batch, and will see it again
        (Segmenter, "decode", 3, 2),  # while the second step is measured
        (torch.optim.AdamW, "step", 3, 3),  # the weights have changed, their average has not
        (_State, "average", 3, 3),  # the average has changed, the history has not
        (_State, "_swap", 1, 2),  # the model has the averaged weights
        (_State, "_swap", 2, 2),  # the model has its own weights again
        (Gauge, "score", 2, 4),  # measured, and not yet written down
        (_State, "keep_best", 2, 4),
        (_State, "save", 1, 6),  # after the last step
    ],
)
def test_wherever_it_comes_the_run_ends_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Any, owner: type, name: str, number: int, kept: int
) -> None:
    path = tmp_path / "c.safetensors"
    with monkeypatch.context() as patch:
        at_call(patch, owner, name, number)
        with pytest.raises(KeyboardInterrupt):
            run(path)
    steps: list[int] = []
    resumed, history = run(path, lambda row: steps.append(row["step"]))
    assert history == whole[1]
    for key, value in resumed.state_dict().items():
        assert torch.equal(value, whole[0][key]), key
    assert [step for step in steps if step > kept] == list(range(kept + 1, 7))  # all that was done stays done
    assert len(steps) <= 7 - kept  # at most the last one is told again


def test_impatience_does_not_cost_the_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Any) -> None:
    path = tmp_path / "c.safetensors"
    with monkeypatch.context() as patch:
        at_call(patch, _State, "_identity", 1)  # a second Ctrl-C, while the first one is answered

        def stop(row: Any) -> None:
            if row["step"] == 3:
                press()

        with pytest.raises(KeyboardInterrupt):
            run(path, stop)
    resumed, history = run(path)
    assert history == whole[1]
    assert torch.equal(resumed.state_dict()["decoder.head.weight"], whole[0]["decoder.head.weight"])


def test_before_the_first_step_there_is_nothing_to_keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at_call(monkeypatch, Segmenter, "decode", 1)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_what_is_held_back_comes_at_the_end_and_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    done = []

    def held(what: str, *, pressed: bool) -> None:
        with interrupts.held():
            if pressed:
                press()
            done.append(what)

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            held("first", pressed=True)
        held("second", pressed=False)
        with pytest.raises(KeyboardInterrupt):
            press()
    assert done == ["first", "second"]
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_is_held_where_somebody_answers_it() -> None:
    class Ended(KeyboardInterrupt):
        pass

    def answer(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, answer)
    try:
        with Interrupts() as interrupts, pytest.raises(Ended), interrupts.held():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_train_too(whole: Any) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run()[1]))
    thread.start()
    thread.join()
    assert found == [whole[1]]
