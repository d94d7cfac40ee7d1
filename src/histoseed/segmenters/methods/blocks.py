"""The blocks of a network, first to last, whatever library it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

__all__ = ["blocks_of"]

_LISTS = re.compile(r"(blocks|resblocks|layers?|stages|levels)|(layer|stage|stages|block|denseblock)_?\d+")
"""What libraries call a list of blocks, or of stages that hold such lists."""


def blocks_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules of the blocks in the order in which they stand; empty where none are recognised.

    Stages are opened: their blocks are listed, what changes the resolution between them is not.

    >>> stage = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    >>> network = nn.ModuleDict({"stem": nn.Linear(2, 2), "stages": nn.ModuleList([stage, nn.Linear(2, 2)])})
    >>> [name for name, _ in blocks_of(network)]
    ['stages.0.0', 'stages.0.1', 'stages.1']
    """
    return list(_lists(network, ""))


def _lists(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The blocks of the first lists below a module that is no list itself."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if _is_list(name, child):
            yield from _opened(child, path)
        else:
            yield from _lists(child, f"{path}.")


def _opened(blocks: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in blocks.named_children():
        inner = [(part, module) for part, module in child.named_children() if _is_list(part, module)]
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _opened(child, f"{path}.{name}")
        elif inner:
            for part, module in inner:
                yield from _opened(module, f"{path}.{name}.{part}")
        else:
            yield f"{path}.{name}", child


def _is_list(name: str, module: nn.Module) -> bool:
    # A network may be built of modules of its own that behave as a list: children that are numbered, or of one class.
    kinds = {type(child) for child in module.children()}
    return bool(_LISTS.fullmatch(name)) and (
        isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) or len(kinds) == 1
    )
