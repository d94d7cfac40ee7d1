"""Units in processes of this machine: each a fresh interpreter, replaced when it dies.

The processes are started as commands and spoken to by lines of JSON, so that scripts need no ``__main__`` guard, no
state of this process is copied into them, and a killed one is noticed at once by the end of its pipe.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from collections import Counter, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.errors import DependencyError, InputError
from histoseed.inference.executors.outcome import Outcome, UnitError, fail
from histoseed.inference.executors.running import OnUnit, run_units
from histoseed.inference.executors.unit import Unit
from histoseed.inference.executors.worker_process import Events, WorkerProcess

__all__ = ["ProcessExecutor", "processors", "thread_counts"]

_TICK = 0.5
"""Most seconds between two looks at the memory of the workers."""

_STILLBORN = 3
"""So many workers in a row that end before they are ready end the run."""


def processors() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts(threads: int | None, workers: int) -> dict[str, str]:
    """Environment for so many threads of the numeric libraries in a worker; None: its share of the processors."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    return dict.fromkeys(names, str(threads or max(1, processors() // workers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExecutor:
    """Runs units in local processes.

    Args:
        workers: How many; None: one for each processor, or for each of ``gpus``.
        threads: Processor threads of the numeric libraries in each; None shares the processors out.
        gpus: Numbers of the GPUs that the workers see, one each, in turn; () leaves that to the environment.
        memory: Most bytes of a worker; a unit that takes it beyond fails alone. None: no limit. Linux only.
        attempts: How often a unit is begun whose worker dies. The last time nothing runs beside it, as most workers
            die because the machine's memory is full.

    Raises:
        InputError: a number that is not positive.
    """

    workers: int | None = None
    threads: int | None = None
    gpus: Sequence[int | str] = ()
    memory: int | None = None
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "memory", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError("The value must be positive.", where=name)

    def run(
        self,
        units: Sequence[Unit],
        folder: Path,
        on_unit: OnUnit | None = None,
        *,
        retry_failed: bool = False,
    ) -> list[Outcome]:
        """See :meth:`Executor.run`."""
        return run_units(units, folder, on_unit, retry_failed=retry_failed, work=self._work)

    def _work(self, units: Sequence[Unit], folder: Path) -> Generator[Outcome]:
        count = min(len(units), self.workers or len(self.gpus) or processors())
        with contextlib.closing(_Pool(self, count, units, folder)) as pool:
            yield from pool.outcomes()

    def environment(self, slot: int, count: int) -> dict[str, str]:
        """Environment of the worker in a slot, of ``count`` workers."""
        shown = {"CUDA_VISIBLE_DEVICES": str(self.gpus[slot % len(self.gpus)])} if self.gpus else {}
        return {**os.environ, **thread_counts(self.threads, count), **shown}


class _Pool:
    """The workers of one run, and which unit each is at."""

    def __init__(self, options: ProcessExecutor, count: int, units: Sequence[Unit], folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._waiting = deque(units)
        self._alone: deque[Unit] = deque()
        self._deaths: Counter[str] = Counter()
        self._stillborn = 0
        self._events: Events = queue.SimpleQueue()
        self._free = deque(options.environment(slot, count) for slot in range(count))
        self._workers: list[WorkerProcess] = []

    def outcomes(self) -> Generator[Outcome]:
        """Run all units, yield outcomes as they come."""
        while self._left():
            self._start()
            self._hand_out()
            self._look()
            try:
                worker, answer = self._events.get(timeout=_TICK)
            except queue.Empty:
                continue
            outcome = self._bury(worker) if answer is None else self._hear(worker, answer)
            if outcome is not None:
                yield outcome

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()

    def _left(self) -> int:
        """Number of units that are not over."""
        return len(self._waiting) + len(self._alone) + sum(worker.unit is not None for worker in self._workers)

    def _start(self) -> None:
        """Start the workers that are wanted and not there, at first or after a death."""
        while self._free and len(self._workers) < self._left():
            self._workers.append(WorkerProcess(self._free.popleft(), self._events))

    def _hand_out(self) -> None:
        """Give units to workers that wait; the last attempt at a unit that killed its workers has no company."""
        busy = [worker.unit for worker in self._workers if worker.unit is not None]
        if any(self._is_last(unit) for unit in busy):
            return
        for worker in self._workers:
            if worker.ready and worker.unit is None and self._waiting:
                worker.begin(self._waiting.popleft(), self._folder)
        if self._alone and not self._waiting and all(worker.unit is None for worker in self._workers):
            for worker in [worker for worker in self._workers if worker.ready][:1]:
                worker.begin(self._alone.popleft(), self._folder)

    def _is_last(self, unit: Unit) -> bool:
        return 0 < self._deaths[unit.key] == self._options.attempts - 1

    def _look(self) -> None:
        """Kill workers that hold too much memory, and what a dead one left running, which keeps its pipe open."""
        limit = self._options.memory
        for worker in self._workers:
            held = 0 if limit is None else worker.own_memory()
            if limit is not None and held > limit:
                worker.excess = held
            if worker.excess is not None or worker.exit_code is not None:
                worker.kill()

    def _hear(self, worker: WorkerProcess, answer: dict[str, Any]) -> Outcome | None:
        if worker.unit is None:  # its first line
            worker.ready = True
            self._stillborn = 0
            return None
        outcome = Outcome.from_json(worker.unit, answer)
        worker.unit = None
        return outcome

    def _bury(self, worker: WorkerProcess) -> Outcome | None:
        """Remove a worker that died. Its unit is begun anew, or failed when that happened too often."""
        worker.close()
        self._workers.remove(worker)
        self._free.append(worker.environment)
        self._stillborn += not worker.ready
        if self._stillborn >= _STILLBORN:
            what = f"Worker processes end as they start ({_ended(worker.exit_code)})."
            fix = "Their own messages stand above; `python -m histoseed.inference.executors.worker` shows them, too."
            raise DependencyError(what, fix=fix)
        unit = worker.unit
        if unit is None:
            return None
        if worker.excess is not None:
            message = f"The unit took {worker.excess:,} bytes of memory; a worker may have {self._options.memory:,}."
            return fail(unit, self._folder, UnitError("LimitError", message))
        self._deaths[unit.key] += 1
        if self._deaths[unit.key] >= self._options.attempts:
            message = f"The worker process died each time, {self._deaths[unit.key]} times ({_ended(worker.exit_code)})."
            return fail(unit, self._folder, UnitError("WorkerDied", message))
        (self._alone if self._is_last(unit) else self._waiting).append(unit)
        return None


def _ended(code: int | None) -> str:
    """How a process ended, in words."""
    if code == -signal.SIGKILL:
        return "killed by signal 9, as happens when the memory of the machine is full"
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
