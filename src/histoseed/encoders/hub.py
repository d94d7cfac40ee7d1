"""Weights from the store, else from the Hugging Face hub: pinned at the first download, refused when they change."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.store import Record, WeightsStore
from histoseed.errors import DependencyError, GatedModelError, ModelError, OutputError
from histoseed.files import sha256_of
from histoseed.settings import Settings, read_settings

__all__ = ["HubFile", "fetch_weights"]

_LOG = logging.getLogger("histoseed.encoders")
_TRIED = ("model.safetensors", "pytorch_model.bin")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A weights file on this machine.

    Args:
        path: Where it lies.
        filename: Its name in the repository, or in the store where it comes from none.
        revision: The repository's commit it came from; None where that is not known.
        sha256: Hex digest of its bytes.
    """

    path: Path
    filename: str
    revision: str | None
    sha256: str


def fetch_weights(card: EncoderCard, settings: Settings | None = None, store: WeightsStore | None = None) -> HubFile:
    """A card's weights from the store, or downloaded into it.

    The first download records revision and SHA-256 in the store; from then on the stored file is used as long as it has
    that hash, and where it is gone exactly that revision is asked for. What the card itself pins goes before what the
    record says. What is stored needs neither a network nor a login.

    Raises:
        GatedModelError: the licence must be accepted first, or no login is known for a gated repository.
        ModelError: no such weights, no network and nothing in the store, or a hash that differs.
        OutputError: the store cannot be written.
    """
    settings = read_settings() if settings is None else settings
    store = WeightsStore(settings=settings) if store is None else store
    record = store.record(card)
    if record is not None and store.path(card, record).is_file():
        path = store.path(card, record)
        found = HubFile(path, record.source or record.filename, record.revision, sha256_of(path))
        _compare(card, record, found)
        return found
    _refuse_without_repository(card)
    _refuse_without_login(card)
    revision = card.revision or (record.revision if record else None)
    path, filename = _download(card, revision, settings, record.source if record else None)
    found = HubFile(path, filename, _commit_of(path) or revision, sha256_of(path))
    _compare(card, record, found)
    kept = store.keep(card, path, revision=found.revision, source=filename)
    if record is None:
        _LOG.warning("first download of %s: revision %s, SHA-256 %s recorded in %s", card.name, found.revision,
                     found.sha256, store.place(card))  # fmt: skip
    return HubFile(store.path(card, kept), filename, found.revision, kept.sha256)


def _compare(card: EncoderCard, record: Record | None, found: HubFile) -> None:
    """Refuse a file of another hash than the card pins, or the record where the card pins none."""
    expected = card.sha256 or (record.sha256 if record else None)
    if expected is None or found.sha256 == expected:
        return
    source = "the encoder card" if card.sha256 else "its record"
    raise ModelError(
        f"The weights changed: SHA-256 {found.sha256[:16]}..., but {source} records {expected[:16]}...",
        where=f"{card.name} ({found.path})",
        fix="Remove the file and fetch it again; if the change is wanted, remove its whole folder first."
        if source != "the encoder card"
        else "Remove the file and fetch it again.",
    )


def _refuse_without_repository(card: EncoderCard) -> None:
    if card.hub_id is not None and card.gated != "unavailable":
        return
    if card.gated == "unavailable" or card.family in ("bundled", "none"):
        reason = f": {card.reason}" if card.reason else ""
        fix = 'Use weights="random" or a file.'
        raise ModelError(f"This encoder has no weights on the hub{reason}.", where=card.name, fix=fix)
    name = card.filename or "The file"
    where = f"{name} is handed out at {card.page}" if card.page else f"{name} is handed out by its authors"
    what = f"This encoder has no weights on the hub. {where} (licence {card.licence or 'not stated'})."
    fix = f"Fetch the file there, then: histoseed weights get {card.name} --from FILE, or give its path as weights."
    if card.gated != "none":
        raise GatedModelError(what, where=card.page or card.name, fix=fix)
    raise ModelError(what, where=card.name, fix=fix)


def _refuse_without_login(card: EncoderCard) -> None:
    """A gated repository is not even asked when no login is known. The token itself is never read out or shown."""
    if card.gated == "none":
        return
    hub = _hub()
    if hub.get_token() is None:
        raise _gated(card)


def _gated(card: EncoderCard) -> GatedModelError:
    page = card.page or f"https://huggingface.co/{card.hub_id}"
    click = (
        "ask for access there and wait for the owners"
        if card.gated == "manual"
        else 'click "Agree and access repository"'
    )
    return GatedModelError(
        f"The weights of {card.name} are gated (licence {card.licence or 'not stated'}, "
        f"commercial use: {card.commercial}).",
        where=page,
        fix=f"Log in on that page, read the licence, {click}; then run `hf auth login` here and try again.",
    )


def _download(card: EncoderCard, revision: str | None, settings: Settings, pinned_name: str | None) -> tuple[Path, str]:
    """The first of the candidate files that the repository has."""
    known = card.filename or pinned_name
    names = (known,) if known else _TRIED
    cache = settings.cache_dir.expanduser() / "hub"
    hub, errors = _hub(), _hub().errors
    for name in names:
        try:
            with _quiet():
                path = hub.hf_hub_download(str(card.hub_id), name, revision=revision, cache_dir=cache)
        except errors.GatedRepoError as error:
            raise _gated(card) from error
        except errors.LocalEntryNotFoundError as error:
            raise _unreachable(card, error) from error
        except errors.EntryNotFoundError:
            continue
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            what = f"The hub has no repository {card.hub_id}" + (f" at revision {revision}." if revision else ".")
            raise ModelError(what, where=card.name, fix="Give the path of a weights file instead.") from error
        except _network_errors() as error:
            if getattr(error, "errno", None) in _DISK:
                what = f"The weights cannot be stored ({error})."
                raise OutputError(what, where=cache, fix="Free some space, or set HISTOSEED_CACHE_DIR.") from error
            raise _unreachable(card, error) from error
        else:
            return Path(path), name
    raise ModelError(f"{card.hub_id} holds none of {', '.join(names)}.", where=card.name, fix="Give a weights file.")


@contextmanager
def _quiet() -> Iterator[None]:
    """The hub's client tells every attempt on standard error; what matters is in its last exception."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _unreachable(card: EncoderCard, error: BaseException) -> ModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"The weights of {card.name} are not on this machine, and {card.hub_id} on huggingface.co cannot be reached "
        f"({reason}).",
        where=card.name,
        fix="Connect to the network once (HF_HUB_OFFLINE must be unset), or run `histoseed weights get` elsewhere and "
        'copy its folder here, or give the path of the file; weights="random" needs nothing.',
    )


def _commit_of(path: Path) -> str | None:
    """The hub's cache keeps files as ``snapshots/<commit>/<file>``."""
    return next((part for part in reversed(path.parts) if _COMMIT.fullmatch(part)), None)


def _hub() -> Any:
    try:
        import huggingface_hub  # noqa: PLC0415  only a download needs it
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("The package huggingface-hub cannot be imported.", fix="Install it again.") from error
    return huggingface_hub


def _network_errors() -> tuple[type[BaseException], ...]:
    """What a failed connection raises: hub clients of different age speak through different HTTP packages."""
    return (OSError, *_hub().errors.HfHubHTTPError.__bases__)
