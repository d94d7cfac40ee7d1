"""What is said of every evaluation: who is compared, what was resampled, and where the report may go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from histoseed.datasets import Dataset
from histoseed.errors import InputError, OutputError
from histoseed.geometry import MPP_RANGE, known_mpp
from histoseed.wording import counted
from histoseed.workflows.evaluation.subjects import Subject

__all__ = ["check_mpp", "checked_report", "group_unit", "notes_on_groups", "side_names"]

FEW_GROUPS = 10
"""Below it a percentile interval is too narrow, and the reader is told."""


def side_names(subjects: Sequence[Subject]) -> list[str]:
    """What they are called side by side; where two have one name, their places tell them apart."""
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        names = [f"{subject.name} ({subject.origin})" for subject in subjects]
    return [name if name not in names[:k] else f"{name}, again" for k, name in enumerate(names)]


def group_unit(dataset: Dataset) -> str:
    """What the groups of a data set are, as far as its columns tell."""
    patches = dataset.patches
    if patches["group"].null_count() == len(dataset):
        return "patch"
    for unit in ("patient", "slide", "centre"):
        if (patches["group"].eq_missing(patches[unit])).all():
            return unit
    return "group"


def notes_on_groups(count: int, unit: str) -> Iterator[str]:
    """What few groups mean for the intervals."""
    if count == 1:
        yield f"All patches come from one {unit}: there are no intervals."
    elif 1 < count < FEW_GROUPS:
        yield f"There are only {counted(count, unit)}: intervals drawn from so few are too narrow."


def check_mpp(mpp: float | None) -> None:
    """Refuse an assumed resolution that cannot be.

    Raises:
        InputError: it is outside the range of what is believed.
    """
    if mpp is not None and known_mpp(mpp) is None:
        low, high = MPP_RANGE
        raise InputError(f"{mpp} microns per pixel is outside {low} to {high}.", where="--mpp")


def checked_report(report: Path | str | None, *, overwrite: bool) -> Path | None:
    """The path of the report, refused before hours are spent on its content.

    Raises:
        OutputError: something stands there.
    """
    if report is None:
        return None
    path = Path(report)
    if path.is_dir():
        raise OutputError("A folder of that name is in the way.", where=path, fix="Name a file, such as report.html.")
    if path.exists() and not overwrite:
        raise OutputError("The file is there already.", where=path, fix="Choose another name, or add --overwrite.")
    return path
