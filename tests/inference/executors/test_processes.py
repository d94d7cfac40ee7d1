"""Local worker processes: equal results for any number, killed workers and parents, memory, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.executor_processes import Parent, alive, records, wait_for
from fixtures.executor_units import break_down, draw, environment, follow, leave_child, read_input, wait_first
from histoseed.errors import DependencyError, InputError
from histoseed.inference.executors import Outcome, ProcessExecutor, SerialExecutor, Unit
from histoseed.inference.executors import processes as processes_module


def draws(count: int) -> list[Unit]:
    return [Unit.of(draw, {"seed": seed}, key=f"draw-{seed}") for seed in range(count)]


def made(folder: Path) -> dict[str, Any]:
    """All that units left, without times and machines."""
    files = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    records = {path.name: json.loads(path.read_text("utf-8")) for path in folder.glob("units/[!.]*.json")}
    for record in records.values():
        for name in ("seconds", "host", "started"):
            del record[name]
    return {**files, **records}


def test_any_number_of_workers_makes_the_same(tmp_path: Path) -> None:
    expected = SerialExecutor().run(draws(6), tmp_path / "serial")
    for workers in (1, 2, 3):
        folder = tmp_path / str(workers)
        outcomes = ProcessExecutor(workers=workers).run(draws(6), folder)
        assert [o.unit.key for o in outcomes] == [f"draw-{seed}" for seed in range(6)]
        assert [o.result for o in outcomes] == [o.result for o in expected]
        assert made(folder) == made(tmp_path / "serial")


def test_outcomes_stand_in_the_order_of_units_and_are_told_in_that_of_completion(tmp_path: Path) -> None:
    units = [Unit.of(follow, {"name": "draw-2.npy"}, key="slow"), *draws(3)]
    told: list[str] = []
    outcomes = ProcessExecutor(workers=2).run(units, tmp_path, lambda o: told.append(o.unit.key))
    assert [o.unit.key for o in outcomes] == ["slow", "draw-0", "draw-1", "draw-2"]
    assert told[:2] == ["draw-0", "draw-1"]
    assert set(told[2:]) == {"draw-2", "slow"}


def test_a_killed_worker_costs_its_unit_only(tmp_path: Path) -> None:
    units = [draws(2)[0], Unit.of(wait_first, {"name": "hit"}, key="hit"), draws(2)[1]]
    path = tmp_path / "hit.0.pid"

    def kill() -> None:
        wait_for(path.exists, "the unit to begin")
        os.kill(int(path.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = ProcessExecutor(workers=2).run(units, tmp_path)
    killer.join()
    assert [o.ok for o in outcomes] == [True, True, True]
    assert outcomes[1].result == 1  # it was begun once before
    assert sorted((tmp_path / "calls.txt").read_text().split()) == ["0", "1"]


def test_a_unit_that_kills_every_worker_fails_alone(tmp_path: Path) -> None:
    units = [Unit.of(break_down, {"how": "kill"}, key="poison"), *draws(3)]
    poison, *others = ProcessExecutor(workers=2).run(units, tmp_path)
    assert all(o.ok for o in others)
    assert poison.error is not None
    assert poison.error.type == "WorkerDied"
    assert "3 times (killed by signal 9" in poison.error.message
    assert json.loads((tmp_path / "units" / "poison.json").read_text())["status"] == "failed"


def test_a_unit_that_takes_too_much_memory_fails_alone_and_at_once(tmp_path: Path) -> None:
    units = [Unit.of(break_down, {"how": "memory"}, key="greedy"), *draws(2)]
    greedy, *others = ProcessExecutor(workers=1, memory=800_000_000).run(units, tmp_path)
    assert all(o.ok for o in others)
    assert greedy.error is not None
    assert greedy.error.type == "LimitError"
    assert "a worker may have 800,000,000" in greedy.error.message


def test_a_child_that_a_dead_worker_left_holds_nothing_up(tmp_path: Path) -> None:
    (outcome,) = ProcessExecutor(workers=1).run([Unit.of(leave_child, {}, key="orphan")], tmp_path)
    assert outcome.ok


def test_units_have_no_standard_input_and_print_to_standard_error(tmp_path: Path) -> None:
    (outcome,) = ProcessExecutor(workers=1).run([Unit.of(read_input, {}, key="reads")], tmp_path)
    assert outcome.result == ""


def test_each_worker_sees_its_gpu_and_its_share_of_the_processors(tmp_path: Path) -> None:
    names = ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"]
    units = [Unit.of(environment, {"names": names, "workers": 2}, key=f"unit-{i}") for i in range(2)]
    outcomes = ProcessExecutor(gpus=[2, "GPU-5"], threads=3).run(units, tmp_path)
    assert sorted(o.result for o in outcomes) == [["2", "3"], ["GPU-5", "3"]]
    assert ProcessExecutor().environment(0, 10**6)["OMP_NUM_THREADS"] == "1"


def test_what_the_watcher_raises_ends_the_workers(tmp_path: Path) -> None:
    units = [Unit.of(wait_first, {"name": "slow"}, key="slow"), *draws(1)]

    def stop(outcome: Outcome) -> None:
        wait_for((tmp_path / "slow.0.pid").exists, "the other unit to begin")
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        ProcessExecutor(workers=2).run(units, tmp_path, stop)
    assert not alive(int((tmp_path / "slow.0.pid").read_text()))
    assert records(tmp_path) == ["draw-0.json"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_whose_parent_was_stopped_goes_on(
    tmp_path: Path, parent: Callable[[str], Parent], number: signal.Signals
) -> None:
    running = parent("ProcessExecutor(workers=1)")
    worker = running.worker()
    printed = running.signal(number)
    assert ("KeyboardInterrupt" in printed) == (number == signal.SIGINT)
    wait_for(lambda: not alive(worker), "the worker to end with its parent", 10)
    assert records(tmp_path) == ["first.json"]
    units = [
        Unit.of(draw, {"seed": 1}, key="first"),
        Unit.of(wait_first, {"name": "second"}, key="second"),
        Unit.of(draw, {"seed": 3}, key="third"),
    ]
    outcomes = ProcessExecutor(workers=1).run(units, tmp_path)
    assert [(o.ok, o.reused) for o in outcomes] == [(True, True), (True, False), (True, False)]
    assert (tmp_path / "calls.txt").read_text().split() == ["1", "3"]


def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DependencyError, match=r"end as they start \(exit code 1\)"):
        ProcessExecutor(workers=2).run(draws(2), tmp_path)
    assert records(tmp_path) == []


@pytest.mark.parametrize("name", ["workers", "threads", "memory", "attempts"])
def test_numbers_are_positive(name: str) -> None:
    with pytest.raises(InputError, match=name):
        ProcessExecutor(**{name: 0})


def test_the_last_attempt_has_no_company(tmp_path: Path) -> None:
    """The bookkeeping alone, with workers that are no processes."""
    begun: list[tuple[str, set[str]]] = []

    class Fake:
        def __init__(self, environment: dict[str, str], events: processes_module.Events) -> None:
            self.environment, self.unit, self.ready, self.excess, self.exit_code = environment, None, False, None, -9
            self.events = events
            workers.append(self)
            events.put((self, {"ready": True}))  # type: ignore[arg-type]

        def begin(self, unit: Unit, folder: Path) -> None:
            self.unit = unit  # type: ignore[assignment]
            begun.append((unit.key, {w.unit.key for w in workers if w.unit is not None} - {unit.key}))
            outcome = None if unit.key == "poison" else Outcome(unit, "done").as_json()
            self.events.put((self, outcome))  # type: ignore[arg-type]

        def kill(self) -> None: ...

        def close(self) -> None:
            workers.remove(self)

    workers: list[Fake] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes_module, "WorkerProcess", Fake)
        units = [Unit("poison", "fixtures.executor_units:draw", {}), *draws(5)]
        outcomes = ProcessExecutor(workers=3).run(units, tmp_path)
    assert [o.ok for o in outcomes] == [False, *[True] * 5]
    attempts = [company for key, company in begun if key == "poison"]
    assert len(attempts) == 3
    assert attempts[-1] == set()
    assert begun[-1][0] == "poison"
