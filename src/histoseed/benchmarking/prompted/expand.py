"""From a plan of promptable models to its runs: one run a model, a seed and a set of scored data sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from histoseed.benchmarking.expand import Expansion, Missing, Run, read_entry
from histoseed.benchmarking.lacking import Lacking
from histoseed.benchmarking.needs import Why
from histoseed.benchmarking.parts import Test, group_names, parts_of
from histoseed.benchmarking.prompted.arms import PromptArm
from histoseed.benchmarking.prompted.needs import prompt_arm
from histoseed.benchmarking.prompted.plan import PromptArmEntry, PromptDatasetEntry, PromptPlan
from histoseed.benchmarking.prompted.units import fine_tune, score_prompted
from histoseed.datasets import Dataset
from histoseed.errors import HistoseedError
from histoseed.inference.executors import Unit
from histoseed.workflows.prompt_scores import objects_to_score

__all__ = ["expand_prompts"]


@dataclass(frozen=True, slots=True)
class _Found:
    """A data set that is there.

    Args:
        arguments: What units are told of it: ``data``, ``test`` (None: everything is scored).
        objects: How many are asked for.
    """

    arguments: Mapping[str, Any]
    objects: int


def expand_prompts(plan: PromptPlan, data: Path | str | None = None) -> Expansion[PromptArm]:
    """All runs of a plan: models that are trained come first.

    Args:
        plan: The plan.
        data: Folder that paths of the plan are relative to; what lies beside the plan file is found too.
    """
    made = Expansion[PromptArm]()
    roots = ([] if data is None else [Path(data)]) + [plan.path.parent]
    found = {entry.name: _data(plan, entry, roots, made) for entry in plan.datasets}
    needs = {"GPU": 1.0} if plan.protocol.gpu else {}
    known: set[str] = set()
    for entry in plan.arms:
        tests = entry.tests or tuple(found)
        for choice in _choices(entry):
            for run in _runs(plan, entry, choice, tests, found, made, roots, needs):
                if run.unit.key not in known:
                    known.add(run.unit.key)
                    made.runs.append(run)
    made.models = {run.model.key: run.model for run in made.runs if run.model is not None}
    return made


def _data(
    plan: PromptPlan, entry: PromptDatasetEntry, roots: Sequence[Path], made: Expansion[PromptArm]
) -> _Found | Lacking | str:
    """The data set, or why it is missing."""
    test = Test(
        share=plan.protocol.test_share, seed=plan.protocol.split_seed, fold=entry.test_fold, split=entry.test_split
    )
    try:
        read = read_entry(entry, roots, made)
        if isinstance(read, Lacking):
            return read
        whole, arguments = read
        scored, how = whole, "everything is scored"
        if entry.scored == "test":
            parts = parts_of(whole, test)
            scored, how = parts.test, parts.how
        count = _objects(plan, scored)
    except HistoseedError as error:
        return str(error)
    made.facts[entry.name] = {
        "path": made.places[arguments["fingerprint"]], "split": how, "train_patches": len(whole) - len(scored),
        "test_patches": len(scored), "test_groups": len(set(group_names(scored))), "objects": count,
    }  # fmt: skip
    return _Found({"data": arguments, "test": asdict(test) if entry.scored == "test" else None}, count)


def _objects(plan: PromptPlan, scored: Dataset) -> int:
    chosen = objects_to_score(
        scored, every=plan.protocol.every, max_objects=plan.protocol.objects, seed=plan.protocol.split_seed
    )
    return sum(map(len, chosen.values()))


def _choices(entry: PromptArmEntry) -> Iterator[dict[str, Any]]:
    """Every combination of the lists of an arm; what is not trained has no training."""
    for model, fusion, method in itertools.product(entry.model, entry.fusion, entry.method):
        fused = {"model": model, "fusion": fusion, "method": method}
        histologies = entry.histology if fusion != "none" else (None,)
        trainings = itertools.product(entry.train, entry.prompts or (None,), entry.loss or (None,), entry.patches)
        for histology, (train, prompts, loss, patches) in itertools.product(
            histologies, trainings if method != "none" else [(None,) * 4]
        ):
            yield {
                **fused, "histology": histology, "train": train, "prompts": prompts, "loss": loss, "patches": patches
            }  # fmt: skip


def _runs(  # noqa: PLR0917 - one caller
    plan: PromptPlan,
    entry: PromptArmEntry,
    choice: Mapping[str, Any],
    tests: Sequence[str],
    found: Mapping[str, _Found | Lacking | str],
    made: Expansion[PromptArm],
    roots: Sequence[Path],
    needs: Mapping[str, float],
) -> Iterator[Run[PromptArm]]:
    """The runs of one model; what is missing goes to ``made``."""
    seeds = plan.protocol.seeds
    named = " + ".join(tests)

    def lacking(arm: Mapping[str, Any], why: str, lacks: Lacking | None, *, stops: bool = True) -> None:
        if lacks is not None:
            made.lacking[lacks] = made.lacking.get(lacks, 0) + seeds
        if stops:
            made.missing.append(Missing(arm, named, why, seeds))

    shown = {key: value for key, value in choice.items() if value is not None}
    try:
        arm = prompt_arm(entry, choice, made.places, roots)
    except Why as reason:
        lacking(shown, str(reason), reason.lacks)
        return
    there: dict[str, _Found] = {}
    for name in dict.fromkeys((*arm.train, *tests)):
        one = found[name]
        if isinstance(one, Lacking):
            lacking(arm.facts, one.why, one)
            return
        if isinstance(one, str):
            lacking(arm.facts, f"{name}: {one}", None)
            return
        there[name] = one
    twin = _twin(arm.train, tests, there)
    if twin is not None:
        lacking(arm.facts, f"{twin[0]} and {twin[1]} are one data set: what is trained on would be scored.", None)
        return
    taught, scored = [there[name].arguments for name in arm.train], [there[name] for name in tests]
    for seed in range(seeds):
        model = _model(plan, arm, taught, seed, needs)
        arguments = {
            "datasets": [one.arguments for one in scored], "arm": asdict(arm), "seed": seed,
            "model": None if model is None else model.key,
            "conditions": [asdict(condition) for condition in plan.conditions], "scoring": _scoring(plan),
        }  # fmt: skip
        budget = {"unit": "objects", "asked": sum(one.objects for one in scored)}
        yield Run(Unit.of(score_prompted, arguments, needs=needs), arm, named, budget, model)


def _twin(train: Sequence[str], tests: Sequence[str], there: Mapping[str, _Found]) -> tuple[str, str] | None:
    """A data set that is trained on and one that is scored, which are the same under two names."""
    marks = {name: there[name].arguments["data"]["fingerprint"] for name in (*train, *tests)}
    pairs = itertools.product(train, tests)
    return next((pair for pair in pairs if pair[0] != pair[1] and marks[pair[0]] == marks[pair[1]]), None)


def _model(
    plan: PromptPlan, arm: PromptArm, taught: Sequence[Mapping[str, Any]], seed: int, needs: Mapping[str, float]
) -> Unit | None:
    """The unit that trains the model of an arm."""
    if arm.method is None:
        return None
    share = plan.protocol.validation_share / (1 - plan.protocol.test_share)
    arguments = {"datasets": list(taught), "arm": asdict(arm), "seed": seed, "validation_share": round(share, 6)}
    key = Unit.of(fine_tune, arguments).key
    return Unit.of(fine_tune, {"key": key, **arguments}, key=key, needs=needs)


def _scoring(plan: PromptPlan) -> dict[str, Any]:
    """How objects are asked for, as units take it."""
    names = ("objects", "every", "windows", "rules", "shapes", "cases", "resamples", "split_seed")
    return {name: getattr(plan.protocol, name) for name in names}
