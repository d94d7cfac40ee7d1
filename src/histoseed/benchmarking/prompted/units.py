"""The two kinds of units of a benchmark of promptable models: fine-tune one; point at objects and score its answers.

As in :mod:`histoseed.benchmarking.units` their arguments are names, numbers and fingerprints: the key of a unit says
what was done, not where and for which plan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from histoseed.benchmarking.arms import Places
from histoseed.benchmarking.measuring import Measured
from histoseed.benchmarking.parts import Test, parts_of
from histoseed.benchmarking.prompted.arms import PromptArm, load_arm, training_options
from histoseed.benchmarking.prompted.pictures import draw_cases
from histoseed.benchmarking.prompted.rows import RunFacts, result_of
from histoseed.benchmarking.units import read_places
from histoseed.benchmarking.view import with_classes
from histoseed.datasets import Dataset, read_dataset
from histoseed.errors import DatasetError, OutputError
from histoseed.inference.executors import unit_function
from histoseed.workflows.adaptation.prompted import adapt_prompts
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.models import choose_device
from histoseed.workflows.prompt_scores import score_prompts
from histoseed.workflows.prompting.conditions import Condition

__all__ = ["fine_tune", "score_prompted"]


@unit_function
def fine_tune(
    folder: Path,
    *,
    key: str,
    datasets: Sequence[Mapping[str, Any]],
    arm: Mapping[str, Any],
    seed: int,
    validation_share: float,
) -> dict[str, Any]:
    """Fine-tune a promptable model on the training parts of data sets and leave it in ``models/<key>``.

    Args:
        folder: The folder of results.
        key: Name of the model's folder.
        datasets: ``data`` (name, fingerprint, class map, resolution) and ``test`` (fields of :class:`Test`) of each.
        arm: Fields of :class:`PromptArm`.
        seed: Of the draw of patches and of the training.
        validation_share: Share of the training parts' objects that weights are chosen by; 0 takes the last ones.
    """
    places = read_places(folder)
    chosen = _arm(arm)
    parts = [parts_of(_data(places, one["data"]), Test(**one["test"])).train for one in datasets]
    out = folder / "models" / key
    if (out / "model.json").is_file():  # finished, and killed before its record was written
        shutil.rmtree(out)
    # Said also where nothing is kept apart: a recipe would deal shares out of its own, and leave some of it unused.
    how = {
        "seed": seed, "mpp": _common_mpp(datasets), "name": chosen.label,
        "shares": (1 - validation_share, validation_share, 0.0), **training_options(chosen, places),
    }  # fmt: skip
    with Measured() as took:
        try:
            model = adapt_prompts(parts, out=out, **how)
        except OutputError:  # what another version left there half done
            model = adapt_prompts(parts, out=out, overwrite=True, **how)
    made = json.loads((out / "run.json").read_text("utf-8"))["results"]
    return {"model": key, "name": model.name, "seconds": took.seconds, "objects": made["objects"]}


@unit_function
def score_prompted(
    folder: Path,
    *,
    datasets: Sequence[Mapping[str, Any]],
    arm: Mapping[str, Any],
    model: str | None,
    seed: int,
    conditions: Sequence[Mapping[str, Any]],
    scoring: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """One run: a model is asked for the objects of the test parts under every condition of the plan.

    Args:
        folder: The folder of results.
        datasets: ``data`` and ``test`` of each, as in :func:`fine_tune`; ``test`` None scores everything.
        arm: Fields of :class:`PromptArm`.
        model: Key of the model that was trained for it; None: it answers as it is.
        seed: Of the simulated users.
        conditions: Fields of :class:`Condition`.
        scoring: ``objects``, ``every``, ``windows``, ``rules``, ``shapes``, ``cases``, ``resamples``, ``split_seed``.

    Returns:
        A :class:`PromptResult` as JSON for each condition; its plan and preset are those of whoever asks.
    """
    places, chosen = read_places(folder), _arm(arm)
    sets = [_scored(places, one) for one in datasets]
    trained = None if model is None else places.model(model)
    device = choose_device("auto")
    with Measured() as took:
        answerer = load_arm(chosen, places, trained)
        found = score_prompts(
            sets, answerer, conditions=[Condition(**condition) for condition in conditions], every=scoring["every"],
            max_objects=scoring["objects"], shared_windows=scoring["windows"] == "shared", rules=scoring["rules"],
            shapes=scoring["shapes"], mpp=_common_mpp(datasets), seed=seed, draw=scoring["split_seed"],
        )  # fmt: skip
    run = RunFacts(
        arm=chosen, model=answerer, trained=trained, seed=seed, resamples=scoring["resamples"], device=device,
        seconds=took.seconds, windows=scoring["windows"],
    )  # fmt: skip
    rows = []
    for one in found.conditions:
        cases = draw_cases(sets, one, folder, seed=seed, mpp=_common_mpp(datasets)) if scoring["cases"] else ()
        rows.append(result_of(one, found, run, cases).as_json())
    return rows


def _arm(fields: Mapping[str, Any]) -> PromptArm:
    return PromptArm(**{**fields, "train": tuple(fields["train"])})


def _data(places: Places, told: Mapping[str, Any]) -> Dataset:
    """A data set with the name, the classes and, where its pictures state none, the resolution of the plan.

    Raises:
        DatasetError: it has been changed since the run was planned.
    """
    path = places.find(told["fingerprint"], f"the data set {told['name']}")
    data = read_dataset(path)
    if fingerprint(path) != told["fingerprint"]:
        fix = "Run the plan again; changed data are new runs."
        raise DatasetError("The data set has been changed since the run was planned.", where=path, fix=fix)
    own = pl.col("image").str.starts_with("images/")  # an area of a slide is read at the resolution of the slide
    assumed = pl.when(own).then(pl.lit(told["mpp"], dtype=pl.Float64))
    patches = data.patches.with_columns(mpp=pl.coalesce("mpp", assumed))
    return with_classes(replace(data, info=replace(data.info, name=told["name"]), patches=patches), told)


def _common_mpp(datasets: Sequence[Mapping[str, Any]]) -> float | None:
    """The resolution to assume for areas of slides, if all data sets agree."""
    told = {one["data"]["mpp"] for one in datasets}
    return told.pop() if len(told) == 1 else None


def _scored(places: Places, one: Mapping[str, Any]) -> Dataset:
    """The part of a data set that is scored."""
    whole = _data(places, one["data"])
    return whole if one["test"] is None else parts_of(whole, Test(**one["test"])).test
