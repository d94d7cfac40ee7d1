"""``weights``: fetch, list and verify the weights of encoders in a store that can be copied to another machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from histoseed.encoders import EncoderCard, get_card
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.store import Record, WeightsStore
from histoseed.errors import InputError, ModelError
from histoseed.files import sha256_of
from histoseed.settings import read_settings

__all__ = ["Stored", "get_weights", "list_weights", "verify_weights"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A weights file of the store.

    Args:
        path: Where it lies.
        record: What is known of it.
        status: ``ok``: there (and of the recorded hash, where that was asked for); ``missing``; ``changed``.
    """

    path: Path
    record: Record
    status: Literal["ok", "missing", "changed"]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"path": str(self.path), "status": self.status} | asdict(self.record)


def get_weights(encoder: str, *, file: Path | None = None, store: Path | None = None, check: bool = True) -> Stored:
    """Put the weights of an encoder into the store, from the hub or from a file, and hold that they fit.

    Args:
        encoder: Name of a card.
        file: A file that was fetched by hand; None asks the hub, unless the store has the weights already.
        store: Folder of the store; None is ``weights`` in the cache folder.
        check: Compare all tensors with the network, which is made without memory for its own; a file that does not fit
            is not taken, and one of the hub is told.

    Raises:
        GatedModelError: the licence must be accepted first.
        ModelError: no such encoder, no weights to be had, a file that does not fit.
        OutputError: the store cannot be written.
    """
    card = get_card(encoder)
    if card.family in ("bundled", "none"):
        reason = card.reason or "its weights ship with histoseed"
        raise InputError(f"There is nothing to fetch: {reason}.", where=card.name, fix="Name another encoder.")
    place = WeightsStore(store)
    if file is not None:
        if not file.is_file():
            raise ModelError("There is no such weights file.", where=file, fix="Check the path.")
        if check:
            _hold_that_it_fits(card, file)
        record = place.keep(card, file)
    else:
        fetched = fetch_weights(card, read_settings(), place)
        if check:
            _hold_that_it_fits(card, fetched.path)
        record = place.record(card) or place.keep(card, fetched.path, revision=fetched.revision)
    return Stored(place.path(card, record), record, "ok")


def list_weights(*, store: Path | None = None) -> list[Stored]:
    """Everything in the store; files are looked for, not read.

    Raises:
        ModelError: a damaged record.
    """
    found = []
    for folder, record in WeightsStore(store).records():
        path = folder / record.filename
        found.append(Stored(path, record, "ok" if path.is_file() else "missing"))
    return found


def verify_weights(encoders: list[str] | None = None, *, store: Path | None = None) -> list[Stored]:
    """Hash the files of the store anew.

    Args:
        encoders: Only those of these cards; None or nothing takes all.
        store: Folder of the store; None is ``weights`` in the cache folder.

    Raises:
        ModelError: an encoder that the store does not hold, or a damaged record.
    """
    place = WeightsStore(store)
    if encoders:
        wanted = {place.place(get_card(name)): name for name in encoders}
        there = {folder for folder, _ in place.records()}
        for folder, name in wanted.items():
            if folder not in there:
                fix = f"Fetch them: histoseed weights get {name}"
                raise ModelError("The store holds no weights of this encoder.", where=name, fix=fix)
    stored = list_weights(store=store)
    chosen = [one for one in stored if not encoders or one.path.parent in wanted]
    return [Stored(one.path, one.record, "changed") if one.status == "ok" and _differs(one) else one for one in chosen]


def _differs(stored: Stored) -> bool:
    size = stored.path.stat().st_size
    return size != stored.record.bytes or sha256_of(stored.path) != stored.record.sha256


def _hold_that_it_fits(card: EncoderCard, file: Path) -> None:
    """Every tensor, by name and shape, against a network on the meta device."""
    import torch

    from histoseed.encoders.build import plan_encoder
    from histoseed.encoders.weights import check_strictly, read_state

    blueprint = plan_encoder(card, card.native_size or 256)
    with torch.device("meta"):
        network = blueprint.make()
    check_strictly(network, blueprint.translate(network, read_state(file), file), file)
