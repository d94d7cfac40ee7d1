"""Files that are whole or absent, also where several machines share a folder."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from histoseed.errors import OutputError
from histoseed.files import atomic_path, write_bytes, write_json


def test_the_temporary_name_tells_machine_and_process(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("x")
        machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
        assert temporary.name == f".a.json.{machine}-{os.getpid()}.tmp.json"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_two_nodes_with_one_process_number_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process numbers recur on the machines of a cluster; the last to finish wins, and both wrote a whole file."""
    target = tmp_path / "shared.bin"
    monkeypatch.setattr(os, "getpid", lambda: 77)
    monkeypatch.setattr(socket, "gethostname", lambda: "node-1")
    with atomic_path(target) as first:
        first.write_bytes(b"first, ")
        monkeypatch.setattr(socket, "gethostname", lambda: "node-2")
        with atomic_path(target) as second:
            assert second != first
            second.write_bytes(b"second")
        assert target.read_bytes() == b"second"
        with first.open("ab") as stream:
            stream.write(b"whole")
    assert target.read_bytes() == b"first, whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("machine", ["a/b", "..", "n" * 300, ""])
def test_any_machine_name_makes_a_file_name(machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    write_json(tmp_path / "a.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fail() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Writing failed"):
        write_bytes(tmp_path / "file" / "a", b"x")
