"""The file that an interrupted training goes on from: tensors by kind, the optimiser's, and facts about the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from histoseed.errors import InputError
from histoseed.files import write_bytes

__all__ = ["read_checkpoint", "write_checkpoint"]

Tensors = Mapping[str, torch.Tensor]


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensors], optimizer: torch.optim.Optimizer, facts: Mapping[str, Any]
) -> None:
    """Write a checkpoint: the file is the new one or the old one, whatever happens.

    Args:
        path: The file.
        tensors: By kind and name.
        optimizer: Its state goes in as well.
        facts: JSON values; ``plan`` identifies the settings.
    """
    flat = {f"{kind}/{name}": tensor for kind, named in tensors.items() for name, tensor in named.items()}
    for i, values in optimizer.state_dict()["state"].items():
        flat |= {f"optimizer/{i}/{k}": v for k, v in values.items()}
    flat = {k: v.detach().cpu().contiguous() for k, v in flat.items()}
    write_bytes(path, save(flat, metadata={"facts": json.dumps(facts)}))


def read_checkpoint(
    path: Path, plan: str, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Any]]:
    """What :func:`write_checkpoint` wrote; the optimiser gets its state back.

    Args:
        path: The file.
        plan: Identifies the settings.
        optimizer: Over the same parameters.

    Returns:
        Tensors by kind and name, on the processor, and the facts.

    Raises:
        InputError: the checkpoint belongs to other settings.
    """
    with safe_open(path, framework="pt") as stream:
        facts = json.loads(stream.metadata()["facts"])
        if facts["plan"] != plan:
            fix = "Use the same settings, or start again with --overwrite."
            raise InputError("The checkpoint belongs to a run with other settings.", where=path, fix=fix)
        flat = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118 - not a mapping
    state = optimizer.state_dict()
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in flat.items():
        kind, name = key.split("/", 1)
        if kind == "optimizer":
            index, field = name.split("/")
            state["state"].setdefault(int(index), {})[field] = value
        else:
            tensors.setdefault(kind, {})[name] = value
    optimizer.load_state_dict(state)
    return tensors, facts
