"""``weights``: fetch, list and verify weights of encoders and promptable models in a store that can be copied."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from histoseed.encoders import EncoderCard, get_card
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.store import Record, WeightsStore
from histoseed.errors import InputError, ModelError
from histoseed.files import sha256_of
from histoseed.prompting.sam import CARDS as PROMPTABLE
from histoseed.prompting.sam import get_promptable_card
from histoseed.settings import read_settings

__all__ = ["Stored", "fetchable", "get_weights", "list_weights", "to_renew", "verify_weights"]


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
        encoder: Name of a card, or of a promptable model (``sam-vit-b``) that is no encoder's name.
        file: A file that was fetched by hand; None asks the hub, unless the store has the weights already.
        store: Folder of the store; None is ``weights`` in the cache folder.
        check: Compare all tensors with the network, which is made without memory for its own; a file that does not fit
            is not taken, and one of the hub is told.

    Raises:
        GatedModelError: the licence must be accepted first.
        ModelError: no such encoder, no weights to be had, a file that does not fit.
        OutputError: the store cannot be written.
    """
    card = fetchable(encoder)
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


def fetchable(name: str) -> EncoderCard:
    """The card whose weights can be fetched under a name; nothing is asked yet.

    Raises:
        ModelError: no such encoder.
        InputError: there is nothing to fetch.
    """
    card = _card_of(name)
    if card.family in ("bundled", "none"):
        reason = card.reason or "its weights ship with histoseed"
        raise InputError(f"There is nothing to fetch: {reason}.", where=card.name, fix="Name another encoder.")
    return card


def to_renew(stored: Stored, *, store: Path | None = None) -> list[str]:
    """What to type to have a file that is missing or changed as it was recorded.

    Args:
        stored: The file.
        store: Folder of the store; None is ``weights`` in the cache folder.
    """
    return WeightsStore(store).to_renew(stored.path, stored.record)


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
        wanted = {place.place(_card_of(name)): name for name in encoders}
        there = {folder for folder, _ in place.records()}
        for folder, name in wanted.items():
            if folder not in there:
                fix = f"Fetch them: histoseed weights get {name}"
                raise ModelError("The store holds no weights of this encoder.", where=name, fix=fix)
    stored = list_weights(store=store)
    chosen = [one for one in stored if not encoders or one.path.parent in wanted]
    return [Stored(one.path, one.record, "changed") if one.status == "ok" and _differs(one) else one for one in chosen]


def _card_of(name: str) -> EncoderCard:
    """Of an encoder that can be built, else of a promptable model; what is wrong with a name is said for encoders."""
    try:
        card = get_card(name)
    except ModelError:
        with suppress(ModelError):
            return get_promptable_card(name).weights_card()
        raise
    # MobileSAM's image encoder alone is none of our encoders; as a promptable model it is read.
    return PROMPTABLE[card.name].weights_card() if card.family == "none" and card.name in PROMPTABLE else card


def _differs(stored: Stored) -> bool:
    size = stored.path.stat().st_size
    return size != stored.record.bytes or sha256_of(stored.path) != stored.record.sha256


def _hold_that_it_fits(card: EncoderCard, file: Path) -> None:
    """Every tensor, by name and shape, against a network on the meta device."""
    import torch

    from histoseed.encoders.build import plan_encoder
    from histoseed.encoders.weights import check_strictly, read_state

    if card.name in PROMPTABLE and card.layout is None:  # a whole model; encoders of its name have a layout
        from histoseed.prompting.sam.layout import check_fit, in_transformers_names
        from histoseed.prompting.sam.networks import make_network

        whole = PROMPTABLE[card.name]
        with torch.device("meta"):
            network = make_network(whole)
        check_fit(network, in_transformers_names(whole.arch or "sam", read_state(file)), file)
        return
    blueprint = plan_encoder(card, card.native_size or 256)
    with torch.device("meta"):
        network = blueprint.make()
    check_strictly(network, blueprint.translate(network, read_state(file), file), file)
