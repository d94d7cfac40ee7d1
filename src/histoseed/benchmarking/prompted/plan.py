"""The plan of a benchmark of promptable models: a TOML file with ``task = "prompt"``, read with one of its presets."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from histoseed.benchmarking.plan import DatasetEntry
from histoseed.benchmarking.plan_files import (
    NAME,
    Counts,
    Names,
    check_name,
    counts,
    find_plan,
    is_table,
    is_tables,
    is_text,
    one_of,
    positive,
    read_entries,
    refer,
    refuse,
    texts,
)
from histoseed.errors import InputError
from histoseed.prompting.methods import PROMPT_METHODS
from histoseed.toml_files import Faults, TomlLines, read_toml
from histoseed.workflows.prompting.conditions import Condition

__all__ = [
    "ConditionEntry",
    "PromptArmEntry",
    "PromptDatasetEntry",
    "PromptPlan",
    "PromptProtocol",
    "read_presets",
    "read_prompt_plan",
    "task_of",
]

Entry = TypeVar("Entry")

_TEXTS = ("name", "task", "title", "description")
_TABLES = ("datasets", "arms", "conditions")
_SETTINGS = ("curriculum", "jitter", "epochs", "steps", "batch", "accumulate", "learning_rate", "weight_decay")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptProtocol:
    """How every model is trained and scored; ``docs/rapid-cytomine.md`` explains each key."""

    seeds: int = 1
    test_share: float = 0.15
    validation_share: float = 0.15
    split_seed: int = 0
    objects: int | None = None
    every: int = 1
    windows: Literal["shared", "own"] = "shared"
    rules: bool = True
    shapes: bool = False
    cases: bool = True
    resamples: int = 500
    gpu: bool = False

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        yield from positive(self, "seeds", "objects", "every", "resamples")
        for name in ("test_share", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                yield InputError(f"{name} = {getattr(self, name)} is no share.", where=name, fix="Give 0.15.")
        if self.test_share + self.validation_share >= 1:
            what = "Nothing is left to train on."
            yield InputError(what, where="test_share", fix="Leave some to train on: 0.15 for each.")
        if self.split_seed < 0:
            yield InputError("split_seed is negative.", where="split_seed", fix="Give 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDatasetEntry(DatasetEntry):
    """A data set in the common format; see :class:`~histoseed.benchmarking.plan.DatasetEntry`.

    Args:
        scored: ``test``: the part that no training sees; ``all``: everything, so that nothing may be trained on it.
    """

    scored: Literal["test", "all"] = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptArmEntry:
    """A cross product of models: every list is crossed with every other.

    Args:
        model: Promptable models: ``bundled``, names of cards, paths.
        weights: ``hub``, ``random`` or a file; None is what the model has.
        fusion: Names of fusion cards; ``none``.
        histology: Encoders to fuse with.
        histology_weights: Theirs.
        tiles: Histology tiles a side of a window.
        method: ``none``: as it is; ``frozen``, ``lora``, ``full``: fine-tuned.
        train: Data sets to train on; ``a+b`` is both at once.
        recipe: ``published``: the settings of "Rapid Cytomine", see
            :func:`~histoseed.workflows.adaptation.prompted.prompted_plan`; what stands below takes their place.
        prompts: Of the training.
        loss: Of the training.
        patches: Numbers of training patches; ``all``.
        jitter: Of the training.
        curriculum: Of the training.
        epochs: Of the training.
        steps: Instead of epochs.
        batch: Objects a batch.
        accumulate: Batches a step.
        learning_rate: Peak.
        weight_decay: Of AdamW.
        tests: Data sets that are scored; none named are all.
    """

    model: Names
    weights: str | None = None
    fusion: Names = ("none",)
    histology: Names = ()
    histology_weights: str | None = None
    tiles: int | None = None
    method: Names = ("none",)
    train: Names = ()
    recipe: Literal["published"] | None = None
    prompts: Names = ()
    loss: Names = ()
    patches: Counts = ("all",)
    jitter: str | None = None
    curriculum: Literal["mixed", "growing"] | None = None
    epochs: int | None = None
    steps: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    tests: Names = ()

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        yield from positive(self, "tiles")
        yield from counts(self, "patches", least=1)
        for name in ("model", "fusion", "method", "train", "prompts", "loss"):
            values = getattr(self, name)
            if len(set(values)) < len(values) or (not values and name in {"model", "fusion", "method"}):
                fix = "Name one or more, each once."
                yield InputError(f"{name} is empty, or names something twice.", where=name, fix=fix)
        yield from one_of(self, "method", ("none", *PROMPT_METHODS))
        if set(self.method) != {"none"} and not self.train:
            yield InputError("Nothing says what is trained on.", where="method", fix='Add train = ["NAME"].')
        if set(self.fusion) != {"none"} and not self.histology:
            fix = 'Add histology = "uni".'
            yield InputError("Nothing says what the model is fused with.", where="fusion", fix=fix)
        for prompts, loss in itertools.product(self.prompts or (None,), self.loss or (None,)):
            try:
                self.training(prompts, loss)
            except InputError as error:
                where = (error.where or "").removeprefix("--")
                yield InputError(error.what, where=where if hasattr(self, where) else "prompts", fix=error.fix)

    def training(self, prompts: str | None, loss: str | None) -> dict[str, Any]:
        """What a training with these prompts and this loss is told; what is left out has its default.

        Raises:
            InputError: a value that the training does not know.
        """
        from histoseed.training.prompted import PromptedPlan  # noqa: PLC0415 - imports torch

        given = {"prompts": prompts, "loss": loss, **{name: getattr(self, name) for name in _SETTINGS}}
        told = {name: value for name, value in given.items() if value is not None}
        PromptedPlan(**told)
        return told if self.recipe is None else {"preset": self.recipe, **told}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionEntry:
    """A cross product of conditions; see :class:`~histoseed.workflows.prompting.conditions.Condition`."""

    prompts: Names
    jitter: Names = ("0px",)
    shift: Names = ("0px",)
    user: Names = ("histoseed",)
    clean: Names = ("none",)
    recirculate: tuple[int, ...] = (0,)
    several: bool = False

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        try:
            self.conditions()
        except InputError as error:
            where = error.where if error.where in ("shift", "recirculate") else "prompts"
            yield InputError(error.what, where=where, fix=error.fix)

    def conditions(self) -> list[Condition]:
        """Every combination of the lists.

        Raises:
            InputError: one that makes no sense.
        """
        names = ("prompts", "jitter", "shift", "user", "clean", "recirculate")
        chosen = itertools.product(*(getattr(self, name) for name in names))
        return [Condition(**dict(zip(names, values, strict=True)), several=self.several) for values in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """A benchmark of promptable models.

    Args:
        name: Short name.
        preset: Which of its presets; None where it has none.
        title: For the page; None is the name.
        description: For the page.
        protocol: How models are trained and scored.
        datasets: Where.
        arms: Which models.
        conditions: How they are asked.
        path: The file.
    """

    name: str
    preset: str | None
    title: str | None = None
    description: str | None = None
    protocol: PromptProtocol
    datasets: tuple[PromptDatasetEntry, ...]
    arms: tuple[PromptArmEntry, ...]
    conditions: tuple[Condition, ...]
    path: Path

    @property
    def record(self) -> str:
        """Under which name its runs are noted in the folder of results."""
        return self.name if self.preset is None else f"{self.name}.{self.preset}"

    def as_json(self) -> dict[str, Any]:
        """Name, preset, title, description and protocol as the report wants them."""
        return {
            "name": self.name, "task": "prompt", "preset": self.preset, "title": self.title,
            "description": self.description,
            "protocol": {key: value for key, value in asdict(self.protocol).items() if value is not None},
        }  # fmt: skip


def task_of(plan: Path | str) -> str:
    """What a plan benchmarks: ``instance``, or ``prompt`` where it says so.

    Raises:
        InputError: no such file or name, or no TOML.
    """
    task = read_toml(find_plan(plan), "plan")[0].get("task", "instance")
    if task not in ("instance", "prompt"):
        what = f"There is no benchmark of the task {task!r}."
        raise InputError(what, where=find_plan(plan), fix='Write task = "prompt", or leave it out.')
    return str(task)


def read_presets(plan: Path | str) -> list[str]:
    """Names of the presets of a plan."""
    table, _ = read_toml(find_plan(plan), "plan")
    presets = table.get("presets", {})
    return list(presets) if isinstance(presets, dict) else []


def read_prompt_plan(plan: Path | str, preset: str | None = None) -> PromptPlan:
    """Read and check a plan.

    What stands under ``[presets.NAME]`` takes the place of what stands at the top: single keys of the protocol, all
    data sets, all arms, all conditions.

    Args:
        plan: A file, or the name of a ready plan.
        preset: Name of a preset; None is the only one, or what stands at the top.

    Raises:
        InputError: no such file, name or preset, no TOML, a wrong key or value; the message names the line.
    """
    path = find_plan(plan)
    table, source = read_toml(path, "plan")
    faults = Faults(path, "plan")
    faults.add(_wrong(source, table))
    faults.tell()
    chosen = _preset(table, preset, path)
    own = {} if chosen is None else table["presets"][chosen]
    given = {key: (own, f"presets.{chosen}.{key}") if key in own else (table, key) for key in _TABLES}
    protocol = PromptProtocol()
    with faults.collect():
        keys = table.get("protocol", {}) | own.get("protocol", {})
        where = f"presets.{chosen}.protocol" if own.get("protocol") else "protocol"
        protocol = source.table(where).build(PromptProtocol, keys, "[protocol]")

    def entries(key: str, kind: type[Entry]) -> tuple[Entry, ...]:
        rows, head = given[key]
        return read_entries(source, rows.get(key, ()), head, kind, faults)

    datasets = entries("datasets", PromptDatasetEntry)
    arms = entries("arms", PromptArmEntry)
    conditions = [one for entry in entries("conditions", ConditionEntry) for one in entry.conditions()]
    for key in _TABLES:
        if not given[key][0].get(key):
            faults.add([InputError(f"The plan has no {key}.", where=path, fix=f"Add a table [[{given[key][1]}]].")])
    faults.add(_unknown(source, given))
    faults.tell()
    return PromptPlan(
        name=table["name"], preset=chosen, title=own.get("title", table.get("title")),
        description=own.get("description", table.get("description")), protocol=protocol, datasets=datasets,
        arms=arms, conditions=tuple(dict.fromkeys(conditions)), path=path,
    )  # fmt: skip


def _preset(table: Mapping[str, Any], preset: str | None, path: Path) -> str | None:
    """The preset that is meant."""
    there = list(table.get("presets", {}))
    if preset is None:
        if len(there) > 1 and not table.get("arms"):
            fix = f"Add --preset {there[0]}; there are: {', '.join(there)}."
            raise InputError("The plan has several presets.", where=path, fix=fix)
        return there[0] if len(there) == 1 and not table.get("arms") else None
    if preset not in there:
        near = difflib.get_close_matches(preset, there, n=1, cutoff=0.5)
        fix = f"{f'Did you mean {near[0]}? ' if near else ''}There are: {', '.join(there) or 'none'}."
        raise InputError(f"The plan has no preset {preset!r}.", where=path, fix=fix)
    return preset


def _wrong(source: TomlLines, table: Mapping[str, Any]) -> Iterator[InputError]:
    """What is wrong with the keys at the top and in presets."""
    yield from _wrong_tables(source, table, (*_TEXTS, "protocol", *_TABLES, "presets"), "the plan")
    name = table.get("name")
    if not isinstance(name, str):
        yield InputError("The plan has no name.", where=source.at("name"), fix='Add name = "...".')
    else:
        yield from (InputError(e.what, where=source.at("name"), fix=e.fix) for e in check_name(name))
    presets = table.get("presets", {})
    if not is_table(presets) or not all(is_table(preset) for preset in presets.values()):
        yield InputError("presets must be tables.", where=source.at("presets"), fix="Write [presets.NAME].")
        return
    for preset, keys in presets.items():
        if not NAME.fullmatch(preset):
            yield InputError(f"{preset!r} is no name.", where=source.at(preset), fix="Use letters, digits and -.")
        head = f"presets.{preset}"
        yield from _wrong_tables(source.table(head), keys, ("title", "description", "protocol", *_TABLES), f"[{head}]")


def _wrong_tables(
    source: TomlLines, table: Mapping[str, Any], allowed: tuple[str, ...], what: str
) -> Iterator[InputError]:
    for key, value in table.items():
        if key not in allowed:
            yield source.unknown(key, allowed, what)
        elif key in _TEXTS and not is_text(value):
            yield InputError(f"{key} must be a text.", where=source.at(key), fix=f'Write {key} = "...".')
        elif key == "protocol" and not is_table(value):
            yield InputError("protocol must be one table.", where=source.at(key), fix="Write [protocol].")
        elif key in _TABLES and not is_tables(value):
            yield InputError(f"{key} must be tables in double brackets.", where=source.at(key), fix=f"Write [[{key}]].")


def _unknown(source: TomlLines, given: Mapping[str, tuple[Mapping[str, Any], str]]) -> Iterator[InputError]:
    """Data sets that arms name and the plan does not have, or that are scored whole and trained on."""
    rows, head = given["datasets"]
    names = [str(row.get("name")) for row in rows.get("datasets", [])]
    whole = {row.get("name") for row in rows.get("datasets", []) if row.get("scored") == "all"}
    for i, name in enumerate(names):
        if name in names[:i]:
            where = source.table(head, i).at("name")
            yield InputError(f"Two datasets are called {name!r}.", where=where, fix="Rename one of them.")
    rows, head = given["arms"]
    for i, row in enumerate(rows.get("arms", [])):
        place = source.table(head, i)
        trained = [name for group in texts(row, "train") for name in group.split("+")]
        yield from refer(place, "train", trained, names)
        yield from refer(place, "tests", texts(row, "tests"), names)
        for name in sorted(whole & set(trained)):
            fix = 'Leave scored = "all" out, or train on others.'
            yield InputError(
                f"{name!r} is scored whole, so that nothing is trained on it.", where=place.at("train"), fix=fix
            )
