"""What a Dask worker does: text in, text out, so that Dask carries nothing but strings and the name of one function."""

from __future__ import annotations

import json
import socket
import time
import uuid
from pathlib import Path

from histoseed._version import __version__
from histoseed.errors import DependencyError, OutputError
from histoseed.files import write_text
from histoseed.inference.executors.outcome import Outcome, execute
from histoseed.inference.executors.unit import Unit

__all__ = ["folder_token", "read_answer", "request", "run_request"]

_PATIENCE = 15.0
"""Seconds that a network file system may take to show the folder of the run to a worker."""


def folder_token(folder: Path) -> str:
    """A word that stands in the folder, by which workers see that they write to the same one."""
    path = _token_path(folder)
    if not path.exists():
        write_text(path, uuid.uuid4().hex)
    return path.read_text("utf-8")


def request(unit: Unit, folder: Path, token: str) -> str:
    """What a worker is told."""
    content = {"histoseed": __version__, "token": token, "folder": str(folder), "unit": unit.as_json()}
    return json.dumps(content)


def run_request(text: str) -> str:
    """Run the unit of a request; a function of Dask workers.

    Raises:
        DependencyError: the worker has another version of histoseed.
        OutputError: the worker does not see the folder of the run.
    """
    content = json.loads(text)
    host = socket.gethostname()
    if content["histoseed"] != __version__:
        what = f"The worker has histoseed {__version__}, the run is of {content['histoseed']}."
        raise DependencyError(what, where=host, fix="Install the same version on all machines.")
    folder = Path(content["folder"])
    if not _sees(folder, content["token"]):
        what = "The worker does not see the folder of the run."
        raise OutputError(what, where=f"{host}: {folder}", fix="Choose a folder that all machines share.")
    return json.dumps(execute(Unit.from_json(content["unit"]), folder).as_json())


def read_answer(unit: Unit, text: str) -> Outcome:
    """The outcome that :func:`run_request` tells."""
    return Outcome.from_json(unit, json.loads(text))


def _token_path(folder: Path) -> Path:
    return folder / "units" / ".folder"


def _sees(folder: Path, token: str) -> bool:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            if _token_path(folder).read_text("utf-8") == token:
                return True
        except OSError:
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
