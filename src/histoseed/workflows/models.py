"""From what a user names as a model to a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histoseed.bundled import bundled_folder
from histoseed.errors import InputError

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import Segmenter

__all__ = ["choose_device", "choose_dtype", "load_model", "model_folder"]


def model_folder(model: str | Path) -> Path:
    """The folder behind a name: ``bundled``, or a path."""
    return bundled_folder() if str(model) == "bundled" else Path(model)


def load_model(model: str | Path = "bundled", *, device: str = "cpu") -> Segmenter:
    """A trained segmenter, in evaluation mode.

    Args:
        model: ``bundled``, or a folder that ``adapt`` wrote.
        device: For instance ``cpu`` or ``cuda``; ``auto`` takes a GPU where there is one.

    Raises:
        ModelError: no model stands there, it is damaged, or a newer histoseed wrote it.
    """
    from histoseed.segmenters import load_segmenter

    return load_segmenter(model_folder(model), device=choose_device(device))


def choose_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where a GPU works, else ``cpu``; anything else must work.

    Raises:
        InputError: the device does not exist here.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        fix = "Use --device cpu, or auto."
        raise InputError("This device cannot be used here.", where=f"--device {device}", fix=fix) from error
    return device


def choose_dtype(dtype: str, device: str) -> torch.dtype:
    """``auto`` becomes bfloat16 where the hardware multiplies it, else float32.

    Raises:
        InputError: another name than auto, float32, bfloat16.
    """
    import torch

    if dtype == "auto":
        return torch.bfloat16 if _has_fast_bfloat16(device) else torch.float32
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in names:
        raise InputError(f"There is no precision {dtype!r}.", where="--dtype", fix="Use auto, float32 or bfloat16.")
    return names[dtype]


def _has_fast_bfloat16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    # Both multiply bfloat16 faster than float32 (docs/benchmarks.md); without them it is emulated and slow.
    supported = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(has is not None and has() for has in supported)
