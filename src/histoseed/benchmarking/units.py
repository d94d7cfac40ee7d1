"""The two kinds of units of a benchmark: train a model that runs start from; adapt and score.

Their arguments are names, numbers and fingerprints, so that the key of a unit says what was done and not where. Where
the data lie is read from ``places.json`` of the folder of results.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histoseed.benchmarking.arms import Arm, Places, adapt_options, start_of
from histoseed.benchmarking.measuring import Measured, peak_bytes, start_of_peak
from histoseed.benchmarking.parts import Parts, Test, group_names, parts_of
from histoseed.benchmarking.seen import seen_by
from histoseed.benchmarking.view import viewed, with_classes
from histoseed.datasets import OBJECT_KINDS, Dataset, read_dataset
from histoseed.encoders import get_card
from histoseed.errors import DatasetError, OutputError
from histoseed.inference.executors import unit_function
from histoseed.licences import commercial_use, most_restrictive
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.evaluation import Evaluation
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.models import choose_device, load_model, model_folder

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["RESULT_VERSION", "adapt_and_score", "read_places", "train_model"]

RESULT_VERSION = 1
"""Version of the results; folders of another one are refused."""

_SCORES = (
    *("pq", "dq", "sq", "pq_pooled", "aji", "aji_plus", "dice"),
    *("f1_detection", "precision_detection", "recall_detection", "mpq", "mpq_plus", "accuracy_classes"),
)
_GROUP_SCORES = ("pq", "aji", "f1_detection", "dice", "mpq")
_RENAMED = {"mf1": "f1_class_mean"}


def read_places(folder: Path) -> Places:
    """What ``places.json`` says.

    Raises:
        OutputError: it is missing or damaged.
    """
    path = folder / "places.json"
    try:
        return Places(folder, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise OutputError(f"It cannot be read ({error}).", where=path, fix="Run the plan again with --data.") from error


@unit_function
def train_model(
    folder: Path,
    *,
    key: str,
    name: str,
    dataset: Mapping[str, Any],
    test: Mapping[str, Any],
    arm: Mapping[str, Any],
    task: str,
    patches: int | str,
    draw: int,
    seed: int,
) -> dict[str, Any]:
    """Train a model on the training part of a data set and leave it in ``models/<key>``.

    Args:
        folder: The folder of results.
        key: Name of the model's folder.
        name: Name of the model in the plan.
        dataset: Name, fingerprint, class map and resolution of the data set.
        test: Fields of :class:`Test`.
        arm: Fields of :class:`Arm`.
        task: ``instance`` or ``semantic``.
        patches: How many annotated patches; ``all``.
        draw: Seed of the draw.
        seed: Seed of the training.
    """
    places = read_places(folder)
    parts = _parts(places, dataset, test)
    options = adapt_options(Arm(**arm), places)
    if task != "instance":
        options |= {"task": task, "decoder": None}
    out = folder / "models" / key
    if (out / "model.json").is_file():  # finished, and killed before its record was written
        shutil.rmtree(out)
    how = {
        "patches": None if patches == "all" else patches, "draw": draw, "seed": seed, "mpp": dataset["mpp"],
        "name": name, **options,
    }  # fmt: skip
    with Measured() as took:
        try:
            model = adapt(parts.train, out=out, **how)
        except OutputError:  # what another version left there half done
            model = adapt(parts.train, out=out, overwrite=True, **how)
    card = model.card
    return {
        "version": RESULT_VERSION, "model": key, "name": name, "train_seconds": took.seconds,
        "patches": card.data[-1].patches, "nuclei": card.data[-1].instances, "groups": list(card.data[-1].groups),
    }  # fmt: skip


@unit_function
def adapt_and_score(
    folder: Path,
    *,
    dataset: Mapping[str, Any],
    test: Mapping[str, Any],
    arm: Mapping[str, Any],
    budget: Mapping[str, Any],
    draw: int,
    seed: int,
    protocol: str,
    resamples: int,
) -> dict[str, Any]:
    """One run: adapt to a few annotated patches of the training part, score on the test part.

    Args:
        folder: The folder of results.
        dataset: Name, fingerprint, class map and resolution of the data set.
        test: Fields of :class:`Test`.
        arm: Fields of :class:`Arm`.
        budget: ``unit`` (patches or nuclei) and ``asked`` (a number or ``all``).
        draw: Seed of the draw of the patches.
        seed: Seed of the training.
        protocol: Of the scores.
        resamples: Of the intervals.

    Returns:
        A result, see ``docs/benchmark.md``.
    """
    places, chosen = read_places(folder), Arm(**arm)
    parts = _parts(places, dataset, test)
    device = choose_device("auto")
    work = folder / "work" / _digest([dataset, test, arm, budget, draw, seed])
    shutil.rmtree(work, ignore_errors=True)  # of a worker that was killed
    start_of_peak(device)
    try:
        with Measured() as training:
            model, annotated = _adapted(parts, chosen, places, work, budget, draw, seed, dataset["mpp"])
        scored = viewed(parts.test, window_um=test["um"], mpp=dataset["mpp"])
        with Measured() as evaluating:
            found = evaluate(
                scored, model=model, protocol=protocol, mpp=dataset["mpp"], resamples=resamples,
                classes=_comparable(model, scored), device=device,
            )  # fmt: skip
        peak = peak_bytes(device)
        assert isinstance(found, Evaluation)  # noqa: S101 - models of runs find nuclei
    finally:
        shutil.rmtree(work, ignore_errors=True)
    steps = 0 if budget["asked"] == 0 else model.card.training.get("steps")
    cost = {
        "train_seconds": training.seconds, "evaluate_seconds": evaluating.seconds, "peak_memory_bytes": peak,
        **_parameters(model, trained=budget["asked"] != 0), "steps": steps, "device": device,
    }  # fmt: skip
    return {
        "version": RESULT_VERSION,
        **_facts_of_data(parts, dataset),
        **chosen.facts,
        "random_weights": chosen.random_weights,
        "task": "instance",
        "budget": dict(budget),
        **annotated,
        "draw": draw,
        "seed": seed,
        "scored": _scored(parts.test),
        "protocol": protocol,
        **_scores(found),
        "cost": cost,
        **_rights(chosen, places, model, parts.test),
    }


def _parts(places: Places, dataset: Mapping[str, Any], test: Mapping[str, Any]) -> Parts:
    """Both parts of a data set, with the classes of the plan.

    Raises:
        DatasetError: the data set has been changed since the run was planned.
    """
    path = places.find(dataset["fingerprint"], f"the data set {dataset['name']}")
    data = read_dataset(path)
    if fingerprint(path) != dataset["fingerprint"]:
        fix = "Run the plan again; changed data are new runs."
        raise DatasetError("The data set has been changed since the run was planned.", where=path, fix=fix)
    return parts_of(with_classes(data, dataset), Test(**test))


def _adapted(  # noqa: PLR0917 - one caller
    parts: Parts,
    arm: Arm,
    places: Places,
    work: Path,
    budget: Mapping[str, Any],
    draw: int,
    seed: int,
    mpp: float | None,
) -> tuple[Segmenter, dict[str, Any]]:
    """The model that is scored, and what it was adapted on."""
    if budget["asked"] == 0:
        model = load_model(start_of(arm, places) or "bundled")
        nothing = {"patches": 0, "nuclei": 0, "annotated": [], "kinds": dict.fromkeys(OBJECT_KINDS, 0)}
        return model, nothing | {"trained": "nothing: the start was scored as it is"}
    asked = None if budget["asked"] == "all" else budget["asked"]
    options = adapt_options(arm, places) | {budget["unit"]: asked}
    model = adapt(parts.train, out=work, draw=draw, seed=seed, mpp=mpp, overwrite=True, **options)
    made = json.loads((work / "run.json").read_text("utf-8"))["results"]
    last = model.card.data[-1]
    return model, {
        "patches": last.patches, "nuclei": last.instances, "annotated": made["patches"], "kinds": made["kinds"],
        "trained": made["trained"],
    }  # fmt: skip


def _scored(test: Dataset) -> str:
    if test.instances["label"].is_not_null().any():
        return "outlines: instances by overlap, detections by distance, classes where both sides have them"
    return "points: detections by distance, classes where both sides have them"


def _comparable(model: Segmenter, data: Dataset) -> bool:
    """Whether the classes of a start as it is are among those of the data set."""
    return set(model.card.class_names) <= {c.name for c in data.classes}


def _parameters(model: Segmenter, *, trained: bool) -> dict[str, int]:
    from histoseed.segmenters.methods import trainable_parameters  # noqa: PLC0415 - imports torch

    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": trainable_parameters(model) if trained else 0,
    }


def _facts_of_data(parts: Parts, dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": dataset["name"],
        "dataset_fingerprint": dataset["fingerprint"],
        "test_groups": parts.test_groups,
        "train_groups": len(set(group_names(parts.train))),
        "test_patches": len(parts.test),
        "split": parts.how,
    }


def _scores(found: Evaluation) -> dict[str, Any]:
    """Scores, intervals, scores of each test group and of each class."""
    values, intervals = found.scores, found["intervals"]
    keys = [*_SCORES, *_RENAMED]
    rows = found.accumulator.rows
    names = np.array([group or patch for group, patch in zip(rows.group, rows.patch_id, strict=True)], dtype=object)
    groups = {}
    for name in sorted(set(names)):
        of_group = found.accumulator.scores_of(rows[np.flatnonzero(names == name)])
        groups[str(name)] = {key: of_group.get(key) for key in _GROUP_SCORES}
    truth = found.accumulator.confusion().sum(axis=1)
    classes = {
        name: {"pq": values.get(f"pq_{name}"), "f1_detection": values.get(f"f1_{name}"), "instances": int(truth[i])}
        for i, name in enumerate(found.accumulator.classes, start=1)
    }
    return {
        "scores": {_RENAMED.get(key, key): values.get(key) for key in keys},
        "intervals": {_RENAMED.get(key, key): intervals[key] for key in keys if intervals.get(key)},
        "groups": groups,
        "classes": classes,
    }


def _rights(arm: Arm, places: Places, model: Segmenter, test: Dataset) -> dict[str, Any]:
    """Licences, and whether the scored patches were seen before."""
    from histoseed.segmenters import read_card  # noqa: PLC0415 - imports torch

    entry = model.card.encoder
    start = start_of(arm, places)
    if start is None and arm.model is not None:
        start = places.model(arm.model)
    elif start is None and arm.weights == "bundled":
        start = "bundled"
    before = [] if start is None else [read_card(model_folder(start))]
    data_use = commercial_use(test.info.licence)
    uses = {entry.commercial, data_use, *(one.commercial for one in model.card.data)}
    weights = before[0].encoder.weights if before else arm.weights
    seen = seen_by(test, encoder=get_card(entry.name), weights=weights, models=before)
    return {
        "licence": {"encoder": entry.licence, "dataset": test.info.licence, "commercial": most_restrictive(list(uses))},
        "seen": seen.answer,
        "seen_why": seen.why,
        "seen_related": list(seen.related),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=dict).encode()).hexdigest()[:20]
