"""From a plan to its runs: the cross product, and the reason for everything that cannot be run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from histoseed.benchmarking.arms import Arm
from histoseed.benchmarking.lacking import Lacking, lacking_dataset
from histoseed.benchmarking.needs import Trained, Why, arm_of, located
from histoseed.benchmarking.parts import Parts, Test, parts_of
from histoseed.benchmarking.plan import CLASS_SCORES, ArmEntry, DatasetEntry, ModelEntry, Plan
from histoseed.benchmarking.plan_files import Count
from histoseed.benchmarking.units import adapt_and_score, train_model
from histoseed.benchmarking.view import with_classes
from histoseed.datasets import Dataset, annotated_crops, read_dataset
from histoseed.datasets.mappings import read_class_map, resolve
from histoseed.errors import HistoseedError
from histoseed.inference.executors import Unit
from histoseed.wording import counted
from histoseed.workflows.fingerprints import fingerprint

__all__ = ["Compared", "Expansion", "Missing", "Run", "expand", "read_entry"]


class Compared(Protocol):
    """What a plan compares."""

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from others."""

    @property
    def label(self) -> str:
        """A few words."""


AnyArm = TypeVar("AnyArm", bound=Compared)


@dataclass(frozen=True, slots=True)
class Run(Generic[AnyArm]):
    """One run: a unit, and the unit of the model that it starts from.

    Args:
        unit: What is done.
        arm: What is compared.
        dataset: Name of the data set.
        budget: Number of annotated patches or nuclei.
        model: The unit that must be done first.
    """

    unit: Unit
    arm: AnyArm
    dataset: str
    budget: Mapping[str, Any]
    model: Unit | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Runs that are not there.

    Args:
        arm: What would be compared.
        dataset: Where.
        why: One sentence.
        runs: How many.
    """

    arm: Mapping[str, Any]
    dataset: str
    why: str
    runs: int


@dataclass(slots=True)
class Expansion(Generic[AnyArm]):
    """A plan as runs.

    Args:
        runs: What can be run, in the order of the plan.
        models: Units that come first, by the name of the model.
        missing: What cannot, and why.
        lacking: Data sets and weights that are not here -> how many runs wait for them, maybe for both; 0 where only
            models do that are trained first.
        places: Fingerprint -> path of everything that units name.
        facts: Data set -> patches, groups and crops of both parts.
    """

    runs: list[Run[AnyArm]] = field(default_factory=list)
    models: dict[str, Unit] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    lacking: dict[Lacking, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Data:
    """A data set that is there."""

    arguments: Mapping[str, Any]
    parts: Parts
    crops: int
    nuclei: int
    classes: bool


def expand(plan: Plan, data: Path | str | None = None) -> Expansion[Arm]:
    """All runs of a plan.

    Args:
        plan: The plan.
        data: Folder that paths of the plan are relative to; what lies beside the plan file is found too.
    """
    made = Expansion[Arm]()
    roots = ([] if data is None else [Path(data)]) + [plan.path.parent]
    test = Test(
        share=plan.protocol.test_share, seed=plan.protocol.split_seed, um=plan.protocol.test_um,
        patches=plan.protocol.test_patches,
    )  # fmt: skip
    found = {entry.name: _data(entry, replace(test, fold=entry.test_fold, split=entry.test_split), roots, made)
             for entry in plan.datasets}  # fmt: skip
    trained = {entry.name: _model(entry, found, made, roots) for entry in plan.models}
    needs = {"GPU": 1.0} if plan.protocol.gpu else {}
    known: set[str] = set()
    for entry in plan.arms:
        budgets = tuple(("patches", n) for n in entry.patches) or plan.protocol.budgets
        for choice in _choices(entry):
            for name in entry.datasets or tuple(found):
                for run in _runs(plan, entry, choice, name, budgets, found, trained, made, roots, needs):
                    if run.unit.key not in known:
                        known.add(run.unit.key)
                        made.runs.append(run)
    used = {run.model.key for run in made.runs if run.model is not None}
    made.models = {name: one.unit for name, one in trained.items() if not isinstance(one, str) and one.unit.key in used}
    return made


def read_entry(
    entry: DatasetEntry, roots: Sequence[Path], made: Expansion[Any]
) -> tuple[Dataset, dict[str, Any]] | Lacking:
    """A data set of a plan through its class map, and what units are told of it; or what lacks.

    Args:
        entry: Of the plan.
        roots: Where it is looked for.
        made: Takes note of where it lies, or that it is not there.

    Raises:
        HistoseedError: it cannot be read, or its class map does not fit.
    """
    path = located(entry.path or entry.name, roots)
    if path is None or not (path / "dataset.json").is_file():
        lacks = lacking_dataset(entry.path or entry.name, roots)
        made.lacking.setdefault(lacks, 0)
        return lacks
    data = read_dataset(path)
    mapped: dict[str, Any] = {"classes": None}
    if entry.classes is not None:
        map_file = located(entry.classes, roots)
        (resolved,) = resolve(read_class_map(entry.classes if map_file is None else map_file), [data.info])
        mapped["classes"] = {name: list(target) for name, target in resolved.objects.items()}
        if resolved.unclassified.fate != "unclassified":  # only then, so that the keys of other runs do not change
            mapped["unclassified"] = list(resolved.unclassified)
    mark = fingerprint(path)
    made.places[mark] = str(path.absolute())
    return with_classes(data, mapped), {"name": entry.name, "fingerprint": mark, **mapped, "mpp": entry.mpp}


def _data(entry: DatasetEntry, test: Test, roots: Sequence[Path], made: Expansion[Arm]) -> _Data | Lacking | str:
    """The data set, or why it is missing."""
    try:
        found = read_entry(entry, roots, made)
        if isinstance(found, Lacking):
            return found
        data, arguments = found
        parts = parts_of(data, test)
        crops = annotated_crops(parts.train, mpp=entry.mpp)
    except HistoseedError as error:
        return str(error)
    nuclei = sum(crop.objects for crop in crops)
    made.facts[entry.name] = {
        "path": made.places[arguments["fingerprint"]], "split": parts.how, "train_patches": len(parts.train),
        "test_patches": len(parts.test), "test_groups": len(parts.test_groups),
        "test_mm2": _mean_area(parts.test, entry.mpp), "crops": len(crops), "nuclei": nuclei,
        "classes": [c.name for c in data.classes],
    }  # fmt: skip
    return _Data({"data": arguments, "test": asdict(test)}, parts, len(crops), nuclei, bool(data.classes))


def _mean_area(data: Dataset, mpp: float | None) -> float:
    """Square millimetres of a patch, on average; 0.25 microns per pixel where nothing is known."""
    scale = pl.col("mpp").fill_null(mpp or 0.25)
    area = data.patches.select((pl.col("width") * pl.col("height") * scale * scale).mean())
    return float(area.item()) / 1e6


def _choices(entry: ArmEntry) -> Iterator[dict[str, str | None]]:
    """Every combination of the lists of an arm."""
    names = ("encoder", "weights", "decoder", "method", "source", "selection", "stain")
    lists = [getattr(entry, name) or (None,) for name in names]
    for values in itertools.product(*lists):
        yield dict(zip(names, values, strict=True))


def _runs(  # noqa: PLR0917 - one caller
    plan: Plan,
    entry: ArmEntry,
    choice: Mapping[str, Any],
    dataset: str,
    budgets: tuple[tuple[str, Count], ...],
    found: Mapping[str, _Data | Lacking | str],
    trained: Mapping[str, Trained | str],
    made: Expansion[Arm],
    roots: Sequence[Path],
    needs: Mapping[str, float],
) -> Iterator[Run[Arm]]:
    """The runs of one arm on one data set; what is missing goes to ``made``."""
    protocol = plan.protocol

    def repeats(asked: Count) -> list[tuple[int, int]]:
        draws = 1 if asked in {0, "all"} else protocol.draws
        seeds = 1 if asked == 0 else protocol.seeds
        return list(itertools.product(range(draws), range(seeds)))

    def lacking(facts: Mapping[str, Any], why: str, asked: Sequence[Count], *lacks: Lacking) -> None:
        runs = sum(len(repeats(n)) for n in asked)
        if runs:
            made.missing.append(Missing(dict(facts), dataset, why, runs))
        for one in lacks:
            made.lacking[one] = made.lacking.get(one, 0) + runs

    data = found[dataset]
    absent = [data] if isinstance(data, Lacking) else []
    everything = [n for _, n in budgets]
    try:
        arm, model = arm_of(entry, choice, trained, made.places, roots)
    except Why as reason:
        facts = {key: value for key, value in choice.items() if value is not None}
        lacks = [] if reason.lacks is None else [reason.lacks, *absent]
        return lacking(facts, str(reason), everything, *lacks)
    if isinstance(data, Lacking):
        return lacking(arm.facts, data.why, everything, data)
    if isinstance(data, str):
        return lacking(arm.facts, data, everything)
    if protocol.score in CLASS_SCORES and not data.classes:
        return lacking(arm.facts, f"{dataset} has no classes, and the plan scores classes.", everything)
    for unit, asked in budgets:
        why = _why_not_so_many(arm, data, unit, asked)
        if why is not None:
            lacking(arm.facts, why, [asked])
            continue
        for draw, seed in repeats(asked):
            budget = {"unit": unit, "asked": asked}
            arguments = {
                "dataset": data.arguments["data"], "test": data.arguments["test"], "arm": asdict(arm), "budget": budget,
                "draw": draw, "seed": seed, "protocol": protocol.protocol, "resamples": protocol.resamples,
            }  # fmt: skip
            made_unit = Unit.of(adapt_and_score, arguments, needs=needs)
            yield Run(made_unit, arm, dataset, budget, None if model is None else model.unit)
    return None


def _why_not_so_many(arm: Arm, data: _Data, unit: str, asked: Count) -> str | None:
    if asked == "all":
        return None
    if asked == 0:
        return None if arm.source != "none" else "Without a patch only a trained start can be scored."
    there = data.crops if unit == "patches" else data.nuclei
    return None if asked <= there else _too_few(there, asked, unit)


def _too_few(there: int, asked: int, unit: str = "patches") -> str:
    noun = "crop of 64 um with an annotated object" if unit == "patches" else "nucleus"
    more = "crops of 64 um with an annotated object" if unit == "patches" else "nuclei"
    return f"The training part has {counted(there, noun, more)}, not {asked:,}."


def _model(
    entry: ModelEntry, found: Mapping[str, _Data | Lacking | str], made: Expansion[Arm], roots: Sequence[Path]
) -> Trained | str:
    """The unit of a model, or why it cannot be trained."""
    data = found[entry.dataset]
    if isinstance(data, str | Lacking):
        return data if isinstance(data, str) else data.why
    choice = {
        name: getattr(entry, name)
        for name in ("encoder", "weights", "decoder", "method", "source", "selection", "stain")
    }
    try:
        arm, _ = arm_of(entry, choice, {}, made.places, roots)
    except Why as reason:
        if reason.lacks is not None:
            made.lacking.setdefault(reason.lacks, 0)
        return str(reason)
    if entry.patches != "all" and entry.patches > data.crops:
        return _too_few(data.crops, entry.patches)
    arguments = {
        "name": entry.name, "dataset": data.arguments["data"], "test": data.arguments["test"], "arm": asdict(arm),
        "task": entry.task, "patches": entry.patches, "draw": entry.draw, "seed": entry.seed,
    }  # fmt: skip
    key = Unit.of(train_model, arguments).key
    return Trained(Unit.of(train_model, {"key": key, **arguments}, key=key), arm, entry.task)
