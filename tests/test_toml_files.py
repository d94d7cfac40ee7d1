"""TOML files that people write: what is wrong is told in one way, with its line."""

from dataclasses import dataclass

import pytest

from histoseed.benchmarking.plan import read_plan
from histoseed.datasets.map_files import read_class_map
from histoseed.errors import InputError
from histoseed.inference.executors import read_executor
from histoseed.toml_files import LARGEST, read_toml


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A table."""

    name: str
    sizes: tuple[int, ...] = ()
    share: float = 0.5

    def __post_init__(self):
        if self.share > 1:
            raise InputError("The share is too large.", where="share")
        if len(self.sizes) > 2:
            raise InputError("Too many.", where="many things")


def wrote(folder, text):
    path = folder / "a.toml"
    path.write_text(text)
    return path


def test_tables_are_found_among_others(tmp_path):
    text = 'x = 1\n\n[[entry]]\nname = "a"\n[entry.inner]\nx = 2\n[[entry]]\nname = "b"\nsizes = 3\n[other]\nx = 4\n'
    table, lines = read_toml(wrote(tmp_path, text), "plan")
    assert lines.at("x").endswith("line 1")
    assert lines.table("entry").at("x").endswith("line 6")
    assert lines.table("entry", 1).at("sizes").endswith("line 9")
    assert lines.table("entry", 1).at("x").endswith("line 7")  # not there: where the table begins
    assert lines.table("other").at("x").endswith("line 11")
    assert lines.at("absent") == str(tmp_path / "a.toml")
    assert lines.table("entry", 1).build(Entry, table["entry"][1], "[[entry]]") == Entry(name="b", sizes=(3,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nsiez = 1', r"a.toml, line 3: There is no key 'siez' in \[\[entry\]\]. Fix: Did you mean sizes"),
        ("name = 1", r"line 2: name = 1 is not valid"),
        ("share = 0.1", r"line 1: \[\[entry\]\] lacks name. Fix: Add name"),
        ('name = "a"\nshare = 2.0', "line 3: The share is too large"),
        ('name = "a"\nsizes = [1, 2, 3]', "line 1: many things: Too many"),
        ('name = "a"\nsizes = [1, "2"]', r"line 3: sizes = \[1, '2'\] is not valid"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, message):
    table, lines = read_toml(wrote(tmp_path, f"[[entry]]\n{text}\n"), "plan")
    with pytest.raises(InputError, match=message):
        lines.table("entry").build(Entry, table["entry"][0], "[[entry]]")


@pytest.mark.parametrize("read", [read_plan, read_executor, read_class_map])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = " + b"[" * 5000, "cannot be read"),
        (b"a = '\xff'", "cannot be read"),
        (b"a = 1\na = 2", "cannot be read"),
        (b"#" * (LARGEST + 1), "too large for a "),
    ],
    ids=["deep", "not unicode", "twice", "large"],
)
def test_every_reader_refuses_what_is_no_toml(tmp_path, read, content, message):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert caught.value.where.startswith(str(path))
    assert caught.value.fix


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="The plan cannot be read"):
        read_toml(tmp_path / "absent.toml", "plan")
