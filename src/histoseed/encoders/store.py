"""Weights files on disk with a record of where they come from: a folder that can be copied to another machine.

::

  weights/
    <repository or encoder>/
      record.json      encoder, file, sha256, bytes, hub repository, revision, licence, commercial use, page
      <file>           the weights as they were published

Nothing in it depends on the machine: no absolute paths, no links, no bytes that a file elsewhere shares. A copy on a
cluster without network is used as it is; what was fetched with a login is used without one. Several processes may fill
it at the same time.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote

from pydantic import TypeAdapter, ValidationError

from histoseed.encoders.cards import Commercial, EncoderCard
from histoseed.errors import ModelError
from histoseed.files import atomic_path, sha256_of, write_json
from histoseed.settings import Settings, read_settings

__all__ = ["Record", "WeightsStore"]

_RECORD = "record.json"
_PIECE = 1 << 24
"""Bytes of a file that are copied at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one weights file.

    Args:
        encoder: Name of the card it was fetched for.
        filename: Its name in the folder.
        sha256: Hex digest of its bytes.
        bytes: Its size.
        hub_id: Repository it came from; None for a file that was added by hand.
        source: The file's path in that repository; None as for ``hub_id``.
        revision: The repository's commit; None where the hub did not tell.
        licence: Identifier of the licence, from the card.
        commercial: Whether it allows commercial use, from the card.
        page: Where the licence stands.
    """

    encoder: str
    filename: str
    sha256: str
    bytes: int
    hub_id: str | None = None
    source: str | None = None
    revision: str | None = None
    licence: str | None = None
    commercial: Commercial = "unknown"
    page: str | None = None


class WeightsStore:
    """A folder of weights files.

    Args:
        folder: Need not exist; None is ``weights`` in the cache folder of the settings.
        settings: None reads the environment.
    """

    def __init__(self, folder: Path | None = None, settings: Settings | None = None) -> None:
        if folder is None:
            settings = read_settings() if settings is None else settings
            folder = settings.cache_dir / "weights"
            self._option = ""
        else:
            self._option = f" --store {quote(str(folder))}"
        self.folder = Path(folder).expanduser()

    def place(self, card: EncoderCard) -> Path:
        """The folder of a card's weights. Cards that share a file share it."""
        name = card.hub_id.replace("/", "--") if card.hub_id else card.name.replace(":", "--")
        return self.folder / (f"{name}--{card.filename.replace('/', '--')}" if card.filename else name)

    def record(self, card: EncoderCard) -> Record | None:
        """What was recorded for a card, or None; the file itself may be absent.

        Raises:
            ModelError: the record is damaged: it is no licence to trust whatever lies beside it.
        """
        return _read(self.place(card) / _RECORD)

    def path(self, card: EncoderCard, record: Record) -> Path:
        """Where the file of a record lies, or would."""
        return self.place(card) / record.filename

    def file(self, card: EncoderCard) -> Path | None:
        """The stored file of a card, or None where there is none; it is not read.

        Raises:
            ModelError: the record is damaged.
        """
        record = self.record(card)
        path = None if record is None else self.path(card, record)
        return path if path is not None and path.is_file() else None

    def to_renew(self, path: Path, record: Record) -> list[str]:
        """What to type where a stored file is missing or changed, to have it again as it was recorded.

        Args:
            path: Where it lies, or should.
            record: What is known of it.
        """
        get = f"histoseed weights get {record.encoder}{self._option}"
        if record.hub_id is None:  # it was added by hand
            return [f"{get} --from FILE"]
        return [f"rm {quote(str(path))}", get] if path.exists() else [get]

    def keep(self, card: EncoderCard, file: Path, *, revision: str | None = None, source: str | None = None) -> Record:
        """Put a file and its record into the store; what stood there is replaced.

        The bytes are copied, also where the file system could share them (a hard link): whoever edits the file later
        would edit the store, or the other way round.

        Raises:
            OutputError: the store cannot be written.
            OSError: the file cannot be read.
        """
        place = self.place(card)
        target = place / file.name
        old = _names(place / _RECORD)
        if target.resolve() != file.resolve():
            # Opened first: a file that cannot be read is no fault of the store's.
            with file.open("rb") as given, atomic_path(target) as temporary, temporary.open("wb") as stream:
                shutil.copyfileobj(given, stream, _PIECE)
        record = Record(
            encoder=card.name, filename=target.name, sha256=sha256_of(target), bytes=target.stat().st_size,
            hub_id=card.hub_id if source else None, source=source, revision=revision, licence=card.licence,
            commercial=card.commercial, page=card.page,
        )  # fmt: skip
        write_json(place / _RECORD, asdict(record))
        for name in old - {record.filename}:
            (place / name).unlink(missing_ok=True)
        return record

    def records(self) -> Iterator[tuple[Path, Record]]:
        """Folder and record of everything in the store, sorted.

        Raises:
            ModelError: a damaged record.
        """
        for path in sorted(self.folder.glob(f"*/{_RECORD}")):
            record = _read(path)
            if record is not None:
                yield path.parent, record


def _read(path: Path) -> Record | None:
    try:
        record = TypeAdapter(Record).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise ModelError(
            "The record of stored weights cannot be read.", where=path, fix="Remove its folder."
        ) from error
    if Path(record.filename).name != record.filename or record.filename in {"", ".", "..", _RECORD}:
        what = f"The record names {record.filename!r}, which is no file beside it."
        raise ModelError(what, where=path, fix="Remove its folder.")
    return record


def _names(path: Path) -> set[str]:
    """The file that a record names, if there is one that can be read."""
    with contextlib.suppress(ModelError):
        record = _read(path)
        return {record.filename} if record else set()
    return set()
