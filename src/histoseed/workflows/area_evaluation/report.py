"""The report of an evaluation of areas, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence

from histoseed._version import __version__
from histoseed.datasets import DatasetInfo
from histoseed.pictures import Report, confusion_matrix
from histoseed.wording import counted, plural
from histoseed.workflows.area_evaluation.pictures import AreaPanel
from histoseed.workflows.area_evaluation.result import AreaEvaluation
from histoseed.workflows.area_evaluation.words import AREA_WORDS
from histoseed.workflows.evaluation.wording import bounds

__all__ = ["render_area_report"]


def render_area_report(result: AreaEvaluation, info: DatasetInfo, *, date: str = "") -> str:
    """The whole page.

    Args:
        result: What came of the evaluation.
        info: What the data set says of itself.
        date: As it shall be read.

    Returns:
        HTML that loads nothing from anywhere.
    """
    split = f", split {result.facts['split']}" if result.facts["split"] else ""
    against = f", against {result.comparison.name}" if result.comparison else ""
    patches = counted(result["n_patches"], "patch")
    groups = f" of {counted(result['n_groups'], result.group_unit)}" if result.group_unit != "patch" else ""
    subtitle = (
        f"Areas ({result.areas.of}) on {info.name}{split}{against}: {patches}{groups}. Protocol {result['protocol']}."
    )
    page = Report(f"Evaluation of {result.name}", subtitle, version=__version__, date=date)
    _summary(page, result)
    _scores(page, result)
    _classes(page, result)
    _patches(page, "Worst patches", result.worst)
    _patches(page, "Best patches", result.best)
    _method(page, result, info)
    return page.render()


def _summary(page: Report, result: AreaEvaluation) -> None:
    other = result.comparison
    for warning in dict.fromkeys((*result.warnings, *(other.warnings if other else ()))):
        page.note(warning, kind="warning")
    page.numbers({name: (result[key], bounds(result.intervals.get(key))) for key, (name, _) in AREA_WORDS.items()})
    for note in dict.fromkeys((*result.notes, *(other.notes if other else ()))):
        page.note(note)


def _scores(page: Report, result: AreaEvaluation) -> None:
    page.section("Scores")
    other = result.comparison
    header = ["score", "value", "95 % interval", "meaning"]
    rows = []
    for key, (name, meaning) in AREA_WORDS.items():
        row = [name, result[key], bounds(result.intervals.get(key)), meaning]
        if other is not None:
            row[3:3] = [other.intervals[key].value, bounds(other.differences.get(key), signed=True)]
        rows.append(row)
    if other is not None:
        header[3:3] = [f"against {other.name}", "difference, 95 % interval"]
    page.table(header, rows, "lrl" + ("rl" if other else "") + "l")
    page.text(f"What is averaged over what: {result['averaging']}.")


def _classes(page: Report, result: AreaEvaluation) -> None:
    page.section("Classes")
    total = max(1, result["pixels"])
    rows = [
        [
            name,
            result[f"dice_{name}"],
            bounds(result.intervals.get(f"dice_{name}")),
            result[f"iou_{name}"],
            result[f"dice_pooled_{name}"],
            result[f"iou_pooled_{name}"],
            f"{100 * result[f'pixels_{name}'] / total:.1f} %",
        ]
        for name in result.accumulator.classes
    ]
    header = ["class", "Dice", "95 % interval", "IoU", "Dice, pooled", "IoU, pooled", "share of the truth"]
    page.table(header, rows, "lrlrrrr")
    names = ["background", *result.accumulator.classes]
    counts = result.accumulator.confusion()
    used = [k for k in range(len(names)) if counts[k].sum() + counts[:, k].sum()]
    shown = [names[k] for k in used]
    page.plot(
        lambda theme: confusion_matrix(counts[used][:, used], shown, theme=theme),
        "Pixels by class of the truth (rows) and of the prediction (columns).",
        "Confusion of the classes.",
    )


def _patches(page: Report, title: str, panels: Sequence[AreaPanel]) -> None:
    if not panels:
        return
    page.section(title)
    page.text("By the mean Dice of the classes of the patch. What is not judged is grey in the truth.")
    for panel in panels:
        group = f" ({panel.group})" if panel.group and panel.group != panel.patch_id else ""
        text = f"{panel.patch_id}{group}: mean Dice {panel.dice:.3f}."
        page.figure(panel.picture, text, f"Image, truth and prediction of patch {panel.patch_id}.")


def _method(page: Report, result: AreaEvaluation, info: DatasetInfo) -> None:
    page.section("How it was measured")
    units = plural(result.group_unit)
    rest = "background" if result.areas.background else "not judged"
    page.text(
        f"A pixel is right where both sides have the same class; what belongs to no class is {rest}. Both sides are "
        f"compared on the patch's own pixels. Intervals draw whole {units} with replacement "
        f"{result.facts['resamples']:,} times; they hold what the choice of {units} explains, not what "
        "another training run would change."
    )
    for kind, remarks in (("Known problem", info.known_problems), ("Shared data", info.leakage_notes)):
        for remark in remarks:
            page.note(f"{kind} of the data set: {remark}")
    hidden = ("model_data", "histoseed_version")
    facts = {key.replace("_", " "): value for key, value in result.facts.items() if key not in hidden}
    page.facts({key: ", ".join(map(str, v)) if isinstance(v, list) else v for key, v in facts.items() if v is not None})
