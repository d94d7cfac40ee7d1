"""From what a user names as a promptable model to one that answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histoseed.bundled import bundled_folder, bundled_prompt_folder
from histoseed.workflows.models import choose_device, choose_dtype, load_model

if TYPE_CHECKING:
    from histoseed.prompting import PromptableModel

__all__ = ["load_prompt_model"]


def load_prompt_model(model: str | Path = "bundled", *, device: str = "auto", dtype: str = "auto") -> PromptableModel:
    """A promptable model, ready to answer.

    Args:
        model: ``bundled``; a folder that ``histoseed adapt --task prompt`` wrote; the name of a SAM model; or a
            checkpoint of one.
        device: auto, cpu, cuda ...
        dtype: auto, float32 or bfloat16.

    Raises:
        ModelError: no such model, or its weights do not fit.
        GatedModelError: its weights must be asked for.
    """
    import torch

    from histoseed.inference import folded
    from histoseed.prompting.roi.storage import load_prompter

    device = choose_device(device)
    precision = choose_dtype(dtype, device)
    folder = bundled_prompt_folder() if str(model) == "bundled" else Path(model)
    if (folder / "model.json").is_file():
        segmenter = folded(load_model(bundled_folder(), device=device))
        return load_prompter(folder, segmenter, dtype=precision)
    from histoseed.prompting.sam import load_promptable

    return load_promptable(model, device=device, precision="bfloat16" if precision == torch.bfloat16 else "float32")
