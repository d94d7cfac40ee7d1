"""The small default model that ships with the package: where it lies, and nothing else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from histoseed.errors import ModelError

__all__ = ["bundled_folder"]


def bundled_folder() -> Path:
    """Folder of the bundled model: ``model.safetensors`` and ``model.json``.

    Raises:
        ModelError: the package was installed without it.
    """
    folder = Path(str(files("histoseed.bundled"))) / "model"
    if not (folder / "model.json").is_file():
        raise ModelError("The bundled model is missing.", where=folder, fix="Install histoseed again.")
    return folder
