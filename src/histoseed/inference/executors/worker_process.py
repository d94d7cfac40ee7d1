"""The parent's end of one worker process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from histoseed.inference.executors.unit import Unit

__all__ = ["Events", "WorkerProcess"]

Events = queue.SimpleQueue[tuple["WorkerProcess", dict[str, Any] | None]]
"""What workers say: a line of theirs, or None when their pipe has ended."""

_PATIENCE = 5.0
"""Seconds that the end of a pipe is waited for which a process that a unit left behind may hold open."""


class WorkerProcess:
    """A process that runs :mod:`histoseed.inference.executors.worker`.

    It has a session of its own, so that Ctrl-C in the terminal reaches the parent alone, and its children end with it.

    Args:
        environment: Its environment variables; the import path of this process is added.
        events: Where its answers are put, from a thread.
    """

    def __init__(self, environment: dict[str, str], events: Events) -> None:
        self.environment = environment
        self.unit: Unit | None = None
        self.ready = False
        self.excess: int | None = None
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "histoseed.inference.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": path},
            start_new_session=True,
            encoding="utf-8",
        )
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def _listen(self, events: Events) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        with contextlib.suppress(ValueError):  # a line cut by a kill, or the pipe closed by us
            for line in self._process.stdout:
                events.put((self, json.loads(line)))
        events.put((self, None))

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def begin(self, unit: Unit, folder: Path) -> None:
        """Let it run a unit. A process that has died meanwhile says so by the end of its pipe."""
        self.unit = unit
        self._send(json.dumps({"unit": unit.as_json(), "folder": str(folder)}) + "\n")

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def own_memory(self) -> int:
        """Bytes in memory that it shares with no file and no other process; 0 where the system does not tell."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def close(self) -> None:
        """Kill it, and leave neither a zombie nor an open pipe. All its work is on the disk by then, or not wanted."""
        self.kill()
        self._process.wait()
        self._listener.join(timeout=_PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not self._listener.is_alive():
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
