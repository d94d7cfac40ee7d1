"""A worker process of :class:`ProcessExecutor`: reads units from its standard input, answers with their outcomes.

One JSON object a line: ``{"unit": {...}, "folder": "..."}`` in, the record of the outcome out; ``{"ready": true}``
comes first. What units print goes to standard error. The process ends at once when its input ends, hence with its
parent.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from pathlib import Path
from typing import TextIO

from histoseed.inference.executors.outcome import execute
from histoseed.inference.executors.unit import Unit

__all__ = ["main"]


def main() -> None:
    """Serve until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    requests, answers = _own_pipes()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    _answer(answers, {"ready": True})
    while True:
        request = json.loads(lines.get())
        outcome = execute(Unit.from_json(request["unit"]), Path(request["folder"]))
        _answer(answers, outcome.as_json())


def _own_pipes() -> tuple[TextIO, TextIO]:
    """Standard input and output under other numbers: units print to standard error, and read nothing."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: TextIO, lines: queue.SimpleQueue[str]) -> None:
    for line in requests:
        lines.put(line)
    os._exit(0)  # also out of the middle of a unit: nobody waits for it any more


def _answer(answers: TextIO, value: object) -> None:
    try:
        answers.write(json.dumps(value) + "\n")
        answers.flush()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
