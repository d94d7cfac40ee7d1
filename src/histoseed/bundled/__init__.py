"""The small default models that ship with the package: where they lie, and nothing else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from histoseed.errors import ModelError

__all__ = ["bundled_folder", "bundled_prompt_folder"]


def bundled_folder() -> Path:
    """Folder of the bundled model: ``model.safetensors`` and ``model.json``.

    Raises:
        ModelError: the package was installed without it.
    """
    return _folder("model")


def bundled_prompt_folder() -> Path:
    """Folder of the bundled promptable model, which stands on the bundled model; the same two files.

    Raises:
        ModelError: the package was installed without it.
    """
    return _folder("prompt")


def _folder(name: str) -> Path:
    folder = Path(str(files("histoseed.bundled"))) / name
    if not (folder / "model.json").is_file():
        raise ModelError("The bundled model is missing.", where=folder, fix="Install histoseed again.")
    return folder
