"""The plan of a benchmark: a TOML file as frozen, typed entries."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from histoseed.benchmarking.plan_files import (
    NAME,
    Count,
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
    ready_plans,
    refer,
    refuse,
    texts,
)
from histoseed.errors import InputError
from histoseed.metrics import get_protocol
from histoseed.toml_files import Faults, TomlLines, read_toml

__all__ = [
    "CLASS_SCORES",
    "DEFAULT",
    "ArmEntry",
    "DatasetEntry",
    "ModelEntry",
    "Plan",
    "Protocol",
    "read_plan",
    "read_titles",
    "ready_plans",
]

CLASS_SCORES = ("mpq", "mpq_plus", "f1_class_mean", "accuracy_classes")
"""Scores that only data sets with classes have."""

SCORES = ("pq", "aji", "aji_plus", "dice", "sq", "dq", "f1_detection", "pq_pooled", *CLASS_SCORES)
"""What a plan may rank by."""

SELECTIONS = ("random", "diverse", "uncertain", "quality")
STAINS = ("none", "macenko", "reinhard")

DEFAULT = "default"
"""The method that `histoseed adapt` takes for the start of an arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How every run is made and scored; ``docs/benchmark.md`` explains each key."""

    patches: Counts = ()
    nuclei: Counts = ()
    draws: int = 3
    seeds: int = 1
    score: str = "pq"
    protocol: str = "histoseed"
    resamples: int = 500
    test_share: float = 0.5
    split_seed: int = 0
    test_um: float | None = None
    test_patches: int | None = None
    gpu: bool = False

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        if self.patches and self.nuclei:
            yield InputError("The budget is counted in patches or in nuclei.", where="nuclei", fix="Keep one of them.")
        yield from counts(self, "patches", least=0)
        yield from counts(self, "nuclei", least=0)
        yield from positive(self, "draws", "seeds", "resamples", "test_um", "test_patches")
        if not 0 < self.test_share < 1:
            yield InputError(f"test_share = {self.test_share} is no share.", where="test_share", fix="Give 0.5.")
        if self.split_seed < 0:
            yield InputError("split_seed is negative.", where="split_seed", fix="Give 0 or more.")
        yield from one_of(self, "score", SCORES)
        try:
            get_protocol(self.protocol)
        except InputError as error:
            yield InputError(error.what, where="protocol", fix=error.fix)

    @property
    def budgets(self) -> tuple[tuple[str, Count], ...]:
        """("patches" or "nuclei", number), in the order of the file."""
        return tuple(("patches", n) for n in self.patches) or tuple(("nuclei", n) for n in self.nuclei)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry:
    """A data set in the common format.

    Args:
        name: What it is called in the plan.
        path: Its folder, relative to the plan or to the folder of data; None is the name.
        classes: A class map, as ``dataset merge --map`` takes it.
        test_fold: The official fold that is scored.
        test_split: The official split that is scored.
        mpp: Microns per pixel to assume where a patch states none.
    """

    name: str
    path: str | None = None
    classes: str | None = None
    test_fold: int | None = None
    test_split: Literal["train", "val", "test"] | None = None
    mpp: float | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        yield from check_name(self.name)
        yield from positive(self, "mpp")
        if self.test_fold is not None and self.test_split is not None:
            yield InputError("The test set is a fold or a split.", where="test_fold", fix="Keep one of the two.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """What arms and models share, one value each."""

    classifier: Literal["map", "tokens"] | None = None
    steps: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    model_mpp: float | None = None
    balance: float = 0.0
    set: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[InputError]:
        yield from positive(self, "steps", "batch", "learning_rate", "model_mpp")
        for key in self.set:
            if not re.fullmatch(r"(decoder|method)\.\w+", key):
                fix = 'Write set = { "decoder.shared" = true }.'
                yield InputError(f"{key!r} sets no field of a decoder or method.", where="set", fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(_Training):
    """A model that is trained once, before the runs, on the training part of a data set."""

    name: str
    dataset: str
    encoder: str = "bundled"
    weights: str | None = None
    decoder: str = "skip"
    method: str = "full"
    source: str = "none"
    selection: str = "random"
    stain: str = "none"
    task: Literal["instance", "semantic"] = "instance"
    patches: Count = "all"
    draw: int = 0
    seed: int = 0

    def _faults(self) -> Iterator[InputError]:
        yield from _Training._faults(self)  # noqa: SLF001 - the parent; super() does not know classes with slots
        yield from check_name(self.name)
        if self.name in {"none", "bundled"}:
            yield InputError(f"A model cannot be called {self.name!r}.", where="name", fix="Choose another name.")
        if self.patches != "all" and self.patches < 1:
            yield InputError("A model needs patches to be trained on.", where="patches", fix='Give "all".')
        if self.draw < 0 or self.seed < 0:
            where = "draw" if self.draw < 0 else "seed"
            yield InputError("Seeds are not negative.", where=where, fix="Give 0 or more.")
        yield from one_of(self, "source", ("none", "bundled"))
        yield from _choices(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEntry(_Training):
    """A cross product of arms: every list is crossed with every other."""

    encoder: Names
    weights: Names = ()
    decoder: Names = ("skip",)
    method: Names = (DEFAULT,)
    source: Names = ("none",)
    selection: Names = ("random",)
    stain: Names = ("none",)
    datasets: Names = ()
    patches: Counts = ()

    def _faults(self) -> Iterator[InputError]:
        yield from _Training._faults(self)  # noqa: SLF001 - the parent; super() does not know classes with slots
        yield from counts(self, "patches", least=0)
        for name in ("encoder", "decoder", "method", "source", "selection", "stain"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                fix = "Name one or more, each once."
                yield InputError(f"{name} is empty, or names something twice.", where=name, fix=fix)
        yield from _choices(self)


def _choices(entry: ArmEntry | ModelEntry) -> Iterator[InputError]:
    from histoseed.segmenters import METHODS  # noqa: PLC0415 - imports torch
    from histoseed.segmenters.kinds import kinds_of  # noqa: PLC0415

    yield from one_of(entry, "decoder", kinds_of("instance"))
    yield from one_of(entry, "method", METHODS if isinstance(entry, ModelEntry) else (DEFAULT, *METHODS))
    yield from one_of(entry, "selection", SELECTIONS)
    yield from one_of(entry, "stain", STAINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A benchmark.

    Args:
        name: Short name.
        title: For the page; None is the name.
        description: For the page.
        protocol: How runs are made and scored.
        datasets: Where.
        models: What is trained first.
        arms: What is compared.
        path: The file.
    """

    name: str
    title: str | None = None
    description: str | None = None
    protocol: Protocol
    datasets: tuple[DatasetEntry, ...]
    models: tuple[ModelEntry, ...] = ()
    arms: tuple[ArmEntry, ...]
    path: Path

    @property
    def record(self) -> str:
        """Under which name its runs are noted in the folder of results."""
        return self.name

    def as_json(self) -> dict[str, Any]:
        """Name, title, description and protocol as the report wants them."""
        protocol = {k: v for k, v in asdict(self.protocol).items() if v not in (None, ())}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "protocol": {k: list(v) if isinstance(v, tuple) else v for k, v in protocol.items()},
        }


def read_plan(plan: Path | str) -> Plan:
    """Read and check a plan.

    Args:
        plan: A file, or the name of a ready plan.

    Raises:
        InputError: no such file or name, no TOML, a wrong key or value; the message names the line and what is allowed.
    """
    path, table, source, faults = _load(plan)
    protocol = Protocol()
    with faults.collect():
        protocol = source.table("protocol").build(Protocol, table.get("protocol", {}), "[protocol]")
        if not protocol.budgets and not all(arm.get("patches") for arm in table["arms"]):
            fix = 'Add patches = [1, 2, 4, "all"] under [protocol].'
            raise InputError("The plan names no number of patches.", where=source.at("protocol"), fix=fix)
    datasets = read_entries(source, table["datasets"], "datasets", DatasetEntry, faults)
    models = read_entries(source, table["models"], "models", ModelEntry, faults)
    arms = read_entries(source, table["arms"], "arms", ArmEntry, faults)
    _check_references(source, table, faults)
    faults.tell()
    return Plan(
        name=table["name"], title=table.get("title"), description=table.get("description"), protocol=protocol,
        datasets=datasets, models=models, arms=arms, path=path,
    )  # fmt: skip


def read_titles(plan: Path | str) -> dict[str, str | None]:
    """``name``, ``title`` and ``description`` of a plan; its arms and models, which take seconds, are not looked at.

    Args:
        plan: A file, or the name of a ready plan.

    Raises:
        InputError: no such file or name, no TOML, a wrong key or value at its top, in the protocol or the data sets.
    """
    _, table, source, faults = _load(plan)
    with faults.collect():
        source.table("protocol").build(Protocol, table.get("protocol", {}), "[protocol]")
    read_entries(source, table["datasets"], "datasets", DatasetEntry, faults)
    faults.tell()
    return {key: table.get(key) for key in ("name", "title", "description")}


def _load(plan: Path | str) -> tuple[Path, dict[str, Any], TomlLines, Faults]:
    """The file, those of its tables that have the right form, its lines, and what is wrong at its top."""
    path = find_plan(plan)
    table, source = read_toml(path, "plan")
    faults = Faults(path, "plan")
    faults.add(_wrong_tables(source, table))
    good = {key: value for key, value in table.items() if key in _SHAPES and _SHAPES[key][0](value)}
    return path, {"datasets": [], "models": [], "arms": [], **good}, source, faults


_SHAPES: dict[str, tuple[Callable[[object], bool], str, str]] = {
    **{key: (is_text, "a text", f'Write {key} = "...".') for key in ("name", "title", "description")},
    "protocol": (is_table, "one table, [protocol]", "Write [protocol] and its keys below it."),
    **{
        key: (is_tables, f"tables in double brackets, [[{key}]]", f"Write [[{key}]] and its keys below it.")
        for key in ("datasets", "models", "arms")
    },
}
"""Keys at the top: what their values are, in words, and how they are written."""


def _wrong_tables(source: TomlLines, table: Mapping[str, Any]) -> Iterator[InputError]:
    """What is wrong with the keys at the top."""
    for key, value in table.items():
        if key not in _SHAPES:
            yield source.unknown(key, tuple(_SHAPES), "the plan")
        elif not _SHAPES[key][0](value):
            _, shape, fix = _SHAPES[key]
            yield InputError(f"{key} must be {shape}.", where=source.at(key), fix=fix)
    others = [key for key in table if key not in _SHAPES]
    for key in ("name", "datasets", "arms"):
        if not table.get(key) and not difflib.get_close_matches(key, others, cutoff=0.6):  # else it is only mistyped
            fix = "Add name = ..." if key == "name" else f"Add a table [[{key}]]."
            yield InputError(f"The plan has no {key}.", where=source.at(key), fix=fix)
    name = table.get("name")
    if isinstance(name, str) and name and not NAME.fullmatch(name):
        yield InputError(f"{name!r} is no name.", where=source.at("name"), fix="Use letters, digits and -.")


def _check_references(
    source: TomlLines,
    table: Mapping[str, Any],
    faults: Faults,
) -> None:
    """Names are unique, and what is referred to exists; also where an entry of that name is wrong in another way."""
    known, trained = ([str(row.get("name")) for row in table[kind]] for kind in ("datasets", "models"))
    for kind, names in (("datasets", known), ("models", trained)):
        for i, name in enumerate(names):
            if name.casefold() in {other.casefold() for other in names[:i]}:
                where = source.table(kind, i).at("name")
                faults.add([InputError(f"Two {kind} are called {name!r}.", where=where, fix="Rename one of them.")])
    for i, row in enumerate(table["models"]):
        place = source.table("models", i)
        faults.add(refer(place, "dataset", texts(row, "dataset"), known))
        for encoder in texts(row, "encoder"):
            faults.add(_check_encoder(place, encoder, ()))
    for i, row in enumerate(table["arms"]):
        place = source.table("arms", i)
        faults.add(refer(place, "datasets", texts(row, "datasets"), known))
        faults.add(refer(place, "source", texts(row, "source"), ["none", "bundled", *trained]))
        for encoder in texts(row, "encoder"):
            faults.add(_check_encoder(place, encoder, trained))


def _check_encoder(place: TomlLines, name: str, trained: Iterable[str]) -> Iterator[InputError]:
    from histoseed.encoders import get_card  # noqa: PLC0415 - imports timm for its names
    from histoseed.encoders.choose import is_path  # noqa: PLC0415

    if name.startswith("model:"):
        yield from refer(place, "encoder", (name.removeprefix("model:"),), list(trained))
    elif not is_path(name):
        try:
            get_card(name)
        except InputError as error:
            yield InputError(error.what, where=place.at("encoder"), fix=error.fix)
