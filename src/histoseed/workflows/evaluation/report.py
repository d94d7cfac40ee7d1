"""The report of an evaluation: how good, where it fails, what the numbers mean, as one HTML file."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform

from histoseed._version import __version__
from histoseed.datasets import DatasetInfo
from histoseed.pictures import Report
from histoseed.wording import counted, plural
from histoseed.workflows.evaluation.comparison_section import comparison_section
from histoseed.workflows.evaluation.failure_sections import (
    class_section,
    failure_section,
    group_section,
    patch_section,
)
from histoseed.workflows.evaluation.result import Evaluation
from histoseed.workflows.evaluation.wording import bounds, percent
from histoseed.workflows.evaluation.words import SCORE_WORDS, TRUTH_WORDS

__all__ = ["render_report"]

_HEADLINES = ("pq", "aji", "f1_detection", "dice", "mpq", "iou", "precision", "recall")
_HIDDEN = ("model_data", "histoseed_version", "undefined", "kinds")
_COUNTS = {
    "n_patches": "patches",
    "n_empty": "patches empty on both sides",
    "n_without_mpp": "patches of unknown resolution",
    "n_instances": "annotated objects",
    "n_predicted": "predicted objects",
}
_LIBRARIES = ("numpy", "scipy", "scikit-image", "shapely", "polars", "torch", "timm")


def render_report(result: Evaluation, info: DatasetInfo, *, date: str = "") -> str:
    """The whole page.

    Args:
        result: What came of the evaluation.
        info: What the data set says of itself.
        date: As it shall be read.

    Returns:
        HTML that loads nothing from anywhere.
    """
    page = Report(f"Evaluation of {result.name}", _subtitle(result, info), version=__version__, date=date)
    _summary(page, result)
    _scores(page, result)
    if result.comparison is not None:
        comparison_section(page, result, result.comparison)
    if result.accumulator.classes:
        class_section(page, result)
    failure_section(page, result)
    patch_section(page, "Worst patches", result.worst)
    patch_section(page, "Best patches", result.best)
    group_section(page, result)
    _training(page, result)
    _method(page, result, info)
    return page.render()


def _subtitle(result: Evaluation, info: DatasetInfo) -> str:
    split = f", split {result.facts['split']}" if result.facts["split"] else ""
    against = f", against {result.comparison.name}" if result.comparison else ""
    patches = counted(len(result.accumulator.rows), "patch")
    groups = f" of {counted(result['n_groups'], result.group_unit)}" if result.group_unit != "patch" else ""
    objects = counted(int(result["n_instances"]), "annotated object")
    protocol = result.scores.protocol
    return f"On {info.name}{split}{against}: {patches}{groups}, {objects}. Protocol {protocol}."


def _summary(page: Report, result: Evaluation) -> None:
    other = result.comparison
    for warning in dict.fromkeys((*result.warnings, *(other.warnings if other else ()))):
        page.note(warning, kind="warning")
    shown = [(key, result.scores.get(key)) for key in _HEADLINES]
    detail = {key: bounds(result.intervals.get(key)) for key in _HEADLINES}
    page.numbers({SCORE_WORDS[key][0]: (value, detail[key]) for key, value in shown if value is not None})
    page.text(_in_a_sentence(result))
    for note in dict.fromkeys((*result.notes, *(other.notes if other else ()))):
        page.note(note)


def _in_a_sentence(result: Evaluation) -> str:
    if not result.outlined:
        return _of_places(result)
    counts = result.failures.counts()
    n_true, n_pred = (sum(side.values()) for side in counts.values())
    sentences = []
    if n_true:
        told = ", ".join(f"{percent(counts['truth'][name], n_true)} {name}" for name in TRUTH_WORDS)
        sentences.append(f"Of the {counted(n_true, 'annotated object')}: {told}.")
    if n_pred:
        share = percent(counts["predicted"]["false"], n_pred)
        sentences.append(f"Of the {counted(n_pred, 'predicted object')}, {share} lie where nothing is annotated.")
    return " ".join(sentences) or "There is no object on either side."


def _of_places(result: Evaluation) -> str:
    """The same where nothing is outlined."""
    table = result.accumulator.rows.detected.sum(0)
    n_true, n_pred = int(table[:-1].sum()), int(table[:, :-1].sum())
    sentences = []
    if n_true:
        found = percent(int(table[:-1, :-1].sum()), n_true)
        sentences.append(f"Of the {counted(n_true, 'annotated object')}, {found} are found.")
    if n_pred:
        false = percent(int(table[-1, :-1].sum()), n_pred)
        sentences.append(f"Of the {counted(n_pred, 'predicted object')}, {false} lie where nothing is annotated.")
    return " ".join(sentences) or "There is no object on either side."


def _scores(page: Report, result: Evaluation) -> None:
    page.section("Scores")
    rows = [
        [name, result.scores[key], bounds(result.intervals.get(key)), meaning]
        for key, (name, meaning) in SCORE_WORDS.items()
        if result.scores.get(key) is not None
    ]
    page.table(["score", "value", result.interval_name, "meaning"], rows, "lrll")
    page.text(f"What is averaged over what: {result.scores['averaging']}.")


def _training(page: Report, result: Evaluation) -> None:
    data = result.facts.get("model_data")
    if data is None:
        return
    page.section("What the model has seen in training")
    if not data:
        page.text("The card of the model names no training data.")
        return
    header = ["data set", "licence", "patches", "objects", "groups", "note"]
    rows = [
        [row["name"], row["licence"], row["patches"], row["instances"], len(row["groups"]) or None, row["note"]]
        for row in data
    ]
    page.table(header, rows, "llrrrl")
    page.text("Data sets, patients, slides and patches were compared with those scored here by their names.")


def _method(page: Report, result: Evaluation, info: DatasetInfo) -> None:
    page.section("How it was measured")
    units = plural(result.group_unit)
    protocol = result.accumulator.protocol
    page.text(
        f"Protocol {protocol.name}: {protocol.summary} A score says little without its protocol; two scores can be "
        "compared where the protocol is the same.",
        f"Two objects are a pair where their IoU is above {result.scores['iou_threshold']}; detection pairs centroids "
        f"at most {result.scores['radius_um']:g} µm apart. Intervals draw whole {units} with replacement "
        f"{result.facts['resamples']:,} times and take percentiles; they hold what the choice of {units} "
        "explains, not what another training run would change.",
    )
    for kind, remarks in (("Known problem", info.known_problems), ("Shared data", info.leakage_notes)):
        for remark in remarks:
            page.note(f"{kind} of the data set: {remark}")
    versions = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    facts = dict(result.facts)
    if result.comparison is not None:
        facts |= {f"against: {key}": value for key, value in result.comparison.facts.items()}
    shown = {_label(key): _plain(value) for key, value in facts.items() if not key.endswith(_HIDDEN)}
    shown |= {name: result.scores[key] for key, name in _COUNTS.items()}
    shown["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    page.facts({name: value for name, value in shown.items() if value is not None})


def _label(key: str) -> str:
    """A key of the JSON in words."""
    return key.replace("dataset", "data set").replace("_", " ")


def _plain(value: object) -> object:
    return (", ".join(map(str, value)) or None) if isinstance(value, list) else value
