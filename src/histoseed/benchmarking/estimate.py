"""What the runs that are left will cost, from finished runs or from a short measurement.

A run costs the seconds of an equal arm on the same data set where one is finished in the folder of results: the median
of those with the nearest number of patches. Else it costs what a short measurement here says: one crop through the
encoder, one optimiser step, one crop predicted, each on noise; the three times are multiplied by how often they happen.
Reading data, plots and the bootstrap are taken as a second a run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoseed.benchmarking.arms import Arm
from histoseed.benchmarking.expand import Expansion, Run
from histoseed.encoders import get_card
from histoseed.inference.executors import Unit
from histoseed.inference.executors.outcome import read_outcome
from histoseed.wording import agreed, counted
from histoseed.workflows.adapt import MODEL_MPP, default_plan
from histoseed.workflows.models import choose_dtype
from histoseed.workflows.progress import Progress

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["Estimate", "estimate_cost"]

_LARGEST = 120_000_000
"""Parameters of an encoder above which nothing is measured here."""

_OVERHEAD = 1.0
"""Seconds of a run besides the network."""

_KEPT = 16
"""Crops that are looked at when the quality of the fit is measured."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to pay.

    Args:
        seconds: Of one worker, of all runs whose cost is known.
        how: Where the numbers come from, sentences.
        unknown: Runs without an estimate.
        by_run: Key of a run -> seconds.
    """

    seconds: float
    how: list[str]
    unknown: int
    by_run: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Speed:
    """Seconds for one crop through the encoder, one optimiser step, one crop predicted."""

    encode: float
    step: float
    predict: float


def estimate_cost(
    runs: Sequence[Run[Arm]],
    models: Sequence[Unit],
    made: Expansion[Arm],
    folder: Path | None,
    *,
    limit: float,
    progress: Progress,
) -> Estimate:
    """Seconds of the runs that are left.

    Args:
        runs: Those.
        models: Models that must be trained before; they are not in the sum.
        made: The whole plan.
        folder: Results.
        limit: Most seconds of measuring.
        progress: Told about every measurement.
    """
    paid = _paid(made, folder)
    by_run: dict[str, float] = {}
    open_runs: dict[tuple[Any, ...], list[Run[Arm]]] = {}
    for run in runs:
        known = _like(run, paid)
        if known is None:
            open_runs.setdefault(_class_of(run.arm), []).append(run)
        else:
            by_run[run.unit.key] = known
    from_results = len(by_run)
    measured, slow = _measure(open_runs, made, limit, progress)
    for key, group in open_runs.items():
        if key in measured:
            by_run |= {run.unit.key: _price(run, measured[key], made) for run in group}
    how = []
    if from_results:
        how.append(f"{counted(from_results, 'run')} from the times of finished runs of the same arm and data set.")
    if measured:
        count = len(by_run) - from_results
        how.append(
            f"{counted(count, 'run')} from one encoded crop, one step and one predicted crop of each of "
            f"{counted(len(measured), 'kind of arm', 'kinds of arms')}, "
            f"measured here in {slow:.0f} s."
        )
    if len(by_run) < len(runs):
        reason = "their encoders are too large or their weights are not here" if limit > 0 else "nothing was measured"
        unknown = agreed("{count} {run is|runs are} not estimated", len(runs) - len(by_run))
        how.append(f"{unknown}: {reason}, or the time for measuring was over.")
    if models:
        how.append(
            agreed("{count} {model that is|models that are} trained first {is|are} not in the sum.", len(models))
        )
    if not runs:
        how.append("Every run that can be made is done." if made.runs else "No run of the plan can be made.")
    return Estimate(round(sum(by_run.values()), 1), how, len(runs) - len(by_run), by_run)


def _class_of(arm: Arm) -> tuple[Any, ...]:
    """Arms of one class cost the same a step."""
    return (arm.encoder, arm.decoder, arm.method, arm.batch, arm.classifier, str(sorted(arm.options.items())))


def _paid(made: Expansion[Arm], folder: Path | None) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Arm and data set -> (patches, seconds) of finished runs."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    if folder is None:
        return found
    for run in made.runs:
        outcome = read_outcome(folder, run.unit)
        if outcome is not None and outcome.ok:
            pairs = found.setdefault((str(sorted(asdict(run.arm).items())), run.dataset), [])
            pairs.append((float(outcome.result["patches"]), outcome.seconds))
    return found


def _like(run: Run[Arm], paid: Mapping[tuple[str, str], list[tuple[float, float]]]) -> float | None:
    """Median seconds of the finished runs whose number of patches is nearest; none where only zero shot is known."""
    pairs = paid.get((str(sorted(asdict(run.arm).items())), run.dataset), [])
    asked = run.budget["asked"]
    wanted = 1e9 if asked == "all" else float(asked)
    pairs = [pair for pair in pairs if (pair[0] == 0) == (wanted == 0)]
    if not pairs or run.budget["unit"] != "patches":
        return None
    nearest = min(abs(patches - wanted) for patches, _ in pairs)
    return statistics.median(seconds for patches, seconds in pairs if abs(patches - wanted) == nearest)


def _measure(
    groups: Mapping[tuple[Any, ...], list[Run[Arm]]], made: Expansion[Arm], limit: float, progress: Progress
) -> tuple[dict[tuple[Any, ...], _Speed], float]:
    """Speeds by class of arms, those of most runs first, and the seconds that it took."""
    begin = time.perf_counter()
    found: dict[tuple[Any, ...], _Speed] = {}
    if not groups or limit <= 0:
        return found, 0.0
    progress.start(len(groups), "arms", "Measuring the cost of a step")
    for key, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        if time.perf_counter() - begin > limit:
            break
        speed = _speed_of(group[0].arm)
        if speed is not None:
            found[key] = speed
        progress.advance(1)
    progress.done()
    del made
    return found, time.perf_counter() - begin


def _speed_of(arm: Arm) -> _Speed | None:
    """Speeds on noise; None where the network is too large to be tried here."""
    import torch  # noqa: PLC0415 - only where something is measured

    from histoseed.training import Picture, TrainingPlan, train  # noqa: PLC0415

    model = _network(arm)
    if model is None:
        return None
    rng = np.random.default_rng(0)
    side = model.card.crop
    labels = np.zeros((side, side), dtype=np.int32)
    for i in range(36):
        y, x = 8 + 40 * (i // 6), 8 + 40 * (i % 6)
        labels[y : y + 24, x : x + 24] = i + 1
    picture = Picture(rng.integers(0, 255, (side, side, 3)).astype(np.uint8), labels)
    batch = arm.batch or TrainingPlan().batch
    images = torch.from_numpy(picture.image).permute(2, 0, 1)[None].float() / 255
    times: list[float] = []
    plan = TrainingPlan(steps=3, batch=batch, method=arm.method, views=1, report_every=100)  # type: ignore[arg-type]
    dtype = choose_dtype("auto", "cpu")
    train(model, [picture], plan, dtype=dtype, on_step=lambda _: times.append(time.perf_counter()))
    with torch.inference_mode():
        encode = _seconds(lambda: model.encoder(images))
    return _Speed(encode, times[1] - times[0], _seconds(lambda: model.predict(images, dtype=dtype)))


def _seconds(action: Any) -> float:
    """The second of two calls."""
    action()
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _network(arm: Arm) -> Segmenter | None:
    """A network like that of the arm, with random weights."""
    from histoseed._version import __version__  # noqa: PLC0415
    from histoseed.encoders import build_encoder  # noqa: PLC0415 - imports torch
    from histoseed.segmenters import EncoderEntry, MethodOptions, ModelCard, Segmenter, kind_of, prepare  # noqa: PLC0415

    if arm.encoder.startswith("model:") or arm.weights == "path":
        return None
    card = get_card(arm.encoder)
    if card.params is not None and card.params > _LARGEST:
        return None
    built = build_encoder(card, weights="random", image_size=256)
    if sum(p.numel() for p in built.parameters()) > _LARGEST:
        return None
    kind = kind_of(arm.decoder)
    parts = arm.parts
    method = MethodOptions(**{**parts["method"], "name": arm.method})
    entry = EncoderEntry(name=arm.encoder, weights="random", frozen=arm.method == "frozen")
    decoder = kind.entry(**parts["decoder"])
    made = ModelCard(
        histoseed=__version__, name="estimate", mpp=MODEL_MPP, encoder=entry, decoder=decoder, method=method,
        postprocessing=kind.processing(),
    )  # fmt: skip
    return Segmenter(prepare(built, arm.method, method), made)


def _price(run: Run[Arm], speed: _Speed, made: Expansion[Arm]) -> float:
    """Seconds of a run from the three times."""
    from histoseed.segmenters.methods import STORING  # noqa: PLC0415 - imports torch

    facts = made.facts[run.dataset]
    asked = run.budget["asked"]
    trained = run.arm.source != "none"
    plan = default_plan(trained=trained, steps=run.arm.steps, batch=run.arm.batch)
    test = run.unit.arguments["test"]
    crops: float = facts["test_mm2"] * 1e6 / 64**2 if test["um"] is None else (test["um"] / 64) ** 2
    seconds: float = _OVERHEAD + facts["test_patches"] * max(1.0, crops) * speed.predict
    if asked == 0:
        return seconds
    patches = facts["crops"] if asked == "all" or run.budget["unit"] == "nuclei" else min(asked, facts["crops"])
    if run.arm.method in STORING:
        seconds += patches * plan.views * speed.encode
    reports = plan.steps // plan.report_every + 2
    fit: float = reports * min(patches, _KEPT) * speed.predict
    return seconds + plan.steps * speed.step + fit
