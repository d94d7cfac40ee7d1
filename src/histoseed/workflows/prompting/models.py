"""From what a user names as a promptable model to one that answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histoseed.bundled import bundled_folder, bundled_prompt_folder
from histoseed.errors import InputError
from histoseed.workflows.models import choose_device, choose_dtype, load_model

if TYPE_CHECKING:
    from histoseed.prompting import PromptableModel
    from histoseed.prompting.sam import PromptableCard
    from histoseed.prompting.sam.model import Precision
    from histoseed.prompting.trainable import TrainablePromptable

__all__ = ["load_prompt_model", "prompt_model_folder", "weights_notes"]


def load_prompt_model(
    model: str | Path | PromptableCard = "bundled",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> TrainablePromptable:
    """A promptable model, ready to answer.

    Args:
        model: ``bundled``; a folder that ``histoseed adapt --task prompt`` wrote; the name of a SAM model; or a
            checkpoint or a card of one.
        weights: Of a SAM model, by its name: ``hub`` (the default), ``random``, or a file.
        device: auto, cpu, cuda ...
        dtype: auto, float32 or bfloat16.

    Raises:
        ModelError: no such model, or its weights do not fit.
        InputError: weights for a folder, which brings its own.
        GatedModelError: its weights must be asked for.
    """
    import torch

    from histoseed.inference import folded
    from histoseed.prompting.folders import read_kind
    from histoseed.prompting.roi.storage import load_prompter
    from histoseed.prompting.sam import load_promptable
    from histoseed.prompting.storage import load_trained_sam

    device = choose_device(device)
    dtype_ = choose_dtype(dtype, device)
    precision: Precision = "bfloat16" if dtype_ == torch.bfloat16 else "float32"
    folder = prompt_model_folder(model)
    if folder is None:
        return load_promptable(model, weights=weights, device=device, precision=precision)
    if weights is not None:
        fix = "Leave --weights out."
        raise InputError("The folder of a model brings its own weights.", where=f"--weights {weights}", fix=fix)
    if read_kind(folder) == "sam":
        return load_trained_sam(folder, device=device, precision=precision)
    segmenter = folded(load_model(bundled_folder(), device=device))
    return load_prompter(folder, segmenter, dtype=dtype_)


def weights_notes(model: PromptableModel) -> list[str]:
    """What is to be said about the weights of a model, before its answers are believed: whether they are random."""
    from histoseed.prompting.sam.model import SamPromptable

    if not isinstance(model, SamPromptable) or model.title is not None or not model.weights.startswith("random"):
        return []
    return [f"The weights of {model.name} are random numbers: its outlines and scores mean nothing."]


def prompt_model_folder(model: str | Path | PromptableCard) -> Path | None:
    """The folder that a name or path means; None where it means no folder of a model."""
    if str(model) == "bundled":
        return bundled_prompt_folder()
    found = Path(model) if isinstance(model, str | Path) else None
    return found if found is not None and (found / "model.json").is_file() else None
