"""Plans of promptable models: presets, what they replace, and what is said of a typo."""

import re

import pytest

from histoseed.benchmarking import read_plan, ready_plans
from histoseed.benchmarking.prompted.plan import read_presets, read_prompt_plan, task_of
from histoseed.benchmarking.prompted.report.published import published_tables
from histoseed.errors import InputError
from histoseed.prompting.simulate import PromptSpec

GOOD = """\
name = "a"
task = "prompt"
title = "A"

[protocol]
objects = 5

[[datasets]]
name = "one"

[[datasets]]
name = "two"
scored = "all"

[[arms]]
model = ["tiny-sam", "bundled"]

[[conditions]]
prompts = ["box", "mask:loose"]
jitter = ["0um", "1um"]

[presets.tuned]
title = "B"

[presets.tuned.protocol]
seeds = 2

[[presets.tuned.arms]]
model = "tiny-sam"
method = ["none", "frozen"]
train = ["one"]
loss = "bce"
steps = 3

[presets.moved]

[[presets.moved.conditions]]
prompts = "mask:scribble"
shift = ["0um", "1um"]
"""


def write(tmp_path, old="", new=""):
    assert old in GOOD
    path = tmp_path / "plan.toml"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
    return path


def test_a_preset_takes_the_place_of_what_stands_at_the_top(tmp_path):
    path = write(tmp_path)
    assert read_presets(path) == ["tuned", "moved"]
    plain, tuned, moved = (read_prompt_plan(path, preset) for preset in (None, "tuned", "moved"))
    assert [one.label for one in plain.conditions] == [
        "box", "box, jitter 1um", "mask:loose", "mask:loose, jitter 1um"
    ]  # fmt: skip
    assert (plain.title, plain.protocol.seeds, plain.record) == ("A", 1, "a")
    assert (tuned.title, tuned.protocol.seeds, tuned.protocol.objects, tuned.record) == ("B", 2, 5, "a.tuned")
    assert tuned.arms[0].training(None, "bce") == {"loss": "bce", "steps": 3}
    assert (tuned.datasets, tuned.conditions) == (plain.datasets, plain.conditions)
    assert (moved.arms, len(moved.conditions)) == (plain.arms, 2)
    assert tuned.as_json()["preset"] == "tuned"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("objects = 5", "objets = 5", 6, "Did you mean objects"),
        ("objects = 5", "test_share = 0.6\nvalidation_share = 0.5", 6, "Nothing is left to train on"),
        ("objects = 5", 'windows = "mine"', 6, '"shared" or "own"'),
        ('prompts = ["box", "mask:loose"]', 'prompts = ["bxo"]', 19, "is no part of a prompt"),
        ('prompts = ["box", "mask:loose"]', 'prompts = ["3neg"]', 19, "where the object is"),
        ('jitter = ["0um", "1um"]', 'jitter = ["1um"]\nshift = ["1um"]', 21, "no mask that could be moved"),
        ('method = ["none", "frozen"]', 'method = ["frozne"]', 30, "Did you mean frozen"),
        ('train = ["one"]', 'train = ["oen"]', 31, "Did you mean one"),
        ('train = ["one"]', 'train = ["two"]', 31, "scored whole"),
        ('train = ["one"]', "", 30, "what is trained on"),
        ('loss = "bce"', 'loss = "bec"', 32, "bce"),
        ("steps = 3", "steps = 0", 33, "positive"),
        ("steps = 3", 'prompts = "5neg"', 33, "where the object is"),
        ("steps = 3", 'fusion = "concat"', 33, "fused with"),
        ("seeds = 2", "seeds = 0", 26, "not positive"),
        ("[presets.moved]", "[presets.moved]\nnmae = 1", 36, "nmae"),
        ('name = "two"', 'name = "one"', 12, "Two datasets"),
    ],
)  # fmt: skip
def test_a_typo_is_told_with_its_line(tmp_path, old, new, line, message):
    path = write(tmp_path, old, new)
    preset = "tuned" if line >= 22 else None
    with pytest.raises(InputError) as caught:
        read_prompt_plan(path, preset)
    assert re.search(rf"line {line}\b", str(caught.value)), caught.value
    assert message in str(caught.value)


def test_the_preset_must_be_there(tmp_path):
    path = write(tmp_path)
    with pytest.raises(InputError, match=r"no preset 'tunde'\. Fix: Did you mean tuned\? There are: tuned, moved"):
        read_prompt_plan(path, "tunde")
    path.write_text(GOOD[: GOOD.index("[[datasets]]")] + "[presets.x]\n[presets.y]\n")
    with pytest.raises(InputError, match=r"several presets.*Add --preset x; there are: x, y"):
        read_prompt_plan(path)
    path.write_text('name = "a"\ntask = "sing"\n')
    with pytest.raises(InputError, match="no benchmark of the task 'sing'"):
        task_of(path)
    with pytest.raises(InputError, match="has no conditions"):
        read_prompt_plan(write(tmp_path, GOOD[GOOD.index("[[conditions]]") : GOOD.index("[presets.tuned]")], ""))


def test_a_plan_of_another_task_is_no_plan_of_this_one(tmp_path):
    with pytest.raises(InputError, match="no key 'task'"):
        read_plan(write(tmp_path))
    assert task_of("smoke") == "instance"


RAPID = [name for name in ready_plans() if name.startswith("rapid_cytomine/")]


@pytest.mark.parametrize("name", RAPID)
def test_every_ready_plan_has_the_published_settings_and_a_smoke_form(name):
    presets = read_presets(name)
    assert presets[:2] == ["published", "smoke"]
    for preset in presets:
        plan = read_prompt_plan(name, preset)
        assert f"rapid_cytomine/{plan.name}" == name
        assert plan.title
        assert plan.description
    published, smoke = (read_prompt_plan(name, preset) for preset in presets[:2])
    assert (published.protocol.test_share, published.protocol.validation_share) == (0.15, 0.15)
    assert published.protocol.windows == "own"
    for arm in published.arms:
        assert set(arm.method) == {"none"} or arm.recipe == "published"
    assert {model for arm in smoke.arms for model in arm.model} <= {"tiny-sam", "tiny-sam2"}


def test_every_published_table_has_its_plan():
    assert {f"rapid_cytomine/{name}" for name in published_tables()} <= set(RAPID)
    assert len(read_prompt_plan("rapid_cytomine/training_sets", "published").arms[0].train) == 7  # and none at all
    told = read_prompt_plan("rapid_cytomine/training_prompts", "published").arms[0].prompts
    masks = [spec.mask for spec in map(PromptSpec.parse, told) if spec.mask]
    assert (len(told), set(masks)) == (11, {"published-loose"})  # as the recipe has it, and the user who asks
