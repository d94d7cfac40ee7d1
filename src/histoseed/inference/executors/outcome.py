"""What became of a unit, and the record of it that stays: ``units/<key>.json``."""

from __future__ import annotations

import json
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from histoseed.errors import HistoseedError, OutputError
from histoseed.files import write_json
from histoseed.inference.executors.unit import Unit, resolve

__all__ = ["Outcome", "UnitError", "execute", "fail", "marker", "read_outcome"]

FORMAT = 1
"""Version of the records."""


@dataclass(frozen=True, slots=True)
class UnitError:
    """Why a unit failed.

    Args:
        type: Name of the exception's class; ``WorkerDied`` where the process itself ended.
        message: Its text.
        traceback: The lines that Python prints; empty where the process itself ended.
    """

    type: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """What an exception says."""
        text = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, str(error), text)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit.

    Args:
        unit: The unit.
        status: ``done`` or ``failed``.
        result: What its function returned, as JSON gives it back; None where it failed.
        error: Why it failed; None where it is done.
        seconds: How long it ran.
        host: Name of the machine.
        started: When, in UTC.
        reused: Whether it stood in the folder before this run.
    """

    unit: Unit
    status: Literal["done", "failed"]
    result: Any = None
    error: UnitError | None = None
    seconds: float = 0.0
    host: str = ""
    started: str = ""
    reused: bool = False

    @property
    def ok(self) -> bool:
        """Whether the unit is done."""
        return self.status == "done"

    def as_json(self) -> dict[str, Any]:
        """The content of its record."""
        return {
            "format": FORMAT,
            "key": self.unit.key,
            "id": self.unit.id,
            "function": self.unit.function,
            "arguments": dict(self.unit.arguments),
            "status": self.status,
            "result": self.result,
            "error": None if self.error is None else asdict(self.error),
            "seconds": self.seconds,
            "host": self.host,
            "started": self.started,
        }

    @classmethod
    def from_json(cls, unit: Unit, record: Mapping[str, Any], *, reused: bool = False) -> Self:
        """The outcome of a unit from the content of its record."""
        error = None if record["error"] is None else UnitError(**record["error"])
        names = ("status", "result", "seconds", "host", "started")
        return cls(unit, error=error, reused=reused, **{name: record[name] for name in names})


def marker(folder: Path, unit: Unit) -> Path:
    """Where the record of a unit stands."""
    return folder / "units" / f"{unit.key}.json"


def read_outcome(folder: Path, unit: Unit) -> Outcome | None:
    """The outcome that stands in the folder; None where there is none, or a damaged one.

    Raises:
        OutputError: another version wrote it, or other work was finished under this key.
    """
    path = marker(folder, unit)
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["format"] != FORMAT:
            what = f"The record is of version {record['format']!r}; this is version {FORMAT}."
            raise OutputError(what, where=path, fix="Choose another folder, or the version of histoseed that wrote it.")
        if record["id"] == unit.id:
            return Outcome.from_json(unit, record, reused=True)
        if record["status"] == "done":
            what = "Other work was finished under this key."
            raise OutputError(what, where=path, fix="Choose another folder, or remove the file to do it anew.")
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        pass  # a power cut may leave half a file on some file systems
    except OSError as error:
        raise OutputError(f"The record cannot be read ({error.strerror or error}).", where=path) from error
    return None


def execute(unit: Unit, folder: Path) -> Outcome:
    """Run a unit here and leave its record, unless it is done already.

    Whatever its function raises, an exit included, is its outcome; an interruption (Ctrl-C) goes on to the caller.
    """
    known = read_outcome(folder, unit)
    if known is not None and known.ok:
        return replace(known, reused=False)  # a worker that was thought to be lost has finished it meanwhile
    started, begin = _now(), time.perf_counter()
    try:
        value = resolve(unit.function)(folder, **unit.arguments)
        outcome = Outcome(unit, "done", _plain(value))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a unit that fails must not stop the others
        outcome = Outcome(unit, "failed", error=UnitError.of(error))
    seconds = round(time.perf_counter() - begin, 3)
    outcome = replace(outcome, seconds=seconds, host=socket.gethostname(), started=started)
    return _left(outcome, folder)


def fail(unit: Unit, folder: Path, error: UnitError) -> Outcome:
    """Leave the record of a unit that could not tell its end itself, unless it is done nevertheless."""
    known = read_outcome(folder, unit)
    if known is not None and known.ok:
        return replace(known, reused=False)
    return _left(Outcome(unit, "failed", error=error, host=socket.gethostname(), started=_now()), folder)


def _left(outcome: Outcome, folder: Path) -> Outcome:
    """Write the record. What cannot be recorded is not done: it would be lost at the next start."""
    try:
        write_json(marker(folder, outcome.unit), outcome.as_json())
    except HistoseedError as error:
        return replace(outcome, status="failed", result=None, error=outcome.error or UnitError.of(error))
    return outcome


def _plain(value: Any) -> Any:
    """The value as JSON gives it back, so that all executors return the same."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"The function's result is no JSON: {error}.") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
