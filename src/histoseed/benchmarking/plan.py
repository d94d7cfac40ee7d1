"""The plan of a benchmark: a TOML file as frozen, typed entries."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from histoseed.benchmarking.lines import Source
from histoseed.errors import InputError
from histoseed.metrics import get_protocol

__all__ = [
    "CLASS_SCORES",
    "ArmEntry",
    "DatasetEntry",
    "ModelEntry",
    "Plan",
    "Protocol",
    "read_plan",
    "ready_plans",
]

Count = int | Literal["all"]
Counts = tuple[Count, ...]
Names = tuple[str, ...]
Entry = TypeVar("Entry")

CLASS_SCORES = ("mpq", "mpq_plus", "f1_class_mean", "accuracy_classes")
"""Scores that only data sets with classes have."""

SCORES = ("pq", "aji", "aji_plus", "dice", "sq", "dq", "f1_detection", "pq_pooled", *CLASS_SCORES)
"""What a plan may rank by."""

SELECTIONS = ("random", "diverse", "uncertain", "quality")
STAINS = ("none", "macenko", "reinhard")

_LARGEST = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def _positive(entry: Any, *names: str) -> None:
    for name in names:
        value = getattr(entry, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value!r} is not positive.", where=name)


def _one_of(entry: Any, name: str, allowed: Iterable[str]) -> None:
    """Refuse a value, or a value of a list, that does not exist."""
    given = getattr(entry, name)
    choices = list(allowed)
    for value in (given,) if isinstance(given, str) else given:
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=2, cutoff=0.5)
            fix = f"{f'Did you mean {chr(32).join(near)}? ' if near else ''}Allowed are: {', '.join(choices)}."
            raise InputError(f"{name} cannot be {value!r}.", where=name, fix=fix)


def _counts(entry: Any, name: str, *, least: int) -> None:
    values = getattr(entry, name) or ()
    for value in values:
        if value != "all" and value < least:
            raise InputError(f"{name} holds {value}.", where=name, fix=f'Give numbers from {least} on, or "all".')
    if len(set(values)) < len(values):
        raise InputError(f"{name} holds a number twice.", where=name)


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
        if self.patches and self.nuclei:
            raise InputError("The budget is counted in patches or in nuclei.", where="nuclei", fix="Keep one of them.")
        _counts(self, "patches", least=0)
        _counts(self, "nuclei", least=0)
        _positive(self, "draws", "seeds", "resamples", "test_um", "test_patches")
        if not 0 < self.test_share < 1:
            raise InputError(f"test_share = {self.test_share} is no share.", where="test_share", fix="Give 0.5.")
        if self.split_seed < 0:
            raise InputError("split_seed is negative.", where="split_seed")
        _one_of(self, "score", SCORES)
        try:
            get_protocol(self.protocol)
        except InputError as error:
            raise InputError(error.what, where="protocol", fix=error.fix) from error

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
        _check_name(self.name)
        _positive(self, "mpp")
        if self.test_fold is not None and self.test_split is not None:
            raise InputError("The test set is a fold or a split.", where="test_fold", fix="Keep one of the two.")


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
        _positive(self, "steps", "batch", "learning_rate", "model_mpp")
        for key in self.set:
            if not re.fullmatch(r"(decoder|method)\.\w+", key):
                fix = 'Write set = { "decoder.shared" = true }.'
                raise InputError(f"{key!r} sets no field of a decoder or method.", where="set", fix=fix)


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

    def __post_init__(self) -> None:
        _Training.__post_init__(self)
        _check_name(self.name)
        if self.name in {"none", "bundled"}:
            raise InputError(f"A model cannot be called {self.name!r}.", where="name", fix="Choose another name.")
        if self.patches != "all" and self.patches < 1:
            raise InputError("A model needs patches to be trained on.", where="patches", fix='Give "all".')
        if self.draw < 0 or self.seed < 0:
            raise InputError("Seeds are not negative.", where="draw" if self.draw < 0 else "seed")
        _one_of(self, "source", ("none", "bundled"))
        _choices(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEntry(_Training):
    """A cross product of arms: every list is crossed with every other."""

    encoder: Names
    weights: Names = ()
    decoder: Names = ("skip",)
    method: Names = ("frozen",)
    source: Names = ("none",)
    selection: Names = ("random",)
    stain: Names = ("none",)
    datasets: Names = ()
    patches: Counts = ()

    def __post_init__(self) -> None:
        _Training.__post_init__(self)
        _counts(self, "patches", least=0)
        for name in ("encoder", "decoder", "method", "source", "selection", "stain"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"{name} is empty, or names something twice.", where=name)
        _choices(self)


def _choices(entry: ArmEntry | ModelEntry) -> None:
    from histoseed.segmenters import METHODS  # noqa: PLC0415 - imports torch
    from histoseed.segmenters.kinds import kinds_of  # noqa: PLC0415

    _one_of(entry, "decoder", kinds_of("instance"))
    _one_of(entry, "method", METHODS)
    _one_of(entry, "selection", SELECTIONS)
    _one_of(entry, "stain", STAINS)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        fix = 'Use letters, digits, ".", "_" and "-".'
        raise InputError(f"{name!r} is no name.", where="name", fix=fix)


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

    def as_json(self) -> dict[str, Any]:
        """Name, title, description and protocol as the report wants them."""
        protocol = {k: v for k, v in asdict(self.protocol).items() if v not in (None, ())}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "protocol": {k: list(v) if isinstance(v, tuple) else v for k, v in protocol.items()},
        }


def ready_plans() -> dict[str, Path]:
    """The plans that come with histoseed, by name."""
    inside = Path(__file__).with_name("plans")
    folder = inside if inside.is_dir() else Path(__file__).parents[3] / "plans"  # a checkout
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_plan(plan: Path | str) -> Plan:
    """Read and check a plan.

    Args:
        plan: A file, or the name of a ready plan.

    Raises:
        InputError: no such file or name, no TOML, a wrong key or value; the message names the line and what is allowed.
    """
    path = _find(plan)
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError("The file is too large for a plan.", where=path, fix="Name another file.")
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        fix = "Correct the TOML."
        raise InputError(f"The plan cannot be read ({error}).", where=path, fix=fix) from error
    source = Source(path, text.splitlines())
    _check_tables(source, table)
    protocol = source.table("protocol").build(Protocol, table.get("protocol", {}), "[protocol]")
    datasets = _entries(source, table, "datasets", DatasetEntry)
    models = _entries(source, table, "models", ModelEntry)
    arms = _entries(source, table, "arms", ArmEntry)
    _check_references(source, datasets, models, arms)
    made = Plan(
        name=table["name"], title=table.get("title"), description=table.get("description"), protocol=protocol,
        datasets=datasets, models=models, arms=arms, path=path,
    )  # fmt: skip
    if not protocol.budgets and not all(arm.patches for arm in arms):
        fix = 'Add patches = [1, 2, 4, "all"] under [protocol].'
        raise InputError("The plan names no number of patches.", where=source.at("protocol"), fix=fix)
    return made


def _entries(source: Source, table: Mapping[str, Any], name: str, kind: type[Entry]) -> tuple[Entry, ...]:
    """The tables ``[[name]]``."""
    rows = table.get(name, [])
    return tuple(source.table(name, i).build(kind, row, f"[[{name}]]") for i, row in enumerate(rows))


def _find(plan: Path | str) -> Path:
    path = Path(plan)
    if path.is_file():
        return path
    ready = ready_plans()
    name = str(plan).removesuffix(".toml").removeprefix("plans/")
    if name in ready:
        return ready[name]
    near = difflib.get_close_matches(name, ready, n=2, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    fix = f"{hint}Ready plans are {', '.join(ready)}; a file ends in .toml."
    raise InputError("There is no such file, and no ready plan of that name.", where=plan, fix=fix)


def _check_tables(source: Source, table: Mapping[str, Any]) -> None:
    """The keys at the top, and that tables are tables."""
    allowed = ("name", "title", "description", "protocol", "datasets", "models", "arms")
    for key, value in table.items():
        if key not in allowed:
            raise source.unknown(key, allowed, "the plan")
        if key in {"name", "title", "description"}:
            good = isinstance(value, str)
            shape = "a text"
        elif key == "protocol":
            good, shape = isinstance(value, dict), "one table, [protocol]"
        else:
            good = isinstance(value, list) and all(isinstance(row, dict) for row in value)
            shape = f"tables in double brackets, [[{key}]]"
        if not good:
            raise InputError(f"{key} must be {shape}.", where=source.at(key))
    for key in ("name", "datasets", "arms"):
        if not table.get(key):
            fix = "Add name = ..." if key == "name" else f"Add a table [[{key}]]."
            raise InputError(f"The plan has no {key}.", where=source.at(key), fix=fix)
    if not _NAME.fullmatch(table["name"]):
        raise InputError(f"{table['name']!r} is no name.", where=source.at("name"), fix="Use letters, digits and -.")


def _check_references(
    source: Source,
    datasets: tuple[DatasetEntry, ...],
    models: tuple[ModelEntry, ...],
    arms: tuple[ArmEntry, ...],
) -> None:
    """Names are unique, and what is referred to exists."""
    known = [one.name for one in datasets]
    trained = [one.name for one in models]
    for kind, names in (("datasets", known), ("models", trained)):
        for i, name in enumerate(names):
            if name.casefold() in {other.casefold() for other in names[:i]}:
                raise InputError(f"Two {kind} are called {name!r}.", where=source.table(kind, i).at("name"))
    for i, model in enumerate(models):
        _refer(source.table("models", i), "dataset", (model.dataset,), known)
        _check_encoder(source.table("models", i), model.encoder, ())
    for i, arm in enumerate(arms):
        place = source.table("arms", i)
        _refer(place, "datasets", arm.datasets, known)
        _refer(place, "source", arm.source, ["none", "bundled", *trained])
        for encoder in arm.encoder:
            _check_encoder(place, encoder, trained)


def _refer(place: Source, key: str, given: Iterable[str], known: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            fix = f"{f'Did you mean {near[0]}? ' if near else ''}There are: {', '.join(known) or 'none'}."
            raise InputError(f"The plan has no {name!r} for {key}.", where=place.at(key), fix=fix)


def _check_encoder(place: Source, name: str, trained: Iterable[str]) -> None:
    from histoseed.encoders import get_card  # noqa: PLC0415 - imports timm for its names
    from histoseed.encoders.choose import is_path  # noqa: PLC0415

    if name.startswith("model:"):
        _refer(place, "encoder", (name.removeprefix("model:"),), list(trained))
    elif not is_path(name):
        try:
            get_card(name)
        except InputError as error:
            raise InputError(error.what, where=place.at("encoder"), fix=error.fix) from error
