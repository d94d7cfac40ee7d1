"""Reading weights files and putting them into a network, strictly."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import nn

from histoseed.errors import ModelError

__all__ = ["State", "bundled_state", "check_strictly", "encoder_part", "load_strictly", "read_state", "refuse_misfit"]

State = dict[str, torch.Tensor]

_PICKLED = {".pt", ".pth", ".bin", ".ckpt", ".torch", ""}
_CONTAINERS = ("teacher", "state_dict", "model_state_dict", "model_state", "model", "network")
"""Where training programs keep the tensors; of a distillation, the teacher is what was published."""


def read_state(path: Path) -> State:
    """The tensors of a ``.safetensors`` file, or of a ``.pt``/``.pth``/``.bin``/``.ckpt`` file.

    Pickled files are read with ``weights_only=True``: no code of the file is ever run. Plain numbers, texts and
    :class:`argparse.Namespace` (the options of a training program) may stand beside the tensors and are ignored.

    Raises:
        ModelError: no such file, an unknown ending, a damaged file, or one that holds more than tensors.
    """
    if not path.is_file():
        raise ModelError("There is no such weights file.", where=path, fix='Give a file, "random", "hub" or "bundled".')
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in _PICKLED:
        return _read_pickled(path)
    endings = ", ".join([".safetensors", *sorted(_PICKLED - {""})])
    raise ModelError("This is not a weights file by its ending.", where=path, fix=f"Use one of {endings}.")


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError  # noqa: PLC0415  beside its only use
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"The file is damaged ({error}).", where=path, fix="Fetch it again.") from error


def _read_pickled(path: Path) -> State:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            "The file holds more than tensors, or is damaged, and is not read: it could run code.",
            where=path,
            fix="Convert it to .safetensors where you trust it.",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"The file is damaged ({error}).", where=path, fix="Fetch it again.") from error
    while isinstance(value, dict) and not _is_state(value):
        inner = next((value[key] for key in _CONTAINERS if isinstance(value.get(key), dict)), None)
        if inner is None:
            break
        value = inner
    if not isinstance(value, dict) or not _is_state(value):
        raise ModelError("The file is no table of named tensors.", where=path, fix="Give a state dict.")
    return dict(value)


def _is_state(value: Mapping[object, object]) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())


def check_strictly(network: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Every tensor of the network is in the file with its shape, and nothing else is.

    Raises:
        ModelError: lists the first missing, unexpected and differently shaped tensors.
    """
    own = network.state_dict()
    refuse_misfit(
        [key for key in own if key not in state],
        [key for key in state if key not in own],
        [(key, state[key].shape, own[key].shape) for key in own if key in state and state[key].shape != own[key].shape],
        where,
    )


def refuse_misfit(
    missing: Sequence[str],
    unexpected: Sequence[str],
    other_shapes: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    where: object,
    *,
    part: str = "encoder",
) -> None:
    """Say which tensors of a file do not fit; nothing where none is named.

    Args:
        missing: Names that the network has and the file has not.
        unexpected: Names that only the file has.
        other_shapes: Name, shape in the file, shape in the network.
        where: The file, and the encoder if that is not clear.
        part: What the weights are for, in the message.

    Raises:
        ModelError: lists the first of each kind.
    """
    shapes = [f"{key} {tuple(given)} for {tuple(wanted)}" for key, given, wanted in other_shapes]
    listed = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    found = [_some(kind, list(names)) for kind, names in listed if names]
    if found:
        fix = f"Check that the weights belong to this {part}, with exactly this architecture and these options."
        raise ModelError(f"The weights do not fit the {part}: {'; '.join(found)}.", where=where, fix=fix)


def _some(kind: str, names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{kind}: {', '.join(names[:3])}{rest}"


def load_strictly(network: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Put the tensors into the network, each cast to the network's own precision; see :func:`check_strictly`."""
    check_strictly(network, state, where)
    network.load_state_dict(dict(state), strict=True)


def encoder_part(state: Mapping[str, torch.Tensor]) -> State:
    """The encoder's tensors of a whole segmenter (keys that start with ``encoder.``), or all where none does.

    The segmenter may hold the bare network or a pyramid around it; the pyramid's ``network.`` goes as well.
    """
    for prefix in ("encoder.", "network."):
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        state = inner or state
    return dict(state)


def bundled_state() -> State:
    """The encoder of the model that ships with this package.

    Raises:
        ModelError: this installation carries no bundled model.
    """
    # The path goes through the root package: naming histoseed.bundled itself would run that higher room's code.
    resource = files("histoseed").joinpath("bundled", "model", "model.safetensors")
    if not resource.is_file():
        raise ModelError(
            "This installation carries no bundled model.",
            where="bundled",
            fix='Install a released wheel, run `make bundled`, or use weights="random".',
        )
    with as_file(resource) as path:
        return encoder_part(read_state(path))
