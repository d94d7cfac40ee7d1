"""Units through a Dask client: never more of them at the workers than these can run at once.

Dask counts the death of a worker against every unit it had been given, running or not; with no unit waiting at a
worker, a unit that kills its workers fails alone.
"""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from histoseed.errors import ClusterError
from histoseed.inference.executors.outcome import Outcome, UnitError, fail
from histoseed.inference.executors.packages import optional
from histoseed.inference.executors.remote import folder_token, read_answer, request, run_request
from histoseed.inference.executors.unit import Unit

__all__ = ["drive"]

_TICK = 1.0
"""Most seconds between two looks at the workers."""

_GATHER = 5.0
"""Seconds that an answer may take to arrive; a worker that died with it does its unit's short end again."""

Needs = tuple[tuple[str, float], ...]
"""Worker resources that a unit takes."""


def drive(
    client: Any,
    units: Sequence[Unit],
    folder: Path,
    *,
    attempts: int,
    patience: float | None,
    tick: Callable[[int], None] | None = None,
) -> Generator[Outcome]:
    """Run units on the workers of a scheduler and yield their outcomes as they come.

    Args:
        client: A ``distributed.Client``.
        units: The units.
        folder: Folder of the run, which all workers share.
        attempts: How often a unit is begun whose worker dies.
        patience: Seconds that units may wait without any worker that could run them; None: for ever.
        tick: Called about once a second with the number of units that have ended.

    Raises:
        ClusterError: the scheduler is lost, or there are no workers.
    """
    loop = _Loop(client, units, folder, attempts, patience)
    try:
        ended = 0
        while loop.left:
            loop.submit()
            if tick is not None:
                tick(ended)
            outcome = loop.next()
            if outcome is not None:
                ended += 1
                yield outcome
    finally:
        loop.cancel()


class _Loop:
    """What waits, and what is with the scheduler."""

    def __init__(self, client: Any, units: Sequence[Unit], folder: Path, attempts: int, patience: float | None) -> None:
        self._client = client
        self._folder = folder
        self._token = folder_token(folder)
        self._attempts = attempts
        self._patience = patience
        self._waiting: dict[Needs, deque[Unit]] = {}
        for unit in units:
            self._waiting.setdefault(_needs(unit), deque()).append(unit)
        self._running: dict[str, tuple[Unit, Any]] = {}
        self._deaths: Counter[str] = Counter()
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room: dict[Needs, int] = dict.fromkeys(self._waiting, 0)
        self._looked = float("-inf")
        self._served = time.monotonic()

    @property
    def left(self) -> int:
        """Number of units that have not ended."""
        return len(self._running) + sum(map(len, self._waiting.values()))

    def submit(self) -> None:
        """Give the workers as many units as they have room for."""
        self._look()
        running = Counter(_needs(unit) for unit, _ in self._running.values())
        for needs, units in self._waiting.items():
            free = self._room[needs] - running[needs]
            for unit in [units.popleft() for _ in range(min(free, len(units)))]:
                self._begin(unit)

    def next(self) -> Outcome | None:
        """Wait a little for a unit to end; None where none did, or one is begun anew."""
        try:
            future = self._ended.get(timeout=_TICK)
        except queue.Empty:
            return None
        unit, _ = self._running[future.key]
        if future.status in ("cancelled", "lost"):
            raise ClusterError("The Dask scheduler is lost.", fix="Start again: what is done stays done.")
        try:
            outcome = self._hear(unit, future)
        except TimeoutError:  # the worker that holds the answer has died; Dask asks another one
            self._ended.put(future)
            return None
        del self._running[future.key]
        if outcome is None:
            self._waiting[_needs(unit)].append(unit)
        return outcome

    def cancel(self) -> None:
        """Take back what has not begun."""
        with contextlib.suppress(Exception):  # the scheduler may be lost
            self._client.cancel([future for _, future in self._running.values()], force=True)

    def _begin(self, unit: Unit) -> None:
        future = self._client.submit(
            run_request,
            request(unit, self._folder, self._token),
            key=f"{unit.key}-{uuid.uuid4().hex}",
            resources=dict(unit.needs) or None,
            pure=False,
        )
        self._running[future.key] = (unit, future)
        future.add_done_callback(self._ended.put)

    def _hear(self, unit: Unit, future: Any) -> Outcome | None:
        """What became of a unit; None where its workers died and it is begun anew."""
        if future.status == "finished":
            return read_answer(unit, future.result(timeout=_GATHER))
        error = future.exception(timeout=_GATHER)
        if not isinstance(error, optional("distributed").KilledWorker):
            return fail(unit, self._folder, UnitError.of(error))
        self._looked = float("-inf")  # there is less room now: no unit may wait at the worker of another that kills it
        self._deaths[unit.key] += error.allowed_failures + 1
        if self._deaths[unit.key] < self._attempts:
            return None
        message = f"The worker process died each time, {self._deaths[unit.key]} times. Its log may say why."
        return fail(unit, self._folder, UnitError("WorkerDied", message))

    def _look(self) -> None:
        """Count the workers, about once a second."""
        now = time.monotonic()
        if now < self._looked + _TICK:
            return
        self._looked = now
        workers = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        self._room = {needs: _room(workers, dict(needs)) for needs in self._waiting}
        wanted = {needs for needs, units in self._waiting.items() if units}
        wanted |= {_needs(unit) for unit, _ in self._running.values()}
        starving = next((needs for needs in wanted if not self._room[needs]), None)
        if starving is None:
            self._served = now
        elif self._patience is not None and now > self._served + self._patience:
            offer = "".join(f" that offers {name}={amount:g}" for name, amount in starving)
            what = f"No Dask worker{offer} has been there for {self._patience:g} seconds."
            raise ClusterError(what, fix="Start workers for this scheduler; then run again.")


def _needs(unit: Unit) -> Needs:
    return tuple(sorted(unit.needs.items()))


def _room(workers: Sequence[Mapping[str, Any]], needs: Mapping[str, float]) -> int:
    """How many units of these needs the workers can run at once."""
    room = 0
    for worker in workers:
        offered = [int(worker["resources"].get(name, 0) // amount) for name, amount in needs.items() if amount > 0]
        room += min([worker["nthreads"], *offered])
    return room
