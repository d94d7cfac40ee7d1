"""What ``--overwrite`` may remove: an earlier data set, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from histoseed.errors import OutputError

__all__ = ["check_replaceable"]


def check_replaceable(out: Path | str, sources: Iterable[Path | str]) -> None:
    """Replacing a data set must not cost anything else; called before the work begins.

    Args:
        out: The folder that a data set is to be written to, in place of what stands there.
        sources: What the data set is made from.

    Raises:
        OutputError: ``out`` is a folder with something in it that is no data set, or it holds a source.
    """
    folder = Path(out)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "dataset.json").is_file():
        what = "The folder is no data set and is not removed."
        raise OutputError(what, where=folder, fix="Choose another --out, or remove it yourself.")
    for source in sources:
        if Path(source).resolve().is_relative_to(folder.resolve()):
            what = f"The source {source} lies in the folder to overwrite."
            raise OutputError(what, where=folder, fix="Choose another --out.")
