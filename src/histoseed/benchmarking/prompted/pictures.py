"""Pictures of single objects, drawn by the unit that scored them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from histoseed.benchmarking.prompted.cases import CaseChoice, choose_cases, draw_case
from histoseed.benchmarking.prompted.results import Case
from histoseed.datasets import Dataset, Patch
from histoseed.files import write_bytes
from histoseed.pictures import png_bytes
from histoseed.workflows.prompt_scores import ConditionScores
from histoseed.workflows.prompting.answering import prompt_for, targets_of
from histoseed.workflows.prompting.conditions import AUTO

__all__ = ["draw_cases"]


def draw_cases(
    sets: Sequence[Dataset], one: ConditionScores, folder: Path, *, seed: int = 0, mpp: float | None = None
) -> tuple[Case, ...]:
    """Random, median and worst objects of a condition as PNG files in ``cases/``, named by their content.

    Args:
        sets: What was scored.
        one: What came of it.
        folder: The folder of results.
        seed: Of the simulated users and of the choice.
        mpp: Assumed where a patch states none.
    """
    rows = one.answers.rows
    chosen = choose_cases(rows, seed)
    made: dict[int, Case] = {}
    for case, patch in _patches(sets, one, chosen):
        label = int(one.objects[case.row].rpartition("/")[2])
        truth = patch.labels == label
        answer = one.masks[case.row].on(truth.shape)
        (target,) = targets_of(patch, [label])
        size = (truth.shape[1], truth.shape[0])
        scale = patch.mpp if patch.mpp is not None else mpp
        automatic = one.condition.prompts in AUTO
        prompt = None if automatic else prompt_for(target, one.condition, scale, size, seed)
        png = png_bytes(draw_case(patch.image, truth, answer, prompt))
        name = f"cases/{hashlib.sha256(png).hexdigest()[:20]}.png"
        write_bytes(folder / name, png)
        iou, dice = rows.answer[case.row, :2].tolist()
        made[case.row] = Case(
            kind=case.kind, object=one.objects[case.row], data_set=str(rows.data_set[case.row]), dice=dice, iou=iou,
            size=float(rows.size[case.row]), picture=name,
        )  # fmt: skip
    return tuple(made[case.row] for case in chosen)


def _patches(
    sets: Sequence[Dataset], one: ConditionScores, chosen: Sequence[CaseChoice]
) -> Iterator[tuple[CaseChoice, Patch]]:
    """Cases with their patches, each of which is read once."""
    names = one.answers.rows.data_set
    by_patch: dict[tuple[str, str], list[CaseChoice]] = {}
    for case in chosen:
        place = (str(names[case.row]), one.objects[case.row].rpartition("/")[0])
        by_patch.setdefault(place, []).append(case)
    data = {one.name: one for one in sets}
    for (name, patch_id), cases in by_patch.items():
        patch = data[name].patch(patch_id)
        yield from ((case, patch) for case in cases)
