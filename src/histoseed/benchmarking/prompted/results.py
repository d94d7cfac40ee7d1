"""What one run of a promptable benchmark found: written by the unit that scored, read by the report.

A :class:`PromptResult` is one model under one condition on one or more data sets. It goes through JSON unchanged:
``PromptResult.from_json(result.as_json()) == result``, and what is undefined is ``None``, never NaN.

>>> found = PromptResult(
...     plan="smoke", preset="smoke", model=ScoredModel(name="sam-vit-b", weights="random"),
...     condition=Condition(prompts="box", jitter="1um"), test_sets=("a",), objects=2, groups=1,
...     scores={"dice": Score(0.5)},
... )
>>> PromptResult.from_json(found.as_json()) == found
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval
from histoseed.workflows.prompting.conditions import Condition

__all__ = [
    "PROMPT_RESULT_VERSION",
    "Case",
    "CaseKind",
    "Change",
    "Condition",
    "Epoch",
    "PromptResult",
    "Score",
    "ScoredModel",
    "SetScores",
    "Stratum",
    "Timing",
]

PROMPT_RESULT_VERSION = 1
"""Version of the rows."""

CaseKind = Literal["random", "median", "worst"]
Fact = str | int | float | bool | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Score:
    """A score and the bounds of its interval over groups, where there is one.

    Args:
        value: None where it is undefined.
        low: Lower bound, or None.
        high: Upper bound, or None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, interval: Interval) -> Score:
        """The score of a bootstrap; NaN becomes None.

        >>> Score.of(Interval(0.5, math.nan, math.nan, 1, 0.95))
        Score(value=0.5, low=None, high=None)
        """
        return cls(_known(interval.value), _known(interval.low), _known(interval.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredModel:
    """The arm: which model answered, and how it came about.

    Args:
        name: Card of the promptable model: ``bundled``, ``sam-vit-b``, ``sam2.1-hiera-b+``, ...
        weights: Where they are from: ``random``, ``bundled``, ``hub`` or the name of a checkpoint.
        method: How it was fine-tuned: ``frozen`` (decoder and prompt encoder), ``lora`` or ``full``; None: not at all.
        prompts: The prompts of that training, as a specification.
        loss: Its loss.
        training: Its other settings, as the plan gave them: ``patches``, ``batch``, ``accumulate``, ``jitter``, ...
        fusion: How histology features come in; None: they do not.
        histology: Card of the histology encoder.
        tiles: Tiles a side in which that encoder sees the window.
        random_weights: Any part that is scored started from random weights and was not trained for long: nothing about
            published weights follows from the scores.
        parameters: Of everything.
        trained_parameters: Of what was trained.
    """

    name: str
    weights: str
    method: str | None = None
    prompts: str | None = None
    loss: str | None = None
    training: Mapping[str, Fact] = field(default_factory=dict)
    fusion: str | None = None
    histology: str | None = None
    tiles: int | None = None
    random_weights: bool = False
    parameters: int | None = None
    trained_parameters: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScores:
    """Scores on one data set.

    Args:
        objects: How many were asked for.
        groups: Patients or slides they come from.
        scores: By name.
    """

    objects: int
    groups: int
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Objects of one size.

    Args:
        low: Smallest longer side of the box, level-0 pixels, inclusive.
        high: Largest, exclusive; None: no end.
        objects: How many; 0 is a stratum without data, which the report names.
        scores: By name; empty without objects.
    """

    low: float
    high: float | None
    objects: int
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Change:
    """A usability number of the answers as they came, and after the clean-up; None where it is undefined."""

    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds on one machine, medians.

    Args:
        encode: Of embedding one window.
        decode: Of answering one prompt in an embedded window.
        windows: How many were timed.
        prompts: How many were timed.
        side: Pixels of a side of a window, as the model saw it.
        device: ``cpu``, ``cuda``, ...
        threads: Of the processor.
    """

    encode: float | None
    decode: float | None
    windows: int
    prompts: int
    side: int | None = None
    device: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses of a training.

    Args:
        number: Epochs, or steps, done.
        train: Mean loss of the training part.
        validation: Of the validation part; None where it was not computed.
    """

    number: float
    train: float | None
    validation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One object, for the eye.

    Args:
        kind: Why it was chosen.
        object: Its id.
        data_set: Where it is from.
        dice: Of the answer.
        iou: Of the answer.
        size: Longer side of its box, level-0 pixels.
        picture: PNG that :func:`~histoseed.benchmarking.prompted.cases.draw_case` drew, relative to the folder of
            results.
    """

    kind: CaseKind
    object: str
    data_set: str
    dice: float
    iou: float
    size: float
    picture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptResult:
    """One model under one condition.

    Args:
        plan: Name of the plan.
        preset: Of the plan.
        model: The arm.
        condition: How it was asked.
        train_sets: What it was fine-tuned on; empty where it was not.
        test_sets: What it was scored on, pooled over objects.
        seed: Of prompts and training.
        objects: How many were scored.
        groups: Patients or slides they come from.
        scores: Under the protocol ``rapid-cytomine``, over all objects of all sets: ``dice``, ``iou``, ``precision``,
            ``recall``, ``*_oracle``, and for mask prompts ``*_input``.
        by_set: The same for each set.
        by_size: The same by size of the object; strata without objects stand there too.
        baselines: Simple rules on the same prompts, by name (``ellipse``, ``otsu``), and their scores.
        usability: Protocol of the definitions -> name of the number -> before and after the clean-up.
        timing: None where nothing was timed.
        history: Losses of the training; empty where there was none.
        cases: For the eye.
        facts: Of the run: versions, device, seconds.
    """

    plan: str
    preset: str
    model: ScoredModel
    condition: Condition
    train_sets: tuple[str, ...] = ()
    test_sets: tuple[str, ...]
    seed: int = 0
    objects: int
    groups: int
    scores: Mapping[str, Score]
    by_set: Mapping[str, SetScores] = field(default_factory=dict)
    by_size: tuple[Stratum, ...] = ()
    baselines: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    usability: Mapping[str, Mapping[str, Change]] = field(default_factory=dict)
    timing: Timing | None = None
    history: tuple[Epoch, ...] = ()
    cases: tuple[Case, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON values; NaN and infinities become None."""
        return {"version": PROMPT_RESULT_VERSION, **_plain(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PromptResult:
        """The row that :meth:`as_json` gave.

        Raises:
            InputError: a row of another version, or one that is not complete.
        """
        version = row.get("version")
        if version != PROMPT_RESULT_VERSION:
            what = f"The result is of version {version!r}; this histoseed reads version {PROMPT_RESULT_VERSION}."
            raise InputError(what, where="result of a promptable model", fix="Run the plan again.")
        try:
            return _result(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"The result cannot be read ({type(error).__name__}: {error})."
            raise InputError(what, where="result of a promptable model", fix="Run the plan again.") from error


def _result(row: Mapping[str, Any]) -> PromptResult:
    given = {key: value for key, value in row.items() if key != "version"}
    made = {
        "model": ScoredModel(**row["model"]),
        "condition": Condition(**row["condition"]),
        "train_sets": tuple(row["train_sets"]),
        "test_sets": tuple(row["test_sets"]),
        "scores": _scores(row["scores"]),
        "by_set": _by_name(lambda one: SetScores(**{**one, "scores": _scores(one["scores"])}), row["by_set"]),
        "by_size": tuple(Stratum(**{**one, "scores": _scores(one["scores"])}) for one in row["by_size"]),
        "baselines": _by_name(_scores, row["baselines"]),
        "usability": _by_name(lambda one: _by_name(lambda pair: Change(**pair), one), row["usability"]),
        "timing": None if row["timing"] is None else Timing(**row["timing"]),
        "history": tuple(Epoch(**one) for one in row["history"]),
        "cases": tuple(_case(one) for one in row["cases"]),
        "facts": dict(row["facts"]),
    }
    return PromptResult(**{**given, **made})


def _scores(values: Mapping[str, Any]) -> dict[str, Score]:
    return _by_name(lambda one: Score(**one), values)


def _by_name(make: Callable[[Any], T], values: Mapping[str, Any]) -> dict[str, T]:
    return {name: make(value) for name, value in values.items()}


def _case(one: Mapping[str, Any]) -> Case:
    if one["kind"] not in get_args(CaseKind):
        raise ValueError(f"a case of kind {one['kind']!r}")
    return Case(**one)


def _plain(value: Any) -> Any:
    """Data classes, mappings and sequences as JSON values."""
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return _known(value) if isinstance(value, float) else value


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
