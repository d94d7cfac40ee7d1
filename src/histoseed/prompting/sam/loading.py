"""From a name or a file to a promptable model with weights."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.registry import nearest
from histoseed.errors import InputError, ModelError
from histoseed.files import sha256_of
from histoseed.prompting.sam.cards import CARDS, TRIALS, PromptableCard
from histoseed.settings import Settings

if TYPE_CHECKING:
    from histoseed.encoders.weights import State
    from histoseed.prompting.sam.model import Precision, SamPromptable

__all__ = ["get_promptable_card", "load_promptable"]

_PRECISIONS = ("float32", "bfloat16")


def get_promptable_card(name: str) -> PromptableCard:
    """The card of a promptable model.

    Args:
        name: A named card (case, ``-``, ``_`` and ``.`` do not matter), one of its other names, or ``hf:OWNER/NAME``
            for its hub repository.

    Raises:
        ModelError: no such model; the error gives the nearest names.

    >>> get_promptable_card("SAM2.1_hiera_base_plus").name
    'sam2.1-hiera-b+'
    >>> get_promptable_card("sam-vit-x")
    Traceback (most recent call last):
    ...
    histoseed.errors.ModelError: model: There is no promptable model 'sam-vit-x'. Fix: The nearest names are \
sam-vit-b, sam-vit-l, sam-vit-h.
    """
    if name in TRIALS:
        return TRIALS[name]
    names = {name: card for card in CARDS.values() for name in _names(card)}
    known = {_plain(written): card for written, card in names.items()}
    if _plain(name) in known:
        return known[_plain(name)]
    close = nearest(name, CARDS) or list(CARDS)
    what = f"There is no promptable model {name!r}."
    raise ModelError(what, where="model", fix=f"The nearest names are {', '.join(close)}.")


def load_promptable(
    name: str | Path | PromptableCard,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
    seed: int = 0,
    settings: Settings | None = None,
) -> SamPromptable:
    """Load a SAM model.

    Args:
        name: What :func:`get_promptable_card` understands, a card, or the path of a checkpoint of SAM, SAM-HQ or SAM 2
            in Meta's or transformers' layout, whose size is found in the file. MedSAM and PathoSAM have the layout of
            SAM and see windows differently: say ``load_promptable("medsam", weights=FILE)`` for those.
        weights: ``hub``: downloaded once from the Hugging Face hub, pinned and checked; ``random``: drawn from
            ``seed``, without any network; or the path of a ``.safetensors``, ``.pt``, ``.pth`` or ``.bin`` file, loaded
            strictly. None is ``hub``, and for a path what lies there.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``bfloat16`` computes in mixed precision.
        seed: Of the random weights.
        settings: Where downloads are kept; None reads the environment.

    Returns:
        The model in evaluation mode; its card holds the revision and the hash of the weights.

    Raises:
        ModelError: no such model, weights that do not fit (the tensors are named), a download that is impossible.
        InputError: an unknown precision, or a device that is not there.
        DependencyError: the package transformers is absent.
    """
    from histoseed.prompting.sam.networks import make_network, random_network  # noqa: PLC0415  imports torch

    if precision not in _PRECISIONS:
        raise InputError(f"There is no precision {precision!r}.", where="precision", fix="Use float32 or bfloat16.")
    place = _device(device)
    card, state, origin = _find(name, weights, settings)
    if state is None:
        network = random_network(card, seed)
        origin = f"random, seed {seed}"
    else:
        from histoseed.prompting.sam.layout import in_transformers_names, put_strictly  # noqa: PLC0415

        network = make_network(card)
        if card.arch is not None:
            put_strictly(network, in_transformers_names(card.arch, state), f"{card.name} ({origin})")
    return _class_of(card)(card, network.to(place), weights=origin, precision=precision)


def _find(
    name: str | Path | PromptableCard, weights: str | Path | None, settings: Settings | None
) -> tuple[PromptableCard, State | None, str]:
    """The card with revision and hash, the tensors (None for random ones), and a word on their origin."""
    from histoseed.encoders.weights import read_state  # noqa: PLC0415  imports torch

    if isinstance(name, Path) or (isinstance(name, str) and _is_file(name)):
        from histoseed.prompting.sam.layout import card_of_state  # noqa: PLC0415

        state = read_state(Path(name))
        card = card_of_state(state, name)
        if weights not in (None, str(name), name):
            what = f"The model is given as a file and its weights as {str(weights)!r}."
            raise InputError(what, where=name, fix="Give one of them.")
        return _of_file(card, Path(name)), state, Path(name).name
    card = name if isinstance(name, PromptableCard) else get_promptable_card(name)
    if card.arch is None:
        return card, None, ""  # what it lacks is said when it is built
    if weights == "random" or (weights is None and card.name in TRIALS):
        return replace(card, revision=None, sha256=None), None, ""
    if weights in (None, "hub"):
        found = fetch_weights(card.weights_card(), settings)
        filled = replace(card, revision=found.revision, sha256=found.sha256, filename=found.filename)
        return filled, read_state(found.path), f"hub, {card.hub_id}@{found.revision}"
    path = Path(str(weights))
    return _of_file(card, path), read_state(path), path.name


def _of_file(card: PromptableCard, path: Path) -> PromptableCard:
    """Whatever a file holds: neither its licence nor its origin is known to be the card's."""
    return replace(
        card, hub_id=None, filename=path.name, revision=None, licence=None, commercial="unknown",
        sha256=sha256_of(path) if path.is_file() else None,
    )  # fmt: skip


def _is_file(name: str) -> bool:
    return Path(name).suffix in {".pt", ".pth", ".bin", ".ckpt", ".safetensors"} or Path(name).is_file()


def _device(name: str) -> Any:
    import torch  # noqa: PLC0415

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"There is no device {name!r} here ({reason}).", where="device", fix="Use cpu.") from error
    return device


def _class_of(card: PromptableCard) -> type[SamPromptable]:
    from histoseed.prompting.sam.sam1 import SamHqModel, SamModel  # noqa: PLC0415  imports torch
    from histoseed.prompting.sam.sam2 import Sam2Model  # noqa: PLC0415

    return {"sam2": Sam2Model, "sam-hq": SamHqModel}.get(card.arch or "", SamModel)


def _names(card: PromptableCard) -> list[str]:
    return [card.name, *card.aliases, *([f"hf:{card.hub_id}"] if card.hub_id else [])]


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.lower())
