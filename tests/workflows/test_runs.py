"""Output folders: what is resumed, what is refused, what is left behind."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from histoseed.errors import InputError, OutputError, SlideError
from histoseed.workflows import fingerprints
from histoseed.workflows.fingerprints import fingerprint
from histoseed.workflows.runs import MANIFEST, Run, open_run, run_status


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text("content")
    return path


def opened(out: Path, source: Path, *, overwrite: bool = False, **settings: Any) -> Run:
    seed = settings.pop("seed", 0)
    return open_run(
        out, verb="test", inputs={"source": source}, settings={"k": 1, **settings}, seed=seed, overwrite=overwrite
    )


def broken_off(error: BaseException, out: Path, source: Path, **settings: Any) -> None:
    with opened(out, source, **settings) as run:
        run.path("half.txt").write_text("half")
        run.record(done=["a"])
        raise error


def interrupted(out: Path, source: Path, **settings: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        broken_off(KeyboardInterrupt(), out, source, **settings)


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / MANIFEST).read_text())


def test_a_finished_run_says_what_it_did(tmp_path: Path, source: Path) -> None:
    with opened(tmp_path / "out", source) as run:
        assert not run.resumed
        assert manifest(run.folder)["status"] == "running"
        with run.timing("work"):
            pass
        run.finish({"objects": 3})
    content = manifest(tmp_path / "out")
    assert content["status"] == "finished"
    assert content["results"] == {"objects": 3}
    assert content["inputs"]["source"]["fingerprint"] == fingerprint(source)
    assert content["settings"] == {"k": 1}
    assert content["versions"]["numpy"]
    assert content["timings"]["work"] >= 0
    assert content["started"] <= content["finished"]


def test_a_run_that_ends_well_is_finished_without_a_word(tmp_path: Path, source: Path) -> None:
    with opened(tmp_path / "out", source):
        pass
    assert run_status(tmp_path / "out") == "finished"


def test_an_empty_folder_is_taken(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out").mkdir()
    with opened(tmp_path / "out", source) as run:
        assert not run.resumed


def test_an_interrupted_run_is_kept_and_resumed(tmp_path: Path, source: Path) -> None:
    interrupted(tmp_path / "out", source)
    assert run_status(tmp_path / "out") == "running"
    with opened(tmp_path / "out", source) as run:
        assert run.resumed
        assert run.path("half.txt").read_text() == "half"
    assert run_status(tmp_path / "out") == "finished"


def test_a_failed_run_is_resumed_too_and_forgets_its_error(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        broken_off(ZeroDivisionError("oops"), tmp_path / "out", source)
    assert "oops" in manifest(tmp_path / "out")["error"]
    with opened(tmp_path / "out", source) as run:
        assert run.resumed
        assert run.manifest["done"] == ["a"]
    assert "error" not in manifest(tmp_path / "out")


def test_the_same_input_elsewhere_is_the_same_input(tmp_path: Path, source: Path) -> None:
    interrupted(tmp_path / "out", source)
    other = tmp_path / "copy.txt"
    other.write_bytes(source.read_bytes())
    with opened(tmp_path / "out", other) as run:
        assert run.resumed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 2}, r"'k' was 1 \(now 2\)\. Fix: Give the options of that run to go on with it, choose another --out"),
        ({"seed": 7}, r"seed was 0 \(now 7\)"),
        ({"more": True}, r"'more' was None \(now True\)"),
        (
            {"plan": {"steps": 3, "rate": 0.5}},
            r"'plan\.steps' was None \(now 3\), 'plan\.rate' was None \(now 0\.5\)\.",
        ),
        ({"k": 2, "a": 1, "b": 1, "seed": 7}, r"'b' was None \(now 1\) and 1 more\."),
    ],
)
def test_other_settings_are_not_resumed(tmp_path: Path, source: Path, change: dict[str, Any], said: str) -> None:
    interrupted(tmp_path / "out", source)
    with pytest.raises(OutputError, match=said):
        opened(tmp_path / "out", source, **change)
    assert (tmp_path / "out" / "half.txt").exists()


def test_another_input_is_not_resumed(tmp_path: Path, source: Path) -> None:
    interrupted(tmp_path / "out", source)
    source.write_text("changed")
    with pytest.raises(OutputError, match="input 'source' is another"):
        opened(tmp_path / "out", source)


def test_a_finished_run_is_refused_and_replaced_when_told(tmp_path: Path, source: Path) -> None:
    with opened(tmp_path / "out", source) as run:
        run.path("old.txt").write_text("old")
        (run.path("folder")).mkdir()
    with pytest.raises(OutputError, match="finished run"):
        opened(tmp_path / "out", source)
    with opened(tmp_path / "out", source, overwrite=True) as run:
        assert not run.resumed
        assert [p.name for p in run.folder.iterdir()] == [MANIFEST]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else_is_never_removed(tmp_path: Path, source: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError):
        opened(out, source, overwrite=overwrite)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_an_input_is_never_overwritten(tmp_path: Path, source: Path) -> None:
    with opened(tmp_path / "out", source) as run:
        run.path("result.txt").write_text("precious")
    with pytest.raises(OutputError, match="lies in the folder"):
        opened(tmp_path / "out", tmp_path / "out" / "result.txt", overwrite=True)
    assert (tmp_path / "out" / "result.txt").exists()


def test_a_file_in_the_way_is_an_error(tmp_path: Path, source: Path) -> None:
    with pytest.raises(OutputError, match="in the way"):
        opened(source, source)


def test_bad_input_leaves_nothing_behind(tmp_path: Path, source: Path) -> None:
    with pytest.raises(SlideError):
        broken_off(SlideError("damaged"), tmp_path / "out", source)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(SlideError):
        broken_off(SlideError("damaged"), tmp_path / "out", source)
    assert list((tmp_path / "out").iterdir()) == []


def test_bad_input_keeps_what_an_earlier_session_made(tmp_path: Path, source: Path) -> None:
    interrupted(tmp_path / "out", source)
    with pytest.raises(SlideError):
        broken_off(SlideError("damaged"), tmp_path / "out", source)
    assert (tmp_path / "out" / "half.txt").exists()


def test_a_missing_input_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        opened(tmp_path / "out", tmp_path / "absent")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_an_output_error_and_resumable(tmp_path: Path, source: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"):
        broken_off(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "out", source)
    with opened(tmp_path / "out", source) as run:
        assert run.resumed


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path, source: Path) -> None:
    with opened(tmp_path / "out", source):
        second = opened(tmp_path / "out", source)
        with pytest.raises(OutputError, match="Another run"):
            second.__enter__()


def test_fingerprints_follow_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "x").write_text("x")
    assert fingerprint(a) == fingerprint(b)
    (b / "sub" / "x").write_text("y")
    assert fingerprint(a) != fingerprint(b)
    monkeypatch.setattr(fingerprints, "_WHOLE_UP_TO", 10)
    monkeypatch.setattr(fingerprints, "_SAMPLE", 4)
    big, other = tmp_path / "big", tmp_path / "other"
    big.write_bytes(b"head" + b"." * 50 + b"tail")
    assert fingerprint(big).startswith("sampled:")
    other.write_bytes(b"head" + b"." * 51 + b"tail")
    assert fingerprint(big) != fingerprint(other)


def test_the_fingerprint_of_a_data_set_is_that_of_its_tables(discs: Path) -> None:
    before = fingerprint(discs)
    (discs / "notes.txt").write_text("nothing")
    assert fingerprint(discs) == before
    (discs / "dataset.json").write_text("{}")
    assert fingerprint(discs) != before
