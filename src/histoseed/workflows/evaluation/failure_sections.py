"""The sections of a report that show where it fails: outcomes, sizes, classes, groups, patches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.metrics import SizeBin
from histoseed.pictures import Report, confusion_matrix, size_histogram
from histoseed.wording import counted
from histoseed.workflows.evaluation.pictures import Panel
from histoseed.workflows.evaluation.result import Evaluation
from histoseed.workflows.evaluation.wording import bounds, percent
from histoseed.workflows.evaluation.words import PREDICTED_WORDS, TRUTH_WORDS

__all__ = ["class_section", "failure_section", "group_section", "patch_section"]

_GROUPS_SHOWN = 20

_ORDER = {
    "PQ": "By the panoptic quality of the single patch. In the differences, every object without a partner of IoU "
    "above 0.5 is drawn as missed or false, whatever the reason.",
    "F1": "By the detection F1 of the single patch. Objects are paired by their places.",
}
"""What the patches are ordered by."""


def class_section(page: Report, result: Evaluation) -> None:
    """Scores of each class, and which is taken for which."""
    page.section("Classes")
    classes = result.accumulator.classes
    table = result.accumulator.confusion(by=result.paired_by)
    rows = []
    for k, name in enumerate(classes, start=1):
        pq, f1 = (result.intervals.get(f"{kind}_{name}") for kind in ("pq", "f1"))
        values = [result.scores[f"{kind}_{name}"] for kind in ("pq", "f1", "r2")]
        counts = [int(table[k].sum()), int(table[:, k].sum())]
        rows.append([name, *counts, values[0], bounds(pq), values[1], bounds(f1), values[2]])
    level = result.interval_name
    page.table(["class", "annotated", "predicted", "PQ", level, "F1", level, "R² of counts"], rows, "lrrrlrlr")
    names = ["unclassified", *classes, "no object"]
    true, found = ([i for i in range(len(names)) if i or table.sum(axis=axis)[0]] for axis in (1, 0))
    pairs = "Pairs with IoU above 0.5" if result.paired_by == "iou" else "Pairs of places within the radius"
    caption = f"{pairs}; shares are of the row. The last column are misses, the last row false objects."
    page.plot(
        lambda theme: confusion_matrix(
            table[np.ix_(true, found)], [names[i] for i in true], [names[i] for i in found], theme=theme
        ),
        caption,
        f"Confusion matrix of {counted(len(classes), 'class')}.",
    )


def failure_section(page: Report, result: Evaluation) -> None:
    """What happened to the objects of both sides, and how that depends on their size."""
    if not result.outlined:
        return
    page.section("Where it fails")
    counts = result.failures.counts()
    for side, title, words in (
        ("truth", "annotated object", TRUTH_WORDS),
        ("predicted", "predicted object", PREDICTED_WORDS),
    ):
        total = sum(counts[side].values())
        rows = [[name, counts[side][name], percent(counts[side][name], total), words[name]] for name in words]
        page.table([title, "objects", "share", "meaning"], rows, "lrrl")
    found = result.failures
    if not found.truth_labels.size:
        return
    unit = {"um": "µm", "px": "px"}[found.unit]
    sizes = {name: found.truth_diameter[found.truth_outcome == name] for name in TRUTH_WORDS}
    page.plot(
        lambda theme: size_histogram(sizes, quantity="equivalent diameter", unit=unit, theme=theme),
        "Annotated objects by size and by what happened to them. The equivalent diameter is that of a disc of equal "
        "area.",
        "Histogram of annotated objects by equivalent diameter, stacked by outcome.",
    )
    header = [f"diameter, {unit}", "annotated", *TRUTH_WORDS, "predicted", "false"]
    rows = [_size_row(row) for row in found.by_size()]
    page.table(header, rows, "lrrrrrrrr", caption="Shares of the annotated, and of the predicted objects of a size")


def _size_row(row: SizeBin) -> list[object]:
    n_true, n_pred = sum(row.truth.values()), sum(row.predicted.values())
    low, high = f"{row.low:g}", f"{row.high:g}"
    name = f"below {high}" if row.low == 0 else f"{low} and more" if math.isinf(row.high) else f"{low} to {high}"
    shares = [percent(row.truth[outcome], n_true) for outcome in TRUTH_WORDS]
    return [name, n_true, *shares, n_pred, percent(row.predicted["false"], n_pred)]


def patch_section(page: Report, title: str, panels: Sequence[Panel]) -> None:
    """Patches as pictures."""
    if not panels:
        return
    page.section(title)
    page.text(_ORDER[panels[0].score_name])
    for panel in panels:
        group = f" ({panel.group})" if panel.group and panel.group != panel.patch_id else ""
        window = f" {panel.window[:1].upper()}{panel.window[1:]}." if panel.window else ""
        text = (
            f"{panel.patch_id}{group}: {panel.score_name} {panel.score:.3f}, "
            f"{counted(panel.truth, 'annotated object')}, {counted(panel.predicted, 'predicted object')}; "
            f"{panel.outcome}.{window}"
        )
        alt = f"Image, truth, prediction and differences of patch {panel.patch_id}."
        page.figure(panel.picture, text, alt)


def group_section(page: Report, result: Evaluation) -> None:
    """Scores of each organ and of each group, worst first, where there are several."""
    rows = result.accumulator.rows
    _breakdown(page, result, "organ", rows.organ.astype(str))
    _breakdown(page, result, result.group_unit, rows.group.astype(str))


def _breakdown(page: Report, result: Evaluation, what: str, names: npt.NDArray[np.str_]) -> None:
    rows = result.accumulator.rows
    known = sorted(set(names.tolist()) - {""})
    if len(known) < 2:
        return
    table = []
    for name in known:
        at = np.flatnonzero(names == name)
        scores = result.accumulator.scores_of(rows[at])
        columns = ("pq", "aji", "f1_detection")
        table.append([name, len(at), scores["n_instances"], scores["n_predicted"], *(scores[key] for key in columns)])
    by, score = (4, "PQ") if result.outlined else (6, "detection F1")
    table.sort(key=lambda row: (math.inf if row[by] is None else float(str(row[by])), str(row[0])))
    page.section(f"By {what}")
    more = len(table) - _GROUPS_SHOWN
    caption = f"The {_GROUPS_SHOWN} with the lowest {score} of {len(table):,}" if more > 0 else f"Lowest {score} first"
    header = [what, "patches", "annotated", "predicted", "PQ", "AJI", "F1, detection"]
    page.table(header, table[:_GROUPS_SHOWN], "lrrrrrr", caption=caption)
