"""``encoders robustness``: do embeddings know the tissue, or the centre it comes from?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.datasets import CROP_UM, Dataset, read_dataset
from histoseed.encoders import build_encoder, choose_encoder
from histoseed.errors import DatasetError, InputError
from histoseed.metrics import Robustness, robustness_index
from histoseed.workflows.models import choose_device
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.robustness import Level, Samples, balanced_samples, embed_samples

__all__ = ["LEVELS", "EncoderRobustness", "encoder_robustness"]

LEVELS: tuple[Level, ...] = ("patch", "nucleus")

_MPP = 0.25
"""Resolution for an encoder whose card advises none."""
_LEAST = {"patch": 5, "nucleus": 20}
"""Fewest samples of a class in a centre."""


@dataclass(frozen=True, slots=True)
class EncoderRobustness:
    """The robustness of one encoder at one level.

    Args:
        encoder: Its name.
        weights: Where its weights came from.
        level: ``patch``: squares of 64 um; ``nucleus``: single nuclei.
        mpp: Microns per pixel that it saw.
        each: Samples of each class in each centre.
        index: The indices.
        remarks: What should be known.
    """

    encoder: str
    weights: str
    level: Level
    mpp: float
    each: int
    index: Robustness
    remarks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        index = self.index
        return {
            "encoder": self.encoder,
            "weights": self.weights,
            "level": self.level,
            "mpp": self.mpp,
            "pathorob": index.pathorob.as_dict(),
            "dejong": index.dejong.as_dict(),
            "k": index.k,
            "class_accuracy": index.accuracy,
            "centre_accuracy": index.centre_accuracy,
            "samples": index.samples,
            "samples_a_cell": self.each,
            "blocks": [
                {"classes": list(block.classes), "centres": list(block.centres)}
                | dict(zip(("ss", "so", "os", "oo"), counts, strict=True))
                for block, counts in index.blocks
            ],
            "remarks": list(self.remarks),
        }


def encoder_robustness(
    dataset: Dataset | Path | str,
    encoders: Sequence[str] = ("bundled",),
    *,
    weights: str | Path | None = None,
    levels: Sequence[Level] = LEVELS,
    most: int = 200,
    k: int | None = None,
    mpp: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[EncoderRobustness]:
    """Measure the robustness index of encoders, in both published definitions.

    Args:
        dataset: A data set whose patches name their centre, with organs or classes of nuclei that centres share.
        encoders: Names of encoder cards, or paths of models and checkpoints.
        weights: Of all of them: ``hub``, ``random``, ``bundled`` or a file; None takes what each name stands for.
        levels: ``patch``, ``nucleus``; of several, those that the data set does not allow are left out.
        most: Most samples of a class in a centre.
        k: Neighbours; None chooses the number that predicts the class best, for each encoder.
        mpp: Microns per pixel to assume where a patch states none.
        resamples: Of the bootstrap over cases.
        seed: Of the choice of samples and of the bootstrap.
        device: ``auto``, ``cpu``, ``cuda``...
        progress: Told about every sample.

    Returns:
        One entry an encoder and level.

    Raises:
        DatasetError: fewer than two centres, or no two classes in the same two centres.
        ModelError: no such encoder, or it cannot be had.
        InputError: nothing is asked for, or a number out of range.
    """
    if not encoders or not levels or most < 2 or set(levels) - set(LEVELS):
        what = "At least one encoder, a level (patch, nucleus) and two samples a cell are needed."
        raise InputError(what, where="encoders robustness")
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    told, place = progress or Silent(), choose_device(device)
    chosen = [choose_encoder(name, weights) for name in encoders]
    designs = _designs(data, levels, most, seed, mpp)
    found = []
    for one in chosen:
        scale = one.card.mpp or _MPP
        encoder = (
            build_encoder(one.card, weights=one.weights, image_size=round(CROP_UM / scale)).freeze().eval().to(place)
        )
        for design in designs:
            told.start(len(design.samples), "samples", f"{one.card.name}: {design.level} embeddings")
            rows = embed_samples(data, design.samples, encoder, scale, told, mpp=mpp)
            told.done()
            index = robustness_index(
                rows, [s.name for s in design.samples], [s.centre for s in design.samples],
                [s.case for s in design.samples], k=k, resamples=resamples, seed=seed,
            )  # fmt: skip
            found.append(
                EncoderRobustness(
                    one.card.name, encoder.weights, design.level, scale, design.each, index, tuple(design.remarks)
                )
            )
    return found


def _designs(data: Dataset, levels: Sequence[Level], most: int, seed: int, mpp: float | None) -> list[Samples]:
    """The samples of each level that the data set allows.

    Raises:
        DatasetError: it allows none.
    """
    designs: list[Samples] = []
    reasons: dict[str, DatasetError] = {}
    for level in levels:
        try:
            designs.append(balanced_samples(data, level, most=most, least=min(most, _LEAST[level]), seed=seed, mpp=mpp))
        except DatasetError as error:
            reasons[level] = error
    if not designs:
        first = next(iter(reasons.values()))
        told = {error.what for error in reasons.values()}
        what = first.what if len(told) == 1 else " ".join(f"{level}: {error.what}" for level, error in reasons.items())
        raise DatasetError(what, where=data.path, fix=first.fix) from first
    return designs
