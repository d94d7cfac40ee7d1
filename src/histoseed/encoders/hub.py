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

__all__ = ["HubFile", "fetch_weights", "how_to_get", "why_no_weights"]

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


def fetch_weights(
    card: EncoderCard,
    settings: Settings | None = None,
    store: WeightsStore | None = None,
    *,
    instead: str | None = None,
) -> HubFile:
    """A card's weights from the store, or downloaded into it.

    The first download records revision and SHA-256 in the store; from then on the stored file is used as long as it has
    that hash, and where it is gone exactly that revision is asked for. What the card itself pins goes before what the
    record says. What is stored needs neither a network nor a login.

    Args:
        card: Whose weights.
        settings: Where downloads are kept; None reads the environment.
        store: None is the one of the settings.
        instead: What the caller takes where these weights are not to be had; said where they are not.

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
        _compare(card, record, found, store.to_renew(path, record))
        return found
    _refuse_without_repository(card, instead)
    _refuse_without_login(card)
    revision = card.revision or (record.revision if record else None)
    cache = settings.cache_dir.expanduser() / "hub"
    path, filename = _download(card, revision, cache, record.source if record else None, store, instead)
    try:
        found = HubFile(path, filename, _commit_of(path) or revision, sha256_of(path))
        _compare(card, record, found, [])
        kept = store.keep(card, path, revision=found.revision, source=filename)
    except FileNotFoundError:  # another process fetched the same and was faster
        if store.record(card) is None:
            raise
        return fetch_weights(card, settings, store, instead=instead)
    if cache in path.parents:  # large files are not kept twice
        for copy in (path.resolve(), path):
            copy.unlink(missing_ok=True)
    if record is None:
        _LOG.warning("first download of %s: revision %s, SHA-256 %s recorded in %s", card.name, found.revision,
                     found.sha256, store.place(card))  # fmt: skip
    return HubFile(store.path(card, kept), filename, found.revision, kept.sha256)


def why_no_weights(card: EncoderCard, store: WeightsStore | None = None) -> str | None:
    """Which published weights are missing on this machine and how they are had, or None where they are there.

    The store is looked at and nothing else: no network is asked, no file is read.

    Args:
        card: Of an encoder.
        store: None is the one of the settings.

    Raises:
        ModelError: the record of the store is damaged.

    >>> from histoseed.encoders import get_card
    >>> why_no_weights(get_card("bundled")) is None
    True
    """
    if card.family == "bundled":
        return None
    if card.family == "none" or card.gated == "unavailable":
        return card.reason or "its weights were never released"
    store = WeightsStore() if store is None else store
    if store.file(card) is not None:
        return None
    return f"its weights are not in {store.place(card)}: {', then '.join(how_to_get(card))}"


def how_to_get(card: EncoderCard) -> list[str]:
    """What to do for published weights of an encoder, one step after the other, access and licence included.

    >>> from histoseed.encoders import get_card
    >>> how_to_get(get_card("dinov2-small"))
    ['`histoseed weights get dinov2-small`']
    """
    get = f"`histoseed weights get {card.name}`"
    if card.hub_id is not None:
        return [get] if card.gated == "none" else [f"log in on {_page(card)}", _click(card), "`hf auth login`", get]
    if card.page is None and card.filename is None:
        return ["no published weights are known"]
    ask = "fetch" if card.gated == "none" else "ask for"
    where = f" at {card.page}" if card.page else ""
    return [f"{ask} {card.filename or 'the file'}{where}", f"`histoseed weights get {card.name} --from FILE`"]


def _compare(card: EncoderCard, record: Record | None, found: HubFile, again: list[str]) -> None:
    """Refuse a file of another hash than the card pins, or the record where the card pins none.

    ``again``: what to type to fetch it anew.
    """
    expected = card.sha256 or (record.sha256 if record else None)
    if expected is None or found.sha256 == expected:
        return
    source = "the encoder card" if card.sha256 else "its record"
    typed = f": {'; '.join(again)}" if again else ""
    wanted = "" if card.sha256 else "; if the change is wanted, remove its whole folder first"
    raise ModelError(
        f"The weights changed: SHA-256 {found.sha256[:16]}..., but {source} records {expected[:16]}...",
        where=f"{card.name} ({found.path})",
        fix=f"Remove the file and fetch it again{typed}{wanted}.",
    )


def _refuse_without_repository(card: EncoderCard, instead: str | None) -> None:
    if card.hub_id is not None and card.gated != "unavailable":
        return
    if card.gated == "unavailable" or card.family in ("bundled", "none"):
        reason = f": {card.reason}" if card.reason else ""
        fix = _sentence("take its own: --weights bundled" if card.family == "bundled" else None,
                        instead or "name another encoder")  # fmt: skip
        raise ModelError(f"This encoder has no weights on the hub{reason}.", where=card.name, fix=fix)
    name = card.filename or "The file"
    where = f"{name} is handed out at {card.page}" if card.page else f"{name} is handed out by its authors"
    what = f"This encoder has no weights on the hub. {where} (licence {card.licence or 'not stated'})."
    fix = _sentence(f"fetch the file there, then: histoseed weights get {card.name} --from FILE", instead)
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
    return GatedModelError(
        f"The weights of {card.name} are gated (licence {card.licence or 'not stated'}, "
        f"commercial use: {card.commercial}).",
        where=_page(card),
        fix=f"Log in on that page, {_click(card)}; then run `hf auth login` here and try again.",
    )


def _page(card: EncoderCard) -> str:
    return card.page or f"https://huggingface.co/{card.hub_id}"


def _click(card: EncoderCard) -> str:
    """What opens the gate."""
    if card.gated == "manual":
        return "read the licence, ask for access there and wait for the owners"
    return 'read the licence, click "Agree and access repository"'


def _download(  # noqa: PLR0917 - one caller
    card: EncoderCard,
    revision: str | None,
    cache: Path,
    pinned_name: str | None,
    store: WeightsStore,
    instead: str | None,
) -> tuple[Path, str]:
    """The first of the candidate files that the repository has."""
    known = card.filename or pinned_name
    names = (known,) if known else _TRIED
    hub, errors = _hub(), _hub().errors
    away = _away(card, names[0], revision)
    if away is not None:
        raise _unreachable(card, away, store, instead) from away
    for name in names:
        try:
            with _quiet(hub):
                path = hub.hf_hub_download(str(card.hub_id), name, revision=revision, cache_dir=cache)
        except errors.GatedRepoError as error:
            raise _gated(card) from error
        except errors.LocalEntryNotFoundError as error:
            raise _unreachable(card, error, store, instead) from error
        except errors.EntryNotFoundError:
            continue
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            what = f"The hub has no repository {card.hub_id}" + (f" at revision {revision}." if revision else ".")
            raise ModelError(what, where=card.name, fix="Give the path of a weights file instead.") from error
        except _network_errors() as error:
            if getattr(error, "errno", None) in _DISK:
                what = f"The weights cannot be stored ({error})."
                raise OutputError(what, where=cache, fix="Free some space, or set HISTOSEED_CACHE_DIR.") from error
            raise _unreachable(card, error, store, instead) from error
        else:
            return Path(path), name
    raise ModelError(f"{card.hub_id} holds none of {', '.join(names)}.", where=card.name, fix="Give a weights file.")


def _away(card: EncoderCard, name: str, revision: str | None) -> BaseException | None:
    """Why the hub cannot be reached at all, asked once; its client would ask six times, for half a minute."""
    hub = _hub()
    try:
        with _quiet(hub):
            hub.get_hf_file_metadata(hub.hf_hub_url(str(card.hub_id), name, revision=revision))
    except (hub.errors.HfHubHTTPError, hub.errors.EntryNotFoundError):
        return None  # it answers; what its answer means is found by the download
    except _network_errors() as error:
        return error
    return None


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """The hub's client tells every attempt on standard error; what matters is in its last exception."""
    # The client imports its parts when they are first looked at, and sets its level then.
    _ = hub.hf_hub_download, hub.get_hf_file_metadata, hub.hf_hub_url
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _unreachable(card: EncoderCard, error: BaseException, store: WeightsStore, instead: str | None) -> ModelError:
    offline = isinstance(error, _hub().errors.OfflineModeIsEnabled)
    reason = "HF_HUB_OFFLINE is set" if offline else (str(error).splitlines() or [type(error).__name__])[0]
    get = f"`histoseed weights get {card.name} --store DIR`"
    return ModelError(
        f"The weights of {card.name} are not on this machine, and the hub cannot be reached ({reason}).",
        where=f"{_hub().constants.ENDPOINT}/{card.hub_id}",
        fix=_sentence(
            "unset HF_HUB_OFFLINE" if offline else "connect to the network",
            f"run {get} where there is one and copy what is in DIR to {store.folder} here",
            instead,
        ),
    )


def _sentence(*ways: str | None) -> str:
    """Ways out, in one sentence.

    >>> _sentence("wait", None, "go")
    'Wait, or go.'
    """
    text = ", or ".join(way for way in ways if way)
    return f"{text[:1].upper()}{text[1:]}."


def _commit_of(path: Path) -> str | None:
    """The hub's cache keeps files as ``snapshots/<commit>/<file>``."""
    return next((part for part in reversed(path.parts) if _COMMIT.fullmatch(part)), None)


def _hub() -> Any:
    try:
        import huggingface_hub  # noqa: PLC0415  only a download needs it
        import huggingface_hub.constants  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError("The package huggingface-hub cannot be imported.", fix="Install it again.") from error
    return huggingface_hub


def _network_errors() -> tuple[type[BaseException], ...]:
    """What a failed connection raises: hub clients of different age speak through different HTTP packages."""
    return (OSError, *_hub().errors.HfHubHTTPError.__bases__)
