"""Weights from the Hugging Face hub: pinned at the first download, refused when they change later."""

from __future__ import annotations

import errno
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.encoders.cards import EncoderCard
from histoseed.errors import DependencyError, GatedModelError, ModelError, OutputError
from histoseed.files import sha256_of, write_json
from histoseed.settings import Settings, read_settings

__all__ = ["HubFile", "fetch_weights", "lock_path"]

_LOG = logging.getLogger("histoseed.encoders")
_TRIED = ("model.safetensors", "pytorch_model.bin")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A weights file on this machine.

    Args:
        path: Where it lies.
        filename: Its name in the repository.
        revision: The repository's commit it came from; None where the hub's cache does not tell.
        sha256: Hex digest of its bytes.
    """

    path: Path
    filename: str
    revision: str | None
    sha256: str


def lock_path(card: EncoderCard, settings: Settings) -> Path:
    """The file that remembers revision and hash of a card's weights.

    One file for each repository: two processes that download different encoders never write the same one.
    """
    name = str(card.hub_id).replace("/", "--") + (f"--{card.filename}" if card.filename else "")
    return settings.cache_dir.expanduser() / "weights" / f"{name}.lock.json"


def fetch_weights(card: EncoderCard, settings: Settings | None = None) -> HubFile:
    """Download a card's weights, or take them from the cache.

    The first download writes revision and SHA-256 to :func:`lock_path`; from then on exactly that revision is asked
    for, and a file with another hash is refused. What the card itself pins goes before what the lock says.

    Raises:
        GatedModelError: the licence must be accepted first, or no login is known for a gated repository.
        ModelError: no such weights, no network and nothing in the cache, or a hash that differs.
    """
    settings = read_settings() if settings is None else settings
    if card.hub_id is None or card.gated == "unavailable":
        raise ModelError(
            "This encoder has no weights on the hub.", where=card.name, fix='Use weights="random" or a file.'
        )
    _refuse_without_login(card)
    lock = lock_path(card, settings)
    pinned = _read_lock(lock)
    revision = card.revision or pinned.get("revision")
    path, filename = _download(card, revision, settings, pinned.get("filename"))
    found = HubFile(path, filename, _commit_of(path) or revision, sha256_of(path))
    expected, source = (card.sha256, "the encoder card") if card.sha256 else (pinned.get("sha256"), lock)
    if expected is not None and found.sha256 != expected:
        raise ModelError(
            f"The weights changed: SHA-256 {found.sha256[:16]}..., but {source} records {expected[:16]}...",
            where=f"{card.name} ({path})",
            fix="Remove the downloaded file and fetch it again; if the change is wanted, remove the lock file first."
            if source is lock
            else "Remove the downloaded file and fetch it again.",
        )
    if not pinned:
        record = {"hub_id": card.hub_id, "filename": filename, "revision": found.revision, "sha256": found.sha256}
        write_json(lock, record)
        _LOG.warning("first download of %s: revision %s, SHA-256 %s recorded in %s", card.name, found.revision,
                     found.sha256, lock)  # fmt: skip
    return found


def _read_lock(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError("The record of downloaded weights cannot be read.", where=path, fix="Remove it.") from error
    if not isinstance(value, dict) or not isinstance(value.get("sha256"), str):
        raise ModelError("The record of downloaded weights names no SHA-256.", where=path, fix="Remove it.")
    return {key: text for key, text in value.items() if isinstance(text, str)}


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


def _unreachable(card: EncoderCard, error: BaseException) -> ModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"The weights of {card.name} are not on this machine, and {card.hub_id} on huggingface.co cannot be reached "
        f"({reason}).",
        where=card.name,
        fix="Connect to the network once (HF_HUB_OFFLINE must be unset), or download the file elsewhere and give its "
        'path; weights="random" needs nothing.',
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
