"""From a plan of promptable models to rows: trained models, resuming, what lacks, failures, the report."""

import json

import polars as pl
import pytest

from histoseed.benchmarking import plan_benchmark, report_benchmark, run_benchmark
from histoseed.benchmarking.arms import Places
from histoseed.benchmarking.prompted import units
from histoseed.benchmarking.prompted.collect import read_experiments
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
    assert (page["plans"], page["plans_waiting"]) == (1, 0)
    other = tmp_path / "other.toml"
    other.write_text(plan.read_text().replace('name = "tiny"', 'name = "other"', 1))
    _, numbers = read_experiments([plan, other], None, out)
    assert (numbers["runs"], numbers["plans"], numbers["plans_waiting"]) == (2, 2, 1)
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


def test_one_data_set_under_two_names_is_not_trained_on_and_scored(data, write):
    plan = write('name = "typed"', 'name = "twin"\npath = "discs"')
    made = expand_prompts(read_prompt_plan(plan), data)
    assert [run.arm.method for run in made.runs] == [None]
    (missing,) = made.missing
    assert missing.why == "discs and twin are one data set: what is trained on would be scored."


def test_data_sets_have_the_names_and_resolutions_of_the_plan(data, write):
    for folder in ("discs", "typed"):
        table = data / folder / "patches.parquet"
        rows = pl.read_parquet(table)
        first = pl.when(pl.col("patch_id") == "p0")  # of one picture the resolution is known
        unknown = first.then("mpp_source").otherwise(pl.lit("unknown"))
        rows.with_columns(mpp=first.then("mpp"), mpp_source=unknown).write_parquet(table)
    plan = write('name = "discs"', 'name = "one"\npath = "discs"\nmpp = 0.5')
    plan.write_text(plan.read_text().replace('name = "typed"', 'name = "two"\npath = "typed"\nmpp = 0.25'))
    made = expand_prompts(read_prompt_plan(write_arms(plan)), data)
    assert not made.missing
    told = made.runs[0].unit.arguments["datasets"]
    one, two = (units._data(Places(data, made.places), entry["data"]) for entry in told)
    assert (one.name, two.name) == ("one", "two")
    assert (one.patch("p0").mpp, one.patch("p1").mpp, two.patch("p1").mpp) == (1.0, 0.5, 0.25)
    assert (units._common_mpp(told), units._common_mpp(told[:1])) == (None, 0.5)


def write_arms(plan):
    """The plan without a training."""
    plan.write_text(plan.read_text().replace('method = ["none", "frozen"]\ntrain = "discs"\nloss = "bce"\n', ""))
    return plan


def test_without_a_validation_share_everything_else_trains(data, write, monkeypatch, tmp_path):
    """Also with the published recipe, which would keep 30 % of it apart by itself."""
    asked = {}

    class Stop(Exception):
        pass

    def adapt(parts, **how):
        asked.update(how)
        raise Stop

    monkeypatch.setattr(units, "adapt_prompts", adapt)
    (unit,) = expand_prompts(
        read_prompt_plan(write("steps = 2", 'steps = 2\nrecipe = "published"')), data
    ).models.values()
    (tmp_path / "places.json").write_text(
        json.dumps({one["data"]["fingerprint"]: str(data / "discs") for one in unit.arguments["datasets"]})
    )
    with pytest.raises(Stop):
        units.fine_tune(tmp_path, **unit.arguments)
    assert asked["preset"] == "published"
    assert asked["shares"] == (1.0, 0.0, 0.0)


def test_pages_hold_no_place_of_this_machine(data, write, tmp_path):
    plan, out = (
        write('name = "typed"\nscored = "all"', 'name = "typed"\nscored = "all"\n\n[[datasets]]\nname = "nowhere"'),
        tmp_path / "out",
    )
    plan.write_text(
        write_arms(plan)
        .read_text()
        .replace(
            'model = "tiny-sam"',
            'model = "tiny-sam"\ntests = "typed"\n\n[[arms]]\nmodel = ["tiny-sam", "/mnt/models/mine"]',
        )
    )
    for path in (data / "typed" / "images").iterdir():
        path.write_bytes(b"no picture")
    (failed,) = run_benchmark(plan, data=data, out=out)["failed"]
    assert str(data) in failed["error"]
    page = report_benchmark(plan, out=out, page=tmp_path / "page")
    assert (page["failed"], page["missing"]) == (1, 2)
    for name in ("index.html", "report.md", "report.json", "results.csv"):
        text = (tmp_path / "page" / name).read_text()
        assert str(tmp_path) not in text
        assert "/mnt/models" not in text
    assert "There is no 'mine'" in (tmp_path / "page" / "report.json").read_text()


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
        "tiny-sam (random), frozen on discs (1 patch)", "tiny-sam (random), frozen on discs",
        "tiny-sam (random), concat with bundled, frozen on discs (1 patch)",
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
