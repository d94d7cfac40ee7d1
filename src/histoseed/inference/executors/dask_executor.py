"""Units on Dask: worker processes of this machine, or the workers of any scheduler."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histoseed.errors import DependencyError, InputError
from histoseed.inference.executors.dask_loop import drive
from histoseed.inference.executors.outcome import Outcome
from histoseed.inference.executors.packages import optional
from histoseed.inference.executors.processes import processors, thread_counts
from histoseed.inference.executors.running import OnUnit, run_units
from histoseed.inference.executors.unit import Unit

__all__ = ["DaskExecutor", "closing", "connect", "dashboard_options", "security", "tell_dashboard"]

_LOG = logging.getLogger(__name__)

_CONNECT = 20.0
"""Seconds within which a scheduler must answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskExecutor:
    """Runs units on Dask workers of one thread each, so that one that dies costs one unit.

    A Dask scheduler runs whatever is sent to it. One that is started here listens to 127.0.0.1 only, and asks for the
    key of this run, as other users of the machine reach that, too. Whoever started another one must see to it.

    Args:
        address: Of a scheduler, as "tcp://node:8786"; its workers import the same histoseed and share the folder. None:
            workers of this machine are started and ended.
        workers: How many are started here; None: one for each processor.
        threads: Processor threads of the numeric libraries in each that is started here; None shares them out.
        memory: Bytes of each that is started here; Dask ends one that holds more. None: no limit.
        resources: What each that is started here offers to the ``needs`` of units, beside one "CPU".
        attempts: How often a unit is begun whose worker dies.
        dashboard: Where Dask's own page is served, as "127.0.0.1:8787"; None: nowhere.
        patience: Seconds that units may wait without any worker that could run them.
        tls: Encrypt, and refuse whoever has not the key of this run; for workers that are started here.

    Raises:
        InputError: a number that is not positive, or options of own workers beside an address.
    """

    address: str | None = None
    workers: int | None = None
    threads: int | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 3
    dashboard: str | None = None
    patience: float = 300.0
    tls: bool = True

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "memory", "attempts", "patience"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError("The value must be positive.", where=name)
        own = [name for name in ("workers", "threads", "memory", "resources") if getattr(self, name)]
        if self.address is not None and own:
            what = "The workers of a running scheduler were started with options of their own."
            raise InputError(what, where=self.address, fix=f"Leave out {', '.join(own)}.")

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
        with self._client(len(units)) as client:
            yield from drive(client, units, folder, attempts=self.attempts, patience=self.patience)

    @contextlib.contextmanager
    def _client(self, most: int) -> Iterator[Any]:
        if self.address is not None:
            with connect(self.address) as client:
                yield client
            return
        count = min(most, self.workers or processors())
        with (
            _environment(thread_counts(self.threads, count)),
            closing(self._cluster(count)) as cluster,
            connect(cluster) as client,
        ):
            tell_dashboard(self.dashboard, cluster)
            yield client

    def _cluster(self, count: int) -> Any:
        """Worker processes of this machine."""
        distributed = optional("distributed")
        keys = security(tls=self.tls)
        # Dask's own count of deaths would fail a unit for good; ours begins it anew.
        with optional("dask").config.set({"distributed.scheduler.allowed-failures": 0}):
            return distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=self.memory or 0,
                resources={"CPU": 1, **self.resources},
                scheduler_kwargs=dashboard_options(self.dashboard),
                security=keys,
                silence_logs=logging.CRITICAL,
            )


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that worker processes start with. Dask changes more of them in this process, which is undone, too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def closing(cluster: Any) -> Iterator[Any]:
    """End a cluster that was started here.

    On a busy machine Dask does not hear in time that the workers have ended, which it has killed by then. What was done
    is done, and what went wrong before must be heard.
    """
    try:
        yield cluster
    finally:
        try:
            cluster.close()
        except TimeoutError:
            cluster.shutdown_on_close = False  # no second try when the interpreter ends


@contextlib.contextmanager
def connect(address: Any) -> Iterator[Any]:
    """A client of a scheduler's address, or of a cluster object.

    Raises:
        InputError: nothing answers there.
    """
    distributed = optional("distributed")
    try:
        client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        fix = "Start one by `dask scheduler`, and give the address that it prints."
        raise InputError(f"No Dask scheduler answers ({error}).", where=address, fix=fix) from error
    with contextlib.closing(client):
        yield client


def security(*, tls: bool) -> Any:
    """Keys of one run for a cluster that is started here, or None.

    Raises:
        DependencyError: they cannot be made.
    """
    if not tls:
        return None
    try:
        optional("cryptography")
    except DependencyError as error:
        fix = "pip install '.[cluster]', or tls = false where nobody else reaches the port."
        raise DependencyError("Keys are made by cryptography, which is not installed.", fix=fix) from error
    return optional("distributed").Security.temporary()


def dashboard_options(wanted: str | None) -> dict[str, Any]:
    """What the scheduler is told of its page. Without one it still answers HTTP: on any free port, to this machine."""
    return {"dashboard": wanted is not None, "dashboard_address": wanted or "127.0.0.1:0"}


def tell_dashboard(wanted: str | None, cluster: Any) -> None:
    """Say where Dask's own page is."""
    if wanted is not None:
        _LOG.info("Dask's dashboard: %s", cluster.dashboard_link)
