"""What holds for every executor, seen on the one without processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.executor_processes import records
from fixtures.executor_units import break_down, draw
from histoseed.errors import InputError, OutputError
from histoseed.inference.executors import Outcome, SerialExecutor, Unit
from histoseed.inference.executors import outcome as outcome_module


def draws(*seeds: int) -> list[Unit]:
    return [Unit.of(draw, {"seed": seed}, key=f"draw-{seed}") for seed in seeds]


def calls(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "calls.txt").read_text().split()]


def record(folder: Path, key: str) -> dict[str, Any]:
    return dict(json.loads((folder / "units" / f"{key}.json").read_text("utf-8")))


def test_each_unit_leaves_its_record(tmp_path: Path) -> None:
    unit = draws(1)[0]
    (outcome,) = SerialExecutor().run([unit], tmp_path / "new" / "folder")
    found = record(tmp_path / "new" / "folder", "draw-1")
    assert found["id"] == unit.id
    assert found["arguments"] == {"seed": 1}
    assert found["status"] == "done"
    assert found["error"] is None
    assert found["result"] == outcome.result
    assert outcome.result["shape"] == [1000]  # as JSON has it: a tuple would depend on the executor
    assert found["host"]
    assert found["seconds"] >= 0


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = SerialExecutor().run(draws(1, 2), tmp_path)
    seen: list[tuple[str, bool]] = []
    second = SerialExecutor().run(draws(3, 2, 1), tmp_path, lambda o: seen.append((o.unit.key, o.reused)))
    assert calls(tmp_path) == [1, 2, 3]
    assert [o.result for o in second[:0:-1]] == [o.result for o in first]
    assert [o.unit.key for o in second] == ["draw-3", "draw-2", "draw-1"]
    assert seen == [("draw-2", True), ("draw-1", True), ("draw-3", False)]


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("raise", "ValueError", "the eighth patch is torn"),
        ("exit", "SystemExit", "7"),
        ("object", "TypeError", "The function's result is no JSON"),
        ("nan", "TypeError", "The function's result is no JSON"),
    ],
)
def test_a_failure_is_an_outcome_and_stops_no_other(tmp_path: Path, how: str, kind: str, message: str) -> None:
    units = [Unit.of(break_down, {"how": how}, key="broken"), *draws(1)]
    broken, fine = SerialExecutor().run(units, tmp_path)
    assert fine.ok
    assert not broken.ok
    assert broken.error is not None
    assert broken.error.type == kind
    assert message in broken.error.message
    assert "Traceback" in broken.error.traceback
    assert record(tmp_path, "broken")["error"]["type"] == kind


def test_a_failed_unit_is_done_again_on_request_only(tmp_path: Path) -> None:
    units = [Unit.of(break_down, {"how": "raise"}, key="broken"), *draws(1)]
    SerialExecutor().run(units, tmp_path)
    first = record(tmp_path, "broken")
    again = SerialExecutor().run(units, tmp_path)
    assert [(o.ok, o.reused) for o in again] == [(False, True), (True, True)]
    assert again[0].error is not None
    assert record(tmp_path, "broken") == first
    retried = SerialExecutor().run(units, tmp_path, retry_failed=True)
    assert [(o.ok, o.reused) for o in retried] == [(False, False), (True, True)]
    assert calls(tmp_path) == [1]


def test_a_failed_unit_of_other_arguments_makes_way(tmp_path: Path) -> None:
    SerialExecutor().run([Unit.of(break_down, {"how": "raise"}, key="a")], tmp_path)
    (outcome,) = SerialExecutor().run([Unit.of(break_down, {"how": "not at all"}, key="a")], tmp_path)
    assert outcome.ok


def test_other_work_under_a_key_is_never_replaced(tmp_path: Path) -> None:
    SerialExecutor().run([Unit.of(draw, {"seed": 1}, key="a")], tmp_path)
    with pytest.raises(OutputError, match=r"a\.json: Other work"):
        SerialExecutor().run([*draws(5), Unit.of(draw, {"seed": 2}, key="a")], tmp_path)
    assert calls(tmp_path) == [1]


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    SerialExecutor().run(draws(1), tmp_path)
    path = tmp_path / "units" / "draw-1.json"
    path.write_text(json.dumps(record(tmp_path, "draw-1") | {"format": 0}))
    with pytest.raises(OutputError, match="version 0; this is version 1"):
        SerialExecutor().run(draws(1), tmp_path)


@pytest.mark.parametrize("content", ["", '{"format": 1, "id": "', "[]", '{"format": 1}'])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "draw-1.json").write_text(content)
    assert SerialExecutor().run(draws(1), tmp_path)[0].ok
    assert calls(tmp_path) == [1]


def test_ctrl_c_leaves_no_record_of_the_unit_it_met(tmp_path: Path) -> None:
    units = [*draws(1), Unit.of(break_down, {"how": "interrupt"}, key="met"), *draws(2)]
    with pytest.raises(KeyboardInterrupt):
        SerialExecutor().run(units, tmp_path)
    assert records(tmp_path) == ["draw-1.json"]


def test_what_the_watcher_raises_stops_the_run(tmp_path: Path) -> None:
    def stop(outcome: Outcome) -> None:
        raise RuntimeError(f"stop after {outcome.unit.key}")

    with pytest.raises(RuntimeError, match="stop after draw-1"):
        SerialExecutor().run(draws(1, 2), tmp_path, stop)
    assert calls(tmp_path) == [1]


def test_what_cannot_be_recorded_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OutputError("The disk is full.", where=path)

    with monkeypatch.context() as patch:
        patch.setattr(outcome_module, "write_json", full)
        (outcome,) = SerialExecutor().run(draws(1), tmp_path)
    assert not outcome.ok
    assert outcome.result is None
    assert outcome.error is not None
    assert outcome.error.type == "OutputError"
    assert SerialExecutor().run(draws(1), tmp_path)[0].ok


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same key"):
        SerialExecutor().run(draws(1, 1), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="in the way"):
        SerialExecutor().run(draws(1), tmp_path / "file")
    assert SerialExecutor().run([], tmp_path / "empty") == []
