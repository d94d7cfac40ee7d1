"""Units on SLURM: jobs of Dask workers, with the scheduler in this process (usually on the login node)."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.errors import ClusterError, DependencyError, InputError
from histoseed.files import explained
from histoseed.inference.executors.dask_executor import closing, connect, dashboard_options, security, tell_dashboard
from histoseed.inference.executors.dask_loop import drive
from histoseed.inference.executors.outcome import Outcome
from histoseed.inference.executors.packages import optional
from histoseed.inference.executors.running import OnUnit, run_units
from histoseed.inference.executors.slurm_jobs import SlurmPool
from histoseed.inference.executors.unit import Unit

__all__ = ["SlurmExecutor"]

_COMMAND = 60
"""Seconds that a command of SLURM may take; busy controllers are slow."""

_LOSSES = 3
"""So many losses of each job without a unit done in between end the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmExecutor:
    """Runs units in SLURM jobs; a job that is cancelled, times out or crashes is replaced.

    Args:
        pools: Kinds of jobs; units go where a pool offers what they need.
        interface: Network interface that the nodes reach this machine by, as "ib0"; None: Dask's own choice.
        attempts: How often a unit is begun whose worker dies.
        dashboard: Where Dask's own page is served, as ":8787"; None: nowhere.
        tls: Encrypt, and refuse whoever has not the key of this run. Without it, everybody who reaches the scheduler's
            port may run anything in your name.
        poll: Seconds between two looks into SLURM's queue.

    Raises:
        InputError: no pool, or two of one name.
    """

    pools: Sequence[SlurmPool] = (SlurmPool(),)
    interface: str | None = None
    attempts: int = 3
    dashboard: str | None = None
    tls: bool = True
    poll: float = 15.0

    def __post_init__(self) -> None:
        names = [pool.name for pool in self.pools]
        if not names or len(set(names)) < len(names):
            raise InputError("Pools of SLURM jobs have names of their own, and there is at least one.", where=names)

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

    def print_script(self, folder: Path) -> str:
        """The batch scripts of its jobs, one for each pool, with a stand-in for the scheduler's address.

        Nothing is started or written.

        Raises:
            DependencyError: dask-jobqueue is not installed.
        """
        job = optional("dask_jobqueue").slurm.SLURMJob
        address = "tcp://SCHEDULER:8786"
        scripts = [
            job(address, name=pool.name, interface=self.interface, **pool.dask_options(folder)).job_script()
            for pool in self.pools
        ]
        return "\n".join(f"{script.strip()}\n" for script in scripts)

    def _work(self, units: Sequence[Unit], folder: Path) -> Generator[Outcome]:
        self._check_needs(units)
        try:
            (folder / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise explained(error, folder) from error
        with self._cluster(folder) as cluster, connect(cluster) as client:
            tell_dashboard(self.dashboard, cluster)
            jobs = _Jobs(cluster, self, len(units), folder)
            yield from drive(client, units, folder, attempts=self.attempts, patience=None, tick=jobs.look)

    def _check_needs(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if not any(_enough(pool, unit) for pool in self.pools):
                needs = ", ".join(f"{name}={amount:g}" for name, amount in unit.needs.items())
                what = f"No pool of SLURM jobs offers what the unit needs ({needs})."
                raise InputError(what, where=f"unit {unit.key!r}", fix="Give a pool gpus = 1.")

    @contextlib.contextmanager
    def _cluster(self, folder: Path) -> Iterator[Any]:
        """A cluster without workers. Its death count is ours, as in :class:`DaskExecutor`."""
        slurm_cluster = optional("dask_jobqueue").SLURMCluster
        for pool in self.pools:
            _try_out(pool.array_script(folder), pool)
        with _keys(folder, tls=self.tls) as keys:
            with optional("dask").config.set({"distributed.scheduler.allowed-failures": 0}):
                try:
                    cluster = slurm_cluster(
                        **self.pools[0].dask_options(folder),
                        interface=self.interface,
                        security=keys,
                        scheduler_options=dashboard_options(self.dashboard),
                        silence_logs="critical",
                    )
                except (ValueError, OSError) as error:  # such as an unknown interface
                    raise InputError(f"The scheduler cannot be started ({error}).", where=self.interface) from error
            with closing(cluster):
                yield cluster


@contextlib.contextmanager
def _keys(folder: Path, *, tls: bool) -> Iterator[Any]:
    """Keys of this run, in files that the user's jobs alone may read, and that are removed when it ends."""
    keys = security(tls=tls)
    if keys is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix=".tls-", dir=folder) as private:
        paths = {}
        for name, text in keys.get_tls_config_for_role("worker").items():
            if name in ("ca_file", "cert", "key"):
                (Path(private) / name).write_text(text, "ascii")
                paths[name] = str(Path(private) / name)
        roles = ("client", "worker", "scheduler")
        pairs = {f"tls_{role}_{name}": paths[name] for role in roles for name in ("cert", "key")}
        yield type(keys)(require_encryption=True, tls_ca_file=paths["ca_file"], **pairs)


def _enough(pool: SlurmPool, unit: Unit) -> bool:
    return all(pool.offers.get(name, 0) >= amount for name, amount in unit.needs.items())


def _command(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - SLURM's own commands, no shell
            words, input=text, capture_output=True, text=True, timeout=_COMMAND, check=False
        )
    except FileNotFoundError as error:
        fix = "Run this where SLURM's commands are, usually on the login node."
        raise DependencyError(f"There is no {words[0]} here.", where="SLURM", fix=fix) from error


def _try_out(script: str, pool: SlurmPool) -> None:
    """Ask SLURM whether it would take such a job.

    Raises:
        InputError: it would not; its own words say why.
        DependencyError: there is no SLURM here.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):  # a busy controller; the real submission will tell
        told = _command("sbatch", "--test-only", text=script)
        if told.returncode:
            words = " ".join(told.stderr.split())
            fix = "Change queue, account, cores, memory, walltime or gpus."
            raise InputError(f"SLURM would refuse the job: {words}", where=f"pool {pool.name!r}", fix=fix)


class _Jobs:
    """Keeps as many jobs in SLURM's queue as were asked for."""

    def __init__(self, cluster: Any, options: SlurmExecutor, units: int, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._poll = options.poll
        self._numbers = itertools.count()
        self._looked = time.monotonic()
        self._lost = 0
        self._ended = 0
        for pool in options.pools:
            wanted = {**cluster.new_spec["options"], **pool.dask_options(folder)}
            spec = {"cls": cluster.job_cls, "options": wanted}
            if pool.workers > 1:
                spec["group"] = [f"-{index}" for index in range(pool.workers)]
            for _ in range(min(pool.jobs, -(-units // pool.workers))):
                self._cluster.worker_spec[self._name(pool.name)] = spec
        self._submit()

    def look(self, ended: int) -> None:
        """Submit jobs anew that have left the queue; seldom, as SLURM's controller is shared.

        Raises:
            ClusterError: jobs end again and again, and no unit does.
        """
        if ended > self._ended:
            self._ended, self._lost = ended, 0
        if time.monotonic() < self._looked + self._poll:
            return
        self._looked = time.monotonic()
        queued = _queued()
        if queued is None:
            return
        lost = [name for name, job in list(self._cluster.workers.items()) if job.job_id not in queued]
        self._lost += len(lost)
        if self._lost > _LOSSES * len(self._cluster.worker_spec):
            fix = "Their output there says why; then run again."
            raise ClusterError("SLURM's jobs end before they have done a unit.", where=self._folder / "logs", fix=fix)
        self._cluster.sync(self._forget, lost)
        self._submit()

    async def _forget(self, names: Sequence[str]) -> None:
        """Take new names for lost jobs: the scheduler may still know a worker by the old one."""
        for name in names:
            self._cluster.workers.pop(name, None)
            spec = self._cluster.worker_spec.pop(name, None)
            if spec is not None:
                self._cluster.worker_spec[self._name(name.rpartition("-")[0])] = spec

    def _name(self, pool: str) -> str:
        return f"{pool}-{next(self._numbers)}"

    def _submit(self) -> None:
        """Submit what is wanted and not there."""
        self._cluster.scale(jobs=len(self._cluster.worker_spec))


def _queued() -> set[str] | None:
    """Ids of the user's jobs that wait or run; None where SLURM does not tell now."""
    try:
        told = _command("squeue", "--noheader", "--me", "--format=%A")
    except subprocess.TimeoutExpired:
        return None
    return set(told.stdout.split()) if told.returncode == 0 else None
