"""From a plan of promptable models to rows: trained models, resuming, what lacks, failures, the report."""

import json

import pytest

from histoseed.benchmarking import plan_benchmark, report_benchmark, run_benchmark
from histoseed.benchmarking.prompted.expand import expand_prompts
from histoseed.benchmarking.prompted.plan import read_prompt_plan
from histoseed.benchmarking.prompted.results import PromptResult
from histoseed.errors import InputError

PLAN = """\
name = "tiny"
task = "prompt"

[protocol]
objects = 4
test_share = 0.4
validation_share = 0.0
resamples = 20

[[datasets]]
name = "discs"

[[datasets]]
name = "typed"
scored = "all"

[[arms]]
model = "tiny-sam"
method = ["none", "frozen"]
train = "discs"
loss = "bce"
steps = 2
batch = 2

[[conditions]]
prompts = ["box", "mask:loose"]
jitter = "1um"
"""


@pytest.fixture
def write(tmp_path):
    def write_plan(old="", new=""):
        assert old in PLAN
        path = tmp_path / "tiny.toml"
        path.write_text(PLAN.replace(old, new, 1) if old else PLAN)
        return path

    return write_plan


def rows_of(out):
    records = [json.loads(path.read_text()) for path in (out / "units").glob("*.json")]
    return [PromptResult.from_json(row) for one in records if isinstance(one["result"], list) for row in one["result"]]


def test_a_model_is_trained_once_and_scored_under_every_condition(data, write, tmp_path):
    plan, out = write(), tmp_path / "out"
    made = expand_prompts(read_prompt_plan(plan), data)
    assert [(run.arm.method, run.dataset, run.budget["asked"]) for run in made.runs] == [
        (None, "discs + typed", 8), ("frozen", "discs + typed", 8)
    ]  # fmt: skip
    assert list(made.models) == [made.runs[1].model.key]
    first = run_benchmark(plan, data=data, out=out)
    assert (first["runs"], first["done"], first["reused"], first["failed"]) == (2, 2, 0, [])
    rows = rows_of(out)
    assert len(rows) == 4
    for row in rows:
        assert (row.objects, row.groups, row.test_sets) == (
            8,
            sum(s.groups for s in row.by_set.values()),
            ("discs", "typed"),
        )
        assert {name: one.objects for name, one in row.by_set.items()} == {"discs": 4, "typed": 4}
        pooled = sum(one.scores["dice"].value for one in row.by_set.values()) / 2
        assert row.scores["dice"].value == pytest.approx(pooled)
        assert row.model.random_weights
        assert row.timing.decode > 0
        assert sum(stratum.objects for stratum in row.by_size) == 8
        assert all((out / case.picture).is_file() for case in row.cases)
        assert [case.kind for case in row.cases] == sorted(
            (c.kind for c in row.cases), key=["random", "median", "worst"].index
        )
        assert ("dice_input" in row.scores) == row.condition.prompts.startswith("mask")
        assert set(row.baselines) == ({"ellipse", "otsu"} if row.condition.prompts == "box" else set())
    trained = [row for row in rows if row.model.method == "frozen"]
    assert {(row.train_sets, row.model.loss, row.model.training["steps"]) for row in trained} == {
        (("discs",), "bce", 2)
    }
    assert trained[0].history
    assert 0 < trained[0].model.trained_parameters < trained[0].model.parameters
    assert trained[0].facts["training_steps"] == 2
    plain = [row for row in rows if row.model.method is None]
    assert plain[0].scores != trained[0].scores
    again = run_benchmark(plan, data=data, out=out)
    assert (again["done"], again["reused"]) == (2, 2)
    page = report_benchmark(plan, out=out, page=tmp_path / "page")
    assert (page["runs"], page["failed"], page["missing"], page["waiting"]) == (2, 0, 0, 0)
    shown = json.loads((tmp_path / "page" / "report.json").read_text())["experiments"][0]["results"]
    assert {one["plan"] for one in shown} == {"tiny"}


def test_a_training_never_sees_what_is_scored(data, write):
    made = expand_prompts(read_prompt_plan(write()), data)
    (unit,) = made.models.values()
    score = made.runs[1].unit.arguments
    taught, scored = unit.arguments["datasets"][0], score["datasets"]
    assert taught["test"] == scored[0]["test"]
    assert scored[1]["test"] is None
    assert taught["data"]["name"] == "discs"


def test_what_lacks_is_named_with_how_to_get_it(data, write):
    plan = write('model = "tiny-sam"', 'model = ["tiny-sam", "sam-vit-b", "sam3"]')
    found = plan_benchmark(plan, data=data, measure_seconds=0)
    assert found["runs"] == 2
    assert [(one["kind"], one["name"], one["runs"]) for one in found["lacking"]] == [("weights", "sam-b", 2)] or [
        one["get"] for one in found["lacking"]
    ] == ["histoseed weights get sam-vit-b"]
    reasons = {one["arm"]["model"]: one["why"] for one in found["missing"]}
    assert "sam3 cannot be built" in reasons["sam3"]
    assert found["models"][0]["dataset"] == "discs"
    assert found["estimate"]["unknown_runs"] == 2
    with pytest.raises(InputError, match="2 data sets are not here"):
        run_benchmark(write(), data=data / "nowhere", out=data / "out")


def test_fused_models_are_arms(data, write):
    plan = write(
        'method = ["none", "frozen"]',
        'method = "frozen"\nfusion = ["none", "concat"]\nhistology = ["bundled", "uni"]\npatches = [1, "all"]',
    )
    found = plan_benchmark(plan, data=data, measure_seconds=0)
    assert [row["label"].split(", loss")[0] for row in found["arms"]] == [
        "tiny-sam (random), frozen on discs (1 patches)", "tiny-sam (random), frozen on discs",
        "tiny-sam (random), concat with bundled, frozen on discs (1 patches)",
        "tiny-sam (random), concat with bundled, frozen on discs",
    ]  # fmt: skip
    assert {one["arm"]["histology"] for one in found["missing"]} == {"uni"}


def test_a_run_that_fails_is_told_and_made_again(data, write, tmp_path):
    plan, out = write('method = ["none", "frozen"]\ntrain = "discs"\nloss = "bce"', 'tests = "typed"'), tmp_path / "out"
    pictures = {path: path.read_bytes() for path in (data / "typed" / "images").iterdir()}
    for path in pictures:
        path.write_bytes(b"no picture")
    (failed,) = run_benchmark(plan, data=data, out=out)["failed"]
    assert (failed["label"], failed["dataset"], failed["draw"]) == ("tiny-sam (random)", "typed", None)
    for path, content in pictures.items():
        path.write_bytes(content)
    assert len(run_benchmark(plan, data=data, out=out)["failed"]) == 1  # it is not tried again by itself
    mended = run_benchmark(plan, data=data, out=out, retry_failed=True)
    assert (mended["done"], mended["failed"]) == (1, [])


def test_presets_are_noted_apart(data, write, tmp_path):
    plan, out = write(), tmp_path / "out"
    text = PLAN.replace('method = ["none", "frozen"]\n', "") + "\n[presets.a]\n[presets.b.protocol]\nobjects = 2\n"
    plan.write_text(text)
    for preset in ("a", "b"):
        assert run_benchmark(plan, preset=preset, data=data, out=out)["done"] == 1
    assert sorted(path.stem for path in (out / "plans").glob("*.json")) == ["tiny.a", "tiny.b"]
    found = report_benchmark(plan, out=out, page=tmp_path / "page")
    assert found["runs"] == 2
    one = report_benchmark(plan, preset="b", out=out, page=tmp_path / "b")
    assert one["runs"] == 1
    with pytest.raises(InputError, match="No such plan was run"):
        report_benchmark("rapid_cytomine", out=out)
    with pytest.raises(InputError, match="has no preset 'a'"):
        run_benchmark("smoke", preset="a", data=data, out=out)
