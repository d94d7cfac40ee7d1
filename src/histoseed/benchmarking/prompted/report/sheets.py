"""Cases on a sheet: image, truth, prompt and answer of several objects."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from histoseed.benchmarking.prompted.cases import CASE_GAP, CASE_PANELS, case_keys
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.results import Case, PromptResult
from histoseed.benchmarking.report.document import Photo
from histoseed.benchmarking.report.wording import joined
from histoseed.errors import InputError
from histoseed.pictures import Picture, jpeg_bytes
from histoseed.pictures.lettering import blank, legend_strip, text_strip
from histoseed.pictures.raster import resize
from histoseed.pictures.sheet import lettered, stacked

__all__ = ["case_photos"]

_PANEL, _LETTERS, _BETWEEN, _GAP = 152, 17, 28, 12
"""Pixels of a panel, of letters, and between cases; a sheet is wider than the page, which reduces it by a quarter."""
_QUALITY = 80
_OF_A_KIND = 2
"""Most cases of one kind on a sheet."""


def case_photos(found: Experiment, score: str, folder: Path) -> Iterator[Photo]:
    """Sheets of cases of the results that scored best and worst; with random weights of one.

    Args:
        found: The experiment.
        score: Which score orders results.
        folder: Of the results, where the pictures of cases lie.
    """
    if found.random and not found.compared:
        return  # another preset of the plan shows what is worth seeing
    ranked = sorted((one for one in found.results if one.cases), key=lambda one: -_value(one, score))
    chosen = {"": ranked[0]} if ranked else {}
    if len(ranked) > 1 and not found.random:
        chosen = {", the highest score": ranked[0], ", the lowest score": ranked[-1]}
    for number, (rank, one) in enumerate(chosen.items(), 1):
        cases = [case for case in _shown(one) if (folder / case.picture).is_file()]
        if cases:
            kinds = joined(list(dict.fromkeys(case.kind for case in cases)))
            caption = f"{found.label(one, whole=True)}{rank}: {kinds} cases. The answer is drawn over the truth."
            alt = f"{caption} Dice of the cases: {', '.join(f'{case.dice:.2f}' for case in cases)}."
            draw = functools.cache(functools.partial(_sheet, folder, tuple(cases)))
            yield Photo(f"{found.slug}-cases-{number}", draw, caption, alt)


def _shown(result: PromptResult) -> list[Case]:
    """A few cases of each kind, in their order."""
    kinds: Counter[str] = Counter()
    shown = []
    for case in result.cases:
        kinds[case.kind] += 1
        if kinds[case.kind] <= _OF_A_KIND:
            shown.append(case)
    return shown


def _value(result: PromptResult, score: str) -> float:
    given = result.scores.get(score)
    return -math.inf if given is None or given.value is None else given.value


def _sheet(folder: Path, cases: Sequence[Case]) -> bytes:
    """Cases two in a row under the names of their panels, and a legend, as JPEG."""
    columns = min(2, len(cases))
    width = len(CASE_PANELS) * (_PANEL + CASE_GAP) - CASE_GAP
    tiles = [np.concatenate([lettered(_words(case), width, _LETTERS), _strip(folder / case.picture)]) for case in cases]
    tiles += [blank(len(tiles[0]), width)] * (-len(tiles) % columns)
    rows = [_beside(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    names = _beside([_names()] * columns)
    return jpeg_bytes(
        stacked([names, *rows, legend_strip(case_keys(), names.shape[1], _LETTERS)], names.shape[1], _GAP), _QUALITY
    )


def _words(case: Case) -> str:
    """What stands above a case, in two lines."""
    head = f"{case.kind.capitalize()}: Dice {case.dice:.2f}, IoU {case.iou:.2f}"
    return f"{head}\n{case.size:,.0f} px long, {case.data_set}, {case.object}"


def _names() -> Picture:
    """The names of the panels of a case."""
    return _beside([text_strip(name, _PANEL, _LETTERS, bold=True) for name in CASE_PANELS], CASE_GAP)


def _beside(pictures: Sequence[Picture], gap: int = _BETWEEN) -> Picture:
    """Pictures from left to right, their lower ends at one height."""
    height = max(len(one) for one in pictures)
    parts: list[Picture] = []
    for one in pictures:
        above = blank(height - len(one), one.shape[1])
        parts += [blank(height, gap), np.concatenate([above, one])]
    return np.concatenate(parts[1:], axis=1)


def _strip(path: Path) -> Picture:
    """The picture of a case, its panels as large as on the sheet.

    Raises:
        InputError: it is damaged.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            picture = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = f"The picture of a case cannot be read ({error})."
        raise InputError(what, where=path, fix="Run the plan again.") from error
    width = len(CASE_PANELS) * (_PANEL + CASE_GAP) - CASE_GAP
    return resize(picture, _PANEL, width)
