"""What the folders of all kinds of promptable models share: ``model.json`` with task ``prompt``, and strict weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from histoseed.errors import ModelError
from histoseed.segmenters.model import CARD, WEIGHTS

__all__ = ["card_from_facts", "put_tensors", "read_kind", "read_prompt_folder"]

Card = TypeVar("Card", bound=BaseModel)
Facts = TypeVar("Facts")


def read_kind(folder: Path) -> str:
    """What kind of promptable model stands in a folder.

    Raises:
        ModelError: none, or its card is damaged.
    """
    kind = _content(folder).get("kind")
    if kind is None:
        raise ModelError("The model card does not say of what kind it is.", where=folder / CARD)
    return str(kind)


def read_prompt_folder(folder: Path, kind: type[Card], newest: int) -> Card:
    """The card of a folder.

    Args:
        folder: Of a promptable model.
        kind: The class of its card.
        newest: The latest version of the format that is known.

    Raises:
        ModelError: no promptable model stands there, its card is damaged, or a newer histoseed wrote it.
    """
    path, content = folder / CARD, _content(folder)
    version = content.get("format_version")
    if isinstance(version, int) and version > newest:
        what = f"The model has format version {version}; this histoseed reads up to {newest}."
        raise ModelError(what, where=path, fix="Update histoseed.")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"Field {'.'.join(map(str, first['loc']))}: {first['msg']}.", where=path) from error


def card_from_facts(kind: type[Facts], facts: Mapping[str, Any], path: Path | str) -> Facts:
    """A card of a first model or of an encoder, from the JSON values of its ``as_dict``.

    Args:
        kind: The dataclass.
        facts: Its fields.
        path: For messages.

    Raises:
        ModelError: fields that are missing or unknown.
    """
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()})
    except TypeError as error:
        raise ModelError(f"The card of a model that it was made from does not fit ({error}).", where=path) from error


def put_tensors(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy weights into a model's tensors; exactly these, or nothing changes.

    Args:
        own: Of the model, by the names that they have in the file.
        state: Of the file.
        path: Of the file, for messages.

    Raises:
        ModelError: a tensor is missing, too much, or of another shape.
    """
    wrong = sorted(
        k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape
    )
    if wrong:
        what = f"{len(wrong)} tensors do not fit the card (first: {wrong[0]})."
        raise ModelError(what, where=path, fix="Use the model.json that was written together with these weights.")
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(state[key])


def _content(folder: Path) -> dict[str, Any]:
    """``model.json`` of a promptable model."""
    path = folder / CARD
    if not path.is_file():
        raise ModelError("This is not a model folder.", where=folder, fix=f"Name a folder with {CARD} and {WEIGHTS}.")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"The model card cannot be read ({error}).", where=path) from error
    if not isinstance(content, dict) or content.get("task") != "prompt":
        fix = "Use it with histoseed segment; histoseed prompt takes promptable models."
        raise ModelError("This model answers no prompts.", where=path, fix=fix)
    return content
