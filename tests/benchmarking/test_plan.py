"""Plans: what is read, and what is said of a typo."""

import pickle
import re
from pathlib import Path

import pytest

from histoseed.benchmarking import read_plan, ready_plans
from histoseed.benchmarking.plan import read_titles
from histoseed.encoders import list_encoders
from histoseed.errors import InputError

GOOD = """\
name = "a"

[protocol]
patches = [1, 2, "all"]
draws = 2

[[datasets]]
name = "one"

[[datasets]]
name = "two"
path = "elsewhere"

[[models]]
name = "first"
dataset = "one"

[[arms]]
encoder = ["bundled", "model:first"]
method = ["frozen", "full"]

[[arms]]
encoder = "bundled"
source = "bundled"
patches = [0, 1]
set = { "decoder.shared" = true }
"""


def write(tmp_path: Path, old: str = "", new: str = "") -> Path:
    assert old in GOOD
    path = tmp_path / "plan.toml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
    return path


def test_a_plan_becomes_typed_entries(tmp_path):
    plan = read_plan(write(tmp_path))
    assert plan.protocol.budgets == (("patches", 1), ("patches", 2), ("patches", "all"))
    assert [entry.path for entry in plan.datasets] == [None, "elsewhere"]
    assert plan.arms[0].encoder == ("bundled", "model:first")
    assert plan.arms[1].source == ("bundled",)  # one value stands for a list
    assert plan.arms[1].patches == (0, 1)
    with pytest.raises(AttributeError):
        plan.name = "b"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("draws = 2", "drows = 2", 5, "Did you mean draws"),
        ("draws = 2", 'draws = "2"', 5, "draws = '2' is not valid"),
        ("draws = 2", 'draws = "2"', 5, "Fix: Give a whole number."),
        ("draws = 2", 'gpu = "yes"', 5, "Fix: Give true or false."),
        ("draws = 2", 'test_um = "64"', 5, "Fix: Give a number."),
        ("patches = [0, 1]", 'patches = [0, "some"]', 25, 'Fix: Give a list, each a whole number or "all".'),
        ('path = "elsewhere"', 'test_split = "tset"', 12, 'Fix: Give "train" or "val" or "test".'),
        ('set = { "decoder.shared" = true }', "set = 3", 26, "Fix: Give a table"),
        ("draws = 2", "draws = 0", 5, "not positive"),
        ("draws = 2", "test_share = 1.0", 5, "no share"),
        ("draws = 2", 'score = "pg"', 5, "pq"),
        ("draws = 2", 'score = "mpqq"', 5, "Did you mean mpq or pq? Allowed"),
        ("draws = 2", 'protocol = "conik"', 5, "conic"),
        ("draws = 2", "nuclei = [50]", 5, "patches or in nuclei"),
        ('path = "elsewhere"', 'pathh = "elsewhere"', 12, "Keys of [[datasets]] are: name, path"),
        ('path = "elsewhere"', 'test_fold = 1\ntest_split = "test"', 12, "a fold or a split"),
        ('name = "two"', 'name = "one"', 11, "Two datasets are called 'one'"),
        ('dataset = "one"', 'dataset = "oen"', 16, "Did you mean one"),
        ('method = ["frozen", "full"]', 'methods = ["frozen"]', 20, "Did you mean method"),
        ('method = ["frozen", "full"]', 'method = ["frozne"]', 20, "Did you mean frozen"),
        ('method = ["frozen", "full"]', 'decoder = "unet"', 20, "Allowed are: skip"),
        ('encoder = ["bundled", "model:first"]', 'encoder = "dinov2-smal"', 19, "dinov2-small"),
        ('encoder = ["bundled", "model:first"]', 'encoder = "model:frist"', 19, "Did you mean first"),
        ('source = "bundled"', 'source = "frist"', 24, "There are: none, bundled, first"),
        ("patches = [0, 1]", "patches = [-1]", 25, "patches holds -1"),
        ("patches = [0, 1]", "patches = [1, 1]", 25, "twice"),
        ('"decoder.shared" = true', '"shared" = true', 26, "sets no field"),
        ('name = "a"', 'nmae = "a"', 1, "Did you mean name"),
        ("[[arms]]", "[arm]", 18, "Did you mean arms"),
    ],
)
def test_a_typo_is_told_with_its_line(tmp_path, old, new, line, message):
    with pytest.raises(InputError) as caught:
        read_plan(write(tmp_path, old, new))
    assert re.search(rf"line {line}\b", caught.value.where), caught.value
    assert message in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    path = write(tmp_path, "draws = 2", 'draws = "two"\nscore = "pg"\ntest_share = 3.0')
    text = path.read_text().replace('source = "bundled"', 'source = "nomodel"\nsteps = "two"')
    path.write_text(text.replace('path = "elsewhere"', 'pathh = "x"').replace('name = "a"', 'name = "a b"\nthing = 1'))
    with pytest.raises(InputError, match="8 things in the plan are wrong") as caught:
        read_plan(path)
    assert caught.value.where == str(path)
    lines = [int(n) for n in re.findall(r"^  line (\d+): ", caught.value.what, re.MULTILINE)]
    assert lines == [1, 2, 6, 7, 8, 15, 27, 28]
    parts = ("'a b' is no name", "'thing'", "draws =", "score cannot", "test_share", "'pathh'", "nomodel", "steps =")
    for what in parts:
        assert what in caught.value.what
    assert caught.value.what.count("Fix: ") == 8
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # from a worker, say


def test_what_lacks_is_told(tmp_path):
    with pytest.raises(InputError, match="lacks encoder"):
        read_plan(write(tmp_path, 'encoder = ["bundled", "model:first"]', ""))
    with pytest.raises(InputError, match="no number of patches"):
        read_plan(write(tmp_path, 'patches = [1, 2, "all"]', ""))
    (tmp_path / "plan.toml").write_text("name = ")
    message = r"plan.toml, line 1.*no TOML \(Invalid value\). Fix: Correct the line `name =`"
    with pytest.raises(InputError, match=message):
        read_plan(tmp_path / "plan.toml")
    (tmp_path / "plan.toml").write_text('name = "x"\n[protocol]\npatches = [1, 2\n[[datasets]]\nname = "a"\n')
    with pytest.raises(InputError, match=r"plan.toml, line 4, column 1: .*Unclosed array"):
        read_plan(tmp_path / "plan.toml")


def test_the_report_reads_titles_without_the_arms(tmp_path):
    path = write(tmp_path, "[protocol]", 'description = "words"\n[protocol]')
    assert read_titles(path) == {"name": "a", "title": None, "description": "words"}
    assert read_titles(write(tmp_path, 'method = ["frozen", "full"]', 'method = ["frozne"]'))["name"] == "a"
    for old, new in (("draws = 2", "drows = 2"), ('path = "elsewhere"', "pathh = 1"), ('name = "a"', 'nmae = "a"')):
        with pytest.raises(InputError, match="line "):
            read_titles(write(tmp_path, old, new))


def test_a_ready_plan_is_found_by_its_name():
    with pytest.raises(InputError, match="Did you mean smoke"):
        read_plan("smok")
    for name in ready_plans():
        if "/" not in name:  # those in folders are of other tasks
            assert read_plan(name).name == name
    assert {"smoke", "first_look", "trail", "mind_the_gap"} <= set(ready_plans())


def test_the_trail_has_every_encoder():
    plan = read_plan("trail")
    named = {name for arm in plan.arms for name in arm.encoder}
    assert {card.name for card in list_encoders()} <= named
    assert {entry.name for entry in plan.datasets} >= {
        "lizard", "pannuke", "nucls", "monusac", "consep", "ocelot", "panoptils", "puma",
    }  # fmt: skip
    assert [n for _, n in plan.protocol.budgets] == [1, 2, 5, 10, 25, 50, "all"]
    assert plan.protocol.draws >= 5
    assert plan.protocol.seeds >= 3
    assert any(model.task == "semantic" for model in plan.models)
